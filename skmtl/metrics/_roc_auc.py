"""ROC AUC of each task, by counting pairs.

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
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from skmtl.metrics._runs import Runs
from skmtl.metrics._validation import (
    CHUNK,
    Labels,
    check_labels,
    check_scores,
    check_weight,
    chunks,
    require_positive,
    warn_undefined,
)


def roc_auc(y: object, score: object, *, sample_weight: object = None) -> Any:
    """Exact area under the ROC curve of each task.

    The probability that a positive row has a higher score than a negative row; a tie
    counts half. Rows whose label is NaN are left out, for each task separately.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels: 1, 0, or NaN for not observed. Column names of a DataFrame are the
        names of the tasks.
    score : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
        Scores, higher for rows more likely to be positive. One score ``(n_samples,)``
        is judged against every task in one pass. The list of ``(n_samples, 2)`` arrays
        that ``predict_proba`` returns is accepted too.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows. A pair of rows counts with the product of its weights.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        The area; a float if `y` is 1-D. NaN, with a warning, for a task of one class.

    Raises
    ------
    ValueError
        If no task has a positive label, a label is not 0, 1 or NaN, a score is not
        finite, or shapes or names of tasks differ.

    See Also
    --------
    group_roc_auc : The same within each user.
    task_report : All metrics in one table, with intervals.

    Notes
    -----
    The counts of pairs are whole numbers, so the value has no rounding error before
    its last division. With `sample_weight` they are sums of floats.

    References
    ----------
    .. [1] J. A. Hanley and B. J. McNeil. The meaning and use of the area under a
           receiver operating characteristic (ROC) curve. Radiology 143(1), 1982.

    Examples
    --------
    >>> from skmtl.metrics import roc_auc
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    >>> y = [[1, 0], [1, 1], [0, 0], [0, float("nan")]]
    >>> roc_auc(y, [0.9, 0.7, 0.2, 0.7])
    array([0.875, 0.5  ])
    """
    labels = check_labels(y)
    require_positive(labels)
    return labels.output(prepare_roc_auc(labels, sample_weight=sample_weight)(score))


def prepare_roc_auc(
    labels: Labels, *, sample_weight: object = None
) -> Callable[[object], np.ndarray]:
    """Return a function from scores to the areas ``(n_tasks,)``."""
    weight = check_weight(sample_weight, len(labels))
    areas = prepare_areas(labels, weight=weight)

    def values(score: object) -> np.ndarray:
        area: np.ndarray = areas(check_scores(score, labels)).auc[0]
        why = "it needs a positive and a negative label"
        warn_undefined("roc_auc", area, labels.names, why)
        return area

    return values


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

    # Prepared when the first score of this form comes: most callers pass only one form.
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
    # Scores that need more bits than there are left are replaced by their ranks.
    rank_bits = (len(labels) - 1).bit_length()
    group_bits = 0
    if codes is not None:
        # A word of 64 bits holds the group, the rank of the score and 8 bits of labels.
        if int(codes.max()).bit_length() + rank_bits + 8 > 64:
            codes = dense_ranks(codes)
        group_bits = int(codes.max()).bit_length()
    complete = labels.observed is None
    # One sort carries a byte of label bits; further tasks need another sort.
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
        # Positive rows here win against all negative ones in the stretches before.
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
    # The lowest byte; its bits above those of the labels are never looked at.
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


def dense_ranks(values: np.ndarray) -> np.ndarray:
    """0 for the smallest value, 1 for the next one …; equal values share a rank."""
    # Not stable, which would be slower: the order of equal values has no effect.
    order = np.argsort(values)
    ranked = values[order]
    ranks = np.empty(len(values), dtype=np.uint32)
    ranks[order[0]] = 0
    ranks[order[1:]] = np.cumsum(ranked[1:] != ranked[:-1], dtype=np.uint32)
    return ranks


def as_float32_if_exact(score: np.ndarray) -> np.ndarray:
    """The scores as float32 if that loses nothing: half the bits to sort."""
    if score.dtype == np.float16:
        return score.astype(np.float32)
    if score.dtype != np.float64:
        # Keys have 64 bits: a long double does not fit.
        return score.astype(np.float64) if score.dtype.itemsize > 8 else score
    narrow = np.empty(len(score), dtype=np.float32)
    for rows in chunks(len(score)):
        with np.errstate(over="ignore", under="ignore"):
            narrow[rows] = score[rows]
        if not np.array_equal(narrow[rows], score[rows]):
            return score
    return narrow


class OrderKeys:
    """Map from scores to unsigned keys of ``bits`` bits with the same order and ties.

    The bit pattern of a float that is not negative grows with the float. Negative
    floats mirror that below zero; the unused patterns between the two smallest
    magnitudes are left out, so that keys of ordinary scores need far fewer bits than
    the scores themselves.
    """

    def __init__(self, score: np.ndarray) -> None:
        self.score = score
        low, high = score.min(), score.max()
        self.is_float = score.dtype.kind == "f"
        self.signed = bool(self.is_float and low < 0)
        self.positive = bool(self.is_float and low > 0)  # so there is no -0.0 either
        if not self.is_float:
            self.low, span = int(low), int(high) - int(low)
        elif not self.signed:
            self.low = int(self._magnitude(np.atleast_1d(low))[0])
            span = int(self._magnitude(np.atleast_1d(high))[0]) - self.low
        else:
            self.low = self._smallest_magnitude() - 1
            self.below = int(self._folded(np.atleast_1d(low))[0])
            above = int(self._folded(np.atleast_1d(high))[0]) if high > 0 else 0
            span = self.below + above
        self.bits = span.bit_length()

    def _magnitude(self, values: np.ndarray) -> np.ndarray:
        unsigned = np.dtype(f"u{values.dtype.itemsize}")
        return (values if self.positive else np.abs(values)).view(unsigned)

    def _smallest_magnitude(self) -> int:
        smallest = np.iinfo(np.uint64).max
        for rows in chunks(len(self.score)):
            magnitude = self._magnitude(self.score[rows])
            magnitude = magnitude[magnitude > 0]
            if len(magnitude):
                smallest = min(int(smallest), int(magnitude.min()))
        return int(smallest)

    def _folded(self, values: np.ndarray) -> np.ndarray:
        magnitude = self._magnitude(values)
        return np.where(magnitude > 0, magnitude - magnitude.dtype.type(self.low), 0)

    def write(self, rows: slice, out: np.ndarray) -> None:
        """Put the keys of some rows into unsigned integers of enough bits."""
        values = self.score[rows]
        if not self.is_float:
            if values.dtype.kind == "b" or self.low == 0:
                out[:] = values
                return
            # Modular arithmetic: the difference fits whatever the signs are.
            wide = values.astype(np.int64 if values.dtype.kind == "i" else np.uint64)
            out[:] = wide.view(np.uint64) - np.uint64(self.low % 2**64)
        elif not self.signed:
            magnitude = self._magnitude(values)
            low = magnitude.dtype.type(self.low)
            np.subtract(magnitude, low, out=out, casting="unsafe")
        else:
            folded = self._folded(values).astype(np.uint64)
            below = np.uint64(self.below)
            # 0 is in the middle, and -0.0 ties with it.
            out[:] = np.where(values < 0, below - folded, below + folded)


def order_keys(score: np.ndarray, room: int) -> OrderKeys:
    """Return keys of at most ``room`` bits, ranking the scores first if necessary."""
    score = as_float32_if_exact(np.ascontiguousarray(score))
    keys = OrderKeys(score)
    return keys if keys.bits <= room else OrderKeys(dense_ranks(score))


def word_type(bits: int) -> type:
    return np.uint32 if bits <= 32 else np.uint64


def grouped_order(score: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
    """Permutation that sorts by group, then by score from high to low.

    Rows of equal group and score come in any order.
    """
    n = len(score)
    group_bits = 0 if codes is None else int(codes.max()).bit_length()
    keys = order_keys(score, 64 - group_bits)
    dtype = word_type(group_bits + keys.bits)
    words: np.ndarray = np.empty(n, dtype=dtype)
    top = dtype((1 << keys.bits) - 1)
    for rows in chunks(n):
        part = words[rows]
        keys.write(rows, part)
        # The highest score gets the lowest key, so that it comes first.
        np.subtract(top, part, out=part)
        if codes is not None:
            part |= codes[rows].astype(dtype) << dtype(keys.bits)
    return np.argsort(words)
