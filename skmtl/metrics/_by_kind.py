"""Metrics of one task of any kind, for scorers and to monitor a fit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import kendalltau
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    d2_pinball_score,
    d2_tweedie_score,
    log_loss,
    mean_absolute_error,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_tweedie_deviance,
    r2_score,
    root_mean_squared_error,
)

from skmtl.metrics._roc_auc import roc_auc

# From labels, what is judged, weights and parameters to a number.
Score = Callable[..., float]

NUMBERS = ("regression", "ordinal")


def kappa(
    y: np.ndarray, labels: np.ndarray, *, sample_weight: np.ndarray | None = None
) -> float:
    """Cohen's kappa with quadratic weights; NaN where only one label occurs."""
    # scikit-learn would divide 0 by 0.
    if len(y) and (y == y[0]).all() and (labels == y[0]).all():
        return np.nan
    found: float = cohen_kappa_score(
        y, labels, weights="quadratic", sample_weight=sample_weight
    )
    return found


def auc_one_vs_rest(
    y: np.ndarray, proba: np.ndarray, *, sample_weight: np.ndarray | None = None
) -> float:
    """Mean over the classes of the ROC AUC of each against all others.

    Classes without a row, or with all rows, are left out.
    """
    areas = []
    for k in range(proba.shape[1]):
        own = (y == k).astype(np.int64)
        if 0 < own.sum() < len(own):
            areas.append(roc_auc(own, proba[:, k], sample_weight=sample_weight))
    return float(np.mean(areas)) if areas else np.nan


def in_groups(function: Callable[..., float]) -> Score:
    """Wrap a metric of groups; without groups, all rows form one."""

    def score(
        y: np.ndarray, predicted: np.ndarray, *, groups: np.ndarray | None = None
    ) -> float:
        codes = np.zeros(len(y), np.int64)
        if groups is not None:
            codes = pd.factorize(groups)[0]
        return function(np.asarray(y, np.float64), np.asarray(predicted), codes)

    return score


def concordance(y: np.ndarray, score: np.ndarray) -> float:
    """Share of the pairs of different labels that are scored in order.

    A tie of scores counts half, so that the value for two labels is the ROC AUC. NaN if
    all labels are equal.

    Kendall's tau-b is ``(right - wrong) / sqrt(a b)`` for `a` pairs without a tie of
    labels and `b` without a tie of scores.
    """
    a, b = _pairs_without_tie(y), _pairs_without_tie(score)
    if not a:
        return np.nan
    if not b:
        return 0.5
    tau = kendalltau(y, score, method="asymptotic").statistic
    return float(0.5 + 0.5 * tau * np.sqrt(b / a))


def _pairs_without_tie(values: np.ndarray) -> float:
    n, times = len(values), np.unique(values, return_counts=True)[1].astype(float)
    return float(n * (n - 1) - (times * (times - 1)).sum()) / 2


def _pair_accuracy(y: np.ndarray, predicted: np.ndarray, codes: np.ndarray) -> float:
    """Share of the pairs of different labels in a group that are predicted in order.

    A tie of predictions counts half.
    """
    if len(codes) and (codes == codes[0]).all():
        return concordance(y, predicted)
    order = np.argsort(codes, kind="stable")
    y, predicted, codes = y[order], predicted[order], codes[order]
    right = pairs = 0.0
    # All pairs at one distance together: as many steps as the longest group has rows.
    for distance in range(1, len(y)):
        first = np.flatnonzero(codes[distance:] == codes[:-distance])
        if not len(first):
            break  # rows of a group are next to each other
        above = np.sign(y[first + distance] - y[first])
        told = np.sign(predicted[first + distance] - predicted[first])
        pairs += np.count_nonzero(above)
        # 1 for a pair in order, 0 for one in reverse, 1/2 for a tie of predictions.
        right += (np.abs(above) * (above * told + 1) / 2).sum()
    return right / pairs if pairs else np.nan


