"""Folds that train on the past and test on the future."""

from collections.abc import Iterator
from datetime import timedelta
from numbers import Integral, Real
from typing import Any, TypeAlias, cast

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator

from skmtl._containers import n_rows_of
from skmtl._messages import shown
from skmtl._typing import TableLike

# A number in the unit of the timestamps, or what pandas.Timedelta accepts.
Length: TypeAlias = float | str | timedelta | np.timedelta64


class TimeSplit(BaseCrossValidator):
    """Train on rows before a point in time, test on the rows after it.

    Time is read from timestamps, so the rows may come in any order, and rows with the
    same timestamp are never separated. A gap between training and test leaves time for
    late labels such as orders. With `groups`, users of the test rows are left out of
    the training rows, so that every fold is tested on users that it has not seen.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds. Their test windows follow each other, and the last one ends
        with the data.
    test_size : number, timedelta or str, default=None
        Length in time of each test window, in the unit of the timestamps, or for dates
        a timedelta or a string such as ``"1D"``. None: the test windows and the first
        training window hold about equal numbers of rows.
    gap : number, timedelta or str, default=0
        Length in time between the training rows and the test window.
    train_size : number, timedelta or str, default=None
        Longest time that the training rows span. None: they start with the data.

    See Also
    --------
    MultiTaskStratifiedKFold : Folds alike in the labels of every task.
    sklearn.model_selection.TimeSeriesSplit : Folds by the position of the rows.

    Notes
    -----
    For a test window that begins after time ``b`` and ends with ``e``, the test rows
    have ``b < t <= e`` and the training rows ``t <= b - gap``, with `train_size` also
    ``t > b - gap - train_size``.

    In ``cross_validate`` and searches, pass the timestamps by scikit-learn's metadata
    routing: ``params={"timestamps": t}``. To pass `groups` as well, request them with
    ``TimeSplit().set_split_request(groups=True)``. Without routing, pass
    ``cv=list(TimeSplit().split(X, timestamps=t))``.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl.model_selection import TimeSplit
    >>> days = np.array([3, 1, 2, 4, 5, 6])
    >>> split = TimeSplit(2, test_size=2, gap=1)
    >>> for train, test in split.split(days, timestamps=days):
    ...     print(days[train], days[test])
    [1] [3 4]
    [3 1 2] [5 6]
    """

    # A split needs timestamps; groups are passed only on request.
    __metadata_request__split = {"timestamps": True, "groups": None}  # noqa: RUF012

    def __init__(
        self,
        n_splits: int = 5,
        *,
        test_size: Length | None = None,
        gap: Length = 0,
        train_size: Length | None = None,
    ) -> None:
        whole = isinstance(n_splits, Integral) and not isinstance(n_splits, bool)
        if not whole or n_splits < 1:
            raise ValueError(
                f"n_splits must be a whole number of at least 1; got {shown(n_splits)}."
            )
        self.n_splits = n_splits
        self.test_size = test_size
        self.gap = gap
        self.train_size = train_size

    def get_n_splits(
        self,
        X: TableLike | None = None,
        y: object = None,
        groups: object = None,
        timestamps: object = None,
    ) -> int:
        """Number of folds.

        Parameters
        ----------
        X : object, default=None
            Not used.
        y : object, default=None
            Not used.
        groups : object, default=None
            Not used.
        timestamps : object, default=None
            Not used.

        Returns
        -------
        int
            The number of folds.
        """
        return int(self.n_splits)

    def split(
        self,
        X: TableLike,
        y: object = None,
        groups: object = None,
        timestamps: object = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield indices of the training and test rows, earliest fold first.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows; only their number matters.
        y : object, default=None
            Not used.
        groups : array-like of shape (n_samples,), default=None
            Group id of each row, most often the user. Groups of the test rows are left
            out of the training rows.
        timestamps : array-like of shape (n_samples,)
            Time of each row: numbers or dates.

        Yields
        ------
        train : ndarray
            Indices of the training rows.
        test : ndarray
            Indices of the test rows.

        Raises
        ------
        ValueError
            If timestamps are missing or not one for each row, a length in time does
            not fit them, or a fold would have no training or no test row.
        """
        n_rows = n_rows_of(X)
        time = _check_timestamps(timestamps, n_rows)
        codes = None if groups is None else _check_groups(groups, n_rows)
        gap = _check_length(self.gap, time, "gap")
        starts = self._starts(time)
        ends = [*starts[1:], time.max()]
        for fold, (start, end) in enumerate(zip(starts, ends, strict=True)):
            test = (time > start) & (time <= end)
            train = time <= start - gap
            if self.train_size is not None:
                length = _check_length(self.train_size, time, "train_size")
                train &= time > start - gap - length
            if codes is not None:
                train &= ~np.isin(codes, codes[test])
            for part, rows in (("training", train), ("test", test)):
                if not rows.any():
                    raise ValueError(
                        f"Fold {fold} has no {part} row: its test window begins after "
                        f"{start} and ends with {end}. Use fewer or shorter test "
                        "windows or a shorter gap."
                    )
            yield np.flatnonzero(train), np.flatnonzero(test)

    def _starts(self, time: np.ndarray) -> list[np.generic]:
        """Times after which the test windows begin."""
        n = self.n_splits
        if self.test_size is not None:
            length = _check_length(self.test_size, time, "test_size")
            if not length > length * 0:  # 0 in the unit of the length
                raise ValueError(
                    f"test_size must be positive; got {shown(self.test_size)}."
                )
            return [time.max() - length * (n - i) for i in range(n)]
        moments, counts = np.unique(time, return_counts=True)
        if len(moments) <= n:
            raise ValueError(
                f"n_splits={n} test windows need at least {n + 1} distinct "
                f"timestamps; there are {len(moments)}."
            )
        steps = np.arange(n)
        places = np.searchsorted(np.cumsum(counts), len(time) * (steps + 1) / (n + 1))
        # Where one timestamp holds many rows, each window still gets its own timestamp.
        places = np.maximum.accumulate(places - steps) + steps
        places = np.minimum(places, len(moments) - 1 - n + steps)
        return list(moments[places])


def _check_timestamps(timestamps: object, n_rows: int) -> np.ndarray:
    if timestamps is None:
        raise ValueError(
            "timestamps is missing: pass the time of each row. Under cross-validation "
            "set sklearn.set_config(enable_metadata_routing=True) and pass "
            "params={'timestamps': ...}; without routing use "
            "cv=list(TimeSplit().split(X, timestamps=...))."
        )
    series = pd.Series(timestamps).reset_index(drop=True)
    if len(series) != n_rows:
        raise ValueError(f"timestamps has {len(series)} rows, but X has {n_rows}.")
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        # numpy has no time zones; in UTC the differences stay.
        series = series.dt.tz_convert(None)
    missing = series.isna().to_numpy()
    if missing.any():
        raise ValueError(f"timestamps has a missing time at row {missing.argmax()}.")
    time = series.to_numpy()
    time = time.astype(time.dtype.newbyteorder("="), copy=False)
    if time.dtype.kind not in "iufM":
        raise ValueError(
            f"timestamps must be numbers or dates; got {series.dtype}. Convert strings "
            "with pandas.to_datetime."
        )
    # Unsigned numbers would wrap around when a length is subtracted.
    return time.astype(np.int64) if time.dtype.kind in "iu" else time


def _check_length(length: Length, time: np.ndarray, name: str) -> Any:
    """Convert a length in time to one that can be subtracted from the timestamps."""
    dates = time.dtype.kind == "M"
    value: Any
    try:
        if dates:
            unitless = isinstance(length, Real) and not isinstance(
                length, np.timedelta64
            )
            if unitless and length != 0:
                raise ValueError("a number has no unit of time")
            value = pd.Timedelta(length).to_timedelta64()
        else:
            value = (
                length if isinstance(length, Integral) else float(cast(float, length))
            )
    except (TypeError, ValueError) as error:
        wanted = "a timedelta or a string such as '1D'" if dates else "a number"
        raise ValueError(
            f"With timestamps of {time.dtype} {name} must be {wanted}; got "
            f"{shown(length)}."
        ) from error
    # Also refuses NaN and NaT.
    if not value >= value * 0:
        raise ValueError(f"{name} must not be negative; got {shown(length)}.")
    return value


def _check_groups(groups: object, n_rows: int) -> np.ndarray:
    ids = np.asarray(groups)
    # pandas cannot factorize values in a foreign byte order.
    codes, _ = pd.factorize(ids.astype(ids.dtype.newbyteorder("="), copy=False))
    if len(codes) != n_rows:
        raise ValueError(f"groups has {len(codes)} rows, but X has {n_rows}.")
    if (codes < 0).any():
        raise ValueError(f"groups has a missing id at row {(codes < 0).argmax()}.")
    return codes
