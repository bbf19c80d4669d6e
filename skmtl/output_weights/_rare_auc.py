"""AUC of one rare task for many weights, without sorting 64-bit scores.

Each score becomes a 32-bit key that never falls as the score grows. numpy sorts such
keys twice as fast as the scores. The keys decide every pair of a positive and a
negative row except pairs with equal keys; these are few, and are compared by score.
"""

import threading

import numpy as np

from skmtl.output_weights._fusion import weighted_sum

BLOCK = 65536  # rows whose scores stay in the second-level cache
HASH = 0xFFFF  # keys are looked up by these bits
STRIDE = 256  # of each so many sorted keys, one is searched first; a power of 2
FEW = 0.2  # with a larger share of positives that share keys, scores are sorted instead


class RareAuc:
    """Exact area for any weights, by counting positives against sorted negatives.

    Shape
    -----
    columns : ``(n_tasks, n_samples)``
    """

    def __init__(self, columns: np.ndarray, positive: np.ndarray, negative: np.ndarray):
        self.positives = np.ascontiguousarray(columns[:, positive])
        self.negatives = np.ascontiguousarray(columns[:, negative])
        # Called from several threads, which need arrays of their own.
        self.local = threading.local()
        both = (self.positives, self.negatives)
        # Weights are not negative, so that the sums of the lowest and of the highest
        # values are bounds of all scores.
        self.low = np.min([part.min(axis=1) for part in both], axis=0)[:, None]
        self.high = np.max([part.max(axis=1) for part in both], axis=0)[:, None]

    def __call__(self, weights: np.ndarray) -> float:
        positives = np.sort(weighted_sum(self.positives, weights))
        total = self._twice_won(weights, positives)
        return total / (2 * len(positives) * self.negatives.shape[1])

    def _twice_won(self, weights: np.ndarray, positives: np.ndarray) -> int:
        keys = Keys.between(
            weighted_sum(self.low, weights)[0], weighted_sum(self.high, weights)[0]
        )
        if keys is None:
            return twice_below(
                np.sort(weighted_sum(self.negatives, weights)), positives
            )
        memory = self._memory()
        found, ranked = memory.found, memory.ranked
        prefix = self._prefix(memory, weights)
        for start in range(0, len(found), BLOCK):
            block = slice(start, start + BLOCK)
            size = len(found[block])
            scores = memory.scores[:size]
            # Rounded as in `weighted_sum`: a sum of two does not depend on their order.
            np.multiply(self.negatives[-1, block], weights[-1], out=scores)
            if prefix is not None:
                scores += prefix[block]
            keys.write(scores, found[block])
        mine = np.empty(len(positives), dtype=np.uint32)
        # A copy, since `write` overwrites the scores, which are needed again.
        keys.write(positives.copy(), mine)
        ranked[:] = found
        ranked.sort()
        below = n_below(ranked, mine)
        shared = ranked[np.minimum(below, len(ranked) - 1)] == mine
        if shared.mean() > FEW:
            return twice_below(
                np.sort(weighted_sum(self.negatives, weights)), positives
            )
        total = 2 * int(below.sum())
        if shared.any():
            total += self._among_equal_keys(
                weights, found, mine[shared], positives[shared]
            )
        return total

    def _memory(self) -> "Memory":
        """Arrays of this thread, kept as allocating costs as much as filling them."""
        if not hasattr(self.local, "memory"):
            self.local.memory = Memory(self.negatives.shape[1])
        memory: Memory = self.local.memory
        return memory

    def _prefix(self, memory: "Memory", weights: np.ndarray) -> np.ndarray | None:
        """Sum over all tasks but the last; neighbours in a grid share it."""
        first = weights[:-1]
        if not first.any():
            return None
        if not np.array_equal(first, memory.first):
            weighted_sum(self.negatives[:-1], first, memory.prefix)
            memory.first = first.copy()
        return memory.prefix

    def _among_equal_keys(
        self,
        weights: np.ndarray,
        found: np.ndarray,
        keys: np.ndarray,
        positives: np.ndarray,
    ) -> int:
        memory = self._memory()
        rows = rows_of_keys(found, keys, memory.hit, memory.index)
        near = np.sort(weighted_sum(self.negatives[:, rows], weights))
        # Pairs of these rows with different keys have been counted already.
        below = np.sort(found[rows]).searchsorted(keys)
        return twice_below(near, positives) - 2 * int(below.sum())


