"""Pairs counted for every task and group.

What depends on the labels alone is prepared once, so that many scores can be judged on
the same labels.
"""

from functools import cache

import numpy as np

from skmtl.metrics._labels import Labels
from skmtl.metrics._packed_pairs import prepare_packed
from skmtl.metrics._pair_counts import Counter, PairCounts
from skmtl.metrics._weighted_pairs import prepare_weighted


def prepare_pair_counts(
    labels: Labels, codes: np.ndarray | None = None, weight: np.ndarray | None = None
) -> Counter:
    """A function from scores to the counts of all tasks.

    One score ``(n_samples,)`` is sorted once for all tasks; of a table
    ``(n_samples, n_tasks)`` each column is sorted for its task.
    """

    @cache
    def for_all() -> Counter:
        return _prepare(labels, codes, weight)

    @cache
    def for_each() -> list[Counter]:
        return [_prepare(labels.select([n]), codes, weight) for n in labels.names]

    def count(score: np.ndarray) -> PairCounts:
        if score.ndim == 1:
            return for_all()(score)
        parts = [one(column) for one, column in zip(for_each(), score.T, strict=True)]
        return PairCounts(
            np.concatenate([p.positives for p in parts], axis=1),
            np.concatenate([p.negatives for p in parts], axis=1),
            np.concatenate([p.twice_won for p in parts], axis=1),
        )

    return count


def _prepare(
    labels: Labels, codes: np.ndarray | None, weight: np.ndarray | None
) -> Counter:
    if weight is None:
        return prepare_packed(labels, codes)
    return prepare_weighted(labels, codes, weight)
