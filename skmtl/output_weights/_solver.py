"""One search: candidates, constraints, races and moves beyond the grid."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from time import perf_counter
from typing import Protocol

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import check_random_state

from skmtl._messages import shown
from skmtl._sklearn import _routing_enabled
from skmtl._typing import RandomStateLike
from skmtl.metrics._fused import judged_by_order
from skmtl.metrics._gains import read_gains
from skmtl.metrics._task_scorer import TaskScorer
from skmtl.output_weights._candidates import (
    GridLike,
    coarse_grid,
    coarse_to_fine,
    directions,
    grid_axes,
    make_candidates,
    n_points,
    refine,
    size_of_grid,
    start_points,
)
from skmtl.output_weights._objective import (
    Fold,
    Objective,
    fold_mean,
    spread_of_terms,
)
from skmtl.output_weights._race import race
from skmtl.output_weights._scoring import EstimatorScorer, as_scorer
from skmtl.output_weights._terms import TaskColumns

LARGE = 20_000  # largest grid that "continuous" still evaluates as a whole
N_STARTS = 3  # best candidates from which "continuous" climbs


@dataclass(frozen=True)
class Constraint:
    """``metric >= bound``; if relative, `bound` is a share of a single task's value."""

    metric: str
    scorer: TaskScorer
    bound: float
    relative: bool

    def check_terms(self, names: Sequence[str]) -> None:
        """Raise for a bound relative to a task that is not one of the terms."""
        task = self.scorer.task
        if self.relative and task is not None and task not in names:
            raise ValueError(
                f"constraints[{self.metric!r}] is relative to what {shown(task)} alone "
                f"reaches, which is not one of the terms {list(names)}. Add it to the "
                "terms, or give an absolute bound."
            )

    def limit(self, single: np.ndarray, names: Sequence[str]) -> float:
        """The bound as a value of the metric; `single` has its value for each task."""
        if not self.relative:
            return self.bound
        task = self.scorer.task
        return self.bound * float(
            single.max() if task is None else single[names.index(task)]
        )


def read_constraints(
    constraints: object, scorers: Mapping[str, TaskScorer], *, mixed: bool = False
) -> list[Constraint]:
    if constraints is None:
        return []
    if not isinstance(constraints, Mapping):
        raise TypeError(
            "constraints must map a metric to ('>=', bound) or ('>=', bound, "
            f"'relative'); got {shown(constraints)}."
        )
    return [
        _read_constraint(str(metric), given, scorers, mixed)
        for metric, given in constraints.items()
    ]


def scorers_of_constraints(
    constraints: object, scorers: Mapping[str, TaskScorer]
) -> dict[str, TaskScorer]:
    """Return the metrics that only constraints name, which request groups."""
    found = {
        c.metric: c.scorer
        for c in read_constraints(constraints, scorers, mixed=True)
        if c.metric not in scorers
    }
    for scorer in found.values():
        if _routing_enabled() and "groups" in scorer.metric.metadata:
            scorer.set_score_request(groups=True)
    return found


def _read_constraint(
    metric: str, given: object, scorers: Mapping[str, TaskScorer], mixed: bool
) -> Constraint:
    wanted = (
        f"constraints[{shown(metric)}] must be ('>=', bound), or ('>=', share, "
        f"'relative') for a share of what a single task reaches; got {shown(given)}."
    )
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise ValueError(wanted)
    sign, bound, *kind = given
    if sign not in (">=", "≥") or kind not in ([], ["relative"], ["absolute"]):
        raise ValueError(wanted)
    if (
        not isinstance(bound, Real)
        or isinstance(bound, bool)
        or not np.isfinite(float(bound))
    ):
        raise ValueError(wanted)
    scorer = scorers[metric] if metric in scorers else as_scorer(metric, mixed=mixed)
    return Constraint(metric, scorer, float(bound), kind == ["relative"])