class Memory:
    """Keys of all rows, unsorted and sorted; scores of a block, sums of some tasks."""

    def __init__(self, n: int) -> None:
        self.found, self.ranked = np.empty(n, np.uint32), np.empty(n, np.uint32)
        self.scores, self.prefix = np.empty(min(n, BLOCK)), np.empty(n)
        self.first = np.zeros(0)
        self.hit = np.empty(n, dtype=bool)
        self.index = np.empty(min(n, BLOCK), dtype=np.intp)


def twice_below(ranked: np.ndarray, scores: np.ndarray) -> int:
    """Twice the pairs that the sorted scores win against the ranked; a tie adds 1."""
    below = ranked.searchsorted(scores)
    return int(below.sum()) + int(ranked.searchsorted(scores, "right").sum())


def n_below(ranked: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Number of the sorted values below each of the sorted keys.

    ``ranked.searchsorted(keys)`` in half the time: after a search among some of the
    values, whose comparisons the processor guesses wrong one by one, all keys take
    each further step together.
    """
    at = (ranked[::STRIDE].copy().searchsorted(keys) - 1) * STRIDE + 1
    np.maximum(at, 0, out=at)  # the number of values that are known to be below
    step = STRIDE // 2
    while step:
        reached = at + step
        fits = reached <= len(ranked)
        fits &= ranked.take(reached - 1, mode="clip") < keys
        at += step * fits
        step //= 2
    return at


def rows_of_keys(
    found: np.ndarray, keys: np.ndarray, hit: np.ndarray, index: np.ndarray
) -> np.ndarray:
    """Find the rows whose key is among the keys, by a table of the last 16 bits."""
    table = np.zeros(HASH + 1, dtype=bool)
    table[keys & HASH] = True
    for start in range(0, len(found), BLOCK):
        block = found[start : start + BLOCK]
        part = index[: len(block)]
        np.bitwise_and(block, HASH, out=part, casting="unsafe")
        # With "raise", the default mode, numpy would buffer the output.
        table.take(part, out=hit[start : start + BLOCK], mode="clip")
    rows = np.flatnonzero(hit)
    return rows[np.isin(found[rows], keys)]


class Keys:
    """Map from scores to 32-bit keys that never falls as the score grows.

    The bit pattern of a positive float grows with it. Scores are shifted so that the
    lowest is a thousandth of their range. That limits the number of exponents, and
    makes keys finer near the lowest scores, where the scores of rare tasks lie.
    """

    def __init__(self, move: float, first: int, shift: int) -> None:
        self.move, self.first, self.shift = move, np.uint64(first), np.uint64(shift)

    @classmethod
    def between(cls, low: float, high: float) -> "Keys | None":
        """Make keys for scores from low to high; None where floats are too coarse."""
        move = (high - low) * 2.0**-10 - low
        ends = np.array([low, high]) + move
        if not (np.finfo(np.float64).tiny < ends[0] < ends[1] < np.inf):
            return None
        first, last = (int(end) for end in ends.view(np.uint64))
        return cls(move, first, max((last - first).bit_length() - 32, 0))

    def write(self, scores: np.ndarray, out: np.ndarray) -> None:
        """Put keys into out; the scores are overwritten."""
        scores += self.move
        bits = scores.view(np.uint64)
        bits -= self.first
        np.right_shift(bits, self.shift, out=out, casting="unsafe")
