"""The metrics that scorers know by name, in one form: prepare, then evaluate."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import numpy as np

from skmtl._messages import shown
from skmtl.metrics._by_kind import KIND_METRICS
from skmtl.metrics._group_roc_auc import prepare_group_roc_auc
from skmtl.metrics._probability import (
    brier_of,
    calibration_error_of,
    check_bins,
    log_loss_of,
    prepare_probability,
)
from skmtl.metrics._roc_auc import prepare_roc_auc
from skmtl.metrics._top_k import prepare_top_k
from skmtl.metrics._validation import (
    Labels,
    check_length,
    check_scores,
    column_of,
    warn_undefined,
)

Values = Callable[[object], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """How a scorer computes a metric.

    ``prepare(labels, **metadata, **params)`` returns a function from scores to values
    ``(n_tasks,)``; metadata are `groups` and `sample_weight` where it takes them.
    """

    name: str
    prepare: Callable[..., Values]
    metadata: tuple[str, ...]
    params: tuple[str, ...] = ()
    greater_is_better: bool = True
    ranking: bool = True  # needs a positive label, takes any score
    needs_groups: bool = False
    of_own_function: bool = False
    function: Callable[..., float] | None = None  # the user's, if `of_own_function`
    of_binary: bool = True
    only_binary: bool = False  # a function of classes, of scikit-learn


def _gauc(labels: Labels, **kwargs: Any) -> Values:
    values = prepare_group_roc_auc(labels, **kwargs)
    return lambda score: values(score)[0]


class TopK:
    """Preparation of one rank metric; an object, since closures cannot be pickled."""

    def __init__(self, metric: str) -> None:
        self.metric = metric

    def __call__(self, labels: Labels, **kwargs: Any) -> Values:
        values = prepare_top_k(self.metric, labels, **kwargs)
        return lambda score: values(score)[0]


def _log_loss(labels: Labels, **kwargs: Any) -> Values:
    return prepare_probability("log_loss", log_loss_of, labels, **kwargs)


def _brier(labels: Labels, **kwargs: Any) -> Values:
    return prepare_probability("brier", brier_of, labels, **kwargs)


def _ece(
    labels: Labels, *, n_bins: int = 15, strategy: str = "quantile", **kwargs: Any
) -> Values:
    # Here, not with the first scores.
    check_bins(n_bins, strategy)

    def formula(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
        return calibration_error_of(y, p, w, n_bins, strategy)

    return prepare_probability("expected_calibration_error", formula, labels, **kwargs)


class NotBinary:
    """Stand-in for the preparation of a metric that is not for binary tasks."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, labels: Labels, **kwargs: Any) -> Values:
        raise ValueError(
            f"The metric {self.name!r} is not for binary tasks. Use it with an "
            "estimator that has task_kinds, or pass numbers to its evaluate method."
        )


def _not_binary(name: str) -> Metric:
    one = KIND_METRICS[name]
    return Metric(
        name,
        NotBinary(name),
        one.metadata,
        one.params,
        one.greater_is_better,
        ranking=False,
        of_binary=False,
    )


def _top_k(name: str, metric: str) -> Metric:
    params = ("k", "gains", "weights")
    return Metric(name, TopK(metric), ("groups",), params, needs_groups=True)


def _probability(name: str, prepare: Callable[..., Values], *params: str) -> Metric:
    return Metric(
        name, prepare, _WEIGHT, params, greater_is_better=False, ranking=False
    )


_WEIGHT = ("sample_weight",)
METRICS = {
    metric.name: metric
    for metric in [
        Metric("auc", prepare_roc_auc, _WEIGHT, ("threshold",)),
        Metric(
            "gauc",
            _gauc,
            ("groups", *_WEIGHT),
            ("weights", "threshold"),
            needs_groups=True,
        ),
        _top_k("ndcg", "ndcg"),
        _top_k("precision", "precision_at_k"),
        _top_k("recall", "recall_at_k"),
        _top_k("hit_rate", "hit_rate_at_k"),
        _top_k("mrr", "mrr_at_k"),
        _probability("log_loss", _log_loss),
        _probability("brier", _brier),
        _probability("ece", _ece, "n_bins", "strategy"),
    ]
}
# "auc" and "log_loss" are metrics of binary tasks too, which come first.
METRICS |= {name: _not_binary(name) for name in KIND_METRICS if name not in METRICS}


class OwnMetric:
    """Preparation of a function ``metric(y, score, ...)`` that judges one task."""

    def __init__(self, function: Callable[..., float]) -> None:
        self.function = function

    def __call__(self, labels: Labels, **kwargs: Any) -> Values:
        metadata = {
            name: check_length(kwargs.pop(name), len(labels), name)
            for name in ("groups", "sample_weight")
            if kwargs.get(name) is not None
        }
        name = function_name(self.function)

        def values(score: object) -> np.ndarray:
            score = check_scores(score, labels)
            found = np.full(labels.n_tasks, np.nan)
            for task in range(labels.n_tasks):
                rows = labels.rows(task)
                y = labels.positive[task][rows].astype(np.int64)
                if len(y):
                    given = {key: value[rows] for key, value in metadata.items()}
                    column = column_of(score, task)[rows]
                    found[task] = self.function(y, column, **given, **kwargs)
            warn_undefined(name, found, labels.names, "the metric returned NaN")
            return found

        return values


def function_name(function: Callable[..., object]) -> str:
    inner = getattr(function, "func", function)  # of a functools.partial
    return getattr(inner, "__name__", repr(function))


def find_metric(metric: object, greater_is_better: bool | None) -> Metric:
    """Look up a metric by name, or make one of a function."""
    if callable(metric):
        accepted = signature(metric).parameters
        metadata = tuple(n for n in ("groups", *_WEIGHT) if n in accepted)
        return Metric(
            function_name(metric),
            OwnMetric(metric),
            metadata,
            # The first two are labels and scores.
            tuple(n for n in list(accepted)[2:] if n not in metadata),
            greater_is_better is None or bool(greater_is_better),
            ranking=False,
            # A function with a default for `groups` also works without them.
            needs_groups="groups" in accepted
            and accepted["groups"].default is Parameter.empty,
            of_own_function=True,
            function=metric,
        )
    if not isinstance(metric, str):
        raise TypeError(f"metric must be a name or a function; got {shown(metric)}.")
    if metric not in METRICS:
        raise ValueError(
            f"Unknown metric {shown(metric)}. The known metrics are "
            f"{sorted(n for n, one in METRICS.items() if one.of_binary)} and, for "
            f"tasks that are not binary, {sorted(KIND_METRICS)}."
        )
    if greater_is_better is not None:
        raise ValueError(
            f"greater_is_better is known for the metric {shown(metric)}; leave it out."
        )
    return METRICS[metric]
