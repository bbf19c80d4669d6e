"""A score over the share of one task in the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def draw_profile(
    ax: Any,
    share: Floats,
    scores: Floats,
    kept: npt.NDArray[np.bool_],
    best: int,
    interval: tuple[float, float] | None,
    *,
    joined: bool = False,
) -> dict[str, Any]:
    """Candidates, the best at each share and the best of all; legend handles.

    With `joined`, the share determines the score, and candidates are joined instead.
    """
    handles: dict[str, Any] = {}
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
    order = np.lexsort([-scores, np.floor(share * 20 + 1e-9)])
    _, first = np.unique(np.floor(share[order] * 20 + 1e-9), return_index=True)
    return share[order][first], scores[order][first]
