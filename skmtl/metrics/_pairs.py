"""The area under the ROC curve of every task and group, by counting pairs.

The area is ``(pairs won + pairs tied / 2) / (positives × negatives)`` over the pairs
of a positive and a negative row of a group. What depends on the labels alone is
prepared once, so that many scores can be judged on the same labels.

Rows of equal weight are packed into integers that hold group, score and labels, and
numpy sorts these with vector instructions. In the sorted rows a positive one wins
against the negative rows before its run of equal scores and ties with those in it. All
counts are whole numbers, and exact. With sample weights the rows are sorted by a
permutation, and the counts are sums of floats.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from skmtl.metrics._labels import Labels
from skmtl.metrics._order_keys import (
    CHUNK,
    chunks,
    dense_ranks,
    grouped_order,
    order_keys,
    word_type,
)


class Areas(NamedTuple):
    """Areas of all groups and tasks, each array ``(n_groups, n_tasks)``.

    Attributes
    ----------
    positives, negatives : ndarray
        Rows of each class, or the sum of their weights.
    auc : ndarray
        The area; NaN where a class is missing.
    """

    positives: np.ndarray
    negatives: np.ndarray
    auc: np.ndarray


AreasOfScore = Callable[[np.ndarray], Areas]


def prepare_areas(
    labels: Labels, codes: np.ndarray | None = None, weight: np.ndarray | None = None
) -> AreasOfScore:
    """Return a function from scores to the areas of all tasks.

    One score ``(n_samples,)`` is sorted once for all tasks; of a table
    ``(n_samples, n_tasks)`` each column is sorted for its task.
    """

    @cache
    def for_all() -> AreasOfScore:
        return _prepare(labels, codes, weight)

    @cache
    def for_each() -> list[AreasOfScore]:
        return [_prepare(labels.select([n]), codes, weight) for n in labels.names]

    def areas(score: np.ndarray) -> Areas:
        if score.ndim == 1:
            return for_all()(score)
        parts = [one(column) for one, column in zip(for_each(), score.T, strict=True)]
        return Areas(*(np.concatenate(p, axis=1) for p in zip(*parts, strict=True)))

    return areas


def _prepare(
    labels: Labels, codes: np.ndarray | None, weight: np.ndarray | None
) -> AreasOfScore:
    if weight is None:
        return _prepare_counted(labels, codes)
    return _prepare_weighted(labels, codes, weight)


# Rows of equal weight: whole numbers of pairs in sorted integers.


@dataclass(frozen=True)
class WordLayout:
    """Where the parts lie in a word, from high to low bits: group, score, labels."""

    n_tasks: int
    complete: bool  # no label is missing
    group_bits: int

    @property
    def bits_per_task(self) -> int:
        """One for positive and, if labels are missing, one for negative."""
        return 1 if self.complete else 2

    @property
    def label_bits(self) -> int:
        return self.n_tasks * self.bits_per_task


def _prepare_counted(labels: Labels, codes: np.ndarray | None) -> AreasOfScore:
    rank_bits = (len(labels) - 1).bit_length()
    group_bits = 0
    if codes is not None:
        if int(codes.max()).bit_length() + rank_bits + 8 > 64:
            codes = dense_ranks(codes)
        group_bits = int(codes.max()).bit_length()
    complete = labels.observed is None
    # One sort carries a byte of label bits; further tasks take another sort.
    n_tasks = min(8, 64 - group_bits - rank_bits) // (1 if complete else 2)
    sorts = []
    for first in range(0, labels.n_tasks, n_tasks):
        tasks = range(first, min(first + n_tasks, labels.n_tasks))
        layout = WordLayout(len(tasks), complete, group_bits)
        sorts.append((layout, _label_bytes(labels, tasks)))

    def areas(score: np.ndarray) -> Areas:
        parts = [_counts(score, codes, of_rows, layout) for layout, of_rows in sorts]
        positives, negatives, twice_won = np.concatenate(parts, axis=2)
        pairs = positives * negatives
        auc = np.full(pairs.shape, np.nan)
        np.divide(twice_won, 2.0 * pairs, out=auc, where=pairs > 0)
        return Areas(positives, negatives, auc)

    return areas


def _label_bytes(labels: Labels, tasks: range) -> np.ndarray:
    """The label bits of each row, lowest bit first."""
    of_rows = np.zeros(len(labels), dtype=np.uint8)
    bit = 0
    for task in tasks:
        of_rows |= labels.positive[task].view(np.uint8) << np.uint8(bit)
        bit += 1
        if labels.observed is not None:
            of_rows |= labels.negative(task).view(np.uint8) << np.uint8(bit)
            bit += 1
    return of_rows


def _counts(
    score: np.ndarray,
    codes: np.ndarray | None,
    label_bytes: np.ndarray,
    layout: WordLayout,
) -> np.ndarray:
    """Positives, negatives and twice the pairs won: ``(3, n_groups, n_tasks)``."""
    keys = order_keys(score, 64 - layout.group_bits - layout.label_bits)
    group_shift = keys.bits + layout.label_bits
    dtype = word_type(layout.group_bits + group_shift)
    words: np.ndarray = np.empty(len(score), dtype=dtype)
    for rows in chunks(len(score)):
        part = words[rows]
        keys.write(rows, part)
        part <<= dtype(layout.label_bits)
        part |= label_bytes[rows]
        if codes is not None:
            part |= codes[rows].astype(dtype) << dtype(group_shift)
    words.sort()
    if codes is None:
        return _count_one_group(words, layout)
    return _count_groups(words, layout, group_shift)


def _count_groups(
    words: np.ndarray, layout: WordLayout, group_shift: int
) -> np.ndarray:
    parts = []
    for part in _aligned_chunks(words, group_shift):
        groups = part >> part.dtype.type(group_shift)
        if groups[0] == groups[-1]:  # may be far longer than a chunk
            parts.append(_count_one_group(part, layout))
        else:
            bounds = np.flatnonzero(groups[1:] != groups[:-1]) + 1
            parts.append(_count_part(part, layout, np.r_[0, bounds, len(part)]))
    return np.concatenate(parts, axis=1)


def _count_one_group(words: np.ndarray, layout: WordLayout) -> np.ndarray:
    total = np.zeros((3, 1, layout.n_tasks), dtype=np.int64)
    for part in _aligned_chunks(words, layout.label_bits):
        counts = _count_part(part, layout, np.array([0, len(part)]))
        counts[2] += 2 * total[1] * counts[0]
        total += counts
    return total


def _aligned_chunks(words: np.ndarray, shift: int) -> Iterator[np.ndarray]:
    """Stretches of the sorted words that never cut rows equal above ``shift`` bits.

    No longer than a chunk, except for rows that are all equal.
    """
    start, n = 0, len(words)
    word = words.dtype.type
    while start < n:
        end = min(start + CHUNK, n)
        last = int(words[end - 1]) >> shift
        if end < n and int(words[end]) >> shift == last:
            end = start + int(words[start:end].searchsorted(word(last << shift)))
            if end == start:
                greatest = word(last << shift | ((1 << shift) - 1))
                end += int(words[start:].searchsorted(greatest, "right"))
        yield words[start:end]
        start = end


class RunsOfRows(NamedTuple):
    """The run of equal scores that each row is in."""

    start: np.ndarray  # first row of the run
    end: np.ndarray  # row after its last


def _count_part(part: np.ndarray, layout: WordLayout, bounds: np.ndarray) -> np.ndarray:
    """Counts of the groups between the bounds: ``(3, n_groups, n_tasks)``."""
    label_bytes = part.astype(np.uint8)
    keys = part >> part.dtype.type(layout.label_bits)
    # Rows of one score may be far more than a chunk: no arrays of 8 bytes a row.
    runs = None if keys[0] == keys[-1] else _runs_of_rows(keys)
    counts = np.empty((3, len(bounds) - 1, layout.n_tasks), dtype=np.int64)
    for task in range(layout.n_tasks):
        positive, negative = _classes(label_bytes, task, layout)
        if runs is None:
            m, n = np.count_nonzero(positive), np.count_nonzero(negative)
            counts[:, 0, task] = m, n, m * n
        elif layout.complete:
            counts[:, :, task] = _count_complete(positive, runs, bounds)
        else:
            counts[:, :, task] = _count_observed(positive, negative, runs, bounds)
    return counts


def _count_complete(
    positive: np.ndarray, runs: RunsOfRows, bounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.flatnonzero(positive)
    cuts = rows.searchsorted(bounds)
    m = np.diff(cuts)
    # All rows of the group up to a positive one stand for the negative ones. The m
    # positive rows among them are m² too many, whatever their order and ties.
    met = _sums(runs.start[rows] + runs.end[rows], cuts) - 2 * bounds[:-1] * m
    return m, np.diff(bounds) - m, met - m**2


def _count_observed(
    positive: np.ndarray, negative: np.ndarray, runs: RunsOfRows, bounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.flatnonzero(positive)
    cuts = rows.searchsorted(bounds)
    m = np.diff(cuts)
    before = np.append(0, np.cumsum(negative))
    met = _sums(before[runs.start[rows]] + before[runs.end[rows]], cuts)
    return m, np.diff(before[bounds]), met - 2 * before[bounds[:-1]] * m


def _sums(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Sums between the cuts; two cuts may be equal."""
    sums: np.ndarray = np.diff(np.append(0, np.cumsum(values))[cuts])
    return sums


