"""Races of candidates on growing samples, and who may still be the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, t

from skmtl.metrics._task_scorer import TaskScorer
from skmtl.output_weights._fusion import weighted_sum
from skmtl.output_weights._objective import Fold, FoldObjective, auc_terms, in_threads

FIRST, GROWTH, LAST = 2_000, 8, 8  # rows; share of all rows that ends the race is 1/8
DEVIATIONS = 5.0  # standard errors; 3e-7 of a normal tail for each comparison
N_PARTS = 16
ENOUGH = 12  # survivors


@dataclass
class Sampled:
    """Values of units drawn from one population, whose mean is a part of a metric.

    Shape
    -----
    values : ``(n_candidates, n_units)``
    """

    values: np.ndarray
    coefficient: float
    left: float  # share of the population not drawn: the variance of its mean shrinks

    def gain(self, leader: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of what every candidate has over the leader."""
        gap = self.values - self.values[leader]
        variance = gap.var(axis=1, ddof=1) / gap.shape[1] * self.left
        return self.coefficient * gap.mean(axis=1), self.coefficient**2 * variance


def survivors(samples: Sequence[Sampled], deviations: float) -> np.ndarray:
    """Candidates that the leader of the sample does not beat for certain.

    Every candidate is compared with the leader on the same rows, so what makes both
    good or bad at once cancels.
    """
    means = sum(s.coefficient * s.values.mean(axis=1) for s in samples)
    leader = int(np.argmax(means))
    gains, variances = zip(*(s.gain(leader) for s in samples), strict=True)
    kept = sum(gains) + deviations * np.sqrt(sum(variances)) >= 0
    return np.asarray(kept)


class Negatives:
    """Shares of positives above each sampled negative: their mean is the area.

    Shape
    -----
    positives : ``(n_tasks, n_positives)``, all of them
    negatives : ``(n_tasks, n_negatives)``, in random order
    """

    def __init__(
        self, fold: Fold, task: int, coefficient: float, rng: np.random.Generator
    ) -> None:
        self.positives = np.ascontiguousarray(
            fold.columns[:, fold.labels.positive[task]]
        )
        rows = rng.permutation(np.flatnonzero(fold.labels.negative(task)))
        self.columns, self.rows = fold.columns, rows
        self.coefficient = coefficient

    def draw(self, points: np.ndarray, size: int, n_jobs: Any) -> Sampled:
        rows = self.rows[:size]
        negatives = self.columns[:, rows]
        values = np.empty((len(points), len(rows)), dtype=np.float32)

        def fill(part: np.ndarray) -> None:
            for point in part:
                values[point] = self._above(negatives, points[point])

        parts = np.array_split(np.arange(len(points)), min(len(points), 16))
        list(in_threads(fill, parts, n_jobs))
        return Sampled(values, self.coefficient, 1 - len(rows) / len(self.rows))

    def _above(self, negatives: np.ndarray, weights: np.ndarray) -> np.ndarray:
        ranked = np.sort(weighted_sum(self.positives, weights))
        scores = weighted_sum(negatives, weights)
        below = ranked.searchsorted(scores)
        twice = 2 * below
        if (ranked[np.minimum(below, len(ranked) - 1)] == scores).any():
            twice = below + ranked.searchsorted(scores, "right")
        above: np.ndarray = 1 - twice / (2 * len(ranked))
        return above


class Parts:
    """Any metric on parts of the rows, or of the groups, that share none."""

    def __init__(
        self, fold: Fold, name: str, scorer: TaskScorer, coefficient: float, rng: Any
    ) -> None:
        self.fold, self.scorer, self.coefficient = fold, {name: scorer}, coefficient
        groups = fold.metadata.get(name, {}).get("groups")
        units = np.arange(len(fold.labels)) if groups is None else np.asarray(groups)
        ids, self.unit = np.unique(units, return_inverse=True)
        self.place = rng.permutation(len(ids))
        self.n_rows = len(self.unit)

    def draw(self, points: np.ndarray, size: int, n_jobs: Any) -> Sampled:
        place = self.place[self.unit] / len(self.place)
        share = min(size / self.n_rows, 1.0)
        number = np.floor(place / share * N_PARTS).astype(int)
        values = np.empty((len(points), N_PARTS))

        def fill(part: int) -> None:
            rows = np.flatnonzero(number == part)
            objective = FoldObjective(self.fold.take(rows), self.scorer)
            values[:, part] = [objective(point)[0] for point in points]

        list(in_threads(fill, range(N_PARTS), n_jobs))
        return Sampled(values, self.coefficient, 1.0)


def race(
    points: np.ndarray,
    folds: Sequence[Fold],
    name: str,
    scorer: TaskScorer,
    rng: np.random.Generator,
    n_jobs: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the candidates that may be the best, and the rounds each one ran.

    Returns
    -------
    alive : ndarray of shape (n_survivors,)
        Rising indices.
    n_rounds : ndarray of shape (n_points,)
        Rounds that a candidate took part in.
    """
    samplers: list[Negatives | Parts] = []
    exact = True
    wanted = [auc_terms(name, scorer, fold) for fold in folds]
    folds = [f for f, t in zip(folds, wanted, strict=True) if t is None or t.tasks]
    for fold in folds:
        terms = auc_terms(name, scorer, fold)
        if terms is None or terms.linear is None:
            samplers.append(Parts(fold, name, scorer, 1 / len(folds), rng))
            exact = False
            continue
        for task, part in zip(terms.tasks, terms.linear, strict=True):
            samplers.append(Negatives(fold, task, part / len(folds), rng))
    # A part's values are few: the quantile of Student's t for the same tail.
    tail = norm.sf(DEVIATIONS)
    deviations = DEVIATIONS if exact else float(t.isf(tail, N_PARTS - 1))
    alive, rounds = np.arange(len(points)), np.zeros(len(points), dtype=int)
    size = FIRST if exact else 8 * FIRST
    n_rows = max(len(fold.labels) for fold in folds)
    while len(alive) > ENOUGH and size * LAST <= n_rows:
        rounds[alive] += 1
        try:
            samples = [s.draw(points[alive], size, n_jobs) for s in samplers]
        except ValueError:  # a part without a positive label: the sample is too small
            size *= GROWTH
            continue
        alive = alive[survivors(samples, deviations)]
        size *= GROWTH
    return alive, rounds
