"""Short tables, which a service sends, fetched from pandas at once.

What pandas does for a column takes it tens of microseconds, however short it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

# Rows of what counts as a short table.
SHORT = 1024

# Above so many, columns are as quick one by one.
_AT_ONCE = 128


def plain_cells(
    frame: pd.DataFrame, ids: Sequence[int], numeric: Sequence[int]
) -> npt.NDArray[Any] | None:
    """Cells of a short table of strings and numpy's numbers.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    ids, numeric : sequence of int
        Places of its id columns, and of its numbers.

    Returns
    -------
    ndarray of object, shape (n_columns, n_samples), or None
        None for more than 128 rows, and where an id column holds other than strings,
        or a number is none of numpy's.
    """
    if len(frame) > _AT_ONCE:
        return None
    dtypes = frame.dtypes.tolist()
    plain = all(isinstance(dtypes[i], pd.StringDtype) for i in ids) and all(
        isinstance(dtypes[i], np.dtype) and dtypes[i].kind in "fiub" for i in numeric
    )
    if not plain:
        return None
    if len(frame) == 1:  # one cell after the other is quicker
        return frame.iloc[0].to_numpy(object)[:, None]
    return frame.to_numpy(object).T