def _spearman(y: np.ndarray, predicted: np.ndarray, codes: np.ndarray) -> float:
    """Spearman's rank correlation within groups, averaged over the groups."""
    table = pd.DataFrame({"y": y, "p": predicted, "group": codes})
    # Correlations of all groups by sums; a call for each group would be slow.
    ranks = table.groupby("group").rank()
    own = ranks - ranks.groupby(table["group"]).transform("mean")
    products = pd.DataFrame(
        {"yp": own["y"] * own["p"], "yy": own["y"] ** 2, "pp": own["p"] ** 2}
    )
    sums = products.groupby(table["group"]).sum()
    known = (sums["yy"] > 0) & (sums["pp"] > 0)
    if not known.any():
        return np.nan
    found: pd.Series = sums["yp"][known] / np.sqrt(
        sums["yy"][known] * sums["pp"][known]
    )
    return float(found.mean())


pair_accuracy_of = in_groups(_pair_accuracy)
spearman_of = in_groups(_spearman)

# What judges the predictions of a fit after each epoch.
SCORES: dict[str, Score] = {
    "auc": roc_auc,
    "auc_ovr": auc_one_vs_rest,
    "d2_pinball": d2_pinball_score,
    "d2_tweedie": d2_tweedie_score,
    "kappa": kappa,
    "r2": r2_score,
}


@dataclass(frozen=True)
class KindMetric:
    """A metric of kinds of tasks that are not binary.

    Attributes
    ----------
    functions : mapping of str to callable
        For each kind, by name, a function of labels and predictions, which takes
        `metadata` and `params` by keyword. Labels of several classes are their numbers,
        from 0.
    metadata, params : tuple of str
        What the functions take.
    greater_is_better : bool
        Whether high values are good.
    judges_labels : bool
        Whether predicted labels are judged rather than expected ones.
    """

    functions: Mapping[str, Score]
    metadata: tuple[str, ...] = ("sample_weight",)
    params: tuple[str, ...] = ()
    greater_is_better: bool = False
    judges_labels: bool = False


def _of_numbers(function: Score, *params: str, good: bool = False) -> KindMetric:
    functions = dict.fromkeys(NUMBERS, function)
    return KindMetric(functions, params=params, greater_is_better=good)


def _of_regressions(function: Score, *params: str, good: bool = False) -> KindMetric:
    functions = {"regression": function}
    return KindMetric(functions, params=params, greater_is_better=good)


def _multiclass_log_loss(
    y: np.ndarray, proba: np.ndarray, *, sample_weight: np.ndarray | None = None
) -> float:
    if proba.shape[1] == 1:
        return 0.0  # the only class has probability 1
    classes = np.arange(proba.shape[1])
    found: float = log_loss(y, proba, sample_weight=sample_weight, labels=classes)
    return found


def _within_groups(function: Score) -> KindMetric:
    functions = dict.fromkeys(NUMBERS, function)
    return KindMetric(functions, metadata=("groups",), greater_is_better=True)


KIND_METRICS: dict[str, KindMetric] = {
    "rmse": _of_numbers(root_mean_squared_error),
    "mae": _of_numbers(mean_absolute_error),
    "r2": _of_numbers(r2_score, good=True),
    "pinball": _of_regressions(mean_pinball_loss, "alpha"),
    "poisson_deviance": _of_regressions(mean_poisson_deviance),
    "gamma_deviance": _of_regressions(mean_gamma_deviance),
    "tweedie_deviance": _of_regressions(mean_tweedie_deviance, "power"),
    "spearman": _within_groups(spearman_of),
    "pair_accuracy": _within_groups(pair_accuracy_of),
    "kappa": KindMetric({"ordinal": kappa}, greater_is_better=True, judges_labels=True),
    "auc": KindMetric({"multiclass": auc_one_vs_rest}, greater_is_better=True),
    "log_loss": KindMetric({"multiclass": _multiclass_log_loss}),
    "accuracy": KindMetric(
        dict.fromkeys(("ordinal", "multiclass"), accuracy_score),
        greater_is_better=True,
        judges_labels=True,
    ),
}


def metrics_of_kind(kind: str) -> list[str]:
    """Names of the metrics of a kind of task that is not binary."""
    return [name for name, one in KIND_METRICS.items() if kind in one.functions]
