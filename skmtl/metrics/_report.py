"""One table with every metric of every task."""

import warnings
from collections.abc import Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_random_state

from skmtl._messages import shown
from skmtl.metrics._mixed import kind_row, naming, read_kinds
from skmtl.metrics._one_task import OneTask, auc_interval
from skmtl.metrics._validation import (
    Labels,
    check_count,
    check_groups,
    check_labels,
    check_length,
    check_scores,
    column_names,
    column_of,
    require_positive,
)

INTERVALS = ("delong", "bootstrap", None)


def task_report(
    y: object,
    proba: object,
    groups: object = None,
    *,
    k: int = 10,
    interval: str | None = "delong",
    level: float = 0.95,
    n_resamples: int = 200,
    random_state: Any = None,
    task_kinds: Any = None,
) -> pd.DataFrame:
    """Every metric of every task, in one table with a row per task.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels: 1, 0, or NaN for not observed; these rows are left out, for each task
        separately. Column names of a DataFrame are the names of the tasks.
    proba : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
        Probabilities of a positive label, or the list of ``(n_samples, 2)`` arrays
        that ``predict_proba`` returns. Column names of a DataFrame name the tasks if
        `y` has none.
    groups : array-like of shape (n_samples,), default=None
        Group id of each row, most often the user. Adds the metrics within groups.
    k : int, default=10
        Number of first places in the rank metrics.
    interval : {"delong", "bootstrap"} or None, default="delong"
        Kind of the confidence intervals. DeLong's covers the ROC AUC and assumes
        independent rows. The bootstrap covers every metric; with `groups` it draws
        whole groups, which is right if the rows of a user depend on each other. Only
        binary tasks have intervals.
    level : float, default=0.95
        Confidence level of the intervals.
    n_resamples : int, default=200
        Number of bootstrap resamples; the interval is between their percentiles.
    random_state : int, RandomState instance or None, default=None
        Controls the resampling. Pass an int for the same intervals in every call.
    task_kinds : mapping or list of task kinds, default=None
        The kinds of the tasks, if some are not binary: as passed to a ranker, or a list
        of kinds, or of their names, in the order of the columns of `y`, such as the
        ``task_kinds_`` of a ranker. Then `proba` must be what ``predict_task`` returns,
        with a column for each class of a multiclass task. Columns with names are
        matched by name.

    Returns
    -------
    DataFrame of shape (n_tasks, n_columns)
        The index holds the tasks. Columns: ``n_labels``, ``positives``,
        ``positive_rate``, ``roc_auc``, ``log_loss``, ``brier``,
        ``expected_calibration_error``, ``predicted_to_observed``; with `groups`
        ``group_roc_auc`` (weighted by impressions), ``group_coverage`` (the share of
        groups in it), ``ndcg@k``, ``precision@k``, ``recall@k``, ``hit_rate@k`` and
        ``mrr@k`` (with equal weights of the groups). Bounds of an interval follow their
        metric as ``<metric>_low`` and ``<metric>_high``. Values that are not defined
        for a task are NaN, with a warning. With `task_kinds` also ``rmse``, ``mae``,
        ``r2``, ``spearman`` (within groups, where given), ``pair_accuracy`` (with
        groups), the deviance of the task's loss, ``kappa`` and ``accuracy``; a metric
        that a kind of task lacks is NaN.

    Raises
    ------
    ValueError
        If all tasks are binary and none has a positive label, a probability is not in
        [0, 1], another prediction is not finite or not one that the task's loss allows,
        `groups` are not one for each row, or a parameter is not valid.

    See Also
    --------
    roc_auc : The area alone.
    group_roc_auc : The area within groups alone.

    References
    ----------
    .. [1] E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson. Comparing the areas
           under two or more correlated receiver operating characteristic curves: a
           nonparametric approach. Biometrics 44(3), 1988.
    .. [2] X. Sun and W. Xu. Fast implementation of DeLong's algorithm for comparing
           the areas under correlated receiver operating characteristic curves. IEEE
           Signal Processing Letters 21(11), 2014, algorithm 2.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl.metrics import task_report
    >>> y = pd.DataFrame({"click": [1, 0, 1, 0, 0], "order": [1, 0, 0, 0, None]})
    >>> proba = [[0.8, 0.3], [0.4, 0.1], [0.3, 0.2], [0.2, 0.1], [0.1, 0.1]]
    >>> report = task_report(y, proba, interval=None)
    >>> report[["n_labels", "positives", "roc_auc"]].round(3)
           n_labels  positives  roc_auc
    task
    click         5          2    0.833
    order         4          1    1.000
    """
    _check_parameters(k, interval, level, n_resamples)
    options = _Options(k, interval, level, n_resamples, random_state)
    if task_kinds is not None:
        return _of_kinds(y, proba, groups, task_kinds, options)
    names = column_names(proba) if column_names(y) is None else None
    labels = check_labels(y, names)
    require_positive(labels)
    return _of_binary(labels, proba, groups, options)


