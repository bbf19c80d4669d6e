"""Encoding: the same rows for the same values, however they come."""

import pickle

import numpy as np
from hypothesis import strategies as st

from skmtl.encoding import TableEncoder
from tests.fuzz.strategies import (
    SEEDS,
    as_arrow,
    as_polars,
    in_other_bytes,
    in_wider_types,
    options,
    tables,
)


def parameters(c, frame):
    """Hyperparameters of an encoder for a table; some do not fit it."""
    names = list(frame.columns)
    name, other = c.draw(st.sampled_from(names)), names[0]
    good = {
        "min_frequency": [1, 2],
        "max_categories": [None, 1, 3],
        "n_bins": [0, 2, 64],
        "max_length": [None, 1],
        "categorical_features": ["from_dtype", None, [name], [0]],
        "n_buckets": [None, {name: 3}],
        "share_embedding": [None, {name: other}],
        "fallback": [None, {name: other}],
    }
    bad = {
        "min_frequency": [0, 10**30, "x"],
        "max_categories": ["x", -1],
        "n_bins": [-1, 10**30],
        "max_length": [0],
        "categorical_features": [["absent"], [name, name], [99], [True]],
        "n_buckets": [{"absent": 3}, {name: 0}, {name: 2**50}],
        "share_embedding": [{"absent": name}, {name: name}],
        "fallback": [{name: "absent"}],
    }
    return options(c.draw, good, bad)


def flat(table):
    """An encoded table as one list of numbers."""
    parts = [table.ids, table.bins, table.numeric]
    parts += [part for bag in table.bags for part in (bag.values, bag.offsets)]
    return np.concatenate([np.asarray(part, float).ravel() for part in parts])


def case(c):
    """Draw a table and hyperparameters; compare encodings."""
    frame = c.draw(tables())
    params = parameters(c, frame)
    c.values(*frame.columns)
    c.naming("X", "sample_weight", *TableEncoder().get_params())
    c.note(frame=frame, kinds=frame.attrs["kinds"], params=params)
    before = frame.copy(deep=True)
    encoder = TableEncoder(**params)
    c.tried(encoder.fit, frame)
    table = c.must("what fit took", encoder.encode, frame)
    c.holds("the caller's table stays", _same(frame, before))
    expected = flat(table)
    c.holds("numbers are finite", np.isfinite(expected).all())
    c.holds("ids have rows", (table.ids < sum(encoder.vocabulary_sizes_)).all())
    twin = pickle.loads(pickle.dumps(encoder))
    c.equal("a pickle", flat(c.must("pickle", twin.encode, frame)), expected)
    again = TableEncoder(**params).fit(frame)
    c.equal("a second fit", flat(again.encode(frame)), expected)
    _rows(c, encoder, frame, table)
    _writings(c, encoder, frame, params, expected)
    _chunks(c, frame, params)
    _another(c, encoder, frame, expected)


def _same(frame, before):
    """Whether no cell and no type has changed; cells may be lists."""
    cells = zip(
        frame.to_numpy(object).ravel(), before.to_numpy(object).ravel(), strict=True
    )
    same = all(repr(one) == repr(other) for one, other in cells)
    return same and list(frame.dtypes) == list(before.dtypes)


def _rows(c, encoder, frame, table):
    rng = np.random.default_rng(c.draw(SEEDS))
    order = rng.permutation(len(frame))
    moved = c.must("order of rows", encoder.encode, frame.iloc[order])
    c.equal("order of rows", flat(moved), flat(table.take(order)))
    one = int(rng.integers(len(frame)))
    alone = c.must("a row alone", encoder.encode, frame.iloc[[one]])
    c.equal("a row alone", flat(alone), flat(table.take(np.array([one]))))
    turned = c.must("order of columns", encoder.encode, frame.iloc[:, ::-1])
    c.equal("order of columns", flat(turned), flat(table))


def _writings(c, encoder, frame, params, expected):
    for what, write in (
        ("polars", as_polars),
        ("pyarrow", as_arrow),
        ("byte order", in_other_bytes),
        ("wider types", in_wider_types),
    ):
        other = write(frame)
        if other is None or (what != "byte order" and not is_plain(frame)):
            continue
        c.equal(what, flat(c.must(what, encoder.encode, other)), expected)
        if what in ("byte order", "polars"):
            fitted = TableEncoder(**params)
            c.must(f"fit on {what}", fitted.fit, other)
            c.equal(f"fit on {what}", flat(fitted.encode(frame)), expected)


def is_plain(frame):
    """Whether other containers hold the same values, and not what they made of them."""
    return not {"mixed", "NA", "surrogates", "nested", "objects", "timedelta"} & set(
        frame.attrs["kinds"]
    )


def _chunks(c, frame, params):
    """Ids of a table that comes in parts are known as those of the whole."""
    if len(frame) < 2 or params.get("max_categories") or "min_frequency" in params:
        return
    whole, parts = (TableEncoder(**params, min_frequency=1) for _ in range(2))
    cut = c.draw(st.integers(1, len(frame) - 1))
    head, tail = frame.iloc[:cut], frame.iloc[cut:]
    if c.allowed(parts.fit, head) is None or c.allowed(parts.partial_fit, tail) is None:
        return
    whole.fit(frame)
    if whole.categorical_names_ != parts.categorical_names_:
        return  # a first part of missing cells has columns of another kind
    known, expected = (one.encode(frame).ids for one in (parts, whole))
    unknown = [one.layout_.first for one in (parts, whole)]
    for k, _ in enumerate(whole.categorical_names_):
        rows = [
            ids[:, k] - first[one.layout_.columns[k]]
            for ids, first, one in zip(
                (known, expected), unknown, (parts, whole), strict=True
            )
        ]
        c.equal("ids in chunks", rows[0] > 0, rows[1] > 0)


def _another(c, encoder, frame, expected):
    """Any other table is encoded or refused, and changes nothing."""
    other = c.draw(tables(max_rows=4))
    c.values(*other.columns)
    c.allowed(encoder.encode, other)
    c.equal("after another table", flat(encoder.encode(frame)), expected)
