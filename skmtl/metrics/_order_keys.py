"""Numbers as integers that sort alike, so that labels and groups fit beside them.

numpy sorts plain integers with vector instructions, several times faster than it
finds a sorting permutation. A score becomes an unsigned key of as few bits as its
range allows; the group goes above it, the labels below, and one sort of these words
orders everything that an exact AUC needs.
"""

from collections.abc import Iterator

import numpy as np

CHUNK = 1 << 16  # rows; the temporaries of a chunk stay in the processor's cache


def chunks(n: int) -> Iterator[slice]:
    for start in range(0, n, CHUNK):
        yield slice(start, min(start + CHUNK, n))


def dense_ranks(values: np.ndarray) -> np.ndarray:
    """0 for the smallest value, 1 for the next one …; equal values share a rank."""
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
            out[:] = np.where(values < 0, below - folded, below + folded)


def order_keys(score: np.ndarray, room: int) -> OrderKeys:
    """Keys of at most ``room`` bits, by ranking the scores first if need be."""
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
        np.subtract(top, part, out=part)
        if codes is not None:
            part |= codes[rows].astype(dtype) << dtype(keys.bits)
    return np.argsort(words)
