"""Counts behind the ROC AUC, exact, for all tasks of one score and for all groups.

The area is ``(pairs won + pairs tied / 2) / (positives × negatives)`` over the pairs
of a positive and a negative row. Sorted by score, with ``P`` and ``N`` the counts of
positives and negatives up to the end of each run of equal scores, twice the pairs won
plus the pairs tied is ``Σ (P_b − P_(b−1)) (N_b + N_(b−1))``: all whole numbers.

What depends on the labels alone is prepared once, so that many scores can be judged
on the same labels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from skmtl.metrics._keys import (
    chunks,
    dense_ranks,
    grouped_order,
    order_keys,
    word_type,
)
from skmtl.metrics._validation import CHUNK, Labels

# Below this share of rows, finding the rare class among the sorted scores is faster
# than sorting the labels along.
RARE = 0.03


@dataclass(frozen=True)
class PairCounts:
    """Positives, negatives and twice the pairs won, each ``(n_groups, n_tasks)``."""

    positives: np.ndarray
    negatives: np.ndarray
    twice_won: np.ndarray

    def auc(self) -> np.ndarray:
        """Area for each group and task; NaN where a class is missing."""
        pairs = self.positives * self.negatives
        area = np.full(pairs.shape, np.nan)
        np.divide(self.twice_won, 2.0 * pairs, out=area, where=pairs > 0)
        return area


Counter = Callable[[np.ndarray], PairCounts]


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
    if weight is not None:
        return _prepare_weighted(labels, codes, weight)
    if codes is None:
        rare = _rare_rows(labels)
        if rare is not None:
            return _prepare_rare(rare, labels)
    return _prepare_sorted(labels, codes)


# --- Labels beside the scores, one sort -------------------------------------------


def _prepare_sorted(labels: Labels, codes: np.ndarray | None) -> Counter:
    rank_bits = (len(labels) - 1).bit_length()
    group_bits = 0
    if codes is not None:
        if int(codes.max()).bit_length() + rank_bits + 8 > 64:
            codes = dense_ranks(codes)
        group_bits = int(codes.max()).bit_length()
    # Bits of a task: positive, observed; the second only if labels are missing.
    width = 1 if labels.observed is None else 2
    # A byte of label bits goes along with one sort; further tasks take another.
    batch = min(8, 64 - group_bits - rank_bits) // width
    batches = [
        _label_bits(labels, range(first, min(first + batch, labels.n_tasks)))
        for first in range(0, labels.n_tasks, batch)
    ]

    def count(score: np.ndarray) -> PairCounts:
        parts = []
        for first, label_bits in zip(
            range(0, labels.n_tasks, batch), batches, strict=True
        ):
            n_tasks = min(batch, labels.n_tasks - first)
            layout = _Layout(n_tasks, width, group_bits)
            parts.append(_count_sorted(score, codes, label_bits, layout))
        return PairCounts(*np.concatenate(parts, axis=2))

    return count


@dataclass(frozen=True)
class _Layout:
    """Where the parts lie in a word, from high to low bits: group, score, labels."""

    n_tasks: int
    width: int
    group_bits: int

    @property
    def low(self) -> int:
        return self.n_tasks * self.width


def _label_bits(labels: Labels, tasks: range) -> np.ndarray:
    bits = np.zeros(len(labels), dtype=np.uint8)
    place = 0
    for task in tasks:
        bits |= labels.positive[task].view(np.uint8) << np.uint8(place)
        place += 1
        if labels.observed is not None:
            bits |= labels.observed[task].view(np.uint8) << np.uint8(place)
            place += 1
    return bits


def _count_sorted(
    score: np.ndarray,
    codes: np.ndarray | None,
    label_bits: np.ndarray,
    layout: _Layout,
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
        return _count_whole(words, layout)
    return _count_groups(words, layout, high)


def _aligned_chunks(words: np.ndarray, shift: int) -> Iterator[np.ndarray]:
    """Stretches of the sorted words that never cut rows equal above ``shift`` bits.

    No longer than a chunk, except for rows that are all equal.
    """
    start, n = 0, len(words)
    while start < n:
        end = min(start + CHUNK, n)
        last = int(words[end - 1]) >> shift
        following = (last + 1) << shift
        if end < n and int(words[end]) < following:
            word = words.dtype.type
            end = start + int(words[start:end].searchsorted(word(last << shift)))
            if end == start:
                rest = words[start:]
                fits = following <= int(np.iinfo(words.dtype).max)
                end += int(rest.searchsorted(word(following))) if fits else len(rest)
        yield words[start:end]
        start = end


def _run_ends(keys: np.ndarray) -> np.ndarray:
    """Index of the last row of each run of equal keys."""
    return np.append(np.flatnonzero(keys[1:] != keys[:-1]), len(keys) - 1)


def _flags(label_bits: np.ndarray, task: int, width: int) -> tuple[np.ndarray, ...]:
    """Positive and, if labels are missing, negative rows of one task."""
    positive = (label_bits & np.uint8(1 << task * width)) != 0
    if width == 1:
        return (positive,)
    return positive, ((label_bits & np.uint8(2 << task * width)) != 0) & ~positive


def _cumulative(
    flags: tuple[np.ndarray, ...], ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives up to the end of each run."""
    positives = np.cumsum(flags[0], dtype=np.int64)[ends]
    if len(flags) == 1:
        return positives, ends + 1 - positives
    return positives, np.cumsum(flags[1], dtype=np.int64)[ends]


