"""Rows ranked within groups, and what the first k places hold.

Rows of equal score share their places: every value is its expectation over all orders
of the tied rows, so that it never depends on the order of the rows in the table.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln

from skmtl.metrics._roc_auc import grouped_order


@dataclass(frozen=True)
class Ranking:
    """Rows sorted by group and falling score, with their runs of equal score."""

    order: np.ndarray  # permutation of the rows
    first_row: np.ndarray  # of each run, in the sorted rows
    first_run: np.ndarray  # of each group

    @classmethod
    def of(cls, score: np.ndarray, codes: np.ndarray) -> "Ranking":
        order = grouped_order(score, codes)
        score, codes = score[order], codes[order]
        new_group = np.ones(len(score), dtype=bool)
        new_group[1:] = codes[1:] != codes[:-1]
        new_run = new_group.copy()
        new_run[1:] |= score[1:] != score[:-1]
        first_row = np.flatnonzero(new_run)
        return cls(order, first_row, np.flatnonzero(new_group[first_row]))

    @cached_property
    def run_sizes(self) -> np.ndarray:
        return np.diff(np.append(self.first_row, len(self.order)))

    @cached_property
    def group_sizes(self) -> np.ndarray:
        return np.add.reduceat(self.run_sizes, self.first_run)

    @cached_property
    def runs_of_groups(self) -> np.ndarray:
        """Number of runs of each group."""
        return np.diff(np.append(self.first_run, len(self.first_row)))

    @cached_property
    def start(self) -> np.ndarray:
        """Place of a run's first row in its group, from 0."""
        return self.first_row - np.repeat(
            self.first_row[self.first_run], self.runs_of_groups
        )

    @cached_property
    def place(self) -> np.ndarray:
        """Place of each sorted row in its group, from 0."""
        first = np.repeat(self.first_row[self.first_run], self.group_sizes)
        return np.arange(len(self.order)) - first

    def run_sums(self, relevance: np.ndarray) -> np.ndarray:
        return np.add.reduceat(relevance[self.order], self.first_row)

    def group_sums(self, run_values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(run_values, self.first_run)

    def totals(self, relevance: np.ndarray) -> np.ndarray:
        """Sum of the relevance of each group."""
        return self.group_sums(self.run_sums(relevance))

    def gained(self, relevance: np.ndarray, discount: np.ndarray) -> np.ndarray:
        """Discounted relevance of each group; `discount` by place, 0 beyond it."""
        by_place = np.append(discount, 0.0)[np.minimum(self.place, len(discount))]
        # Each row of a run expects the mean discount of its places.
        by_run = np.add.reduceat(by_place, self.first_row)
        return self.group_sums(self.run_sums(relevance) * by_run / self.run_sizes)

    def hit(self, positive: np.ndarray, k: int) -> np.ndarray:
        """Chance of a positive row in the first k places, by group."""
        found = self.run_sums(positive.astype(np.float64))
        # How many of the first k places a run fills, with rows drawn at random.
        slots = np.clip(k - self.start, 0, self.run_sizes)
        missed = _all_missed(self.run_sizes, found, slots)
        return 1.0 - np.multiply.reduceat(missed, self.first_run)

    def reciprocal_rank(self, positive: np.ndarray, k: int) -> np.ndarray:
        """Mean of 1/place of the first positive row; 0 beyond place k."""
        found = self.run_sums(positive.astype(np.float64))
        so_far = np.cumsum(found) - found
        before = so_far - np.repeat(so_far[self.first_run], self.runs_of_groups)
        leading = np.flatnonzero((found > 0) & (before == 0))  # at most one a group
        values = np.zeros(len(self.first_row))
        sizes = self.run_sizes[leading]
        starts = np.append(0, np.cumsum(sizes))
        inside = np.arange(starts[-1]) - np.repeat(starts[:-1], sizes)
        size, hits = np.repeat(sizes, sizes), np.repeat(found[leading], sizes)
        place = np.repeat(self.start[leading], sizes) + inside + 1
        chance = _all_missed(size, hits, inside) - _all_missed(size, hits, inside + 1)
        value = np.where(place <= k, chance / place, 0.0)
        if len(leading):
            values[leading] = np.add.reduceat(value, starts[:-1])
        return self.group_sums(values)


def _all_missed(size: np.ndarray, hits: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Chance that `drawn` of `size` rows, without replacement, miss all `hits`."""
    misses = size - hits
    possible = drawn <= misses
    drawn_ok = np.where(possible, drawn, 0)
    few = hits == 1  # the common case, without rounding
    chance = np.where(few, 1.0 - drawn_ok / size, 1.0)
    many = possible & ~few & (drawn_ok > 0) & (hits > 0)
    m, s, d = misses[many], size[many], drawn_ok[many]
    chance[many] = np.exp(
        gammaln(m + 1) - gammaln(m - d + 1) - gammaln(s + 1) + gammaln(s - d + 1)
    )
    chance[hits == 0] = 1.0
    return np.where(possible, chance, 0.0)
