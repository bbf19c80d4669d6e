"""Bounds that the chosen weights must keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from skmtl.metrics._task_scorer import TaskScorer
from skmtl.output_weights._objective import as_scorer


@dataclass(frozen=True)
class Constraint:
    """``metric >= bound``; if relative, a share of what a single task reaches."""

    metric: str
    scorer: TaskScorer
    bound: float
    relative: bool

    def limit(self, single: np.ndarray, names: Sequence[str]) -> float:
        """The bound as a value of the metric; `single` has its value for each task."""
        if not self.relative:
            return self.bound
        task = self.scorer.task
        return self.bound * float(
            single.max() if task is None else single[names.index(task)]
        )


def read_constraints(
    constraints: Any, scorers: Mapping[str, TaskScorer]
) -> list[Constraint]:
    if constraints is None:
        return []
    if not isinstance(constraints, Mapping):
        raise TypeError(
            "constraints must map a metric to ('>=', bound) or ('>=', bound, "
            f"'relative'); got {constraints!r}."
        )
    return [_read(str(metric), given, scorers) for metric, given in constraints.items()]


def _read(metric: str, given: Any, scorers: Mapping[str, TaskScorer]) -> Constraint:
    wanted = (
        f"constraints[{metric!r}] must be ('>=', bound), or ('>=', share, 'relative') "
        f"for a share of what a single task reaches; got {given!r}."
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
    scorer = scorers[metric] if metric in scorers else as_scorer(metric)
    return Constraint(metric, scorer, float(bound), kind == ["relative"])


def feasible(
    values: np.ndarray,
    limits: np.ndarray,
    constraints: Sequence[Constraint],
    points: np.ndarray,
    names: Sequence[str],
) -> np.ndarray:
    """Which points keep every bound; an error says how near the nearest one gets.

    Shape
    -----
    values : ``(n_points, n_constraints)``
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
        f"No candidate keeps the constraints. The nearest has the weights {at}: "
        f"{reached}. Lower a bound, or search more points."
    )
