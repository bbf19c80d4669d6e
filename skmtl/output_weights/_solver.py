"""One search: candidates, constraints, races, refinement."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_random_state

from skmtl.metrics._task_scorer import TaskScorer
from skmtl.output_weights._candidates import (
    directions,
    make_candidates,
    n_points,
    start_points,
)
from skmtl.output_weights._constraints import feasible, read_constraints
from skmtl.output_weights._objective import Fold, Objective, fold_mean
from skmtl.output_weights._race import race
from skmtl.output_weights._refine import refine

LARGE = 20_000  # points of a grid that "continuous" still evaluates whole
N_STARTS = 3


@dataclass
class Found:
    """What a search found.

    Shape
    -----
    points : ``(n_points, n_tasks)``
    scores : ``(n_points, n_folds, n_metrics)``, NaN where not evaluated
    unique : indices of points of different directions that were evaluated
    """

    points: np.ndarray
    scores: np.ndarray
    unique: np.ndarray
    best: int
    n_evaluations: int
    columns: dict[str, np.ndarray]


class Problem:
    """What is to be searched, checked before anything is fitted."""

    def __init__(
        self,
        owner: Any,
        names: list[str],
        scorers: Mapping[str, TaskScorer],
        chosen: str,
    ) -> None:
        self.owner, self.names, self.scorers = owner, names, dict(scorers)
        self.chosen = chosen
        n_tasks = len(names)
        if owner.search == "continuous" and n_points(owner.weights, n_tasks) > LARGE:
            self.points = start_points(n_tasks)
        else:
            self.points = make_candidates(owner.weights, names)
        for scorer in scorers.values():
            if scorer.task is not None and scorer.task not in names:
                raise ValueError(
                    f"Unknown task {scorer.task!r}. The known tasks are {names}."
                )
        self.constraints = read_constraints(owner.constraints, scorers)
        self.metrics = self.scorers | {c.metric: c.scorer for c in self.constraints}
        self.n_evaluations = 0

    @staticmethod
    def means(
        folds: Sequence[Fold], scorers: Mapping[str, TaskScorer], points: np.ndarray
    ) -> np.ndarray:
        """Means over folds of the first metric ``(n_points,)``."""
        means: np.ndarray = Objective(folds, scorers, None)(points)[:, :, 0].mean(
            axis=1
        )
        return means

    def solve(self, folds: Sequence[Fold], progress: Callable[[int], Any]) -> Found:
        first, direction = directions(self.points)
        points = self.points[first]
        rounds, alive = None, np.arange(len(points))
        self.limits = self._limits(folds)
        if self.owner.search == "halving":
            alive, rounds = self._race(points, folds)
        scores = np.full((len(points), len(folds), len(self.metrics)), np.nan)
        objective = Objective(folds, self.metrics, self.owner.n_jobs)
        scores[alive] = objective(points[alive], progress)
        self.n_evaluations += len(alive)
        if self.owner.search == "continuous":
            ends = self._climb(objective, points, scores, folds)
            extra = objective(ends)
            scores = np.concatenate([scores, extra])
            direction = np.append(direction, np.arange(len(points), len(scores)))
            first = np.append(
                first, np.arange(len(self.points), len(self.points) + len(ends))
            )
            self.points = np.concatenate([self.points, ends])
        merit = self._merit(scores, self.points[first])
        if not np.isfinite(merit).any():
            raise ValueError(
                f"The metric {self.chosen!r} is defined in no fold: its tasks have one "
                "class only. Use fewer folds, or a splitter that spreads the positives."
            )
        best = int(first[np.argmax(merit)])
        columns = {} if rounds is None else {"n_rounds": rounds[direction]}
        if self.constraints:
            columns["feasible"] = np.isfinite(merit)[direction]
        unique = first[~np.isnan(fold_mean(scores)).any(axis=1)]
        kept = scores[direction][:, :, : len(self.scorers)]
        return Found(self.points, kept, unique, best, self.n_evaluations, columns)

    def _limits(self, folds: Sequence[Fold]) -> np.ndarray:
        limits = []
        for c in self.constraints:
            single = np.zeros(0)
            if c.relative:
                single = self.means(
                    folds, {c.metric: c.scorer}, np.eye(len(self.names))
                )
            limits.append(c.limit(single, self.names))
        return np.array(limits)

    def _held(self, scores: np.ndarray) -> np.ndarray:
        metrics = list(self.metrics)
        columns = [metrics.index(c.metric) for c in self.constraints]
        held: np.ndarray = fold_mean(scores)[:, columns]
        return held

    def _merit(self, scores: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Mean of the chosen metric; minus infinity where a constraint is broken."""
        mean = fold_mean(scores)[:, list(self.scorers).index(self.chosen)]
        merit = np.where(np.isnan(mean), -np.inf, mean)
        if not self.constraints:
            return merit
        evaluated = ~np.isnan(fold_mean(scores)).any(axis=1)
        kept = np.zeros(len(scores), dtype=bool)
        kept[evaluated] = feasible(
            self._held(scores[evaluated]),
            self.limits,
            self.constraints,
            points[evaluated],
            self.names,
        )
        return np.where(kept, merit, -np.inf)

    def _race(
        self, points: np.ndarray, folds: Sequence[Fold]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The race of the chosen metric, among points that keep the constraints."""
        allowed = np.arange(len(points))
        if self.constraints:
            bounds = {c.metric: c.scorer for c in self.constraints}
            held = fold_mean(Objective(folds, bounds, self.owner.n_jobs)(points))
            kept = feasible(held, self.limits, self.constraints, points, self.names)
            allowed = np.flatnonzero(kept)
        seed = check_random_state(self.owner.random_state).randint(2**31 - 1)
        with warnings.catch_warnings():  # small samples may leave a metric undefined
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            alive, ran = race(
                points[allowed],
                folds,
                self.chosen,
                self.scorers[self.chosen],
                np.random.default_rng(seed),
                self.owner.n_jobs,
            )
        rounds = np.zeros(len(points), dtype=int)
        rounds[allowed] = ran
        return allowed[alive], rounds

    def _climb(
        self,
        objective: Objective,
        points: np.ndarray,
        scores: np.ndarray,
        folds: Sequence[Fold],
    ) -> np.ndarray:
        start = self._merit(scores, points)

        def merit(moves: np.ndarray) -> np.ndarray:
            self.n_evaluations += len(moves)
            values = objective(moves)
            mean: np.ndarray = fold_mean(values)
            column = mean[:, list(self.scorers).index(self.chosen)]
            if self.constraints:
                kept = (self._held(values) >= self.limits).all(axis=1)
                column = np.where(kept, column, -np.inf)
            return np.where(np.isnan(column), -np.inf, column)

        spread = np.concatenate([fold.columns for fold in folds], axis=1).std(axis=1)
        scale = np.where(spread > 0, spread, 1.0)
        order = np.argsort(-start, kind="stable")[:N_STARTS]
        usable = [i for i in order if np.isfinite(start[i])]
        return np.array([refine(merit, points[i], scale) for i in usable])
