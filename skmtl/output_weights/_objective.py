"""Metrics of the fused score, for many weights on the same cached probabilities."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.base import BaseEstimator
from sklearn.exceptions import UndefinedMetricWarning

from skmtl._sklearn import rows_of
from skmtl._typing import AnyArray
from skmtl.metrics._gains import Numbers
from skmtl.metrics._roc_auc import prepare_roc_auc
from skmtl.metrics._task_scorer import AVERAGES, TaskScorer
from skmtl.metrics._validation import Labels, check_groups
from skmtl.output_weights._fusion import weighted_sum
from skmtl.output_weights._rare_auc import RareAuc
from skmtl.output_weights._scoring import (
    EstimatorScorer,
    FusedExpected,
    FusedPredictions,
)
from skmtl.output_weights._terms import TaskColumns, Terms

RARE = 0.03  # up to this ratio of positives to negatives, `RareAuc` beats one sort
Item = TypeVar("Item")
Result = TypeVar("Result")
Score = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Fold:
    """Rows that judge: transformed terms, labels, and metadata of metrics.

    Attributes
    ----------
    columns : ndarray of shape (n_terms, n_samples)
        What the weights multiply.
    labels : Labels
        Labels of the binary tasks.
    metadata : mapping of mappings
        Groups and weights of the rows, by metric.
    given : GivenRows or None
        The rows as they were passed to the search, if a scorer needs them.
    numbers : Numbers or None
        Labels of all tasks, if not all are binary.
    """

    columns: np.ndarray
    labels: Labels
    metadata: Mapping[str, Mapping[str, np.ndarray]]
    given: "GivenRows | None" = None
    numbers: Numbers | None = None

    def group_codes(self, metric: str) -> np.ndarray | None:
        """Codes of the groups that a metric gets, if any."""
        groups = self.metadata.get(metric, {}).get("groups")
        return None if groups is None else check_groups(groups, len(self.labels))

    def take(self, rows: np.ndarray) -> "Fold":
        metadata = {
            metric: {name: np.asarray(value)[rows] for name, value in given.items()}
            for metric, given in self.metadata.items()
        }
        given = None if self.given is None else self.given.take(rows)
        numbers = None if self.numbers is None else self.numbers.take(rows)
        labels = rows_of_labels(self.labels, rows)
        return Fold(self.columns[:, rows], labels, metadata, given, numbers)


def spread_of_terms(folds: Sequence[Fold]) -> np.ndarray:
    """Standard deviation of each term on the rows of all folds; 1 if it is constant.

    Rounding leaves a constant column a tiny deviation. Networks predict in 32 bits, so
    that less than their precision is none.
    """
    columns = np.concatenate([fold.columns for fold in folds], axis=1)
    spread = columns.std(axis=1)
    rounding = np.finfo(np.float32).eps * np.abs(columns).max(axis=1)
    return np.where(spread > rounding, spread, 1.0)


def scales_of_terms(
    folds: Sequence[Fold], columns: TaskColumns, terms: Terms, method: str
) -> np.ndarray:
    """Return standard deviations of terms with different units; else ones."""
    of_columns = columns.are_probabilities
    alike = all(of_columns[c] for own in terms.factors for c in own)
    if alike or method != "sum":
        return np.ones(len(terms.keys))
    return spread_of_terms(folds)


@dataclass(frozen=True)
class GivenRows:
    """Rows in the form that a scorer ``f(estimator, X, y)`` takes."""

    X: object
    y: object
    proba: np.ndarray
    classes: AnyArray | list[AnyArray] | None
    columns: TaskColumns

    def take(self, rows: np.ndarray) -> "GivenRows":
        X, y = rows_of(self.X, rows), rows_of(self.y, rows)
        return replace(self, X=X, y=y, proba=self.proba[rows])

    def judge(
        self, scorer: EstimatorScorer, score: np.ndarray, names: Sequence[str]
    ) -> float:
        stand_in: BaseEstimator = FusedExpected(score, self.proba, self.columns)
        if self.columns.kinds is None:
            assert self.classes is not None
            stand_in = FusedPredictions(
                score, self.proba, self.classes, np.array(names)
            )
        return scorer.of_estimator(stand_in, self.X, self.y)


def rows_of_labels(labels: Labels, rows: np.ndarray) -> Labels:
    observed = None if labels.observed is None else labels.observed[:, rows]
    return replace(labels, positive=labels.positive[:, rows], observed=observed)


@dataclass(frozen=True)
class AucTerms:
    """A metric made of areas of tasks, and their weights if it is a weighted mean."""

    tasks: list[int]
    average: str
    weights: np.ndarray | None

    def of(self, areas: np.ndarray) -> float:
        if not self.tasks:
            return np.nan
        if self.weights is not None:
            return float(np.average(areas, weights=self.weights))
        return float(AVERAGES[self.average](areas))

    @property
    def linear(self) -> np.ndarray | None:
        """Coefficients of the areas; None for a minimum or maximum of several."""
        if len(self.tasks) == 1:
            return np.ones(1)
        if self.weights is not None:
            return self.weights / self.weights.sum()
        n = len(self.tasks)
        return np.full(n, 1 / n) if self.average == "mean" else None


def only_binary(scorer: TaskScorer, labels: Labels) -> bool:
    """Whether a metric judges binary tasks alone, whose labels these are."""
    return (
        scorer.metric.ranking
        and scorer.params.get("threshold") is None
        and scorer.params.get("gains") is None
        and (scorer.task is None or scorer.task in labels.names)
    )


def auc_terms(name: str, scorer: TaskScorer, fold: Fold) -> AucTerms | None:
    """Express a metric by the areas of tasks; None if that is not possible."""
    # Weights of rows are not in the counts of pairs.
    if scorer.metric.name != "auc" or fold.metadata.get(name):
        return None
    labels = fold.labels
    if fold.numbers is not None and not only_binary(scorer, labels):
        return None
    given = scorer._task_weights(labels.names)
    if scorer.task is not None:
        used = [labels.index(scorer.task)]
    elif given is not None:
        used = list(np.flatnonzero(given > 0))
    else:
        used = list(range(labels.n_tasks))
    both = [labels.positive[t].any() and labels.negative(t).any() for t in used]
    left_out = [labels.names[t] for t, ok in zip(used, both, strict=True) if not ok]
    used = [int(t) for t, ok in zip(used, both, strict=True) if ok]
    if left_out:
        warnings.warn(
            f"{name!r} leaves out the task(s) {left_out}: they have only one class "
            f"among the {len(labels)} rows of a fold.",
            UndefinedMetricWarning,
            stacklevel=2,
        )
    average = scorer.average if isinstance(scorer.average, str) else "mean"
    return AucTerms(used, average, None if given is None else given[used])


class FoldObjective:
    """From weights to the metrics ``(n_metrics,)`` on one fold.

    All metrics made of areas share one sort of the scores; a single rare task is
    counted by 32-bit keys instead.
    """

    def __init__(self, fold: Fold, scorers: Mapping[str, TaskScorer]) -> None:
        self.columns = fold.columns
        self.terms = [auc_terms(n, scorer, fold) for n, scorer in scorers.items()]
        self.tasks = sorted({t for terms in self.terms if terms for t in terms.tasks})
        self.others: list[Score | None] = [
            None if terms else prepare_other(n, scorer, fold)
            for terms, (n, scorer) in zip(self.terms, scorers.items(), strict=True)
        ]
        self.areas = _prepare_areas(fold, self.tasks) if self.tasks else None

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        areas = dict(
            zip(self.tasks, self.areas(weights) if self.areas else (), strict=True)
        )
        score = None
        values = []
        for terms, other in zip(self.terms, self.others, strict=True):
            if terms:
                values.append(terms.of(np.array([areas[t] for t in terms.tasks])))
            else:
                assert other is not None
                # One fused score for all metrics that are not made of areas.
                score = weighted_sum(self.columns, weights) if score is None else score
                values.append(other(score))
        return np.array(values)


def prepare_other(name: str, scorer: TaskScorer, fold: Fold) -> Score:
    """Prepare any other metric; it is NaN on a fold without a positive label."""
    if isinstance(scorer, EstimatorScorer):
        assert fold.given is not None
        return partial(_judge_given, fold.given, scorer, fold.labels.names)
    metadata = fold.metadata.get(name, {})
    if fold.numbers is not None and not only_binary(scorer, fold.labels):
        return scorer.of_fused(fold.numbers, metadata)
    if not fold.labels.positive.any():
        return lambda score: np.nan
    score_of: Score = scorer.prepare(fold.labels, **metadata)
    return score_of


def _judge_given(
    given: GivenRows, scorer: EstimatorScorer, names: list[str], score: np.ndarray
) -> float:
    return given.judge(scorer, score, names)


def fold_mean(scores: np.ndarray) -> np.ndarray:
    """Mean over the folds (axis 1) in which a metric is defined; NaN if in none."""
    defined = ~np.isnan(scores)
    total = np.where(defined, scores, 0.0).sum(axis=1)
    mean = np.full(total.shape, np.nan)
    np.divide(total, defined.sum(axis=1), out=mean, where=defined.any(axis=1))
    return mean


def _prepare_areas(
    fold: Fold, tasks: Sequence[int]
) -> Callable[[np.ndarray], np.ndarray]:
    labels, columns = fold.labels, fold.columns
    if len(tasks) == 1:
        positive, negative = labels.positive[tasks[0]], labels.negative(tasks[0])
        if positive.sum() <= RARE * negative.sum():
            rare = RareAuc(columns, positive, negative)
            return lambda weights: np.array([rare(weights)])
    values = prepare_roc_auc(labels.select([labels.names[t] for t in tasks]))
    return lambda weights: values(weighted_sum(columns, weights))


class Objective:
    """The metrics of many weights on all folds."""

    def __init__(
        self, folds: Sequence[Fold], scorers: Mapping[str, TaskScorer], n_jobs: object
    ) -> None:
        self.names = list(scorers)
        self.folds = [FoldObjective(fold, scorers) for fold in folds]
        self.n_jobs = n_jobs

    def __call__(
        self, points: np.ndarray, progress: Callable[[int], Any] | None = None
    ) -> np.ndarray:
        """Scores ``(n_points, n_folds, n_metrics)``.

        `progress` takes the number of parts and returns a function to call after each.
        """
        out = np.empty((len(points), len(self.folds), len(self.names)))
        if not len(points):
            return out
        # Enough parts to keep all threads busy to the end, and to show progress.
        n_parts = min(len(points), max(8 * effective_n_jobs(self.n_jobs), 20))
        parts = np.array_split(np.arange(len(points)), n_parts)
        step = progress(n_parts) if progress is not None else lambda: None
        for rows, values in self._run(points, parts):
            out[rows] = values
            step()
        return out

    def _run(
        self, points: np.ndarray, parts: list[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        def evaluate(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            values = [[fold(points[r]) for r in rows] for fold in self.folds]
            # From folds, points and metrics to points, folds and metrics.
            return rows, np.array(values).transpose(1, 0, 2)

        return in_threads(evaluate, parts, self.n_jobs)


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], n_jobs: object
) -> Iterator[Result]:
    """Yield results in order, from threads: sorting and searching release the GIL."""
    if effective_n_jobs(n_jobs) == 1 or len(items) == 1:
        return map(function, items)
    found: Iterator[Result] = Parallel(
        n_jobs=n_jobs, require="sharedmem", return_as="generator"
    )(delayed(function)(item) for item in items)
    return found
