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
) -> dict[str, Any]:
    """Candidates, the best at each share and the best of all; legend handles."""
    handles: dict[str, Any] = {}
    (handles["candidates"],) = ax.plot(
        share[kept], scores[kept], ".", color="0.6", markersize=3, zorder=1
    )
    if not kept.all():
        (handles["violates a constraint"],) = ax.plot(
            share[~kept], scores[~kept], "x", color="0.75", markersize=3
        )
    top = best_by_share(share[kept], scores[kept])
    (handles["best at this share"],) = ax.plot(*top, color="black")
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
