"""Strategies: columns of tables, and other ways to write arrays and tables.

Choices are drawn by hypothesis, so that it can simplify them; numbers in bulk come from
a generator with a drawn seed.
"""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)
WORDS = ["a", "b", "c", "", " a", "1", "1.0", "nan", "é", "<NA>", "😀"]
HUGE = [2**62, -(2**63), 2**63 - 1, 2**53 + 1, 2**53]


def _holes(rng, values):
    return [None if rng.random() < 0.2 else v for v in values]


def _words(rng, n):
    return rng.choice(WORDS, n).tolist()


def _whole(rng, n):
    return rng.integers(-3, 4, n)


def _days(rng, n):
    return [datetime.date(2020, 1, 1 + int(d)) for d in rng.integers(0, 5, n)]


def _lists(make):
    return lambda rng, n: pd.Series(
        [make(rng, int(rng.integers(0, 4))) for _ in range(n)], dtype=object
    )


# Columns that every table may have.
COLUMNS = {
    "int64": lambda rng, n: pd.Series(_whole(rng, n)),
    "int8": lambda rng, n: pd.Series(_whole(rng, n).astype(np.int8)),
    "uint16": lambda rng, n: pd.Series(rng.integers(0, 5, n).astype(np.uint16)),
    "huge": lambda rng, n: pd.Series(rng.choice(HUGE, n)),
    "float64": lambda rng, n: pd.Series(rng.normal(size=n)),
    "float32": lambda rng, n: pd.Series(rng.normal(size=n).astype(np.float32)),
    "holes": lambda rng, n: pd.Series(
        np.where(rng.random(n) < 0.3, np.nan, _whole(rng, n))
    ),
    "constant": lambda rng, n: pd.Series(np.full(n, 3.3)),
    "missing": lambda rng, n: pd.Series(np.full(n, np.nan)),
    "large": lambda rng, n: pd.Series(rng.choice([1e308, -1e308, 0.0, 5e-324], n)),
    "bool": lambda rng, n: pd.Series(rng.random(n) < 0.5),
    "Int64": lambda rng, n: pd.Series(
        _holes(rng, _whole(rng, n).tolist()), dtype="Int64"
    ),
    "boolean": lambda rng, n: pd.Series(
        _holes(rng, (rng.random(n) < 0.5).tolist()), dtype="boolean"
    ),
    "str": lambda rng, n: pd.Series(_words(rng, n), dtype="str"),
    "words": lambda rng, n: pd.Series(_holes(rng, _words(rng, n)), dtype=object),
    "category": lambda rng, n: pd.Series(_words(rng, n)).astype("category"),
    "date": lambda rng, n: pd.Series(pd.to_datetime(_days(rng, n))),
    "lists": _lists(_words),
    "list of int": _lists(lambda rng, k: _whole(rng, k).tolist()),
}
# Columns that are refused, or read in a way of their own.
ODD = {
    "infinite": lambda rng, n: pd.Series(rng.choice([np.inf, 0.0, 1.0], n)),
    "complex": lambda rng, n: pd.Series(rng.normal(size=n) + 1j),
    "mixed": lambda rng, n: pd.Series(
        _holes(rng, [1, "a", 2.5, b"x"] * n)[:n], dtype=object
    ),
    "bytes": lambda rng, n: pd.Series([b"a"] * n, dtype=object),
    "objects": lambda rng, n: pd.Series([object()] * n, dtype=object),
    "nested": _lists(lambda rng, k: [[1, 2]] * k),
    "dicts": lambda rng, n: pd.Series([{"a": 1}] * n, dtype=object),
    "surrogates": lambda rng, n: pd.Series(["\ud800", "b"] * n, dtype=object)[:n],
    "NA": lambda rng, n: pd.Series([1.5, pd.NA, "x"] * n, dtype=object)[:n],
    "timedelta": lambda rng, n: pd.Series(pd.to_timedelta(_whole(rng, n), unit="h")),
}
NAMES = ["id", "price", "a b", "é", "price ", "0", "x" * 50]
ODD_NAMES = ["id", "", 7, True, ("a", 1), 2.5]


