"""Pairs won, counted in one sort of integers that hold group, score and labels.

With the rows sorted, a positive row wins against the negative rows before its run of
equal scores and ties with those in it. All counts are whole numbers, and exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skmtl.metrics._keys import dense_ranks, order_keys, word_type
from skmtl.metrics._labels import Labels
from skmtl.metrics._pair_counts import Counter, PairCounts
from skmtl.metrics._tables import CHUNK, chunks

_PLACES = np.arange(CHUNK + 1, dtype=np.int32)
Runs = tuple[np.ndarray, np.ndarray]
Counts = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Layout:
    """Where the parts lie in a word, from high to low bits: group, score, labels."""

    n_tasks: int
    complete: bool  # no label is missing
    group_bits: int

    @property
    def width(self) -> int:
        """Bits of a task: positive and, if labels are missing, negative."""
        return 1 if self.complete else 2

    @property
    def low(self) -> int:
        return self.n_tasks * self.width


def prepare_packed(labels: Labels, codes: np.ndarray | None) -> Counter:
    """Counts of rows of equal weight, of all tasks of one score."""
    rank_bits = (len(labels) - 1).bit_length()
    group_bits = 0
    if codes is not None:
        if int(codes.max()).bit_length() + rank_bits + 8 > 64:
            codes = dense_ranks(codes)
        group_bits = int(codes.max()).bit_length()
    complete = labels.observed is None
    # A byte of label bits goes along with one sort; further tasks take another.
    batch = min(8, 64 - group_bits - rank_bits) // (1 if complete else 2)
    batches = []
    for first in range(0, labels.n_tasks, batch):
        tasks = range(first, min(first + batch, labels.n_tasks))
        layout = Layout(len(tasks), complete, group_bits)
        batches.append((layout, _label_bits(labels, tasks)))

    def count(score: np.ndarray) -> PairCounts:
        parts = [_count(score, codes, bits, layout) for layout, bits in batches]
        return PairCounts(*np.concatenate(parts, axis=2))

    return count


def _label_bits(labels: Labels, tasks: range) -> np.ndarray:
    bits = np.zeros(len(labels), dtype=np.uint8)
    place = 0
    for task in tasks:
        bits |= labels.positive[task].view(np.uint8) << np.uint8(place)
        place += 1
        if labels.observed is not None:
            bits |= labels.negative(task).view(np.uint8) << np.uint8(place)
            place += 1
    return bits


def _count(
    score: np.ndarray,
    codes: np.ndarray | None,
    label_bits: np.ndarray,
    layout: Layout,
) -> np.ndarray:
    """Positives, negatives and twice the pairs won: ``(3, n_groups, n_tasks)``."""
    keys = order_keys(score, 64 - layout.group_bits - layout.low)
    high = keys.bits + layout.low
    dtype = word_type(layout.group_bits + high)
    words: np.ndarray = np.empty(len(score), dtype=dtype)
    for rows in chunks(len(score)):
        part = words[rows]
        keys.write(rows, part)
        part <<= dtype(layout.low)
        part |= label_bits[rows]
        if codes is not None:
            part |= codes[rows].astype(dtype) << dtype(high)
    words.sort()
    if codes is None:
        return _count_one_group(words, layout)
    return _count_groups(words, layout, high)


def _count_groups(words: np.ndarray, layout: Layout, high: int) -> np.ndarray:
    parts = []
    for part in _aligned_chunks(words, high):
        groups = part >> part.dtype.type(high)
        if groups[0] == groups[-1]:  # may be far longer than a chunk
            parts.append(_count_one_group(part, layout))
        else:
            bounds = np.flatnonzero(groups[1:] != groups[:-1]) + 1
            parts.append(_count_part(part, layout, np.r_[0, bounds, len(part)]))
    return np.concatenate(parts, axis=1)


def _count_one_group(words: np.ndarray, layout: Layout) -> np.ndarray:
    total = np.zeros((3, 1, layout.n_tasks), dtype=np.int64)
    for part in _aligned_chunks(words, layout.low):
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


def _count_part(part: np.ndarray, layout: Layout, bounds: np.ndarray) -> np.ndarray:
    """Counts of the groups between the bounds: ``(3, n_groups, n_tasks)``."""
    label_bits = part.astype(np.uint8)
    keys = part >> part.dtype.type(layout.low)
    # Rows of one score may be far more than a chunk: no arrays of 8 bytes a row.
    runs = None if keys[0] == keys[-1] else _runs(keys)
    counts = np.empty((3, len(bounds) - 1, layout.n_tasks), dtype=np.int64)
    for task in range(layout.n_tasks):
        positive, negative = _flags(label_bits, task, layout)
        if runs is None:
            m, n = np.count_nonzero(positive), np.count_nonzero(negative)
            counts[:, 0, task] = m, n, m * n
        elif layout.complete:
            counts[:, :, task] = _count_complete(positive, runs, bounds)
        else:
            counts[:, :, task] = _count_observed(positive, negative, runs, bounds)
    return counts


def _count_complete(positive: np.ndarray, runs: Runs, bounds: np.ndarray) -> Counts:
    rows = np.flatnonzero(positive)
    cuts = rows.searchsorted(bounds)
    m = np.diff(cuts)
    start, end = runs
    # All rows of the group up to a positive one stand for the negative ones. The m
    # positive rows among them are m² too many, whatever their order and ties.
    met = _sums(start[rows] + end[rows], cuts) - 2 * bounds[:-1] * m
    return m, np.diff(bounds) - m, met - m**2


def _count_observed(
    positive: np.ndarray, negative: np.ndarray, runs: Runs, bounds: np.ndarray
) -> Counts:
    rows = np.flatnonzero(positive)
    cuts = rows.searchsorted(bounds)
    m = np.diff(cuts)
    before = np.append(0, np.cumsum(negative))
    start, end = runs
    met = _sums(before[start[rows]] + before[end[rows]], cuts)
    return m, np.diff(before[bounds]), met - 2 * before[bounds[:-1]] * m


def _sums(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Sums between the cuts, which may lie together."""
    sums: np.ndarray = np.diff(np.append(0, np.cumsum(values))[cuts])
    return sums


def _flags(
    label_bits: np.ndarray, task: int, layout: Layout
) -> tuple[np.ndarray, np.ndarray]:
    """Positive and negative rows of a task."""
    place = task * layout.width
    positive = (label_bits & np.uint8(1 << place)) != 0
    if layout.complete:
        return positive, ~positive
    return positive, (label_bits & np.uint8(2 << place)) != 0


def _runs(keys: np.ndarray) -> Runs:
    """First row of each row's run of equal keys, and the row after its last."""
    start, end = _PLACES[: len(keys)], _PLACES[1 : len(keys) + 1]
    equal = np.zeros(len(keys) + 1, dtype=bool)
    np.equal(keys[1:], keys[:-1], out=equal[1:-1])
    if equal.any():
        tied = np.flatnonzero(equal[1:] | equal[:-1])
        first = np.flatnonzero(~equal[tied])
        sizes = np.diff(np.append(first, len(tied)))
        start, end = start.copy(), end.copy()
        start[tied] = np.repeat(tied[first], sizes)
        end[tied] = start[tied] + np.repeat(sizes, sizes)
    return start, end
