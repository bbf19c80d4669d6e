"""Metrics of the predicted probabilities themselves, task by task."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skmtl._messages import shown
from skmtl._typing import FloatArray
from skmtl.metrics._validation import (
    Labels,
    check_count,
    check_labels,
    check_scores,
    check_weight,
    column_of,
    require_positive,
    warn_undefined,
)

# (label, probability, weight) of the observed rows -> value
Formula = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]


def prepare_probability(
    name: str,
    formula: Formula,
    labels: Labels,
    *,
    sample_weight: object = None,
    why: str = "it has no observed label",
) -> Callable[[object], np.ndarray]:
    """Return a function from probabilities to a value of each task, ``(n_tasks,)``."""
    weight = check_weight(sample_weight, len(labels))

    def values(proba: object) -> np.ndarray:
        proba = check_scores(proba, labels, probability=True)
        found = np.full(labels.n_tasks, np.nan)
        for task in range(labels.n_tasks):
            rows = labels.rows(task)
            y = labels.positive[task][rows]
            w = None if weight is None else weight[rows]
            if len(y) and (w is None or w.any()):
                found[task] = formula(y, column_of(proba, task)[rows], w)
        warn_undefined(name, found, labels.names, why)
        return found

    return values


def row_log_loss(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    epsilon = np.finfo(p.dtype if p.dtype.kind == "f" else np.float64).eps
    right = np.where(y, p, 1 - p).astype(np.float64)
    return -np.log(np.clip(right, epsilon, 1 - epsilon))


def log_loss_of(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    return float(np.average(row_log_loss(y, p), weights=w))


def brier_of(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    return float(np.average((p.astype(np.float64) - y) ** 2, weights=w))


def ratio_of(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    observed = float(y.sum() if w is None else w[y].sum())
    # float32 would lose small probabilities in a long sum.
    predicted = float(p.sum(dtype=np.float64) if w is None else p @ w)
    return predicted / observed if observed > 0 else np.nan


def bin_of(p: np.ndarray, n_bins: int, strategy: str) -> np.ndarray:
    """Number of the bin of each probability; equal ones are in the same bin."""
    fractions = np.arange(1, n_bins) / n_bins
    edges = fractions if strategy == "uniform" else np.quantile(p, fractions)
    # Equal probabilities may span several quantiles, whose bins would be empty.
    return np.searchsorted(np.unique(edges), p, side="right")


def calibration_error_of(
    y: np.ndarray, p: np.ndarray, w: np.ndarray | None, n_bins: int, strategy: str
) -> float:
    p = p.astype(np.float64)
    w = np.ones(len(p)) if w is None else w
    gap = np.bincount(bin_of(p, n_bins, strategy), weights=w * (p - y))
    return float(np.abs(gap).sum() / w.sum())


def check_bins(n_bins: object, strategy: object) -> None:
    check_count(n_bins, "n_bins", 1)
    if strategy not in ("quantile", "uniform"):
        raise ValueError(
            f"strategy must be one of ['quantile', 'uniform']; got {shown(strategy)}."
        )


def log_loss(
    y: object, proba: object, *, sample_weight: object = None
) -> float | FloatArray:
    """Mean binary cross-entropy of each task, in nats.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels: 1, 0, or NaN for not observed; these rows are left out, for each task
        separately.
    proba : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
        Probabilities of a positive label, or the list of ``(n_samples, 2)`` arrays
        that ``predict_proba`` returns. They are clipped to ``[eps, 1 - eps]`` with the
        machine epsilon of their dtype, as in scikit-learn.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        The loss; a float if `y` is 1-D. NaN, with a warning, for a task without a
        label.

    Raises
    ------
    ValueError
        If a probability is not in [0, 1], a label is not 0, 1 or NaN, or shapes or
        names of tasks differ.

    See Also
    --------
    brier : The squared error of the probabilities.

    Examples
    --------
    >>> from skmtl.metrics import log_loss
    >>> round(log_loss([1, 0], [0.9, 0.2]), 4)
    0.1643
    """
    labels = check_labels(y)
    return labels.output(_values("log_loss", log_loss_of, labels, proba, sample_weight))


def brier(
    y: object, proba: object, *, sample_weight: object = None
) -> float | FloatArray:
    """Mean squared difference of probability and label of each task.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels: 1, 0, or NaN for not observed, as in :func:`log_loss`.
    proba : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
        Probabilities of a positive label, as in :func:`log_loss`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        The score, from 0 (best) to 1; a float if `y` is 1-D. NaN, with a warning, for
        a task without a label.

    Raises
    ------
    ValueError
        As in :func:`log_loss`.

    See Also
    --------
    log_loss : The cross-entropy, which penalizes confident errors more.

    References
    ----------
    .. [1] G. W. Brier. Verification of forecasts expressed in terms of probability.
           Monthly Weather Review 78(1), 1950.

    Examples
    --------
    >>> from skmtl.metrics import brier
    >>> round(brier([1, 0], [0.9, 0.2]), 4)
    0.025
    """
    labels = check_labels(y)
    return labels.output(_values("brier", brier_of, labels, proba, sample_weight))


def expected_calibration_error(
    y: object,
    proba: object,
    *,
    n_bins: int = 15,
    strategy: str = "quantile",
    sample_weight: object = None,
) -> float | FloatArray:
    """Mean gap between predicted and observed rate over bins of the probability.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels: 1, 0, or NaN for not observed, as in :func:`log_loss`.
    proba : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
        Probabilities of a positive label, as in :func:`log_loss`.
    n_bins : int, default=15
        Number of bins. Bins that would end at the same probability are merged.
    strategy : {"quantile", "uniform"}, default="quantile"
        Bins of equal numbers of rows, or of equal width. The probabilities of a rare
        task all fall into the first bin of equal width, where errors cancel.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, in the rates and in the mean over bins; the edges of the
        bins do not depend on them.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        The error, from 0 (best) to 1; a float if `y` is 1-D. NaN, with a warning, for
        a task without a label.

    Raises
    ------
    ValueError
        If `n_bins` or `strategy` is not valid, or as in :func:`log_loss`.

    See Also
    --------
    predicted_to_observed : The ratio of the means, which shows the direction.

    References
    ----------
    .. [1] C. Guo et al. On calibration of modern neural networks. ICML 2017,
           section 2, equation 3 (bins of equal width).

    Examples
    --------
    >>> from skmtl.metrics import expected_calibration_error
    >>> y, p = [0, 1, 0, 1], [0.1, 0.1, 0.8, 0.8]
    >>> round(expected_calibration_error(y, p, n_bins=2), 4)
    0.35
    """
    check_bins(n_bins, strategy)
    labels = check_labels(y)

    def formula(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
        return calibration_error_of(y, p, w, n_bins, strategy)

    name = "expected_calibration_error"
    return labels.output(_values(name, formula, labels, proba, sample_weight))


def predicted_to_observed(
    y: object, proba: object, *, sample_weight: object = None
) -> Any:
    """Sum of the probabilities over the number of positive labels of each task.

    Above 1 the model predicts too many positive labels, below 1 too few.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels: 1, 0, or NaN for not observed, as in :func:`log_loss`.
    proba : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
        Probabilities of a positive label, as in :func:`log_loss`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        The ratio; a float if `y` is 1-D. NaN, with a warning, for a task without a
        positive label.

    Raises
    ------
    ValueError
        If no task has a positive label, or as in :func:`log_loss`.

    See Also
    --------
    expected_calibration_error : The gap over bins of the probability.

    Examples
    --------
    >>> from skmtl.metrics import predicted_to_observed
    >>> round(predicted_to_observed([1, 0, 0, 1], [0.5, 0.1, 0.1, 0.5]), 4)
    0.6
    """
    labels = check_labels(y)
    require_positive(labels)
    why = "it has no positive label"
    return labels.output(
        _values(
            "predicted_to_observed", ratio_of, labels, proba, sample_weight, why=why
        )
    )


def _values(
    name: str,
    formula: Formula,
    labels: Labels,
    proba: object,
    sample_weight: object,
    **why: str,
) -> np.ndarray:
    return prepare_probability(
        name, formula, labels, sample_weight=sample_weight, **why
    )(proba)
