"""The rank metrics: their formula in a group, and their mean over groups."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from skmtl.metrics._group_mean import Coverage, check_group_weights, group_mean
from skmtl.metrics._ranking import Ranking
from skmtl.metrics._validation import (
    Labels,
    check_groups,
    check_scores,
    column_of,
)
from skmtl.metrics._warnings import warn_undefined

Gains = Mapping[str, float] | Sequence[float] | None
# (ranking, relevance, codes, k) -> value of each group that has a positive row
GroupMetric = Callable[[Ranking, np.ndarray, np.ndarray, int | None], np.ndarray]


def _discount(ranking: Ranking, k: int | None) -> np.ndarray:
    longest = int(ranking.group_sizes.max())
    return 1.0 / np.log2(np.arange(2, 2 + (longest if k is None else min(k, longest))))


def _ndcg(
    ranking: Ranking, relevance: np.ndarray, codes: np.ndarray, k: int | None
) -> np.ndarray:
    discount = _discount(ranking, k)
    ideal = Ranking.of(relevance, codes).gained(relevance, discount)
    return ranking.gained(relevance, discount) / np.where(ideal > 0, ideal, 1.0)


def _places(ranking: Ranking, k: int | None) -> int:
    return int(ranking.group_sizes.max()) if k is None else k


def _precision(
    ranking: Ranking, relevance: np.ndarray, codes: np.ndarray, k: int | None
) -> np.ndarray:
    size: Any = ranking.group_sizes if k is None else k
    top = np.ones(min(_places(ranking, k), int(ranking.group_sizes.max())))
    return ranking.gained(relevance, top) / size


def _recall(
    ranking: Ranking, relevance: np.ndarray, codes: np.ndarray, k: int | None
) -> np.ndarray:
    total = ranking.totals(relevance)
    top = np.ones(min(_places(ranking, k), int(ranking.group_sizes.max())))
    return ranking.gained(relevance, top) / np.where(total > 0, total, 1.0)


def _hit_rate(
    ranking: Ranking, relevance: np.ndarray, codes: np.ndarray, k: int | None
) -> np.ndarray:
    return ranking.hit(relevance > 0, _places(ranking, k))


def _mrr(
    ranking: Ranking, relevance: np.ndarray, codes: np.ndarray, k: int | None
) -> np.ndarray:
    return ranking.reciprocal_rank(relevance > 0, _places(ranking, k))


GROUP_METRICS: dict[str, GroupMetric] = {
    "ndcg": _ndcg,
    "precision_at_k": _precision,
    "recall_at_k": _recall,
    "hit_rate_at_k": _hit_rate,
    "mrr_at_k": _mrr,
}


def check_k(k: Any) -> None:
    if k is not None and (isinstance(k, bool) or int(k) != k or k < 1):
        raise ValueError(f"k must be a whole number of at least 1, or None; got {k!r}.")


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


def task_top_k(
    metric: str,
    labels: Labels,
    score: Any,
    groups: Any,
    *,
    k: int | None = None,
    gains: Gains = None,
    weights: str = "equal",
) -> tuple[np.ndarray, Coverage]:
    """Values ``(n_tasks,)``, or ``(1,)`` with gains, and coverage."""
    check_k(k)
    check_group_weights(weights)
    gain = check_gains(gains, labels)
    codes = check_groups(groups, len(labels))
    score = check_scores(score, labels)
    if gain is None:
        names = labels.names
        parts = [
            (labels.positive[t], labels.rows(t), column_of(score, t))
            for t in range(labels.n_tasks)
        ]
    else:
        names = ["+".join(labels.names)]
        fused = score if score.ndim == 1 else score @ gain
        parts = [(gain @ labels.positive, labels.all_observed(gain > 0), fused)]
    results = [
        _mean(metric, relevance[rows], codes[rows], column[rows], k, weights)
        for relevance, rows, column in parts
    ]
    mean = np.concatenate([value for value, _ in results])
    covered, rows_covered = zip(*(share for _, share in results), strict=True)
    warn_undefined(metric, mean, names, "no group has a positive label")
    return mean, Coverage(np.concatenate(covered), np.concatenate(rows_covered))


def _mean(
    metric: str,
    relevance: np.ndarray,
    codes: np.ndarray,
    score: np.ndarray,
    k: int | None,
    weights: str,
) -> tuple[np.ndarray, Coverage]:
    if not len(relevance):
        return np.full(1, np.nan), Coverage(np.zeros(1), np.zeros(1))
    relevance = relevance.astype(np.float64)
    ranking = Ranking.of(score, codes)
    clicks = ranking.totals((relevance > 0).astype(np.float64))
    values = GROUP_METRICS[metric](ranking, relevance, codes, k)
    values = np.where(clicks > 0, values, np.nan)
    return group_mean(
        values[:, None], ranking.group_sizes[:, None], clicks[:, None], weights
    )
