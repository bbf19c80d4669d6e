"""The triangle that shows three shares with a sum of 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

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


def draw_triangle(ax: Any, names: Sequence[str]) -> None:
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
            *middle, text, rotation=(0, -60, 60)[task], rotation_mode="anchor",
            ha="center", va="center", fontsize="small",
        )  # fmt: skip


def _draw_tick(ax: Any, task: int, tick: float) -> None:
    ends = np.zeros((2, 3))
    ends[:, task] = tick
    ends[0, (task + 1) % 3] = ends[1, (task + 2) % 3] = 1 - tick
    near, far = place(ends)
    ax.plot(*zip(near, far, strict=True), color="0.5", linewidth=0.4, zorder=3)
    ax.text(
        *(near + 0.05 * _outward(task)), f"{tick:.0%}", fontsize="x-small",
        color="0.25", ha="center", va="center",
    )  # fmt: skip


def _outward(task: int) -> npt.NDArray[np.float64]:
    """Direction out of the triangle from the side with the ticks of the task."""
    opposite = (task + 2) % 3  # the share that is 0 there
    direction = CORNERS.mean(axis=0) - CORNERS[opposite]
    unit: npt.NDArray[np.float64] = direction / np.linalg.norm(direction)
    return unit