@st.composite
def tables(draw, min_rows=1, max_rows=12, min_columns=1, kinds=tuple(COLUMNS)):
    """A table of pandas, the kinds of its columns in ``attrs["kinds"]``.

    One in four has an odd column.
    """
    n = draw(st.integers(min_rows, max_rows))
    known = st.sampled_from(ODD_NAMES if rarely(draw) and rarely(draw) else NAMES)
    sizes = {"min_size": min_columns, "max_size": max(4, min_columns)}
    names = draw(st.lists(known, **sizes, unique_by=str))
    rng = np.random.default_rng(draw(SEEDS))
    chosen = [draw(st.sampled_from(kinds)) for _ in names]
    if rarely(draw):
        chosen[0] = draw(st.sampled_from(sorted(ODD)))
    made = [(COLUMNS | ODD)[kind](rng, n).reset_index(drop=True) for kind in chosen]
    frame = pd.concat(made, axis=1)
    frame.columns = pd.Index(names, dtype=object, tupleize_cols=False)
    frame.attrs["kinds"] = chosen
    return frame


def rarely(draw):
    """True one time in four."""
    return draw(st.integers(0, 3)) == 3


def options(draw, good, bad, at_most=2):
    """Some of the parameters, each with one of its values; one time in four a bad one.

    Parameters
    ----------
    good, bad : mapping of str to list
        Values of each parameter.
    """
    names = draw(st.lists(st.sampled_from(sorted(good)), max_size=at_most, unique=True))
    found = {name: draw(st.sampled_from(good[name])) for name in names}
    if rarely(draw):
        name = draw(st.sampled_from(sorted(bad)))
        found[name] = draw(st.sampled_from(bad[name]))
    return found


def as_polars(frame):
    """The same table of polars, or None where it has no such columns."""
    try:
        return pl.from_pandas(frame) if _has_strings_as_names(frame) else None
    except (TypeError, ValueError, pa.ArrowException, OverflowError):
        return None


def as_arrow(frame):
    """The same table of pyarrow, or None where it has no such columns."""
    if not _has_strings_as_names(frame):
        return None
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, OverflowError, UnicodeError):
        return None


def _has_strings_as_names(frame):
    # polars has a name of its own for a column without one.
    return all(isinstance(name, str) and name for name in frame.columns)


def in_other_bytes(frame):
    """The same table, numpy's numbers in the other byte order."""
    swapped = {
        i: column.to_numpy().astype(column.dtype.newbyteorder())
        if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf"
        else column
        for i, (_, column) in enumerate(frame.items())
    }
    return pd.DataFrame(swapped).set_axis(frame.columns, axis=1)


def in_wider_types(frame):
    """The same values in types that hold more."""
    wide = {"int8": "int64", "uint16": "int32", "float32": "float64", "int64": "Int64"}
    made = [
        column.astype(wide.get(str(column.dtype), column.dtype))
        for _, column in frame.items()
    ]
    return pd.concat(made, axis=1)


# Other ways to write an array of numbers.
WRITINGS = {
    "list": lambda x: x.tolist(),
    "big-endian": lambda x: x.astype(">f8"),
    "Fortran order": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
    "read only": lambda x: _read_only(x),
    "objects": lambda x: x.astype(object),
    "longdouble": lambda x: x.astype(np.longdouble),
    "pandas": lambda x: _pandas(x),
    "nullable": lambda x: _pandas(x).astype("Float64"),
    "arrow in pandas": lambda x: _pandas(x).astype("double[pyarrow]"),
    "polars": lambda x: _polars(x),
}


def _read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def _pandas(x):
    index = np.arange(len(x))[::-1]  # which must not matter
    if x.ndim == 1:
        return pd.Series(x, index=index)
    return pd.DataFrame(x, index=index, columns=[str(t) for t in range(x.shape[1])])


def _polars(x):
    if x.ndim == 1:
        return pl.Series(x, nan_to_null=True)
    return pl.DataFrame({str(t): x[:, t] for t in range(x.shape[1])}, nan_to_null=True)
