"""Interval of a mean over folds with overlapping training sets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats


def corrected_interval(
    differences: npt.NDArray[np.float64], test_to_train: float, level: float
) -> tuple[float, float]:
    """Corrected resampled t interval (Nadeau and Bengio 2003).

    Folds share most of their training rows, so their differences are not independent
    and ``S² / n`` is too small. The corrected variance of the mean of n
    differences is ``(1 / n + n_test / n_train) S²``.

    Parameters
    ----------
    differences : ndarray of shape (n,)
        One per fold; NaN is ignored.
    test_to_train : float
        ``n_test / n_train``; 0 for the plain t interval.
    level : float
        Confidence level.

    Returns
    -------
    low, high : float
        NaN if there are fewer than two differences.
    """
    differences = differences[~np.isnan(differences)]
    n = len(differences)
    if n < 2:
        return np.nan, np.nan
    variance = (1 / n + test_to_train) * differences.var(ddof=1)
    reach = stats.t.ppf(0.5 + level / 2, n - 1) * np.sqrt(variance)
    mean = differences.mean()
    return float(mean - reach), float(mean + reach)
