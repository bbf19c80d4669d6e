"""Pairs of weighted rows: a pair counts with the product of its weights."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmtl.metrics._keys import grouped_order
from skmtl.metrics._labels import Labels
from skmtl.metrics._pair_counts import Counter, PairCounts


def prepare_weighted(
    labels: Labels, codes: np.ndarray | None, weight: np.ndarray
) -> Counter:
    tasks = range(labels.n_tasks)
    classes = [(labels.positive[task], labels.negative(task)) for task in tasks]

    def count(score: np.ndarray) -> PairCounts:
        order = grouped_order(score, codes)[::-1]
        runs = Runs.of_sorted(score[order], None if codes is None else codes[order])
        ordered = weight[order]
        parts = [
            runs.count(ordered * positive[order], ordered * negative[order])
            for positive, negative in classes
        ]
        return PairCounts(*(np.stack(p, axis=1) for p in zip(*parts, strict=True)))

    return count


@dataclass(frozen=True)
class Runs:
    """Runs of equal scores within groups, in rows sorted by group and rising score."""

    first_row: np.ndarray  # of each run
    first_run: np.ndarray  # of each group

    @classmethod
    def of_sorted(cls, score: np.ndarray, codes: np.ndarray | None) -> "Runs":
        new = np.ones(len(score), dtype=bool)
        new[1:] = score[1:] != score[:-1]
        if codes is None:
            first_row = np.flatnonzero(new)
            first_run = np.zeros(1, dtype=np.int64)
        else:
            new[1:] |= codes[1:] != codes[:-1]
            first_row = np.flatnonzero(new)
            run_codes = codes[first_row]
            starts = np.flatnonzero(run_codes[1:] != run_codes[:-1]) + 1
            first_run = np.append(0, starts)
        return cls(first_row, first_run)

    @cached_property
    def place(self) -> np.ndarray:
        """Place of each run in its group, from 0."""
        sizes = np.diff(np.append(self.first_run, len(self.first_row)))
        first = np.repeat(self.first_run.astype(np.int32), sizes)
        return np.arange(len(self.first_row), dtype=np.int32) - first

    def count(
        self, positive: np.ndarray, negative: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights of both classes and twice the weighted pairs won, by group."""
        gained = np.add.reduceat(positive, self.first_row)
        met = np.add.reduceat(negative, self.first_row)
        won = self._cumulative(met)
        won *= 2
        won -= met
        won *= gained
        return (
            np.add.reduceat(gained, self.first_run),
            np.add.reduceat(met, self.first_run),
            np.add.reduceat(won, self.first_run),
        )

    def _cumulative(self, values: np.ndarray) -> np.ndarray:
        """Cumulative sum within groups.

        By doubling steps, so that a small group does not suffer from the rounding of
        the sum over all groups before it.
        """
        if len(self.first_run) == 1:
            return np.cumsum(values)
        total, step, longest = values.copy(), 1, int(self.place.max())
        while step <= longest:
            total[step:] += np.where(self.place[step:] >= step, total[:-step], 0.0)
            step *= 2
        return total