def _classes(
    label_bytes: np.ndarray, task: int, layout: WordLayout
) -> tuple[np.ndarray, np.ndarray]:
    """Positive and negative rows of a task."""
    bit = task * layout.bits_per_task
    positive = (label_bytes & np.uint8(1 << bit)) != 0
    if layout.complete:
        return positive, ~positive
    return positive, (label_bytes & np.uint8(2 << bit)) != 0


_COUNTING = np.arange(CHUNK + 1, dtype=np.int32)


def _runs_of_rows(keys: np.ndarray) -> RunsOfRows:
    start, end = _COUNTING[: len(keys)], _COUNTING[1 : len(keys) + 1]
    equal = np.zeros(len(keys) + 1, dtype=bool)
    np.equal(keys[1:], keys[:-1], out=equal[1:-1])
    if equal.any():
        tied = np.flatnonzero(equal[1:] | equal[:-1])
        first = np.flatnonzero(~equal[tied])
        sizes = np.diff(np.append(first, len(tied)))
        start, end = start.copy(), end.copy()
        start[tied] = np.repeat(tied[first], sizes)
        end[tied] = start[tied] + np.repeat(sizes, sizes)
    return RunsOfRows(start, end)


# Weighted rows: a pair counts with the product of its weights.


def _prepare_weighted(
    labels: Labels, codes: np.ndarray | None, weight: np.ndarray
) -> AreasOfScore:
    tasks = range(labels.n_tasks)
    classes = [(labels.positive[task], labels.negative(task)) for task in tasks]

    def areas(score: np.ndarray) -> Areas:
        order = grouped_order(score, codes)[::-1]
        runs = Runs.of_sorted(score[order], None if codes is None else codes[order])
        ordered = weight[order]
        parts = [
            runs.areas(ordered * positive[order], ordered * negative[order])
            for positive, negative in classes
        ]
        return Areas(*(np.stack(p, axis=1) for p in zip(*parts, strict=True)))

    return areas


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
    def runs_in_group(self) -> np.ndarray:
        """Number of runs of each group."""
        return np.diff(np.append(self.first_run, len(self.first_row)))

    @cached_property
    def place_in_group(self) -> np.ndarray:
        """Place of each run in its group, from 0."""
        first = np.repeat(self.first_run.astype(np.int32), self.runs_in_group)
        return np.arange(len(self.first_row), dtype=np.int32) - first

    def areas(
        self, positive: np.ndarray, negative: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weight of both classes, and the area, of each group.

        Each class is divided by its weight in the group before pairs are multiplied,
        so that weights of any size neither overflow nor vanish.
        """
        gained = np.add.reduceat(positive, self.first_row)
        met = np.add.reduceat(negative, self.first_row)
        positives = np.add.reduceat(gained, self.first_run)
        negatives = np.add.reduceat(met, self.first_run)
        self._divide(gained, positives)
        self._divide(met, negatives)
        won = self._cumulative(met)
        won *= 2
        won -= met
        won *= gained
        auc = np.add.reduceat(won, self.first_run) / 2
        auc[(positives == 0) | (negatives == 0)] = np.nan
        return positives, negatives, auc

    def _divide(self, of_runs: np.ndarray, of_groups: np.ndarray) -> None:
        whole = np.where(of_groups > 0, of_groups, 1.0)
        if len(whole) > 1:
            whole = np.repeat(whole, self.runs_in_group)
        of_runs /= whole

    def _cumulative(self, values: np.ndarray) -> np.ndarray:
        """Cumulative sum within groups.

        By doubling steps, so that a small group does not suffer from the rounding of
        the sum over all groups before it.
        """
        if len(self.first_run) == 1:
            return np.cumsum(values)
        place = self.place_in_group
        total, step, longest = values.copy(), 1, int(place.max())
        while step <= longest:
            total[step:] += np.where(place[step:] >= step, total[:-step], 0.0)
            step *= 2
        return total
