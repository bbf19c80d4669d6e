"""Formulas of the metrics of probabilities, and their values for each task."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skmtl.metrics._labels import Labels
from skmtl.metrics._validation import check_count, check_scores, check_weight, column_of
from skmtl.metrics._warnings import warn_undefined

# (label, probability, weight) of the observed rows -> value
Formula = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]


def prepare_probability(
    name: str,
    formula: Formula,
    labels: Labels,
    *,
    sample_weight: Any = None,
    why: str = "it has no observed label",
) -> Callable[[Any], np.ndarray]:
    """A function from probabilities to the formula of each task: ``(n_tasks,)``."""
    weight = check_weight(sample_weight, len(labels))

    def values(proba: Any) -> np.ndarray:
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
    predicted = float(p.sum(dtype=np.float64) if w is None else p @ w)
    return predicted / observed if observed > 0 else np.nan


def bin_of(p: np.ndarray, n_bins: int, strategy: str) -> np.ndarray:
    """Number of the bin of each probability; equal ones are in the same bin."""
    fractions = np.arange(1, n_bins) / n_bins
    edges = fractions if strategy == "uniform" else np.quantile(p, fractions)
    return np.searchsorted(np.unique(edges), p, side="right")


def calibration_error_of(
    y: np.ndarray, p: np.ndarray, w: np.ndarray | None, n_bins: int, strategy: str
) -> float:
    p = p.astype(np.float64)
    w = np.ones(len(p)) if w is None else w
    gap = np.bincount(bin_of(p, n_bins, strategy), weights=w * (p - y))
    return float(np.abs(gap).sum() / w.sum())


def check_bins(n_bins: Any, strategy: Any) -> None:
    check_count(n_bins, "n_bins", 1)
    if strategy not in ("quantile", "uniform"):
        raise ValueError(
            f"strategy must be one of ['quantile', 'uniform']; got {strategy!r}."
        )
