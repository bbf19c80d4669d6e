"""DeLong's variance of a ROC AUC in O(n log n)."""

import numpy as np
from scipy.stats import norm


def auc_interval(y: np.ndarray, score: np.ndarray, level: float) -> tuple[float, float]:
    """Confidence interval of the ROC AUC, cut to [0, 1].

    With ``V10`` the share of negatives that each positive row beats and ``V01`` the
    share of positives that each negative row loses to (ties count half), the variance
    of the area is ``var(V10) / m + var(V01) / n`` for ``m`` positives and ``n``
    negatives (DeLong, DeLong and Clarke-Pearson, 1988). Sorting gives the shares of all
    rows at once (Sun and Xu, IEEE Signal Processing Letters 21(11), 2014; they sum
    midranks, here two binary searches count the same).

    NaN with fewer than two rows of a class.
    """
    positive, negative = np.sort(score[y]), np.sort(score[~y])
    m, n = len(positive), len(negative)
    if min(m, n) < 2:
        return np.nan, np.nan
    beaten = _midcount(negative, positive) / n
    lost_to = 1 - _midcount(positive, negative) / m
    error = np.sqrt(beaten.var(ddof=1) / m + lost_to.var(ddof=1) / n)
    reach = float(norm.ppf(0.5 + level / 2) * error)
    area = float(beaten.mean())
    return max(area - reach, 0.0), min(area + reach, 1.0)


def _midcount(ranked: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Ranked values below each value, plus half of those equal to it."""
    below = ranked.searchsorted(values, "left")
    return (below + ranked.searchsorted(values, "right")) / 2
