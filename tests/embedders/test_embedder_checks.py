"""The embedders are scikit-learn transformers."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl.embedders import GraphSAGEEmbedder, Word2VecEmbedder
from tests.embedders.conftest import neighbors_of_a_kind

KINDS = [Word2VecEmbedder, GraphSAGEEmbedder]


# The checks' random numbers are a log in which no group and no item comes twice.
@pytest.mark.filterwarnings("ignore:No group of column")
@parametrize_with_checks([Word2VecEmbedder(), GraphSAGEEmbedder(max_iter=1)])
def test_common_checks(estimator, check):
    check(estimator)


def quick(kind, **parameters):
    return kind(embedding_dim=8, random_state=0, **parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fitted_embedder_survives_clone_and_pickle(kind, log):
    embedder = quick(kind, max_iter=1).fit(log)
    again = clone(embedder).fit(log)
    loaded = pickle.loads(pickle.dumps(embedder))
    for other in (again, loaded):
        pd.testing.assert_frame_equal(other.embeddings_, embedder.embeddings_)
    np.testing.assert_array_equal(loaded.transform(log), embedder.transform(log))


@pytest.mark.parametrize("kind", KINDS)
def test_random_state_decides(kind, log):
    one, two = (kind(random_state=s, max_iter=1).fit(log) for s in (1, 2))
    assert not np.allclose(one.embeddings_, two.embeddings_)


@pytest.mark.parametrize("kind", KINDS)
def test_items_of_a_kind_are_close(kind, log):
    embedder = quick(kind).fit(log)
    # By chance it would be 1/4.
    assert neighbors_of_a_kind(embedder.embeddings_) > 0.85


@pytest.mark.parametrize("kind", KINDS)
def test_ids_keep_type_and_value(kind):
    large = [2**53, 2**53 + 1, 16_777_216, 16_777_217]
    log = pd.DataFrame({"u": [1, 1, 2, 2], "i": large})
    embedder = quick(kind, max_iter=1).fit(log)
    assert sorted(embedder.embeddings_.index) == sorted(large)
    assert embedder.embeddings_.index.name == "i"
    strings = log.astype({"i": str})
    assert set(quick(kind, max_iter=1).fit(strings).embeddings_.index) == set(
        strings["i"]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_set_output_and_names(kind, log):
    embedder = quick(kind, max_iter=1).set_output(transform="pandas")
    out = embedder.fit_transform(log)
    assert list(out.columns) == list(embedder.get_feature_names_out())
    assert out.columns[0] == f"{kind.__name__.lower()}0"
    expected = embedder.embeddings_.loc[log["item_id"]].to_numpy()
    np.testing.assert_array_equal(out.to_numpy(), expected)
    assert out.to_numpy().dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_polars_and_column_order(kind, log):
    polars = pytest.importorskip("polars")
    plain = log[["user_id", "item_id", "day"]]
    embedder = quick(kind, max_iter=1).fit(plain)
    other = quick(kind, max_iter=1).fit(polars.from_pandas(plain))
    pd.testing.assert_frame_equal(embedder.embeddings_, other.embeddings_)
    turned = plain[["day", "item_id", "user_id"]]
    np.testing.assert_array_equal(embedder.transform(turned), embedder.transform(plain))


@pytest.mark.filterwarnings("ignore:X (does not have|has)")
@pytest.mark.parametrize("kind", KINDS)
def test_columns_go_by_name_and_those_of_arrays_by_position(kind, log):
    plain = log[["user_id", "item_id", "day"]].set_axis([7, ("a", 1), True], axis=1)
    place = {"group_column": 0, "item_column": 1, "max_iter": 1}
    embedder = quick(kind, **place).fit(plain)
    expected = embedder.transform(plain)
    np.testing.assert_array_equal(embedder.transform(plain.iloc[:, ::-1]), expected)
    array = plain.to_numpy(object)
    np.testing.assert_array_equal(embedder.transform(array), expected)
    other = plain.set_axis(["x", "y", "z"], axis=1)
    with pytest.raises(ValueError, match="X lacks columns that it had in fit"):
        embedder.transform(other)
    of_array = quick(kind, **place).fit(array)
    np.testing.assert_array_equal(of_array.transform(other), of_array.transform(array))


@pytest.mark.parametrize("exponent", [10**400, -(10**400), np.inf, np.nan])
def test_exponents_that_no_float_can_hold(log, exponent):
    embedder = quick(Word2VecEmbedder, ns_exponent=exponent)
    with pytest.raises(ValueError, match="'ns_exponent' parameter"):
        embedder.fit(log)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_and_rare_items_are_left_out(kind):
    log = pd.DataFrame(
        {
            "u": ["x", "x", "y", "y", None, "x"],
            "i": ["a", "b", "a", "b", "c", None],
        }
    )
    embedder = quick(kind, max_iter=1, min_frequency=2).fit(log)
    assert set(embedder.embeddings_.index) == {"a", "b"}
    assert not embedder.transform(log)[5].any()


@pytest.mark.parametrize("kind", KINDS)
def test_time_orders_the_events(kind, log):
    stamps = log.assign(day=pd.Timestamp("2020-01-01") + pd.to_timedelta(log.day, "D"))
    stamps = stamps.sort_values("day", kind="stable")
    by_time = quick(kind, max_iter=1, time_column="day", min_frequency=1)
    by_row = quick(kind, max_iter=1)
    pd.testing.assert_frame_equal(
        by_time.fit(stamps).embeddings_, by_row.fit(stamps).embeddings_
    )
    shuffled = stamps.sample(frac=1, random_state=0)
    assert not np.array_equal(
        by_row.fit(shuffled).embeddings_.sort_index(),
        by_time.fit(stamps).embeddings_.sort_index(),
    )


@pytest.mark.parametrize(
    ("parameters", "change", "message"),
    [
        ({"item_column": "sku"}, {}, "item_column names 'sku'.*columns are"),
        ({"group_column": 7}, {}, r"group_column=7 is an index.*5 feature\(s\)"),
        ({"time_column": "day"}, {"day": np.nan}, "Column 'day'.*row 0 has none"),
        ({"time_column": "kind"}, {}, "Column 'kind' must hold numbers"),
        ({}, {"item_id": np.nan}, "Column 'item_id' has no item"),
        ({"min_frequency": 10_000}, {}, "Column 'item_id' has no item on at least"),
        ({"learning_rate": 10**400}, {}, "'learning_rate' parameter"),
        ({"window": 10**30}, {}, "'window' parameter"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_logs_are_named(kind, log, parameters, change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        quick(kind, **parameters).fit(log.assign(**change))


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_without_company_warns(kind):
    log = pd.DataFrame({"u": [1, 2, 3], "i": [1, 2, 3]})
    with pytest.warns(UserWarning, match="No group of column 'u' holds two"):
        quick(kind, max_iter=1).fit(log)


@pytest.mark.parametrize(
    ("kind", "package", "extra"),
    [
        (Word2VecEmbedder, "gensim.models", "word2vec"),
        (GraphSAGEEmbedder, "torch_geometric.nn", "graph"),
    ],
)
def test_a_missing_extra_is_named(kind, package, extra, log, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'pip install "skmtl\[{extra}\]"'):
        quick(kind).fit(log)


def _to_objects(log):
    return log.to_numpy()


def _with_numbers(log):
    return log.set_axis([10, 20, 30], axis=1)


@pytest.mark.parametrize("table", [_to_objects, _with_numbers])
@pytest.mark.parametrize("kind", KINDS)
def test_one_that_does_not_know_its_columns_finds_them(kind, log, table):
    """Files of earlier versions lack them; names were there if they were strings."""
    X = table(log[["user_id", "item_id", "day"]])
    now = quick(kind, max_iter=1).fit(X)
    expected = now.transform(X)
    earlier = pickle.loads(pickle.dumps(now))
    del earlier._columns, earlier._has_names
    np.testing.assert_array_equal(earlier.transform(X), expected)
    np.testing.assert_array_equal(earlier.transform(np.asarray(X)), expected)
