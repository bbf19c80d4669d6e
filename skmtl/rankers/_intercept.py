"""The last step of a fit: predicted rates equal observed rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit

Floats = npt.NDArray[np.float64]

# Rows that are always read. Predictions of a rare task vary up to 15 times as much as
# their mean, so that on these rows alone the rate of 1 order in 1000 is 5 % off.
_MIN_ROWS = 65_536
# Shifts beyond e^20 mean that a task's network learnt nothing of its rate.
_BOUND = 20.0
# How much a new table moves the shift: as if the last one came from so many positives.
_POSITIVES = 100.0


def n_rows_to_read(n_rows: int, n_epochs: int) -> int:
    """Rows on which the mean prediction is measured: all after four epochs.

    To predict all rows takes a quarter of an epoch of training. A shorter training
    reads fewer, so that the intercept costs no more than a fifteenth of it.
    """
    return min(n_rows, max(_MIN_ROWS, n_rows * n_epochs // 4))


def fit_intercept(
    logits: npt.NDArray[np.float32], weight: Floats, rates: Floats
) -> Floats:
    """Shift of each task's logit that makes the mean prediction the observed rate.

    A network trained by small steps ends a little above or below the rate of a rare
    task, wherever the last positives pushed it. The shift solves the likelihood
    equation of the intercept, as a logistic regression does, and changes no order
    of rows.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_tasks)
        Of training rows.
    weight : ndarray of shape (n_samples, n_tasks)
        Their weights, 0 where the label was not observed.
    rates : ndarray of shape (n_tasks,)
        Observed rates of positives.

    Returns
    -------
    ndarray of shape (n_tasks,)
        0 for a task without both classes, or without weight.
    """
    shifts = np.zeros(len(rates))
    for task, rate in enumerate(rates):
        seen = weight[:, task] > 0
        if 0 < rate < 1 and seen.any():
            z = logits[seen, task].astype(np.float64)
            shifts[task] = _solve(z, weight[seen, task], rate)
    return shifts


def _solve(z: Floats, w: Floats, rate: float) -> float:
    def excess(shift: float) -> float:
        return float(np.average(expit(z + shift), weights=w)) - rate

    if excess(-_BOUND) > 0 or excess(_BOUND) < 0:
        return 0.0
    return float(brentq(excess, -_BOUND, _BOUND, xtol=1e-10))


def move_intercept(
    before: Floats,
    logits: npt.NDArray[np.float32],
    labels: npt.NDArray[np.float32],
    weight: Floats,
    rates: Floats,
) -> Floats:
    """Shift of each task's logit after one more table, near the shift before.

    One day has few positives of a rare task, and a shift that met its rate alone would
    go up and down with them. This one solves the likelihood equation with a normal
    prior around the shift before, of variance 1/100: about 100 positives move it half
    of the way to the rate of the new table, and one positive hardly at all.

    Parameters
    ----------
    before : ndarray of shape (n_tasks,)
        Shifts until now.
    logits : ndarray of shape (n_samples, n_tasks)
        Of the new rows.
    labels, weight : ndarray of shape (n_samples, n_tasks)
        Their labels, and weights, 0 where the label was not observed.
    rates : ndarray of shape (n_tasks,)
        Rates over all tables.

    Returns
    -------
    ndarray of shape (n_tasks,)
        That before for a task without both classes so far, or without weight now.
    """
    shifts = before.copy()
    for task, rate in enumerate(rates):
        seen = weight[:, task] > 0
        if 0 < rate < 1 and seen.any():
            z = logits[seen, task].astype(np.float64)
            y, w = labels[seen, task], weight[seen, task]
            shifts[task] = _solve_near(before[task], z, y, w / w.mean())
    return shifts


def _solve_near(before: float, z: Floats, y: npt.NDArray[Any], w: Floats) -> float:
    positives = w @ y

    def slope(move: float) -> float:
        expected = w @ expit(z + before + move)
        return float(expected - positives + _POSITIVES * move)

    # The slope lies between these signs: no more than all rows can be positive.
    bound = len(z) / _POSITIVES + 1.0
    return before + float(brentq(slope, -bound, bound, xtol=1e-10))
