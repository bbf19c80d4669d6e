"""Pairs won, counted in sorted integers that hold group, score and labels.

A positive row wins against the negative rows before its run of equal scores and ties
with those in it. All counts are whole numbers, and exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skmtl.metrics._tables import CHUNK

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


def count_groups(words: np.ndarray, layout: Layout, high: int) -> np.ndarray:
    parts = []
    for part in _aligned_chunks(words, high):
        groups = part >> part.dtype.type(high)
        if groups[0] == groups[-1]:  # may be far longer than a chunk
            parts.append(count_one_group(part, layout))
        else:
            bounds = np.flatnonzero(groups[1:] != groups[:-1]) + 1
            parts.append(_count_part(part, layout, np.r_[0, bounds, len(part)]))
    return np.concatenate(parts, axis=1)


def count_one_group(words: np.ndarray, layout: Layout) -> np.ndarray:
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
