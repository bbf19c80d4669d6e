"""A value over the plane, from points on a grid or anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skmtl._extras import import_extra

Floats = npt.NDArray[np.float64]
# Luminance rises with the value, so that grey shows the same.
_COLORMAP = "viridis"


def grid_of(x: Floats, y: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct `x` and `y`, and the values ``(n_y, n_x)``; NaN where no point is."""
    columns, rows = np.unique(x), np.unique(y)
    table = np.full((len(rows), len(columns)), np.nan)
    table[np.searchsorted(rows, y), np.searchsorted(columns, x)] = values
    return columns, rows, table


def draw_grid(ax: Any, x: Floats, y: Floats, values: Floats) -> Any:
    """Cells of a grid; points that form no grid one by one."""
    columns, rows, table = grid_of(x, y, values)
    if len(x) >= table.size / 2:
        return ax.pcolormesh(columns, rows, table, cmap=_COLORMAP, shading="nearest")
    return ax.scatter(x, y, c=values, cmap=_COLORMAP, s=25)


def draw_scattered(ax: Any, points: Floats, values: Floats) -> Any:
    """Bands between the points, with the points themselves."""
    xy, z = distinct(points, values)
    ax.plot(xy[:, 0], xy[:, 1], ".", color="black", markersize=1, zorder=2)
    mesh = triangles(xy)
    if mesh is None or np.ptp(z) == 0:
        return ax.scatter(xy[:, 0], xy[:, 1], c=z, cmap=_COLORMAP, s=25)
    return ax.tricontourf(mesh, z, levels=14, cmap=_COLORMAP)


def draw_boundaries(
    ax: Any,
    points: Floats,
    values: Floats,
    low: float | None,
    feasible: npt.NDArray[np.bool_] | None,
) -> dict[str, Any]:
    """Lines around the values of at least `low`, and around what is feasible."""
    lines = import_extra("matplotlib.lines", "plot", "OutputWeightsDisplay.plot")
    handles = {}
    edges = []
    if low is not None:
        xy, z = distinct(points, values)
        edges.append(("within the interval of the best", xy, z, low, "solid"))
    if feasible is not None:
        xy, kept = distinct(points, feasible.astype(np.float64))
        edges.append(("edge of the constraints", xy, kept, 0.5, "dashed"))
    for name, xy, z, level, style in edges:
        mesh = triangles(xy)
        if mesh is None or not z.min() < level <= z.max():
            continue
        look = {"linewidths": 1.6, "linestyles": style, "zorder": 4}
        ax.tricontour(
            mesh, z, levels=[level], colors="white", **look | {"linewidths": 3.2}
        )
        ax.tricontour(mesh, z, levels=[level], colors="black", **look)
        handles[name] = lines.Line2D([], [], color="black", linestyle=style)
    return handles


def distinct(points: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Each place once, with the first of its values; without NaN."""
    known = np.isfinite(values)
    xy, first = np.unique(points[known].round(9), axis=0, return_index=True)
    return xy, values[known][first]


def triangles(xy: Floats) -> Any:
    """Delaunay triangles of points; None where all lie on one line."""
    centred = xy - xy.mean(axis=0)
    if len(xy) < 3 or np.linalg.matrix_rank(centred, tol=1e-9) < 2:
        return None
    tri = import_extra("matplotlib.tri", "plot", "OutputWeightsDisplay.plot")
    return tri.Triangulation(xy[:, 0], xy[:, 1])
