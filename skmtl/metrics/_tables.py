"""Tables of callers become numeric arrays."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

CHUNK = 1 << 16  # rows; the temporaries of a chunk stay in the processor's cache


def chunks(n: int) -> Iterator[slice]:
    for start in range(0, n, CHUNK):
        yield slice(start, min(start + CHUNK, n))


def column_names(table: Any) -> list[str] | None:
    """Column names of a DataFrame or the name of a Series, else None."""
    columns = getattr(table, "columns", None)
    if columns is not None:
        names = [str(c) for c in columns]
    elif getattr(table, "name", None) is not None and np.ndim(table) == 1:
        names = [str(table.name)]
    else:
        return None
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise ValueError(f"Column names must differ; {repeated} appear more than once.")
    return names


def as_float_table(values: Any, what: str) -> np.ndarray:
    """Numeric array of 1 or 2 dimensions; missing values become NaN."""
    try:
        if isinstance(values, pd.DataFrame | pd.Series):
            dtypes = getattr(values, "dtypes", None)
            kinds = np.atleast_1d(np.asarray(dtypes, dtype=object))
            plain = all(isinstance(d, np.dtype) and d.kind in "biuf" for d in kinds)
            array = (
                values.to_numpy()
                if plain
                else values.to_numpy(dtype=np.float64, na_value=np.nan)
            )
        else:
            array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} must be numeric; converting it failed with: {error}"
        ) from error
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{what} must have shape (n_samples,) or (n_samples, n_tasks); "
            f"got {array.shape}."
        )
    return array