def feasible(
    values: np.ndarray,
    limits: np.ndarray,
    constraints: Sequence[Constraint],
    points: np.ndarray,
    names: Sequence[str],
) -> np.ndarray:
    """Mark the points that satisfy every bound; raise if there are none.

    Parameters
    ----------
    values : ndarray of shape (n_points, n_constraints)
        The metrics of the constraints.
    """
    kept = np.asarray((values >= limits).all(axis=1))
    if kept.any():
        return kept
    nearest = int(np.argmax((values - limits).min(axis=1)))
    reached = ", ".join(
        f"{c.metric} = {value:.6g} of at least {limit:.6g} (at best {top:.6g})"
        for c, value, limit, top in zip(
            constraints, values[nearest], limits, values.max(axis=0), strict=True
        )
    )
    at = dict(zip(names, points[nearest].tolist(), strict=True))
    raise ValueError(
        f"No candidate satisfies the constraints. The nearest has the weights {at}: "
        f"{reached}. Lower a bound, or search more points."
    )


@dataclass
class Evaluated:
    """The candidates of a search and their results.

    Attributes
    ----------
    points : ndarray of shape (n_points, n_tasks)
        The candidates.
    scores : ndarray of shape (n_points, n_folds, n_metrics)
        Their metrics; NaN where not evaluated.
    unique : ndarray of int
        Candidates of different directions that were evaluated.
    best : int or None
        The best candidate; None if no metric chooses.
    n_evaluations : int
        Candidates that were evaluated exactly.
    seconds : float
        Time for one candidate on one fold, on average.
    columns : dict
        Further columns of ``cv_results_``.
    attributes : dict
        Further attributes of the search.
    """

    points: np.ndarray
    scores: np.ndarray
    unique: np.ndarray
    best: int | None
    n_evaluations: int
    seconds: float
    columns: dict[str, np.ndarray]
    attributes: dict[str, int | list[int]]


@dataclass
class _Found:
    """What was evaluated: a point of each direction, the first with it.

    Attributes
    ----------
    scores : ndarray of shape (n_directions, n_folds, n_metrics)
        Metrics; NaN where not evaluated.
    first : ndarray of shape (n_directions,)
        Place of the point among all.
    direction : ndarray of shape (n_points,)
        Place of each point's direction in `scores`.
    columns, attributes
        As those of `Evaluated`.
    """

    scores: np.ndarray
    first: np.ndarray
    direction: np.ndarray
    columns: dict[str, np.ndarray]
    attributes: dict[str, int | list[int]]


class SearchSettings(Protocol):
    """The hyperparameters of a search."""

    weights: GridLike
    search: str
    cv: object
    constraints: Mapping[str, object] | None
    n_jobs: int | None
    random_state: RandomStateLike


