"""Comparison of architectures with one network per task."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import check_cv
from sklearn.utils.parallel import Parallel, delayed

from skmtl._containers import check_same_length, n_rows_of
from skmtl._sklearn import rows_of
from skmtl._typing import LabelsLike, TableLike
from skmtl.metrics import group_roc_auc, roc_auc
from skmtl.metrics._predictions import TaskPredictions, check_binary_tasks
from skmtl.metrics._validation import check_labels
from skmtl.model_selection import MultiTaskStratifiedKFold

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
    task. A difference below zero is negative transfer: the task would be better on its
    own.

    Parameters
    ----------
    estimators : mapping of str to estimator, or list of estimators
        Classifiers with ``predict_proba`` for several outputs: rankers of this package,
        or others such as ``MultiOutputClassifier(...)``. The estimators of a list are
        named by their classes. Give all of them the same budget (epochs, batch size).
    X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
        The table.
    y : array-like or DataFrame of shape (n_samples, n_tasks) or (n_samples,)
        Labels: 1, 0, or NaN for not observed if the estimators accept it.
    cv : int, splitter or iterable of (train, test), default=5
        Folds. An int stands for a shuffled `MultiTaskStratifiedKFold`. With
        timestamps, use ``list(TimeSplit(...).split(X, timestamps=t))``.
    groups : array-like of shape (n_samples,), default=None
        Group id of each row, usually the user. Adds the AUC within groups
        (``group_roc_auc``, weighted by impressions), and is passed to the splitter.
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
        One row per metric, task and estimator. Columns: ``metric``, ``task``,
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
        fold or seed, the level is not between 0 and 1, or a task is not binary.

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
    seeds = list(random_states)
    _check_parameters(named, reference, seeds, level)
    for name, estimator in named.items():
        check_binary_tasks(
            estimator,
            f"transfer_report compares the estimator {name!r} by",
            "Leave the task out, or compare scores of cross_validate with a scorer of "
            "the task, such as scoring='rmse:dwell'.",
            refits=True,
        )
    labels = check_labels(y)
    n_groups = -1 if groups is None else n_rows_of(groups)
    check_same_length(X=n_rows_of(X), y=len(labels), groups=n_groups)
    splits = _splits(cv, X, y, groups, seeds[0])
    places = [(n, f, s) for f in range(len(splits)) for s in seeds for n in named]
    results = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_score)(named[n], s, X, y, groups, splits[f], labels.n_tasks)
        for n, f, s in places
    )
    scores = _tidy(places, results, labels.names)
    # Folds may differ in size, as those of TimeSplit do.
    ratio = float(np.mean([len(test) / len(train) for train, test in splits]))
    report = _compare(scores, reference, ratio, level)
    report.attrs = {"reference": reference, "level": level}
    return (report, scores.drop(columns=_COSTS)) if return_scores else report


_COSTS = ["fit_time", "n_parameters"]


class FitResult(TypedDict):
    """Scores of every task, by metric, and the cost of a fit."""

    values: dict[str, np.ndarray]
    fit_time: float
    n_parameters: float


def _named(
    estimators: Mapping[str, BaseEstimator] | Sequence[BaseEstimator],
) -> dict[str, BaseEstimator]:
    if isinstance(estimators, Mapping):
        return {str(name): estimator for name, estimator in estimators.items()}
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
            f"The reference {reference!r} is not among the estimators {list(named)}. "
            "Add it, or name another one with reference=."
        )
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"random_states must contain at least one seed, each once; got {seeds}."
        )
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1; got {level!r}.")


def _splits(
    cv: object, X: TableLike, y: LabelsLike, groups: object, seed: int
) -> list[Split]:
    if isinstance(cv, Integral):
        cv = MultiTaskStratifiedKFold(int(cv), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Groups are needed by the metric, even if the splitter ignores them.
        warnings.filterwarnings("ignore", "The groups parameter is ignored")
        splits = list(check_cv(cv).split(X, y, groups))
    if not splits:
        raise ValueError("cv has no folds. Pass a splitter or list with at least one.")
    return splits


def _fit_and_score(
    estimator: BaseEstimator,
    seed: int,
    X: TableLike,
    y: LabelsLike,
    groups: object,
    split: Split,
    n_tasks: int,
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
    proba = TaskPredictions(estimator, n_tasks).task_probabilities(X_test)
    values = {"roc_auc": np.atleast_1d(roc_auc(y_test, proba))}
    if groups is not None:
        within = group_roc_auc(y_test, proba, rows_of(groups, test))
        values["group_roc_auc"] = np.atleast_1d(within)
    size = getattr(estimator, "n_parameters_", np.nan)
    return {"values": values, "fit_time": fit_time, "n_parameters": size}


def _tidy(
    places: Sequence[tuple[str, int, int]],
    results: Sequence[FitResult],
    tasks: list[str],
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
        for task, value in zip(tasks, values, strict=True)
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
