"""A log of events as sequences of items, one for each user or session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from skmtl._messages import shown
from skmtl._typing import AnyArray, ColumnName
from skmtl.encoding._numbers import as_float
from skmtl.encoding._vocabulary import as_keys

# Kinds of times as pandas infers them, including dates of Arrow and Python.
_TEMPORAL = (
    "date",
    "datetime",
    "datetime64",
    "period",
    "time",
    "timedelta",
    "timedelta64",
)


def column_position(wanted: object, names: Sequence[ColumnName], parameter: str) -> int:
    """Return the position of a column given by name or index.

    Raises
    ------
    ValueError
        If there is none; the message names the parameter.
    """
    for place, name in enumerate(names):
        if _is_name(wanted, name):
            return place
    if isinstance(wanted, (int, np.integer)) and not isinstance(wanted, bool):
        if -len(names) <= wanted < len(names):
            return int(wanted) % len(names)
        raise ValueError(
            f"{parameter}={wanted} is an index, but X has {len(names)} feature(s). "
            "Name the column, or use another index."
        )
    raise ValueError(
        f"{parameter} names {shown(wanted)}, which is not a column of X. The columns "
        f"are {names}."
    )


def _is_name(wanted: object, name: ColumnName) -> bool:
    """Whether a string or integer is the name; True is not 1, and NA equals nothing."""
    if isinstance(wanted, bool) or isinstance(name, bool):
        return False
    for kind in (str, (int, np.integer)):
        if isinstance(wanted, kind) and isinstance(name, kind):
            return bool(wanted == name)
    return False


@dataclass(frozen=True)
class Log:
    """Items of all groups, one group after the other, each in the order of time.

    Attributes
    ----------
    codes : ndarray of shape (n_events,), dtype int64
        The item of each event, as its row in a table of items.
    groups : ndarray of shape (n_events,), dtype int64
        The group of each event; events of a group lie together.
    """

    codes: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, codes: npt.NDArray[np.int64], group: pd.Series, time: pd.Series | None
    ) -> Log:
        """Sort events by group, then time, then row.

        An event without an item (code -1) or without a group is left out.
        """
        groups = as_keys(group, group.name).codes
        at = np.zeros(len(codes)) if time is None else _times(time)
        kept = np.flatnonzero((codes >= 0) & (groups >= 0))
        order = kept[np.lexsort((at[kept], groups[kept]))]
        return cls(codes[order], groups[order])

    def sequences(self) -> list[npt.NDArray[np.int64]]:
        """Codes of each group."""
        return np.split(self.codes, np.flatnonzero(np.diff(self.groups)) + 1)

    def pairs(self, window: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return items at most `window` events apart in a group, each pair both ways.

        A pair is repeated as often as it is found, so that a uniform draw among the
        pairs of an item is weighted by how often they were seen together.
        """
        left, right = [], []
        for lag in range(1, min(window, len(self.codes) - 1) + 1):
            a, b = self.codes[:-lag], self.codes[lag:]
            together = (self.groups[:-lag] == self.groups[lag:]) & (a != b)
            left.append(a[together])
            right.append(b[together])
        # A log of a single event has no lag, and nothing to concatenate.
        none = np.zeros(0, dtype=np.int64)
        return (
            np.concatenate([none, *left, *right]),
            np.concatenate([none, *right, *left]),
        )


def _times(time: pd.Series) -> AnyArray:
    """Convert a column of times to numbers of the same order."""
    if time.isna().any():
        row = int(time.isna().to_numpy().argmax())
        raise ValueError(
            f"Column {time.name!r} holds the times of the events, but row {row} has "
            "none. Fill it in, or leave the row out."
        )
    if types.infer_dtype(time) in _TEMPORAL:
        try:
            # Ranks, since dates of Python and of Arrow have no common number.
            return pd.factorize(time, sort=True)[0]
        except TypeError as error:
            raise TypeError(
                f"Column {time.name!r} holds the times of the events, which cannot be "
                f"compared: {error}."
            ) from error
    # float64 would merge times in nanoseconds.
    if types.is_integer_dtype(time.dtype):
        return time.to_numpy(np.int64)
    return as_float(time, time.name)
