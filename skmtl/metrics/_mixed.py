"""Scores for tables whose tasks are not all binary."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning

from skmtl._messages import shown
from skmtl._warnings import warn
from skmtl.metrics._by_kind import (
    KIND_METRICS,
    SCORES,
    KindMetric,
    metrics_of_kind,
)
from skmtl.metrics._gains import Numbers, number_targets
from skmtl.metrics._predictions import (
    TaskPredictions,
    binary_columns,
    expected_table,
    final_estimator,
    task_names_of,
)
from skmtl.metrics._registry import METRICS, Metric
from skmtl.metrics._validation import (
    Labels,
    as_float_table,
    check_length,
    check_weight,
    column_names,
    in_order_of_tasks,
)
from skmtl.tasks import (
    BinaryTask,
    Targets,
    TaskKind,
    as_kind,
    check_targets,
    kinds_by_task,
    task_names,
)
from skmtl.tasks.kinds import TaskKinds


def kinds_of(estimator: Any, *, also_binary: bool = False) -> list[TaskKind] | None:
    """Return the kinds of an estimator's tasks; None if unknown or all binary."""
    # Pipelines and searches do not pass on attributes such as `task_kinds_`.
    final, _ = final_estimator(estimator)
    kinds = getattr(final, "task_kinds_", None)
    if kinds is None:
        return None
    all_binary = all(isinstance(kind, BinaryTask) for kind in kinds)
    return None if all_binary and not also_binary else list(kinds)


class KindScore:
    """A metric of tasks of several kinds.

    Parameters
    ----------
    metric : Metric
        The metric.
    params : mapping
        Its parameters; numbers above `threshold` count as positive labels.
    """

    def __init__(self, metric: Metric, params: Mapping[str, Any]) -> None:
        self.metric = metric
        self.params = dict(params)
        self.threshold: float | None = None
        if not metric.of_own_function:
            self.threshold = self.params.pop("threshold", None)
        self.of_kinds: KindMetric | None = KIND_METRICS.get(metric.name)

    def judges(self, kind: TaskKind) -> bool:
        """Whether the metric is defined for a kind of task."""
        if isinstance(kind, BinaryTask):
            return self.metric.of_binary
        if self.metric.of_own_function:
            return kind.n_columns == 1 and not self.metric.only_binary
        if self.threshold is not None and kind.n_columns == 1:
            return self.metric.of_binary
        return self.of_kinds is not None and kind.name in self.of_kinds.functions

    def chosen(
        self, task: str | None, names: Sequence[str], kinds: Sequence[TaskKind]
    ) -> list[int]:
        """Return the tasks to judge: the named one, or all that have the metric."""
        if task is not None and task not in names:
            raise ValueError(
                f"Unknown task {shown(task)}. The known tasks are {[*names]}."
            )
        wanted = [names.index(task)] if task is not None else range(len(names))
        found = [t for t in wanted if self.judges(kinds[t])]
        if not found:
            listed = "; ".join(
                f"task {names[t]!r} is of kind {kinds[t].name}, which has "
                f"{names_of_metrics(kinds[t])}"
                for t in wanted
            )
            raise ValueError(f"The metric {self.metric.name!r} does not fit: {listed}.")
        return found

    def of_task(
        self,
        kind: TaskKind,
        y: np.ndarray,
        expected: np.ndarray,
        decided: np.ndarray | None,
        metadata: Mapping[str, np.ndarray],
    ) -> float:
        """Value for the observed labels of one task."""
        binary = isinstance(kind, BinaryTask)
        # Judged as labels of 0 and 1, or by a function of the user, whatever the kind.
        if binary or self.metric.of_own_function or self.threshold is not None:
            numbers = kind.numbers(y)
            if self.metric.of_own_function and not binary:
                own: Any = self.metric.function
                return float(own(numbers, expected[:, 0], **metadata, **self.params))
            positive = numbers > (0.5 if binary else float(self.threshold or 0.0))
            labels = Labels(positive[None], None, [kind.name], one_dimensional=True)
            values = self.metric.prepare(labels, **metadata, **self.params)
            return float(values(expected[:, 0])[0])
        assert self.of_kinds is not None
        function = self.of_kinds.functions[kind.name]
        given = {n: v for n, v in metadata.items() if n in self.of_kinds.metadata}
        if self.of_kinds.judges_labels:
            return float(function(y, decided, **given, **self.params))
        if kind.name == "multiclass":
            return float(function(y, expected, **given, **self.params))
        numbers = kind.numbers(y)
        return float(function(numbers, expected[:, 0], **given, **self.params))


