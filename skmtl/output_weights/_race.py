"""Races of candidates on growing samples: which may still be the best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from skmtl.metrics._task_scorer import TaskScorer
from skmtl.output_weights._fusion import weighted_sum
from skmtl.output_weights._objective import Fold, FoldObjective, auc_terms, in_threads

FIRST, GROWTH = 2_000, 4  # negatives of the first race; how samples grow
POSITIVES = 2  # positives for each sampled negative, at most
LAST = 8  # the race ends when a sample would hold more than 1 / LAST of the rows
DEVIATIONS = 5.0  # standard errors; 3e-7 of a normal tail for each comparison
N_PARTS = 16  # disjoint samples on which a metric is computed to know its variance
ENOUGH = 12  # the race ends with this many survivors


@dataclass
class Sampled:
    """Values of units drawn from one population, whose mean is a part of a metric.

    Shape
    -----
    values : ``(n_candidates, n_units)``
    """

    values: np.ndarray
    coefficient: float
    left: float = 1.0  # share of the population not drawn; it scales the variance
    counted: bool = True  # False if the mean already comes from other units

    @property
    def mean(self) -> np.ndarray:
        if not self.counted:
            return np.zeros(len(self.values))
        found: np.ndarray = self.coefficient * self.values.mean(axis=1, dtype=float)
        return found

    def variance(self, leader: int) -> np.ndarray:
        """Variance of each candidate's mean difference to the leader."""
        if self.left == 0:  # all are drawn
            return np.zeros(len(self.values))
        gap = self.values - self.values[leader]
        spread: np.ndarray = gap.var(axis=1, ddof=1, dtype=float) / gap.shape[1]
        return self.coefficient**2 * self.left * spread


def survivors(samples: Sequence[Sampled], deviations: float) -> np.ndarray:
    """Mark the candidates that may be as good as the leader of the sample.

    Every candidate is compared with the leader on the same rows, so noise that affects
    both cancels.
    """
    means = np.sum([s.mean for s in samples], axis=0)
    leader = int(np.argmax(means))
    error = np.sqrt(np.sum([s.variance(leader) for s in samples], axis=0))
    kept: np.ndarray = means - means[leader] + deviations * error >= 0
    return kept


class Pairs:
    """The area of one task on sampled rows, as a mean over its negatives.

    All positives are kept, up to two for each sampled negative. The mean share of
    positives above a negative is the area. Where positives are sampled too, the share
    of negatives below a positive shows what their sampling adds to the variance
    (DeLong, DeLong and Clarke-Pearson, Biometrics 44(3), 1988).
    """

    def __init__(
        self, fold: Fold, task: int, coefficient: float, rng: np.random.Generator
    ) -> None:
        self.columns, self.coefficient = fold.columns, coefficient
        self.positive = rng.permutation(np.flatnonzero(fold.labels.positive[task]))
        self.negative = rng.permutation(np.flatnonzero(fold.labels.negative(task)))

    def draw(self, points: np.ndarray, size: int, n_jobs: object) -> list[Sampled]:
        negatives = self.columns[:, self.negative[:size]]
        positives = self.columns[:, self.positive[: POSITIVES * size]]
        n_negative, n_positive = negatives.shape[1], positives.shape[1]
        above = np.empty((len(points), n_negative), dtype=np.float32)
        whole = n_positive == len(self.positive)
        below = np.empty((len(points), 0 if whole else n_positive), dtype=np.float32)

        def fill(part: np.ndarray) -> None:
            for point in part:
                mine = weighted_sum(positives, points[point])
                others = weighted_sum(negatives, points[point])
                above[point] = 1 - share_below(np.sort(mine), others)
                if not whole:
                    below[point] = share_below(np.sort(others), mine)

        parts = np.array_split(np.arange(len(points)), min(len(points), 16))
        list(in_threads(fill, parts, n_jobs))
        left = 1 - n_negative / len(self.negative)
        samples = [Sampled(above, self.coefficient, left)]
        if not whole:
            left = 1 - n_positive / len(self.positive)
            samples.append(Sampled(below, self.coefficient, left, counted=False))
        return samples


def share_below(ranked: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Share of the ranked scores below each score; a tie counts half."""
    order = np.argsort(scores)  # searching in rising order stays in the cache
    rising = scores[order]
    below = ranked.searchsorted(rising)
    twice = 2 * below
    if (ranked[np.minimum(below, len(ranked) - 1)] == rising).any():
        twice = below + ranked.searchsorted(rising, "right")
    share = np.empty(len(scores))
    share[order] = twice / (2 * len(ranked))
    return share


class Parts:
    """Any metric on disjoint parts of the rows or groups."""

    def __init__(
        self,
        fold: Fold,
        name: str,
        scorer: TaskScorer,
        coefficient: float,
        rng: np.random.Generator,
    ) -> None:
        self.fold, self.scorer, self.coefficient = fold, {name: scorer}, coefficient
        codes = fold.group_codes(name)
        units = np.arange(len(fold.labels)) if codes is None else codes
        ids, self.unit = np.unique(units, return_inverse=True)
        self.place = rng.permutation(len(ids))
        self.n_rows = len(self.unit)

    def draw(self, points: np.ndarray, size: int, n_jobs: object) -> list[Sampled]:
        place = self.place[self.unit] / len(self.place)
        share = min(size / self.n_rows, 1.0)
        number = np.floor(place / share * N_PARTS).astype(int)
        values = np.empty((len(points), N_PARTS))

        def fill(part: int) -> None:
            rows = np.flatnonzero(number == part)
            objective = FoldObjective(self.fold.take(rows), self.scorer)
            values[:, part] = [objective(point)[0] for point in points]

        list(in_threads(fill, range(N_PARTS), n_jobs))
        return [Sampled(values, self.coefficient)]


def race(
    points: np.ndarray,
    folds: Sequence[Fold],
    name: str,
    scorer: TaskScorer,
    rng: np.random.Generator,
    n_jobs: object,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the candidates that may be the best, and the rounds that each one ran.

    Returns
    -------
    alive : ndarray of shape (n_survivors,)
        Rising indices.
    n_rounds : ndarray of shape (n_points,)
        Rounds that a candidate took part in.
    """
    samplers: list[Pairs | Parts] = []
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
            samplers.append(Pairs(fold, task, part / len(folds), rng))
    # With few parts, the quantile of Student's t that has the same tail.
    tail = norm.sf(DEVIATIONS)
    deviations = DEVIATIONS if exact else float(t.isf(tail, N_PARTS - 1))
    alive, rounds = np.arange(len(points)), np.zeros(len(points), dtype=int)
    size = FIRST if exact else 8 * FIRST
    n_rows = max(len(fold.labels) for fold in folds)
    while len(alive) > ENOUGH and size * LAST <= n_rows:
        rounds[alive] += 1
        drawn = [s.draw(points[alive], size, n_jobs) for s in samplers]
        samples = [one for several in drawn for one in several]
        if all(np.isfinite(one.values).all() for one in samples):
            alive = alive[survivors(samples, deviations)]
        # A part without a positive label is NaN; then no candidate is dropped.
        size *= GROWTH
    return alive, rounds