def _twice_won(flags: tuple[np.ndarray, ...], ends: np.ndarray) -> int:
    positives, negatives = _cumulative(flags, ends)
    gained = np.diff(positives, prepend=0)
    return int(gained @ negatives + gained[1:] @ negatives[:-1])


def _won_in_order(flags: tuple[np.ndarray, ...]) -> int:
    """Pairs won if rows of equal score are taken as ordered: no search for runs."""
    positive = np.flatnonzero(flags[0])
    if len(flags) == 1:
        m = len(positive)
        return int(positive.sum()) - m * (m - 1) // 2
    return int(np.cumsum(flags[1], dtype=np.int64)[positive].sum())


def _count_whole(words: np.ndarray, layout: _Layout) -> np.ndarray:
    total = np.zeros((3, 1, layout.n_tasks), dtype=np.int64)
    for part in _aligned_chunks(words, layout.low):
        for task, counts in enumerate(_count_part(part, layout)):
            positives, negatives, twice = counts
            before = total[1, 0, task]
            total[:, 0, task] += positives, negatives, twice + 2 * before * positives
    return total


def _count_part(part: np.ndarray, layout: _Layout) -> Iterator[tuple[int, int, int]]:
    """Positives, negatives and twice the pairs won of each task."""
    label_bits = part.astype(np.uint8)
    low = part.dtype.type(layout.low)
    one_run = part[0] >> low == part[-1] >> low  # may be far longer than a chunk
    if not one_run:
        keys = part >> low
        equal = np.zeros(len(part) + 1, dtype=bool)
        np.equal(keys[1:], keys[:-1], out=equal[1:-1])
        tied = np.flatnonzero(equal[1:] | equal[:-1])
        ends = _run_ends(keys[tied]) if len(tied) else tied
    for task in range(layout.n_tasks):
        flags = _flags(label_bits, task, layout.width)
        positives = int(np.count_nonzero(flags[0]))
        negatives = len(part) - positives
        if len(flags) == 2:
            negatives = int(np.count_nonzero(flags[1]))
        if one_run:
            yield positives, negatives, positives * negatives
            continue
        twice = 2 * _won_in_order(flags)
        if len(tied):  # put the rows in runs right, which the line above is not
            among = tuple(flag[tied] for flag in flags)
            twice += _twice_won(among, ends) - 2 * _won_in_order(among)
        yield positives, negatives, twice


def _count_groups(words: np.ndarray, layout: _Layout, high: int) -> np.ndarray:
    parts = []
    for part in _aligned_chunks(words, high):
        if part[0] >> part.dtype.type(high) == part[-1] >> part.dtype.type(high):
            parts.append(_count_whole(part, layout))  # may be far longer than a chunk
            continue
        label_bits = part.astype(np.uint8)
        ends = _run_ends(part >> part.dtype.type(layout.low))
        last = _run_ends(part[ends] >> part.dtype.type(high))  # run that ends a group
        first = np.append(0, last[:-1] + 1)
        counts = np.empty((3, len(last), layout.n_tasks), dtype=np.int64)
        for task in range(layout.n_tasks):
            flags = _flags(label_bits, task, layout.width)
            positives, negatives = _cumulative(flags, ends)
            gained = np.diff(positives, prepend=0)
            around = negatives.copy()
            around[1:] += negatives[:-1]
            counts[0, :, task] = np.diff(positives[last], prepend=0)
            counts[1, :, task] = np.diff(negatives[last], prepend=0)
            before = negatives[last] - counts[1, :, task]
            twice = np.add.reduceat(gained * around, first)
            counts[2, :, task] = twice - 2 * before * counts[0, :, task]
        parts.append(counts)
    return np.concatenate(parts, axis=1)


# --- A rare class among the sorted scores -----------------------------------------


@dataclass(frozen=True)
class _Rare:
    rows: np.ndarray  # rows that are of the rare class in some task
    member: np.ndarray  # (n_tasks, len(rows)), of the rare class in this task
    positive: np.ndarray  # (n_tasks,), the rare class is the positive one


def _rare_rows(labels: Labels) -> _Rare | None:
    """The rows of every task's rarer class if labels are complete and they are few."""
    if labels.observed is not None:
        return None
    n = len(labels)
    n_positive = labels.positive.sum(axis=1)
    positive = 2 * n_positive <= n
    if np.where(positive, n_positive, n - n_positive).sum() > RARE * n:
        return None
    member = labels.positive == positive[:, None]
    rows = np.flatnonzero(member.any(axis=0))
    return _Rare(rows, member[:, rows], positive)


def _prepare_rare(rare: _Rare, labels: Labels) -> Counter:
    n = len(labels)
    size = rare.member.sum(axis=1)
    positives = np.where(rare.positive, size, n - size)[None]

    def count(score: np.ndarray) -> PairCounts:
        ranked = np.sort(score)
        order = np.argsort(score[rare.rows])
        values = score[rare.rows][order]
        # Rows below plus rows not above, for each rare row.
        twice = ranked.searchsorted(values, "left") + ranked.searchsorted(
            values, "right"
        )
        won = np.empty((1, labels.n_tasks), dtype=np.int64)
        for task in range(labels.n_tasks):
            mine = rare.member[task, order]
            # Among themselves, m rows sum to m² whatever their order and ties.
            won[0, task] = twice[mine].sum() - int(size[task]) ** 2
        pairs = positives * (n - positives)
        return PairCounts(
            positives, n - positives, np.where(rare.positive, won, 2 * pairs - won)
        )

    return count


# --- Weighted rows ----------------------------------------------------------------


def _prepare_weighted(
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