class _Options(NamedTuple):
    """Options of a report of binary tasks."""

    k: int
    interval: str | None
    level: float
    n_resamples: int
    random_state: Any


def _of_binary(
    labels: Labels, proba: object, groups: object, options: _Options
) -> pd.DataFrame:
    k, interval, level, n_resamples, random_state = options
    proba = check_scores(proba, labels, probability=True)
    codes = None if groups is None else check_groups(groups, len(labels))
    # Without intervals, a generator of the caller stays as it was.
    seed = check_random_state(random_state).randint(2**31) if interval else 0
    rows = []
    for task in range(labels.n_tasks):
        seen = labels.rows(task)
        one = OneTask(
            labels.positive[task][seen],
            column_of(proba, task)[seen],
            None if codes is None else codes[seen],
            k,
        )
        # One generator for each task, so that its intervals do not depend on others.
        rng = np.random.default_rng([seed, task])
        rows.append(_row(one, interval, level, n_resamples, rng))
    report = pd.DataFrame(rows, index=pd.Index(labels.names, name="task"))
    _warn_undefined(report.to_dict("index"))
    return report


def _of_kinds(
    y: Any, values: Any, groups: Any, task_kinds: Any, options: _Options
) -> pd.DataFrame:
    """The report of binary tasks, and a row for each of the others."""
    targets, columns = read_kinds(y, values, task_kinds)
    rows, binary = {}, []
    for t, name in enumerate(targets.names):
        if targets.kinds.binary[t]:
            binary.append(t)
            continue
        seen = targets.observed[:, t]
        labels = targets.labels[seen, t].astype(np.float64)
        own = None
        if groups is not None:
            own = check_length(groups, len(seen), "groups")[seen]
        with naming(str(name)):
            row = kind_row(targets.kinds[t], labels, columns[t][seen], own)
        rows[name] = {"n_labels": len(labels), **row}
    parts = []
    if binary:
        names = targets.names[binary]
        labels = np.where(targets.observed, targets.labels, np.nan)[:, binary]
        proba = np.column_stack([columns[t] for t in binary])
        found = check_labels(pd.DataFrame(labels, columns=names))
        # Tasks of other kinds can be judged even if no binary one has a positive label.
        if not rows:
            require_positive(found)
        parts.append(_of_binary(found, proba, groups, options))
    if rows:
        _warn_undefined(rows)
        parts.append(pd.DataFrame.from_dict(rows, orient="index"))
    # Back in the order of the tasks.
    report = pd.concat(parts).loc[list(targets.names)]
    report.index.name = "task"
    return report


def _row(
    one: OneTask,
    interval: str | None,
    level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    n, positives = len(one.y), int(one.y.sum())
    row: dict[str, float] = {
        "n_labels": n,
        "positives": positives,
        "positive_rate": positives / n if n else np.nan,
    }
    draws = one.resampled(n_resamples, rng) if interval == "bootstrap" and n else {}
    for name, value in one.values().items():
        row[name] = value
        if name == "group_coverage":
            continue
        if interval == "delong" and name == "roc_auc":
            bounds = auc_interval(one.y, one.p, level)
        elif interval == "bootstrap":
            bounds = _percentiles(draws.get(name, np.full(1, np.nan)), level)
        else:
            continue
        row[f"{name}_low"], row[f"{name}_high"] = bounds
    return row


def _percentiles(draws: np.ndarray, level: float) -> tuple[float, float]:
    """Bounds over the resamples in which the metric is defined."""
    # A resample without a positive label has no AUC.
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return np.nan, np.nan
    low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def _warn_undefined(rows: Mapping[Any, Mapping[Any, float]]) -> None:
    for name, row in rows.items():
        undefined = [
            column
            for column, value in row.items()
            if np.isnan(value) and not str(column).endswith(("_low", "_high"))
        ]
        if undefined:
            labels = f"{row['n_labels']} labels"
            if "positives" in row:
                labels = f"{row['positives']} positive of {labels}"
            warnings.warn(
                f"Task {str(name)!r} has {labels}; undefined and set to NaN: "
                f"{undefined}.",
                UndefinedMetricWarning,
                stacklevel=4,
            )


def _check_parameters(
    k: object, interval: object, level: object, n_resamples: object
) -> None:
    check_count(k, "k", 1)
    check_count(n_resamples, "n_resamples", 2)
    if interval not in INTERVALS:
        raise ValueError(
            f"interval must be one of {list(INTERVALS)}; got {shown(interval)}."
        )
    if not (isinstance(level, Real) and 0 < float(level) < 1):
        raise ValueError(f"level must lie between 0 and 1; got {shown(level)}.")
