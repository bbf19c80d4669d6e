"""The encoded form of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from skmtl.encoding._ragged import RaggedArray


@dataclass(frozen=True)
class EncodedTable:
    """Arrays that stand for the rows of a table, ready for the network.

    Parameters
    ----------
    ids : ndarray of shape (n_samples, n_categorical), dtype int32
        Rows of the fused embedding table: the code of each id plus the offset of its
        column. Where columns are hashed by several functions, more columns follow.
        Tables of more than 2,147,483,647 rows have int64.
    bins : ndarray of shape (n_samples, n_numeric), dtype int32
        Rows of the fused bin table, offsets included. Width 0 without bins.
    numeric : ndarray of shape (n_samples, n_numeric), dtype float32
        Scaled numbers; 0 where the number is missing.
    bags : tuple of RaggedArray of n_samples rows, default=()
        One for each column of lists: rows of the fused embedding table, as `ids`.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl.encoding import TableEncoder
    >>> X = pd.DataFrame({"item": ["a", "b", "a"], "price": [1.0, 2.0, 3.0]})
    >>> table = TableEncoder(min_frequency=1).fit(X).encode(X)
    >>> len(table)
    3
    >>> table.ids.ravel()
    array([1, 2, 1], dtype=int32)
    """

    ids: npt.NDArray[np.signedinteger[Any]]
    bins: npt.NDArray[np.int32]
    numeric: npt.NDArray[np.float32]
    bags: tuple[RaggedArray, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the table that was encoded."""
        n_columns = self.ids.shape[1] + self.numeric.shape[1] + len(self.bags)
        return len(self.ids), n_columns

    def take(self, rows: npt.ArrayLike | slice) -> EncodedTable:
        """Select rows.

        Parameters
        ----------
        rows : array-like of int or bool, or slice
            Which rows to take.

        Returns
        -------
        EncodedTable
            The selected rows, in the order asked for.
        """
        if not isinstance(rows, slice):
            rows = np.asarray(rows)
        return EncodedTable(
            self.ids[rows],
            self.bins[rows],
            self.numeric[rows],
            tuple(bag.take(rows) for bag in self.bags),
        )

    def as_dict(self) -> dict[str, Any]:
        """Name the arrays as the network's ``forward`` does.

        Returns
        -------
        dict of str to ndarray
            ``ids``, ``bins`` and ``numeric``, and ``bags``, the tuple, where there are
            columns of lists.
        """
        arrays = {"ids": self.ids, "bins": self.bins, "numeric": self.numeric}
        return {**arrays, "bags": self.bags} if self.bags else arrays
