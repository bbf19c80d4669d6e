"""The rank metrics: their formula in a group, and their mean over groups."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skmtl.metrics._group_mean import Coverage, check_group_weights, group_mean
from skmtl.metrics._labels import Labels
from skmtl.metrics._ranking import Ranking
from skmtl.metrics._validation import check_count, check_groups, check_scores, column_of
from skmtl.metrics._warnings import warn_undefined

Gains = Mapping[str, float] | Sequence[float] | None


@dataclass(frozen=True)
class Relevance:
    """Gains of the observed rows, their groups, and how many places count."""

    gain: np.ndarray
    codes: np.ndarray
    k: int | None

    @cached_property
    def best(self) -> Ranking:
        """The best order of each group; groups come in the order of any ranking."""
        return Ranking.of(self.gain, self.codes)

    @cached_property
    def clicks(self) -> np.ndarray:
        """Positive rows of each group."""
        return self.best.totals((self.gain > 0).astype(np.float64))

    @cached_property
    def places(self) -> int:
        longest = int(self.best.group_sizes.max())
        return longest if self.k is None else min(self.k, longest)

    @cached_property
    def discount(self) -> np.ndarray:
        return 1.0 / np.log2(np.arange(2, 2 + self.places))

    @cached_property
    def best_gained(self) -> np.ndarray:
        return self.best.gained(self.gain, self.discount)

    @cached_property
    def total(self) -> np.ndarray:
        return self.best.totals(self.gain)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Zero where the whole is: such a group has no positive row and is left out."""
    return part / np.where(whole > 0, whole, 1.0)


def _ndcg(ranking: Ranking, rows: Relevance) -> np.ndarray:
    return _ratio(ranking.gained(rows.gain, rows.discount), rows.best_gained)


def _precision(ranking: Ranking, rows: Relevance) -> np.ndarray:
    size = ranking.group_sizes if rows.k is None else np.asarray(rows.k)
    return ranking.gained(rows.gain, np.ones(rows.places)) / size


def _recall(ranking: Ranking, rows: Relevance) -> np.ndarray:
    return _ratio(ranking.gained(rows.gain, np.ones(rows.places)), rows.total)


def _hit_rate(ranking: Ranking, rows: Relevance) -> np.ndarray:
    return ranking.hit(rows.gain > 0, rows.places)


def _mrr(ranking: Ranking, rows: Relevance) -> np.ndarray:
    return ranking.reciprocal_rank(rows.gain > 0, rows.places)


# The value of each group that has a positive row.
GROUP_METRICS: dict[str, Callable[[Ranking, Relevance], np.ndarray]] = {
    "ndcg": _ndcg,
    "precision_at_k": _precision,
    "recall_at_k": _recall,
    "hit_rate_at_k": _hit_rate,
    "mrr_at_k": _mrr,
}


def check_gains(gains: Any, labels: Labels) -> np.ndarray | None:
    """Gains ``(n_tasks,)`` in the order of the tasks."""
    if gains is None:
        return None
    if isinstance(gains, Mapping):
        for name in gains:
            labels.index(name)
        values = np.array([float(gains.get(name, 0.0)) for name in labels.names])
    else:
        values = np.asarray(gains, dtype=np.float64)
    if values.shape != (labels.n_tasks,):
        raise ValueError(
            f"gains must give one number for each task {labels.names}; got shape "
            f"{values.shape}."
        )
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise ValueError(
            "gains must be finite, not negative and not all zero; got "
            f"{dict(zip(labels.names, values.tolist(), strict=True))}."
        )
    return values


def prepare_top_k(
    metric: str,
    labels: Labels,
    groups: Any,
    *,
    k: int | None = None,
    gains: Gains = None,
    weights: str = "equal",
) -> Callable[[Any], tuple[np.ndarray, Coverage]]:
    """A function from scores to values ``(n_tasks,)``, ``(1,)`` with gains; coverage.

    What depends on the labels alone, such as the best order, is found once.
    """
    if k is not None:
        check_count(k, "k", 1)
    check_group_weights(weights)
    gain = check_gains(gains, labels)
    codes = check_groups(groups, len(labels))
    if gain is None:
        names = labels.names
        relevance = [(labels.positive[t], labels.rows(t)) for t in range(len(names))]
    else:
        names = ["+".join(labels.names)]
        relevance = [(gain @ labels.positive, labels.all_observed(gain > 0))]
    parts = [
        (rows, Relevance(values[rows].astype(np.float64), codes[rows], k))
        for values, rows in relevance
    ]

    def values(score: Any) -> tuple[np.ndarray, Coverage]:
        score = check_scores(score, labels)
        if gain is not None and score.ndim == 2:
            score = score @ gain
        results = [
            _mean(metric, part, column_of(score, task)[rows], weights)
            for task, (rows, part) in enumerate(parts)
        ]
        mean = np.concatenate([value for value, _ in results])
        covered, rows_covered = zip(*(share for _, share in results), strict=True)
        warn_undefined(metric, mean, names, "no group has a positive label")
        return mean, Coverage(np.concatenate(covered), np.concatenate(rows_covered))

    return values


def _mean(
    metric: str, rows: Relevance, score: np.ndarray, weights: str
) -> tuple[np.ndarray, Coverage]:
    if not len(score):
        return np.full(1, np.nan), Coverage(np.zeros(1), np.zeros(1))
    ranking = Ranking.of(score, rows.codes)
    values = np.where(rows.clicks > 0, GROUP_METRICS[metric](ranking, rows), np.nan)
    return group_mean(
        values[:, None], ranking.group_sizes[:, None], rows.clicks[:, None], weights
    )
