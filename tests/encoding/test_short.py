"""Short tables are encoded as parts of long ones."""

import numpy as np
import pandas as pd
import pytest

from skmtl.encoding import TableEncoder

NUMBERS = ["price", "count", "seen", "small"]


def table(n, rng):
    ids = rng.zipf(1.3, (n, 3)) % 50
    return pd.DataFrame(
        {
            "price": rng.normal(size=n),
            "user": [f"u{k}" for k in ids[:, 0]],
            "count": rng.integers(0, 9, n),
            "item": pd.Series([f"i{k}" for k in ids[:, 1]], dtype="str"),
            "seen": rng.random(n) < 0.5,
            "last": [f"i{k}" for k in ids[:, 2]],
            "small": rng.normal(size=n).astype(np.float32),
        }
    )


@pytest.fixture(params=range(3))
def rng(request):
    return np.random.default_rng(request.param)


@pytest.mark.parametrize("n", [1, 2, 128])
@pytest.mark.parametrize("n_bins", [0, 8])
def test_it_is_encoded_as_a_part_of_a_long_one(rng, n, n_bins):
    encoder = TableEncoder(
        n_bins=n_bins,
        min_frequency=3,
        share_embedding={"last": "item"},
        fallback={"item": "user"},
    ).fit(table(900, rng))
    X = table(3000, rng)
    X.loc[X.index % 5 == 0, "user"] = None
    X.loc[X.index % 7 == 0, ["price", "small"]] = np.nan
    X.loc[X.index % 3 == 0, "item"] = "never seen"
    long, short = encoder.encode(X), encoder.encode(X.head(n))
    for name in ("ids", "bins", "numeric"):
        of_long, of_short = getattr(long, name)[:n], getattr(short, name)
        assert of_long.dtype == of_short.dtype
        assert of_short.flags.c_contiguous
        np.testing.assert_array_equal(of_short, of_long)


def test_the_cells_of_a_row_are_fetched_at_once(rng, monkeypatch):
    encoder = TableEncoder().fit(table(900, rng))
    # As strings also in pandas before 3.
    X = table(1, rng).astype(dict.fromkeys(["user", "item", "last"], "string"))
    monkeypatch.setattr(pd.DataFrame, "items", None)
    assert len(encoder.encode(X)) == 1


@pytest.mark.parametrize("name", ["price", "small"])
def test_infinity_is_refused_by_name(rng, name):
    encoder = TableEncoder().fit(table(900, rng))
    X = table(3, rng)
    X.loc[1, name] = -np.inf
    with pytest.raises(ValueError, match=f"infinity.*column '{name}', row 1"):
        encoder.encode(X)


def test_tables_of_strings_alone_and_of_numbers_alone(rng):
    for columns in (["user", "item"], NUMBERS):
        encoder = TableEncoder().fit(table(900, rng)[columns])
        X = table(2000, rng)[columns]
        long, short = encoder.encode(X), encoder.encode(X.head(4))
        np.testing.assert_array_equal(short.ids, long.ids[:4])
        np.testing.assert_array_equal(short.numeric, long.numeric[:4])


def test_large_integers_keep_all_that_a_float_can_hold(rng):
    big = np.array([2**53 + 1, 2**62 + 3, 5], dtype=np.uint64)
    encoder = TableEncoder(n_bins=8).fit(pd.DataFrame({"x": big}))
    X = pd.DataFrame({"x": np.tile(big, 100)})
    np.testing.assert_array_equal(
        encoder.encode(X.head(3)).numeric, encoder.encode(X).numeric[:3]
    )
