"""Impressions from the Taobao UserBehavior log."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from skmtl.datasets._remote import get_data_home
from skmtl.datasets._tables import describe, labels, take_rows

_FOLDER, _FILE = "taobao_ub_sample", "UserBehavior.csv"
_TASKS = ("cart", "fav", "buy")
_CHINA = 8 * 3600  # seconds ahead of UTC
_VALIDATION_START = np.datetime64("2017-12-02", "s")
_TEST_START = np.datetime64("2017-12-03", "s")


def fetch_user_behavior(
    *,
    data_home: str | os.PathLike[str] | None = None,
    after_view: bool = False,
    return_X_y: bool = False,
    return_splits: bool = False,
) -> Any:
    """Load viewed items with carts, favourites and purchases, from a Taobao log.

    The log [1]_ is for research and its download needs an account, so it is only read
    from the data folder. The file may be truncated to its first rows.

    Parameters
    ----------
    data_home : path-like, default=None
        The data folder. ``None`` means the environment variable ``SKMTL_DATA_HOME``
        or, without it, ``~/skmtl_data``. The file is
        ``taobao_ub_sample/UserBehavior.csv`` in it.
    after_view : bool, default=False
        Count only events that are not earlier than the first view. By default all
        events count, even those before the first view in the log.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    return_splits : bool, default=False
        Return training, validation and test parts by the day of the first view, in
        China: before 2 December 2017, that day, and from 3 December on.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        With the defaults, a dictionary with attributes. A row is a user and an item
        that the user viewed; rows are in the order of the first view.

        data : DataFrame of shape (n_samples, 5)
            ``user_id``, ``item_id``, ``category_id`` (category of int64), ``hour``
            and ``weekday`` (int64, Monday is 0) of the first view, in China.
        target : DataFrame of shape (n_samples, 3), int64
            Tasks ``cart``, ``fav`` and ``buy``; 0 or 1.
        frame : DataFrame of shape (n_samples, 9)
            ``timestamp``, ``data`` and ``target`` side by side.
        timestamp : Series of shape (n_samples,), datetime64[s]
            The first view, in China.
        feature_names, target_names : list of str
            The columns of ``data`` and ``target``.
        DESCR : str
            The description of the table.

        With ``return_X_y``, the tuple ``(data, target)``. With ``return_splits``, a
        Bunch of three such Bunches, ``train``, ``validation`` and ``test``; with both,
        three tuples in that order.

    Raises
    ------
    OSError
        If the file is not there.
    ValueError
        If a line other than the last is not an event.

    Notes
    -----
    An incomplete last line is left out.

    References
    ----------
    .. [1] Taobao User Behavior. Tianchi, data set 649.
       https://tianchi.aliyun.com/dataset/649

    Examples
    --------
    >>> from skmtl.datasets import fetch_user_behavior
    >>> views = fetch_user_behavior()  # doctest: +SKIP
    >>> views.target_names  # doctest: +SKIP
    ['cart', 'fav', 'buy']
    """
    path = get_data_home(data_home) / _FOLDER / _FILE
    if not path.is_file():
        raise OSError(
            f"{path} is missing. It cannot be downloaded without an account: get "
            f"{_FILE} from https://tianchi.aliyun.com/dataset/649 and place it there, "
            "or set another folder with data_home or SKMTL_DATA_HOME."
        )
    bunch = _make_impressions(_read_events(path), after_view=after_view)
    if return_splits:
        day = np.searchsorted(
            [_VALIDATION_START, _TEST_START], bunch.timestamp, "right"
        )
        names = ("train", "validation", "test")
        bunch = Bunch(
            **{
                name: take_rows(bunch, np.flatnonzero(day == part))
                for part, name in enumerate(names)
            }
        )
        if return_X_y:
            return tuple((part.data, part.target) for part in bunch.values())
    return (bunch.data, bunch.target) if return_X_y else bunch


def _read_events(path: Path) -> pd.DataFrame:
    """Read user, item, category, kind of event and unix seconds."""
    # The log has 100 million lines: a category takes a byte for each event.
    names = ["user_id", "item_id", "category_id", "event", "seconds"]
    events = pd.read_csv(path, header=None, names=names, dtype={"event": "category"})
    cut = events["seconds"].isna()
    # A file that was cut to its first bytes ends within a line, maybe within the ten
    # digits of its seconds.
    if len(events) and (cut.iloc[-1] or _is_short(path, events["seconds"].iloc[-1])):
        events, cut = events.iloc[:-1], cut.iloc[:-1]
    wrong = cut | ~events["event"].isin(["pv", *_TASKS])
    if wrong.any():
        line = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{path}, line {line + 1}: expected user, item, category, one of pv, cart, "
            f"fav, buy, and unix seconds; got {events.iloc[line].tolist()}."
        )
    return events.astype({"seconds": "int64"})


def _is_short(path: Path, seconds: float) -> bool:
    """Whether the last line has no end, and its seconds fewer than ten digits."""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n" and seconds < 10**9


def _make_impressions(events: pd.DataFrame, *, after_view: bool) -> Bunch:
    """Return a row for each viewed (user, item) with the events on that pair."""
    pair = ["user_id", "item_id"]
    views = events[events["event"] == "pv"].sort_values("seconds", kind="stable")
    views = views.drop_duplicates(pair).reset_index(drop=True)
    keys = pd.MultiIndex.from_frame(views[pair])
    done = {}
    for task in _TASKS:
        # If the last event is not before the view, some event is not.
        last = events[events["event"] == task].groupby(pair)["seconds"].max()
        seconds = last.reindex(keys).reset_index(drop=True)
        done[task] = seconds >= views["seconds"] if after_view else seconds.notna()
    # Local times without a time zone: hour and day are those of the users.
    stamps = (views["seconds"] + _CHINA).to_numpy().astype("datetime64[s]")
    timestamp = pd.Series(stamps, name="timestamp")
    data = views[[*pair, "category_id"]].astype("category")
    data["hour"] = timestamp.dt.hour.astype("int64")
    data["weekday"] = timestamp.dt.day_of_week.astype("int64")
    target = labels(**done)
    return Bunch(
        data=data,
        target=target,
        frame=pd.concat([timestamp, data, target], axis=1),
        timestamp=timestamp,
        feature_names=list(data.columns),
        target_names=list(target.columns),
        DESCR=describe("user_behavior"),
    )
