"""A score over output weights: profile, grid, points, and triangle of shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]
# Luminance increases with the value, so that the plot is readable in grey.
_COLORMAP = "viridis"


def grid_of(x: Floats, y: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct `x` and `y`, and the values ``(n_y, n_x)``; NaN without a point."""
    columns, rows = np.unique(x), np.unique(y)
    table = np.full((len(rows), len(columns)), np.nan)
    table[np.searchsorted(rows, y), np.searchsorted(columns, x)] = values
    return columns, rows, table


def draw_grid(ax: Axes, x: Floats, y: Floats, values: Floats) -> Any:
    """Cells of a grid; separate points if they do not form a grid."""
    columns, rows, table = grid_of(x, y, values)
    # Random candidates would fill few cells.
    if len(x) >= table.size / 2:
        return ax.pcolormesh(columns, rows, table, cmap=_COLORMAP, shading="nearest")
    return draw_points(ax, np.column_stack([x, y]), values)


def draw_points(ax: Axes, points: Floats, values: Floats) -> Any:
    """One dot per place, as large as many dots allow."""
    xy, z = distinct(points, values)
    size = np.clip(14_000 / max(len(xy), 1), 14, 70)
    return ax.scatter(xy[:, 0], xy[:, 1], c=z, cmap=_COLORMAP, s=size, zorder=2)


def draw_marks(
    ax: Axes,
    points: Floats,
    values: Floats,
    low: float | None,
    feasible: npt.NDArray[np.bool_] | None,
) -> dict[str, Artist]:
    """Dot feasible values below `low`, and cross out what is infeasible."""
    handles: dict[str, Artist] = {}
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
    # Points that differ only by rounding coincide.
    xy, first = np.unique(points[known].round(9), axis=0, return_index=True)
    return xy, values[known][first]


# Corners for the first, second and third share; sides of length 1.
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
_TICKS = np.linspace(0.2, 0.8, 4)


def shares(weights: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Weights ``(n, n_tasks)`` as shares of their sums.

    Raises
    ------
    ValueError
        If a weight is negative, or all weights of a row are 0.
    """
    w = np.asarray(weights, dtype=np.float64)
    bad = np.flatnonzero((w < 0).any(axis=1) | (w.sum(axis=1) == 0))
    if len(bad):
        raise ValueError(
            "Weights must be at least 0 and not all 0 to have shares; found "
            f"{w[bad[0]].tolist()} at row {bad[0]}."
        )
    # Rounded so that points which differ only in scale coincide.
    return (w / w.sum(axis=1, keepdims=True)).round(12)


def place(parts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Coordinates ``(n, 2)`` of shares ``(n, 3)``."""
    points: npt.NDArray[np.float64] = np.asarray(parts, dtype=np.float64) @ CORNERS
    return points


def draw_triangle(ax: Axes, names: Sequence[str]) -> None:
    """Sides, grid lines every 20 %, and each task along the side with its scale."""
    ax.set_axis_off()
    ax.set(aspect="equal", xlim=(-0.12, 1.12), ylim=(-0.18, 0.94))
    around = CORNERS[[0, 1, 2, 0]]
    ax.plot(around[:, 0], around[:, 1], color="black", linewidth=1)
    for task, name in enumerate(names):
        for tick in _TICKS:
            _draw_tick(ax, task, tick)
        # The side along which the share of the task increases towards its corner.
        middle = (CORNERS[task] + CORNERS[(task + 1) % 3]) / 2 + 0.13 * _outward(task)
        text = f"← share of {name}" if task == 0 else f"share of {name} →"
        ax.text(
            float(middle[0]), float(middle[1]), text,
            rotation=(0, -60, 60)[task], rotation_mode="anchor",
            ha="center", va="center", fontsize="small",
        )  # fmt: skip


def _draw_tick(ax: Axes, task: int, tick: float) -> None:
    ends = np.zeros((2, 3))
    ends[:, task] = tick
    ends[0, (task + 1) % 3] = ends[1, (task + 2) % 3] = 1 - tick
    near, far = place(ends)
    ax.plot(*zip(near, far, strict=True), color="0.5", linewidth=0.4, zorder=3)
    x, y = (near + 0.05 * _outward(task)).tolist()
    ax.text(
        x, y, f"{tick:.0%}", fontsize="x-small",
        color="0.25", ha="center", va="center",
    )  # fmt: skip


def _outward(task: int) -> npt.NDArray[np.float64]:
    """Direction out of the triangle from the side with the ticks of the task."""
    opposite = (task + 2) % 3  # the share that is 0 there
    direction = CORNERS.mean(axis=0) - CORNERS[opposite]
    unit: npt.NDArray[np.float64] = direction / np.linalg.norm(direction)
    return unit


def draw_profile(
    ax: Axes,
    share: Floats,
    scores: Floats,
    kept: npt.NDArray[np.bool_],
    best: int,
    interval: tuple[float, float] | None,
    *,
    joined: bool = False,
) -> dict[str, Artist]:
    """Candidates, the best at each share and the best of all; legend handles.

    With `joined`, the share determines the score, and candidates are joined instead.
    """
    handles: dict[str, Artist] = {}
    if joined:
        order = np.argsort(share)
        (handles["candidates"],) = ax.plot(
            share[order], scores[order], ".-", color="black", markersize=5, linewidth=1
        )
    else:
        (handles["candidates"],) = ax.plot(
            share[kept], scores[kept], ".", color="0.6", markersize=3, zorder=1
        )
        top = best_by_share(share[kept], scores[kept])
        (handles["best at this share"],) = ax.plot(*top, color="black")
    if not kept.all():
        (handles["violates a constraint"],) = ax.plot(
            share[~kept], scores[~kept], "x", color="#d55e00", linestyle="none",
            markersize=7 if joined else 4, zorder=2 if joined else 1,
        )  # fmt: skip
    (handles["best"],) = ax.plot(
        share[best], scores[best], "*", markersize=14, color="white",
        markeredgecolor="black", zorder=5,
    )  # fmt: skip
    if interval is not None:
        handles["interval"] = ax.axhspan(*interval, color="0.85", zorder=0)
    return handles


def best_by_share(share: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """The highest score in each twentieth of the shares, and where it is."""
    known = np.isfinite(scores)
    share, scores = share[known], scores[known]
    # Shares such as 0.15 * 20 may lie just below a whole number.
    order = np.lexsort([-scores, np.floor(share * 20 + 1e-9)])
    _, first = np.unique(np.floor(share[order] * 20 + 1e-9), return_index=True)
    return share[order][first], scores[order][first]
