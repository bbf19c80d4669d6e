"""The triangle in which three shares that sum to 1 are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from skmtl.displays._panels import wrapped

# Corners for the first, second and third share; sides of length 1.
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
_TICKS = np.linspace(0.2, 0.8, 4)


def shares(weights: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Weights ``(n, n_tasks)`` as shares of their sums.

    Raises
    ------
    ValueError
        For negative weights and rows of zeros, which have no shares.
    """
    w = np.asarray(weights, dtype=np.float64)
    bad = np.flatnonzero((w < 0).any(axis=1) | (w.sum(axis=1) == 0))
    if len(bad):
        raise ValueError(
            "Weights need to be at least 0 and not all 0 to have shares; found "
            f"{w[bad[0]].tolist()} at row {bad[0]}."
        )
    # Rounded, so that points that differ in scale only coincide.
    return (w / w.sum(axis=1, keepdims=True)).round(12)


def place(parts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Points ``(n, 2)`` of shares ``(n, 3)``."""
    points: npt.NDArray[np.float64] = np.asarray(parts, dtype=np.float64) @ CORNERS
    return points


def draw_triangle(ax: Any, names: Sequence[str]) -> None:
    """Sides, grid lines each 20 %, and the tasks at the corners that are theirs."""
    ax.set_axis_off()
    ax.set_aspect("equal")
    around = CORNERS[[0, 1, 2, 0]]
    ax.plot(around[:, 0], around[:, 1], color="black", linewidth=1)
    for task in range(3):
        left, right = (task + 1) % 3, (task + 2) % 3
        for tick in _TICKS:
            ends = np.zeros((2, 3))
            ends[:, task] = tick
            ends[0, left] = ends[1, right] = 1 - tick
            (x0, y0), (x1, y1) = place(ends)
            ax.plot([x0, x1], [y0, y1], color="0.5", linewidth=0.4, zorder=3)
            # Ticks of a task stand on the side on which its share grows towards it.
            ax.annotate(
                f"{tick:.0%}", (x0, y0), xytext=4 * _outward(task), fontsize="x-small",
                textcoords="offset points", color="0.25",
                ha=("right", "center", "left")[task] if task != 1 else "center",
                va=("center", "top", "center")[task],
            )  # fmt: skip
    for task, (ha, va) in enumerate(
        [("center", "top"), ("center", "top"), ("center", "bottom")]
    ):
        ax.annotate(
            f"only {wrapped(names[task], 18)}", CORNERS[task], ha=ha, va=va,
            xytext=(0, 6 if task == 2 else -14), textcoords="offset points",
        )  # fmt: skip


def _outward(task: int) -> npt.NDArray[np.float64]:
    """Direction out of the triangle from the side that carries the task's ticks."""
    opposite = (task + 2) % 3  # the share that is 0 there
    direction = CORNERS.mean(axis=0) - CORNERS[opposite]
    unit: npt.NDArray[np.float64] = direction / np.linalg.norm(direction)
    return unit
