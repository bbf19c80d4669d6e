"""Rows packed into integers that hold group, score and labels, and sort at once."""

import numpy as np

from skmtl.metrics._keys import dense_ranks, order_keys, word_type
from skmtl.metrics._labels import Labels
from skmtl.metrics._pair_counts import Counter, PairCounts
from skmtl.metrics._sorted_words import Layout, count_groups, count_one_group
from skmtl.metrics._tables import chunks


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
        return count_one_group(words, layout)
    return count_groups(words, layout, high)
