"""The last step of a fit: predicted rates equal observed rates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

Floats = npt.NDArray[np.float64]

# Factor, of shape (n_tasks,); logits and weights, of shape (n_samples, n_tasks).
Part = tuple[Floats, npt.NDArray[np.float32], Floats]

# Rows that are always read. Predictions of a rare task vary up to 15 times as much as
# their mean, so that on these rows alone the rate of 1 order in 1000 is 5 % off.
_MIN_ROWS = 65_536
# Shifts beyond e^20 mean that a task's network learnt nothing of its rate.
_BOUND = 20.0
# What is known of the level from tables before is worth at most so many positives.
_POSITIVES = 100.0


def n_rows_to_read(n_rows: int, n_epochs: int) -> int:
    """Rows on which the mean prediction is measured: all after four epochs.

    To predict all rows takes a quarter of an epoch of training. After fewer epochs it
    is fewer rows, and for most of them predictions that training made itself serve.
    """
    return min(n_rows, max(_MIN_ROWS, n_rows * n_epochs // 4))


def fit_intercept(parts: Sequence[Part], rates: Floats) -> Floats:
    """Shift of each task's logit that makes the mean prediction the observed rate.

    A network trained by small steps ends a little above or below the rate of a rare
    task, wherever the last positives pushed it. The shift solves the likelihood
    equation of the intercept, as a logistic regression does, and changes no order
    of rows.

    Parameters
    ----------
    parts : sequence of tuple
        Factors of shape (n_tasks,), logits and weights of training rows, both of shape
        (n_samples, n_tasks), weights 0 where the label was not observed. The mean
        prediction is the sum of the parts' own, times their factors. One part will do.
        Three make a regression estimator: cheap logits of many rows, good ones of
        some, and from them the cheap ones of the same rows.
    rates : ndarray of shape (n_tasks,)
        Observed rates of positives.

    Returns
    -------
    ndarray of shape (n_tasks,)
        0 for a task without both classes, or without weight.

    References
    ----------
    W. G. Cochran, "Sampling Techniques", 3rd ed., 1977, chapter 7.
    """
    shifts = np.zeros(len(rates))
    for task, rate in enumerate(rates):
        seen = [weight[:, task] > 0 for _, _, weight in parts]
        if 0 < rate < 1 and all(rows.any() for rows in seen):
            own = [
                _odds_against(z[rows, task], factor[task], weight[rows, task])
                for rows, (factor, z, weight) in zip(seen, parts, strict=True)
            ]
            shifts[task] = _solve(own, rate)
    return shifts


def _odds_against(
    z: npt.NDArray[np.float32], factor: float, weight: Floats
) -> tuple[Floats, Floats]:
    """Odds against a positive, and weights whose sum is the factor."""
    with np.errstate(over="ignore"):  # infinite odds are probability 0
        return np.exp(-z.astype(np.float64)), weight * (factor / weight.sum())


def _solve(parts: list[tuple[Floats, Floats]], rate: float) -> float:
    def excess(shift: float) -> float:
        # A shift multiplies the odds, so that no exponentials are taken here.
        k = np.exp(-shift)
        means = ((w / (1.0 + k * odds)).sum() for odds, w in parts)
        return float(sum(means)) - rate

    if excess(-_BOUND) > 0 or excess(_BOUND) < 0:
        return 0.0
    return float(brentq(excess, -_BOUND, _BOUND, xtol=1e-10))


def rates_after(
    expected: Floats, known: Floats, labels: npt.NDArray[np.float32], weight: Floats
) -> Floats:
    """Rates of one more table, from what was expected of it and its own labels.

    One day has few positives of a rare task, and a level that met its rate alone would
    go up and down with them. The rate is the mean of the posterior of a beta
    distribution, whose prior has the expected mean and is worth as many positives as
    are known, at most 100: then 100 positives of the new table count for half.

    Parameters
    ----------
    expected : ndarray of shape (n_tasks,)
        Mean prediction for these rows before they were trained on.
    known : ndarray of shape (n_tasks,)
        Weight of the positives of all tables before.
    labels, weight : ndarray of shape (n_samples, n_tasks)
        Labels of the new rows, and weights, 0 where the label was not observed.

    Returns
    -------
    ndarray of shape (n_tasks,)
        NaN for a task without weight now.
    """
    rates = np.full(len(expected), np.nan)
    for task, prior in enumerate(expected):
        seen = weight[:, task] > 0
        if not seen.any():
            continue
        w = weight[seen, task]
        positives = min(known[task] / w.mean(), _POSITIVES) if prior > 0 else 0.0
        n_prior = positives / prior if positives else 0.0
        w = w / w.mean()
        rates[task] = (positives + w @ labels[seen, task]) / (n_prior + w.sum())
    return rates
