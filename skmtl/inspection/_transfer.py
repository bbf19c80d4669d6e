"""Comparison of architectures with one network per task."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import KFold, check_cv
from sklearn.utils.parallel import Parallel, delayed

from skmtl._containers import check_same_length, n_rows_of, same_rows
from skmtl._messages import shown
from skmtl._sklearn import rows_of
from skmtl._splits import check_splits
from skmtl._typing import LabelsLike, TableLike
from skmtl.metrics import group_roc_auc, roc_auc
from skmtl.metrics._by_kind import spearman_of
from skmtl.metrics._gains import Numbers
from skmtl.metrics._mixed import columns_of_tasks, value_of_score
from skmtl.metrics._predictions import (
    TaskPredictions,
    expected_table,
    kinds_to_read,
)
from skmtl.metrics._validation import check_labels
from skmtl.model_selection import MultiTaskStratifiedKFold
from skmtl.tasks import BinaryTask, RegressionTask, TaskKind, check_targets, task_names

Split = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


def transfer_report(
    estimators: Mapping[str, BaseEstimator] | Sequence[BaseEstimator],
    X: TableLike,
    y: LabelsLike,
    cv: object = 5,
    groups: object = None,
    *,
    reference: str = "SingleTask",
    random_states: Sequence[int] = (0,),
    level: float = 0.95,
    n_jobs: int | None = None,
    return_scores: bool = False,
) -> Any:
    """Compare estimators with a reference, task by task, to see if sharing helped.

    Every estimator is fitted on the same folds with the same seeds, and its ROC AUC on
    the test rows is compared with that of the reference, by default one network per
    task. Tasks of other kinds than binary are compared by the metric that the `score`
    of a ranker has for them. A difference below zero is negative transfer: the task
    would be better on its own.

    Parameters
    ----------
    estimators : mapping of str to estimator, or list of estimators
        Classifiers with ``predict_proba`` for several outputs: rankers of this package,
        or others such as ``MultiOutputClassifier(...)``. The estimators of a list are
        named by their classes. Give all of them the same budget (epochs, batch size).
    X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
        The table.
    y : array-like or DataFrame of shape (n_samples, n_tasks) or (n_samples,)
        Labels: 1, 0, or NaN for not observed if the estimators accept it; or of the
        kinds of tasks of the rankers, which must be the same in all of them; losses of
        regressions may differ.
    cv : int, splitter or iterable of (train, test), default=5
        Folds. An int stands for a shuffled `MultiTaskStratifiedKFold`. With
        timestamps, use ``list(TimeSplit(...).split(X, timestamps=t))``.
    groups : array-like of shape (n_samples,), default=None
        Group id of each row, usually the user. Adds the AUC within groups
        (``group_roc_auc``, weighted by impressions; ``group_spearman``, the mean of
        Spearman's correlations, for regressions and ordinal tasks), and is passed to
        the splitter.
    reference : str, default="SingleTask"
        Name of the estimator to compare the others with.
    random_states : sequence of int, default=(0,)
        Seeds. Each estimator is fitted with each seed on each fold, by setting all
        its parameters named ``random_state``.
    level : float, default=0.95
        Confidence level of the intervals.
    n_jobs : int or None, default=None
        Number of parallel fits. Fit times are only meaningful without parallel fits.
    return_scores : bool, default=False
        Also return the score of every fit.

    Returns
    -------
    report : DataFrame
        One row per metric, task and estimator. Metrics are "roc_auc"; "r2", or for
        other losses than the squared one "d2_tweedie" and "d2_pinball", of regressions,
        but always "r2" if the estimators have different losses of a task; and "kappa"
        of ordinal tasks. Columns: ``metric``, ``task``,
        ``estimator``; ``value``, the mean over folds and seeds; ``difference`` from
        the reference, its bounds ``low`` and ``high``, and ``wins``, the share of fits
        that beat the reference on the same fold with the same seed; ``fit_time``, the
        mean in seconds; ``n_parameters``, the mean for rankers, NaN for others. The
        ``attrs`` hold ``reference`` and ``level``.
    scores : DataFrame
        One row per metric, task, estimator, fold and seed, with its ``value``. Only
        returned if `return_scores`.

    Raises
    ------
    ValueError
        If the reference is not among the estimators, names are not unique, there is no
        fold or seed, the level is not between 0 and 1, or kinds of tasks differ.

    See Also
    --------
    skmtl.displays.TransferDisplay : Plot of the differences.
    skmtl.metrics.task_report : All metrics of one estimator.

    Notes
    -----
    The interval is the corrected resampled t interval [1]_: the differences are
    averaged over the seeds, which leaves one per fold, and their variance is multiplied
    by ``1 / n_folds + n_test / n_train``, because folds share training rows. With a
    single fold, the differences are those of the seeds, and the interval is the plain t
    interval. It then covers only the randomness of training, not that of the data. With
    one fold and one seed, the interval is NaN.

    Many tasks and estimators mean many comparisons: at a level of 95 %, one interval in
    twenty excludes zero by chance.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio. Inference for the generalization error. Machine
           Learning 52, 2003, section 4.

    Examples
    --------
    >>> from skmtl import MMoE, SingleTask
    >>> from skmtl.datasets import make_funnel
    >>> from skmtl.inspection import transfer_report
    >>> log = make_funnel(3000, random_state=0)
    >>> budget = {"max_iter": 1, "embedding_dim": 4}
    >>> estimators = [SingleTask(**budget), MMoE(n_experts=2, **budget)]
    >>> report = transfer_report(estimators, log.data, log.target[["click"]], cv=2)
    >>> report[["metric", "task", "estimator"]].to_numpy().tolist()
    [['roc_auc', 'click', 'SingleTask'], ['roc_auc', 'click', 'MMoE']]
    """
    named = _named(estimators)
    X, y = same_rows(X, y)
    seeds = list(random_states)
    _check_parameters(named, reference, seeds, level)
    tasks = task_names(y)
    kinds = _kinds(named, reference, tasks)
    numbers = None
    if kinds is None:
        tasks = check_labels(y).names
    else:
        numbers = Numbers.of(check_targets(y, kinds=kinds))
        kinds = numbers.kinds  # which know the labels
    n_groups = -1 if groups is None else n_rows_of(groups)
    check_same_length(X=n_rows_of(X), groups=n_groups)
    splits = _splits(cv, X, y, groups, seeds[0], numbers)
    places = [(n, f, s) for f in range(len(splits)) for s in seeds for n in named]
    results = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_score)(named[n], s, X, y, groups, splits[f], tasks, kinds)
        for n, f, s in places
    )
    scores = _tidy(places, results)
    # Folds may differ in size, as those of TimeSplit do.
    ratio = float(np.mean([len(test) / len(train) for train, test in splits]))
    report = _compare(scores, reference, ratio, level)
    report.attrs = {"reference": reference, "level": level}
    return (report, scores.drop(columns=_COSTS)) if return_scores else report


_COSTS = ["fit_time", "n_parameters"]


class FitResult(TypedDict):
    """Scores of every task, by metric, and the cost of a fit."""

    values: dict[str, dict[str, float]]
    fit_time: float
    n_parameters: float


def _named(
    estimators: Mapping[str, BaseEstimator] | Sequence[BaseEstimator],
) -> dict[str, BaseEstimator]:
    if isinstance(estimators, Mapping):
        return {str(name): estimator for name, estimator in estimators.items()}
    if isinstance(estimators, BaseEstimator):
        raise TypeError(
            f"estimators must be several estimators, found one {estimators!r:.100}. "
            "Pass a list of them, or a mapping of names to estimators."
        )
    names = [type(estimator).__name__ for estimator in estimators]
    if len(set(names)) < len(names):
        raise ValueError(
            f"Two estimators have the same class: {names}. Pass a mapping of names to "
            "estimators."
        )
    return dict(zip(names, estimators, strict=True))


def _check_parameters(
    named: Mapping[str, object], reference: str, seeds: list[int], level: float
) -> None:
    if reference not in named:
        raise ValueError(
            f"The reference {shown(reference)} is not among the estimators "
            f"{list(named)}. Add it, or name another one with reference=."
        )
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"random_states must contain at least one seed, each once; got {seeds}."
        )
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1; got {shown(level)}.")


def _kinds(
    named: Mapping[str, BaseEstimator], reference: str, tasks: Sequence[str]
) -> list[TaskKind] | None:
    """Return the kinds of the reference's tasks, which all must have."""
    found = {
        name: kinds_to_read(estimator, tasks, refits=True)
        for name, estimator in named.items()
    }
    wanted = found[reference]
    common = None if wanted is None else list(wanted)
    for name, kinds in found.items():
        own, theirs = (
            kinds or [BinaryTask()] * len(tasks) for kinds in (kinds, wanted)
        )
        for t, (task, one, other) in enumerate(zip(tasks, own, theirs, strict=True)):
            if one.name != other.name:
                raise ValueError(
                    f"transfer_report compares estimators of the same kinds of tasks, "
                    f"but task {shown(task)} is of kind {one.name} in {shown(name)} "
                    f"and {other.name} in the reference {shown(reference)}. Give both "
                    "the same task_kinds."
                )
            same = one.metric == other.metric
            if common and not (same and one.metric_params == other.metric_params):
                # The deviance of one loss may not be defined for another's means.
                common[t] = RegressionTask()
    return common


def _splits(
    cv: object,
    X: TableLike,
    y: LabelsLike,
    groups: object,
    seed: int,
    numbers: Numbers | None,
) -> list[Split]:
    to_split: object = y
    if isinstance(cv, Integral):
        # There is nothing to stratify by without a positive label of a binary task.
        if numbers is not None and not numbers.binary.positive.any():
            cv = KFold(int(cv), shuffle=True, random_state=seed)
        else:
            cv = MultiTaskStratifiedKFold(int(cv), shuffle=True, random_state=seed)
    elif not hasattr(cv, "split") and isinstance(cv, Iterable):
        cv = check_splits(cv, n_rows_of(X))
    if numbers is not None and isinstance(cv, MultiTaskStratifiedKFold):
        # It reads labels of 0 and 1 only.
        to_split = numbers.binary_table
    with warnings.catch_warnings():
        # Groups are needed by the metric, even if the splitter ignores them.
        warnings.filterwarnings("ignore", "The groups parameter is ignored")
        found = check_cv(cv).split(X, to_split, groups)
        return check_splits(found, n_rows_of(X))


def _fit_and_score(
    estimator: BaseEstimator,
    seed: int,
    X: TableLike,
    y: LabelsLike,
    groups: object,
    split: Split,
    tasks: list[str],
    kinds: list[TaskKind] | None,
) -> FitResult:
    """Scores of every task, by metric, and the cost of the fit."""
    train, test = split
    estimator = clone(estimator)
    seeded = {
        name: seed
        for name in estimator.get_params()
        if name == "random_state" or name.endswith("__random_state")
    }
    estimator.set_params(**seeded)
    # Rows are selected outside the time that is measured.
    X_train, y_train = rows_of(X, train), rows_of(y, train)
    start = time.perf_counter()
    estimator.fit(X_train, y_train)
    fit_time = time.perf_counter() - start
    X_test, y_test = rows_of(X, test), rows_of(y, test)
    own = None if groups is None else rows_of(groups, test)
    if kinds is None:
        values = _values(estimator, X_test, y_test, own, tasks)
    else:
        table = expected_table(estimator, X_test, tasks, kinds)
        values = _values_of_kinds(table, y_test, own, tasks, kinds)
    size = getattr(estimator, "n_parameters_", np.nan)
    return {"values": values, "fit_time": fit_time, "n_parameters": size}


def _values(
    estimator: BaseEstimator, X: object, y: object, groups: object, tasks: list[str]
) -> dict[str, dict[str, float]]:
    """Metrics of binary tasks."""
    proba = TaskPredictions(estimator, len(tasks)).task_probabilities(X)
    values = {"roc_auc": np.atleast_1d(roc_auc(y, proba))}
    if groups is not None:
        values["group_roc_auc"] = np.atleast_1d(group_roc_auc(y, proba, groups))
    return {
        metric: dict(zip(tasks, found.tolist(), strict=True))
        for metric, found in values.items()
    }


def _values_of_kinds(
    table: npt.NDArray[np.float64],
    y: LabelsLike,
    groups: object,
    tasks: list[str],
    kinds: list[TaskKind],
) -> dict[str, dict[str, float]]:
    """Metrics of each task by its kind."""
    targets = check_targets(y, kinds=kinds)
    columns = columns_of_tasks(table, targets.kinds)
    values: dict[str, dict[str, float]] = {}
    for t, (task, kind) in enumerate(zip(tasks, targets.kinds, strict=True)):
        seen = targets.observed[:, t]
        labels = targets.labels[seen, t].astype(np.float64)
        expected = columns[t][seen]
        metric, value = value_of_score(kind, labels, expected)
        values.setdefault(metric, {})[task] = value
        if groups is None or kind.n_columns > 1:
            continue
        own = np.asarray(groups)[seen]
        if isinstance(kind, BinaryTask):
            metric = "group_roc_auc"
            value = float(group_roc_auc(labels, expected[:, 0], own))
        else:
            metric = "group_spearman"
            value = spearman_of(kind.numbers(labels), expected[:, 0], groups=own)
        values.setdefault(metric, {})[task] = value
    return values


def _tidy(
    places: Sequence[tuple[str, int, int]], results: Sequence[FitResult]
) -> pd.DataFrame:
    rows = [
        {
            "metric": metric,
            "task": task,
            "estimator": name,
            "fold": fold,
            "random_state": seed,
            "value": value,
            "fit_time": result["fit_time"],
            "n_parameters": result["n_parameters"],
        }
        for (name, fold, seed), result in zip(places, results, strict=True)
        for metric, values in result["values"].items()
        for task, value in values.items()
    ]
    return pd.DataFrame(rows)


def _compare(
    scores: pd.DataFrame, reference: str, ratio: float, level: float
) -> pd.DataFrame:
    rows = []
    for (metric, task), part in scores.groupby(["metric", "task"], sort=False):
        table = part.pivot(
            index=["fold", "random_state"], columns="estimator", values="value"
        )
        costs = part.groupby("estimator", sort=False)[_COSTS].mean()
        for name in costs.index:
            # By fold and seed: fits on the same rows are compared with each other.
            difference = table[name] - table[reference]
            low, high = _interval(difference, ratio, level)
            rows.append(
                {
                    "metric": metric,
                    "task": task,
                    "estimator": name,
                    "value": table[name].mean(),
                    "difference": difference.mean(),
                    "low": low,
                    "high": high,
                    # NaN, of a fold with labels of one class, is neither won nor lost.
                    "wins": (difference > 0)[difference.notna()].mean(),
                    **costs.loc[name].to_dict(),
                }
            )
    order = {metric: i for i, metric in enumerate(scores["metric"].unique())}
    report = pd.DataFrame(rows)
    report = report.sort_values("metric", key=lambda m: m.map(order), kind="stable")
    return report.reset_index(drop=True)


def _interval(difference: pd.Series, ratio: float, level: float) -> tuple[float, float]:
    # Fits with other seeds on the same rows are not independent.
    by_fold = difference.groupby("fold").mean()
    if len(by_fold) > 1:
        return corrected_interval(by_fold.to_numpy(), ratio, level)
    return corrected_interval(difference.to_numpy(), 0.0, level)


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
