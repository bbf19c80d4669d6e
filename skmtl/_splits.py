"""Checks of splits into training and test rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Places: TypeAlias = npt.NDArray[np.intp]


def check_splits(
    splits: Iterable[object], n_rows: int, argument: str = "cv"
) -> list[tuple[Places, Places]]:
    """Return the training and test rows of each split as indices.

    Parameters
    ----------
    splits : iterable of pairs
        What a splitter gave, or the caller's list. Each part has indices, or a boolean
        for each row.
    n_rows : int
        How many rows there are.
    argument : str, default="cv"
        Where the splits come from, for messages.

    Returns
    -------
    list of tuple of two ndarray
        Indices from 0, in the order given.

    Raises
    ------
    ValueError
        If there is no split, one is not a pair, or a part is empty or names rows that
        do not exist.
    """
    found = [
        _checked(split, n_rows, f"{k} of {argument}") for k, split in enumerate(splits)
    ]
    if not found:
        raise ValueError(
            f"{argument} gives no split. Pass a splitter, or a list with at least one "
            "pair of training and test rows."
        )
    return found


def _checked(split: object, n_rows: int, which: str) -> tuple[Places, Places]:
    pair = list(split) if isinstance(split, Iterable) else [split]
    if len(pair) != 2 or isinstance(split, str):
        raise ValueError(
            f"Split {which} must be a pair, of training rows and of test rows; found "
            f"{type(split).__name__} with {len(pair)} parts. Pass a list of pairs."
        )
    return (
        _rows(pair[0], n_rows, f"The training rows of split {which}"),
        _rows(pair[1], n_rows, f"The test rows of split {which}"),
    )


def _rows(given: object, n_rows: int, what: str) -> Places:
    try:
        at = np.atleast_1d(np.asarray(given))
        if not at.size:
            at = at.astype(np.intp)  # an empty list is one of floats
        # Also counts negative indices from the end, and makes masks indices.
        rows = np.arange(n_rows)[at]
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"{what} must be given as indices, or as a boolean for each of the "
            f"{n_rows} rows of X: {error}."
        ) from error
    if rows.ndim > 1:
        raise ValueError(
            f"{what} must be given as a list of indices, found shape {rows.shape}."
        )
    if not rows.size:
        raise ValueError(
            f"{what} are none of the {n_rows} rows of X. Give each part at least one."
        )
    return rows
