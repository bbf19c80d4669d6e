"""Which candidates are best, where several metrics count."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def pareto_front(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return the rows that no other row beats, by decreasing first metric.

    A row beats another one if it is at least as good in every metric and better in one.
    Rows with NaN are left out.

    Parameters
    ----------
    scores : ndarray of shape (n_rows, n_metrics)
        Metrics, where greater is better.

    Returns
    -------
    ndarray of shape (n_front,), dtype intp
        Indices of the rows.
    """
    known = np.flatnonzero(np.isfinite(scores).all(axis=1))
    # The last key is the first to sort by.
    falling = known[np.lexsort(-scores[known].T[::-1])]
    front: list[int] = []
    for row in falling:  # nothing later in this order can beat a row that stays
        kept, one = scores[front], scores[row]
        if not ((kept >= one).all(axis=1) & (kept > one).any(axis=1)).any():
            front.append(int(row))
    return np.array(front, dtype=np.intp)
