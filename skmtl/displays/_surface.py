"""A value at points of the plane, without interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# Luminance increases with the value, so that the plot is readable in grey.
_COLORMAP = "viridis"


def grid_of(x: Floats, y: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct `x` and `y`, and the values ``(n_y, n_x)``; NaN without a point."""
    columns, rows = np.unique(x), np.unique(y)
    table = np.full((len(rows), len(columns)), np.nan)
    table[np.searchsorted(rows, y), np.searchsorted(columns, x)] = values
    return columns, rows, table


def draw_grid(ax: Any, x: Floats, y: Floats, values: Floats) -> Any:
    """Cells of a grid; separate points if they do not form a grid."""
    columns, rows, table = grid_of(x, y, values)
    if len(x) >= table.size / 2:
        return ax.pcolormesh(columns, rows, table, cmap=_COLORMAP, shading="nearest")
    return draw_points(ax, np.column_stack([x, y]), values)


def draw_points(ax: Any, points: Floats, values: Floats) -> Any:
    """One dot per place, as large as many dots allow."""
    xy, z = distinct(points, values)
    size = np.clip(14_000 / max(len(xy), 1), 14, 70)
    return ax.scatter(xy[:, 0], xy[:, 1], c=z, cmap=_COLORMAP, s=size, zorder=2)


def draw_marks(
    ax: Any,
    points: Floats,
    values: Floats,
    low: float | None,
    feasible: npt.NDArray[np.bool_] | None,
) -> dict[str, Any]:
    """Dot feasible values below `low`, and cross out what is infeasible."""
    handles: dict[str, Any] = {}
    kept = np.ones(len(values), bool) if feasible is None else feasible
    if low is not None:
        xy, z = distinct(points[kept], values[kept])
        below = xy[z < low]
        (handles["below"],) = ax.plot(
            below[:, 0], below[:, 1], ".", markersize=2.5, color="black", zorder=4,
            linestyle="none",
        )  # fmt: skip
    if not kept.all():
        xy = np.unique(points[~kept].round(9), axis=0)
        (handles["violates a constraint"],) = ax.plot(
            xy[:, 0], xy[:, 1], "x", color="black", markersize=4,
            markeredgewidth=0.8, zorder=3, linestyle="none",
        )  # fmt: skip
    return handles


def distinct(points: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Each place once, with the first of its values; without NaN."""
    known = np.isfinite(values)
    xy, first = np.unique(points[known].round(9), axis=0, return_index=True)
    return xy, values[known][first]