def names_of_metrics(kind: TaskKind) -> list[str]:
    """Names of the metrics that a kind of task has."""
    if isinstance(kind, BinaryTask):
        return sorted(name for name, one in METRICS.items() if one.of_binary)
    extra = ["auc (with a threshold)"] if kind.n_columns == 1 else []
    return sorted(metrics_of_kind(kind.name) + extra)


def values_by_task(
    score: KindScore,
    task: str | None,
    targets: Targets,
    values: np.ndarray,
    decided: np.ndarray | None,
    metadata: Mapping[str, Any],
) -> tuple[list[str], np.ndarray]:
    """Return the names and values of the tasks that a metric judges.

    Parameters
    ----------
    score : KindScore
        The metric.
    task : str or None
        The task to judge; None for all that have the metric.
    targets : Targets
        Labels of all tasks.
    values : ndarray of shape (n_samples, n_columns)
        Expected labels of all tasks.
    decided : ndarray of shape (n_samples, n_tasks) or None
        Predicted labels, where the metric judges them.
    metadata : mapping
        Groups and weights of the rows.
    """
    names, kinds = [str(name) for name in targets.names], targets.kinds
    columns = columns_of_tasks(values, kinds)
    found = score.chosen(task, names, list(kinds))
    n = len(targets.labels)
    if "sample_weight" in metadata:
        metadata = {
            **metadata,
            "sample_weight": check_weight(metadata["sample_weight"], n),
        }
    given = {name: check_length(value, n, name) for name, value in metadata.items()}
    results = np.full(len(found), np.nan)
    for k, t in enumerate(found):
        seen, kind = targets.observed[:, t], kinds[t]
        # scikit-learn raises for no rows; here the value is NaN.
        if not seen.any():
            continue
        own = None
        if decided is not None and kind.labels is not None:
            # The labels of `targets` are numbered too.
            own = pd.Index(kind.labels).get_indexer(pd.Index(decided[seen, t]))
        with naming(names[t]):
            check_finite(columns[t][seen])
            results[k] = score.of_task(
                kind,
                targets.labels[seen, t].astype(np.float64),
                columns[t][seen],
                own,
                {name: value[seen] for name, value in given.items()},
            )
    return [names[t] for t in found], results