class WeightSearch:
    """Find the best output weights; inputs are checked before anything is fitted.

    Parameters
    ----------
    owner : SearchSettings
        The search.
    names : list of str
        Names of the terms.
    scorers : mapping
        The metrics.
    chosen : str or None
        The metric that chooses; None leaves the choice to the caller.
    columns : TaskColumns
        The predictions of which the terms are made.
    """

    def __init__(
        self,
        owner: SearchSettings,
        names: list[str],
        scorers: Mapping[str, TaskScorer],
        chosen: str | None,
        columns: TaskColumns,
    ) -> None:
        self.owner, self.names, self.scorers = owner, names, dict(scorers)
        self.chosen = chosen
        n_tasks, mixed = len(names), columns.kinds is not None
        # Points of a grid are spread evenly; those of the user are in his own units.
        self.even = isinstance(owner.weights, Integral)
        if owner.search == "continuous" and n_points(owner.weights, n_tasks) > LARGE:
            self.points, self.even = start_points(n_tasks), True
        elif owner.search == "refine":
            self.axes = grid_axes(owner.weights, names)
            self.points = coarse_grid(self.axes)
        else:
            self.points = make_candidates(owner.weights, names)
        self.constraints = read_constraints(owner.constraints, scorers, mixed=mixed)
        self.metrics = self.scorers | {c.metric: c.scorer for c in self.constraints}
        for scorer in self.metrics.values():
            check_judges(scorer, columns)
        for constraint in self.constraints:
            constraint.check_terms(names)
        self.n_evaluations = 0
        self.column = None if chosen is None else list(self.scorers).index(chosen)

    def solve(
        self,
        folds: Sequence[Fold],
        progress: Callable[[int], object],
        scales: np.ndarray,
    ) -> Evaluated:
        """Evaluate the candidates; a grid is that of terms divided by their scales."""
        # Of the even grid, whose weights are exact.
        first, direction = directions(self.points)
        if self.even:
            self.points = self.points / scales
        objective = Objective(folds, self.metrics, self.owner.n_jobs)
        # One candidate is enough: whether a metric that ranks is defined depends on the
        # labels alone.
        self._require_defined(objective, self.points[first[:1]])
        self.limits = self._limits(folds)
        if self.owner.search == "refine":
            found = self._finer(objective, folds, scales)
        else:
            found = self._listed(objective, folds, first, direction, progress)
        return self._judged(found)

    def _listed(
        self,
        objective: Objective,
        folds: Sequence[Fold],
        first: np.ndarray,
        direction: np.ndarray,
        progress: Callable[[int], object],
    ) -> _Found:
        """Evaluate the points that were given, one of each direction."""
        points, columns = self.points[first], {}
        alive = np.arange(len(points))
        if self.owner.search == "halving":
            alive, rounds = self._race(points, folds)
            columns["n_rounds"] = rounds[direction]
        start = perf_counter()
        scores = np.full((len(points), len(folds), len(self.metrics)), np.nan)
        scores[alive] = objective(points[alive], progress)
        self._count(len(alive), start, folds)
        if self.owner.search == "continuous":
            ends = self._climb(objective, points, scores, folds)
            scores = np.concatenate([scores, objective(ends)])
            # Each end of a climb is a direction of its own.
            direction = np.append(direction, np.arange(len(points), len(scores)))
            first = np.append(first, len(self.points) + np.arange(len(ends)))
            self.points = np.concatenate([self.points, ends])
        return _Found(scores, first, direction, columns, {})

    def _finer(
        self, objective: Objective, folds: Sequence[Fold], scales: np.ndarray
    ) -> _Found:
        """Evaluate points of a grid from coarse to fine, and count those skipped."""
        unit = scales if self.even else np.ones_like(scales)
        start = perf_counter()
        self.points, scores, iters = self._refine(objective, unit)
        self._count(len(self.points), start, folds)
        every = np.arange(len(self.points))
        attributes = {
            "n_candidates_": np.bincount(iters).tolist(),
            "n_skipped_": size_of_grid(self.axes) - len(iters),
        }
        return _Found(scores, every, every, {"iter": iters}, attributes)

    def _count(self, n_points: int, start: float, folds: Sequence[Fold]) -> None:
        self.seconds = (perf_counter() - start) / (n_points * len(folds))
        self.n_evaluations += n_points

    def _judged(self, found: _Found) -> Evaluated:
        """Find the best candidate, and put the results in the order of all points."""
        first, direction, scores = found.first, found.direction, found.scores
        merit, best = self._merit(scores, self.points[first]), None
        if self.column is not None:
            if not np.isfinite(merit).any():
                raise self._undefined(self.chosen)
            best = int(first[np.argmax(merit)])
        if self.constraints:
            found.columns["feasible"] = np.isfinite(merit)[direction]
        return Evaluated(
            self.points,
            # Metrics of constraints alone are not in the results.
            scores[direction][:, :, : len(self.scorers)],
            first[~np.isnan(fold_mean(scores)).any(axis=1)],
            best,
            self.n_evaluations,
            self.seconds,
            found.columns,
            found.attributes,
        )

    def _require_defined(self, objective: Objective, points: np.ndarray) -> None:
        """Raise if a metric that chooses or bounds is NaN in every fold."""
        needed = {c.metric for c in self.constraints} | {self.chosen}
        means = fold_mean(objective(points))[0]
        for (metric, scorer), mean in zip(self.metrics.items(), means, strict=True):
            # Whether a user's function is defined may depend on the score.
            if metric in needed and np.isnan(mean) and scorer.metric.ranking:
                raise self._undefined(metric)

    def _undefined(self, metric: str | None) -> ValueError:
        prefit = isinstance(self.owner.cv, str)
        where = "on these rows" if prefit else "in any fold"
        threshold = None if metric is None else self._threshold(self.metrics[metric])
        if threshold is not None:
            remedy = "" if prefit else ", or use fewer folds if it is"
            return ValueError(
                f"The metric {shown(metric)} is not defined {where}: all labels of the "
                "tasks that it judges are above its threshold of "
                f"{threshold}, or none is. Choose a threshold between the labels"
                f"{remedy}."
            )
        remedy = (
            "Pass rows with both."
            if prefit
            else "Use fewer folds, or a splitter that spreads the positives such as "
            "MultiTaskStratifiedKFold."
        )
        return ValueError(
            f"The metric {shown(metric)} is not defined {where}: the tasks that it "
            f"judges, of {list(self.names)}, have labels of only one class there. "
            f"{remedy}"
        )

    @staticmethod
    def _threshold(scorer: TaskScorer) -> object:
        own = scorer.metric.of_own_function
        return None if own else scorer.params.get("threshold")

    def _limits(self, folds: Sequence[Fold]) -> np.ndarray:
        limits = []
        for c in self.constraints:
            single = np.zeros(0)
            if c.relative:
                single = mean_scores(
                    folds, {c.metric: c.scorer}, np.eye(len(self.names))
                )
            limits.append(c.limit(single, self.names))
        return np.array(limits)

    def _bounded(self, scores: np.ndarray) -> np.ndarray:
        """Means over folds of the metrics of the constraints."""
        metrics = list(self.metrics)
        columns = [metrics.index(c.metric) for c in self.constraints]
        means: np.ndarray = fold_mean(scores)[:, columns]
        return means

    def _merit(self, scores: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Mean of the chosen metric; minus infinity where a constraint is broken."""
        means = fold_mean(scores)
        mean = np.zeros(len(scores)) if self.column is None else means[:, self.column]
        merit = np.where(np.isnan(mean), -np.inf, mean)
        if not self.constraints:
            return merit
        evaluated = ~np.isnan(means).any(axis=1)
        kept = np.zeros(len(scores), dtype=bool)
        if evaluated.any():
            kept[evaluated] = feasible(
                self._bounded(scores[evaluated]),
                self.limits,
                self.constraints,
                points[evaluated],
                self.names,
            )
        return np.where(kept, merit, -np.inf)

    def _race(
        self, points: np.ndarray, folds: Sequence[Fold]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Race by the chosen metric, among points that satisfy the constraints."""
        assert self.chosen is not None
        allowed = np.arange(len(points))
        if self.constraints:
            bounds = {c.metric: c.scorer for c in self.constraints}
            values = fold_mean(Objective(folds, bounds, self.owner.n_jobs)(points))
            kept = feasible(values, self.limits, self.constraints, points, self.names)
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

    def _refine(
        self, objective: Objective, scales: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Evaluate a coarse grid, and finer ones near its best points."""
        found: list[np.ndarray] = []

        def merit(points: np.ndarray) -> np.ndarray:
            found.append(objective(points / scales))
            mean = fold_mean(found[-1])[:, self.column]
            gap = np.zeros((len(points), 1))
            if self.constraints:  # the farther from a bound, the worse
                gap = np.minimum(self._bounded(found[-1]) - self.limits, 0.0)
            both = np.column_stack([gap.min(axis=1), mean])
            return np.where(np.isnan(both), -np.inf, both)

        points, iters = coarse_to_fine(merit, self.axes)
        return points / scales, np.concatenate(found), iters

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
            column: np.ndarray = fold_mean(values)[:, self.column]
            if self.constraints:
                kept = (self._bounded(values) >= self.limits).all(axis=1)
                column = np.where(kept, column, -np.inf)
            return np.where(np.isnan(column), -np.inf, column)

        scale = spread_of_terms(folds)
        order = np.argsort(-start, kind="stable")[:N_STARTS]
        ends = [refine(merit, points[i], scale) for i in order if np.isfinite(start[i])]
        return np.array(ends).reshape(-1, len(self.names))


def check_judges(scorer: TaskScorer, columns: TaskColumns) -> None:
    """Raise if a metric cannot judge a ranking score by the labels of the tasks."""
    names, kinds = columns.tasks, columns.kinds
    judged: Sequence[str] = names
    if kinds is None or isinstance(scorer, EstimatorScorer):
        if scorer.task is not None and scorer.task not in names:
            raise ValueError(
                f"Unknown task {shown(scorer.task)}. The known tasks are {names}."
            )
    elif scorer.params.get("gains") is not None:
        read_gains(scorer.params["gains"], names)
        return
    else:
        found = judged_by_order(scorer.metric, scorer.task, scorer.params, names, kinds)
        judged = [names[t] for t in found]
    scorer._task_weights(judged)  # raises for weights of tasks that it does not judge


def mean_scores(
    folds: Sequence[Fold], scorers: Mapping[str, TaskScorer], points: np.ndarray
) -> np.ndarray:
    """Return means over folds of the first metric, ``(n_points,)``."""
    return fold_mean(Objective(folds, scorers, None)(points))[:, 0]
