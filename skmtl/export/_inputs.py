"""Conversion of tables to the inputs of an exported file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skmtl._containers import as_frame
from skmtl._typing import TableLike
from skmtl.encoding._lists import flat_keys
from skmtl.encoding._numbers import as_float
from skmtl.encoding._vocabulary import Keys, as_keys

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def onnx_inputs(session: InferenceSession, X: TableLike) -> dict[str, np.ndarray]:
    """Turn a table into the inputs of a file of `to_onnx`.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The file, loaded.
    X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
        The table. Columns of a DataFrame are matched by name.

    Returns
    -------
    dict of str to ndarray
        For ``session.run(None, inputs)``.

    Raises
    ------
    ValueError
        If a column is missing; the message names it.

    See Also
    --------
    to_onnx : Write the file, with an example.

    Notes
    -----
    A client in another language can do the same: a column of single values has shape
    ``(n_samples, 1)``, lists are padded to the longest list of the request, and missing
    ids are replaced by the string or integer that the file's metadata give.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    frame = as_frame(X)
    by_name = {str(name): name for name in frame.columns}
    found = {}
    for one in json.loads(metadata["inputs"]):
        name = one["column"]
        if name not in by_name:
            raise ValueError(
                f"X lacks the column {name!r} that the file reads. Add it, with "
                "missing cells if its values are unknown."
            )
        column = frame[by_name[name]].reset_index(drop=True)
        found[one["input"]] = _cells(column, one)
    return found


def _cells(column: pd.Series, one: dict[str, object]) -> np.ndarray:
    """Return the array of one input."""
    if one["is_list"]:
        # Whole lists: the file itself keeps the last `max_length` entries.
        keys, lengths = flat_keys(column, one["column"], None)
        cells = _ids(keys, one)
        # At least one entry: the graph was exported for lists that are not empty.
        width = max(int(lengths.max(initial=0)), 1)
        table = np.full((len(lengths), width), one["missing"], cells.dtype)
        table[np.arange(width) < lengths[:, None]] = cells
        return table
    if one["is_id"]:
        return _ids(as_keys(column, one["column"]), one)[:, None]
    return as_float(column, one["column"])[:, None]


def _ids(keys: Keys, one: dict[str, object]) -> np.ndarray:
    """Convert ids to the type of the input; those of another kind become missing."""
    dtype = one["dtype"]
    missing = np.nan if one["missing"] is None else one["missing"]
    cells = keys.to_objects(missing)
    if dtype == "string":
        return np.array([c if isinstance(c, str) else missing for c in cells], object)
    if dtype == "int64":
        whole = [c if _is_int64(c) else missing for c in cells]
        return np.array(whole, dtype=np.int64)
    return np.array([np.nan if isinstance(c, str) else c for c in cells], np.float64)


def _is_int64(cell: float | str) -> bool:
    # NaN, or a fraction.
    if isinstance(cell, str) or cell != cell or cell != int(cell):
        return False
    return -(2**63) <= cell < 2**63