@contextmanager
def naming(task: str) -> Iterator[None]:
    """Name the task in errors that scikit-learn's metrics raise."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"Task {shown(task)} cannot be judged: {error}") from error


def check_finite(predicted: np.ndarray) -> None:
    """Refuse predictions of observed labels that are NaN or infinite."""
    wrong = ~np.isfinite(predicted).all(axis=1)
    if wrong.any():
        found = predicted[wrong][0]
        raise ValueError(
            f"its predictions must be finite; found {found[~np.isfinite(found)][0]} "
            f"among them ({int(wrong.sum())} such row(s) with a label)."
        )


def above(y: Any, threshold: float) -> pd.DataFrame:
    """Turn numbers into labels, 1 above a threshold and else 0; NaN stays NaN."""
    targets = number_targets(y)
    positive = (targets.labels > threshold).astype(np.float64)
    return pd.DataFrame(
        np.where(targets.observed, positive, np.nan), columns=targets.names
    )


def table_of_values(values: Any, targets: Targets, what: str) -> np.ndarray:
    """Read expected labels; columns with names are put in the order of the tasks."""
    table = as_float_table(values, what).astype(np.float64)
    if len(table) != len(targets.labels):
        raise ValueError(
            f"{what} has {len(table)} rows, but y has {len(targets.labels)}."
        )
    table, names = table.reshape(len(table), -1), column_names(values)
    wanted = [str(name) for name in targets.kinds.column_names(targets.names)]
    # Tasks of an array only have numbers, which say nothing about names of columns.
    counted = [*targets.names] == [str(t) for t in range(len(targets.names))]
    same = names is not None and sorted(names) == sorted(wanted)
    if (counted and not same) or len(wanted) != table.shape[1]:
        return table
    return in_order_of_tasks(table, names, wanted, what)


def columns_of_tasks(values: np.ndarray, kinds: TaskKinds) -> list[np.ndarray]:
    """Split a table of expected labels by task."""
    widths = [kind.n_columns for kind in kinds]
    if values.ndim != 2 or values.shape[1] != sum(widths):
        raise ValueError(
            f"The expected labels have shape {values.shape}, but the tasks have "
            f"{sum(widths)} columns. Pass what predict_task returns."
        )
    return np.split(values, np.cumsum(widths)[:-1], axis=1)


def targets_of(estimator: object, y: object, kinds: list[TaskKind]) -> Targets:
    """Read labels of a fitted estimator's tasks, in its order."""
    names = np.array(task_names_of(estimator), dtype=object)
    targets = check_targets(y, kinds=kinds, tasks=names)
    if len(targets.names) != len(names):
        raise ValueError(
            f"y has {len(targets.names)} columns, but the estimator has the tasks "
            f"{names.tolist()}."
        )
    return replace(targets, names=names)  # columns of an array have numbers only


def binary_part(
    estimator: object, X: object, y: object, kinds: list[TaskKind], who: str
) -> tuple[Labels, np.ndarray]:
    """Return labels and probabilities of the binary tasks of a fitted estimator.

    A warning names the tasks that are left out.

    Raises
    ------
    ValueError
        If no task is binary.
    """
    numbers = Numbers.of(targets_of(estimator, y, kinds))
    labels = numbers.binary
    others = [name for name in numbers.names if name not in labels.names]
    if not labels.n_tasks:
        raise ValueError(
            f"{who} is for binary tasks, but of {others} none is binary. See "
            "skmtl.metrics.task_report for metrics of other kinds."
        )
    warn(f"{who} leaves out the task(s) {others}, which are not binary.")
    table = expected_table(estimator, X, numbers.names, kinds)
    return labels, table[:, binary_columns(kinds)]


def value_of_score(
    kind: TaskKind, y: np.ndarray, expected: np.ndarray
) -> tuple[str, float]:
    """Name and value of the metric that a kind of task is scored by.

    Parameters
    ----------
    kind : TaskKind
        The kind.
    y : ndarray of shape (n_samples,)
        Observed labels, as `Targets` has them.
    expected : ndarray of shape (n_samples, n_columns)
        Expected labels.
    """
    name = "roc_auc" if kind.metric.startswith("auc") else kind.metric
    if not len(y) or not kind.has_score(y):
        return name, np.nan
    labels, judged = kind.numbers(y), expected[:, 0]
    if kind.metric == "kappa":
        labels, judged = y, kind.nearest(judged)
    elif kind.n_columns > 1:
        labels, judged = y, expected
    elif isinstance(kind, BinaryTask):
        labels = y.astype(np.int64)
    return name, float(SCORES[kind.metric](labels, judged, **kind.metric_params))


def judge_estimator(
    score: KindScore,
    task: str | None,
    estimator: Any,
    X: object,
    y: object,
    kinds: list[TaskKind],
    method_caller: Any,
    metadata: Mapping[str, Any],
) -> tuple[list[str], np.ndarray]:
    """Return names and values of a fitted estimator's tasks that a metric judges."""
    targets = targets_of(estimator, y, kinds)
    final, rows = final_estimator(estimator, X)
    predictions = TaskPredictions(final, len(kinds))
    values = np.asarray(method_caller(predictions, "predict_task", rows))
    decided = None
    if score.of_kinds is not None and score.of_kinds.judges_labels:
        # A column for each task, where `predict_task` has one for each class.
        decided = np.asarray(method_caller(predictions, "predict", rows))
        decided = decided.reshape(len(decided), -1)
    return values_by_task(score, task, targets, values, decided, metadata)


