"""Rows of different lengths in two arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class RaggedArray:
    """A column of lists: all entries in one array, and where each row's begin.

    Parameters
    ----------
    values : ndarray of shape (n_entries,), dtype int64
        The entries of all rows, one row after the other.
    offsets : ndarray of shape (n_samples + 1,), dtype int64
        Row ``i`` is ``values[offsets[i]:offsets[i + 1]]``, as in a CSR matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import RaggedArray
    >>> lists = RaggedArray(np.array([4, 7, 5]), np.array([0, 2, 2, 3]))
    >>> lists.lengths
    array([2, 0, 1])
    >>> lists.take([2, 0]).values
    array([5, 4, 7])
    """

    values: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def from_lengths(
        cls, values: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
    ) -> RaggedArray:
        """Make a column of entries and the number of them in each row."""
        return cls(values, _offsets(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of entries of each row."""
        return np.diff(self.offsets)

    def take(self, rows: npt.ArrayLike | slice) -> RaggedArray:
        """Select rows.

        Parameters
        ----------
        rows : array-like of int or bool, or slice
            Which rows to take.

        Returns
        -------
        RaggedArray
            The selected rows, in the order asked for.
        """
        chosen: Any = rows if isinstance(rows, slice) else np.asarray(rows)
        starts, lengths = self.offsets[:-1][chosen], self.lengths[chosen]
        offsets = _offsets(lengths)
        at = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return RaggedArray(self.values[at], offsets)


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