def read_kinds(
    y: Any, values: Any, task_kinds: Any
) -> tuple[Targets, list[np.ndarray]]:
    """Read labels of tasks of several kinds, and the expected labels of each task."""
    names, found = task_names(y), column_names(values)
    by_name = isinstance(task_kinds, Mapping | str | TaskKind)
    read = kinds_by_task if by_name else _kinds_in_order
    kinds = read(task_kinds, names)
    targets = check_targets(y, kinds=kinds)
    wanted = [str(name) for name in targets.kinds.column_names(targets.names)]
    moved = found is not None and found != wanted and sorted(found) == sorted(wanted)
    if moved and not by_name and any(kind != kinds[0] for kind in kinds):
        raise ValueError(
            f"The columns of y are {names} and those of proba {found}, and task_kinds "
            "is a list without names. Put both in the same order, or pass a mapping."
        )
    table = table_of_values(values, targets, "proba")
    return targets, columns_of_tasks(table, targets.kinds)


def _kinds_in_order(given: Any, names: Sequence[str]) -> list[TaskKind]:
    """Read a list of kinds, or of their names, in the order of the columns of `y`."""
    if not np.iterable(given):
        as_kind(given)  # raises and says what it may be
    kinds = [as_kind(one) for one in given]
    if len(kinds) != len(names):
        raise ValueError(
            f"task_kinds has {len(kinds)} entries, but y has {len(names)} column(s) "
            f"{list(names)}. Pass the kind of each column, or a mapping from the names "
            "of those that are not binary."
        )
    return kinds


def kind_row(
    kind: TaskKind, y: np.ndarray, expected: np.ndarray, groups: np.ndarray | None
) -> dict[str, float]:
    """The metrics of one task; NaN where undefined for its observed labels."""
    check_finite(expected)
    if not len(y):
        return dict.fromkeys(_row_names(kind, groups is not None), np.nan)
    with warnings.catch_warnings():  # the report itself warns of undefined values
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return _values_of_row(kind, y, expected, groups)


def _row_names(kind: TaskKind, grouped: bool) -> list[str]:
    """The columns of a report that a kind of task has."""
    if kind.name == "multiclass":
        return ["roc_auc", "log_loss", "accuracy"]
    within = ["pair_accuracy"] if grouped else []
    return ["rmse", "mae", "r2", "spearman", *within, *kind.own_metrics]


def _values_of_row(
    kind: TaskKind, y: np.ndarray, expected: np.ndarray, groups: np.ndarray | None
) -> dict[str, float]:
    if kind.name == "multiclass":
        decided = expected.argmax(axis=1)
        found = {
            name: KIND_METRICS[name].functions["multiclass"](y, expected)
            for name in ("auc", "log_loss")
        }
        accuracy = KIND_METRICS["accuracy"].functions["multiclass"](y, decided)
        return {
            "roc_auc": found["auc"],
            "log_loss": found["log_loss"],
            "accuracy": accuracy,
        }
    numbers, one = kind.numbers(y), expected[:, 0]
    found = {
        name: KIND_METRICS[name].functions[kind.name](numbers, one)
        for name in ("rmse", "mae", "r2")
    }
    within = {} if groups is None else {"groups": groups}
    found["spearman"] = KIND_METRICS["spearman"].functions[kind.name](
        numbers, one, **within
    )
    if groups is not None:
        pairs = KIND_METRICS["pair_accuracy"].functions[kind.name]
        found["pair_accuracy"] = pairs(numbers, one, groups=groups)
    for name, params in kind.own_metrics.items():
        judged, labels = one, numbers
        if name == "tweedie_deviance" and not (numbers.any() or one.any()):
            found[name] = np.nan  # would take the logarithm of 0 where all are 0
            continue
        if KIND_METRICS[name].judges_labels:
            judged, labels = kind.nearest(one), y
        found[name] = KIND_METRICS[name].functions[kind.name](labels, judged, **params)
    return found
