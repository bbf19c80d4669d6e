"""A file predicts what the ranker does."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

from skmtl import FixedOutputWeights, OutputWeightSearchCV, PretrainedEmbedding
from skmtl.calibration import CalibratedTasksCV
from skmtl.export import _to_onnx as module
from skmtl.export import onnx_inputs, to_onnx
from skmtl.export._to_onnx import trial_rows
from tests.persistence.conftest import IDS, RANKERS, make_table, small_ranker

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def exported(estimator, tmp_path, **options):
    path = tmp_path / "ranker.onnx"
    to_onnx(estimator, path, **options)
    return onnxruntime.InferenceSession(path)


@pytest.fixture(scope="module")
def session(path):
    """A file with output weights, loaded."""
    return onnxruntime.InferenceSession(path)


@pytest.fixture(scope="module")
def of_numbers(table):
    """A ranker whose file is written in less time."""
    X, y = table
    return small_ranker("ShareBottom").fit(X[["price", "age"]], y)


def assert_same(session, ranker, X):
    proba = session.run(["probabilities"], onnx_inputs(session, X))[0]
    expected = ranker.predict_task_proba(X)
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba, expected, rtol=1e-4, atol=0)
    assert np.abs(proba - expected).max() <= 1e-6


@pytest.mark.parametrize("name", [name for name in RANKERS if name != "ShareBottom"])
def test_every_ranker_at_every_number_of_rows(name, table, tmp_path):
    params = {"chain_probability": True} if name == "ChainedMMoE" else {}
    # MMoE has every kind of column, as `fitted` below; the others show their network.
    ids = IDS if name == "MMoE" else ["item"]
    X = table[0] if name == "MMoE" else table[0][["item", "price"]]
    ranker = small_ranker(name, categorical_features=ids, **params).fit(X, table[1])
    assert_same_at_numbers_of_rows(exported(ranker, tmp_path), ranker, name == "MMoE")


def test_share_bottom_at_every_number_of_rows(session, fitted):
    assert_same_at_numbers_of_rows(session, fitted, True)


def assert_same_at_numbers_of_rows(session, ranker, many):
    for n_rows in (1, 7, 1025, *((1024, 30_000) if many else ())):
        assert_same(session, ranker, trial_rows(ranker.encoder_, n_rows, seed=n_rows))


OPTIONS = {
    "fallback and sharing": {
        "fallback": {"item": "category", "category": "user"},
        "share_embedding": {"history": "item", "seen": "user"},
        "max_length": 2,
        "embedding_dim": {"item": 8, "user": 2},
    },
    "poolings and pairs of columns": {
        "pooling": {"history": ("attention", "item"), "seen": "max"},
        "share_embedding": {"history": "item"},
        "n_bins": 0,
        "crosses": "fm",
        "embedding_dim": {"category": 2},
    },
    "learnt poolings and a cross network": {
        "pooling": {"history": "din", "seen": "transformer"},
        "share_embedding": {"history": "item"},
        "crosses": "dcn",
        "embedding_dim": {"category": 2},
    },
    "rare ids": {"min_frequency": 1000, "pooling": "sum"},
}


@pytest.mark.filterwarnings("ignore:No id in columns")
@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_the_encoder(option, table, tmp_path):
    ranker = small_ranker(
        "SingleTask" if "pairs" in option else "ShareBottom",
        categorical_features=IDS,
        **OPTIONS[option],
    ).fit(*table)
    session = exported(ranker, tmp_path, X=table[0])
    assert_same(session, ranker, make_table(60, 3)[0])
    assert_same(session, ranker, trial_rows(ranker.encoder_, 500, seed=9))


def test_pretrained_rows(table, tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"ü{i}" for i in range(20)] + ["new"]
    vectors = pd.DataFrame(rng.normal(size=(21, 3)).astype(np.float32), index=ids)
    ranker = small_ranker(
        "ShareBottom",
        categorical_features=IDS,
        embeddings={"item": PretrainedEmbedding(vectors, mode="frozen")},
        share_embedding={"history": "item"},
    ).fit(*table)
    session = exported(ranker, tmp_path)
    new = make_table(60, 3)[0]
    new.loc[::3, "item"] = "new"
    assert_same(session, ranker, new)


def test_fractions_as_ids_of_arrays_one_task_and_searched_weights(tmp_path):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(8, size=300) / 2, rng.normal(size=300)])
    X[rng.random(300) < 0.1, 0] = np.nan
    y = (X[:, 1] + rng.normal(size=300) > 0).astype(int)
    ranker = small_ranker("ShareBottom", categorical_features=[0]).fit(X, y)
    search = OutputWeightSearchCV(ranker, weights=3, cv="prefit", method="logit")
    session = exported(search.fit(X, y), tmp_path)
    assert [one.name for one in session.get_inputs()] == ["x0", "x1"]
    assert_same(session, ranker, X)
    score = session.run(["score"], onnx_inputs(session, X))[0]
    np.testing.assert_allclose(score, search.decision_function(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("columns", [["item"], ["history"]], ids="-".join)
def test_one_kind_of_column(columns, table, tmp_path):
    ranker = small_ranker("ShareBottom").fit(table[0][columns], table[1])
    assert_same(exported(ranker, tmp_path), ranker, table[0][columns])


def test_order_of_tasks_is_kept_to_the_last_bit(table, tmp_path):
    # Towers so biased that rounding alone decides which is larger.
    ranker = small_ranker("ESMM").fit(table[0][["price", "age"]], table[1])
    ranker.net_.module_.towers.given_parents.output.bias.data[1] += 40
    session = exported(ranker, tmp_path)
    X = trial_rows(ranker.encoder_, 2000)
    click, order = session.run(None, onnx_inputs(session, X))[0].T
    assert (order <= click).all()
    assert (order == click).mean() > 0.5


def test_tiny_probabilities_and_constant_and_unobserved_tasks(table, tmp_path):
    y = table[1].astype(float).assign(never=0.0, unknown=np.nan)
    with pytest.warns(UserWarning, match="never|unknown"):
        ranker = small_ranker("ESMM").fit(table[0][["price", "age"]], y)
    ranker.net_.module_.towers.given_parents.output.bias.data -= 15
    session = exported(ranker, tmp_path)
    X = trial_rows(ranker.encoder_, 2000)
    proba = session.run(None, onnx_inputs(session, X))[0]
    assert (proba[:, 2] == 0).all()
    assert (proba[:, 3] == 0.5).all()
    assert 0 < proba[:, :2].max() < 1e-6
    assert_same(session, ranker, X)


def test_sum_of_probabilities(session, weighed, table):
    score = session.run(["score"], onnx_inputs(session, table[0]))[0]
    np.testing.assert_allclose(score, weighed.decision_function(table[0]), rtol=1e-6)
    assert_same(session, weighed, table[0])


@pytest.mark.parametrize("method", ["sigmoid", "prior_shift"])
def test_calibration(method, table, tmp_path):
    X, y = table[0][["price", "age"]], table[1].assign(never=0)
    with pytest.warns(UserWarning, match="never"):
        ranker = small_ranker("ShareBottom").fit(X, y)
    calibrated = CalibratedTasksCV(ranker, method=method, cv="prefit")
    with pytest.warns(UserWarning, match="never"):
        calibrated.fit(X, y)
    weighed = FixedOutputWeights(calibrated, [0.5, 3, 0], method="product")
    before, state = ranker.predict_task_proba(X), torch.random.get_rng_state()
    session = exported(weighed, tmp_path)
    np.testing.assert_array_equal(ranker.predict_task_proba(X), before)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(p.requires_grad for p in ranker.net_.module_.parameters())
    assert np.abs(calibrated.predict_task_proba(X) - before).max()
    assert_same(session, calibrated, trial_rows(ranker.encoder_, 500))
    score = session.run(["score"], onnx_inputs(session, X))[0]
    np.testing.assert_allclose(score, weighed.decision_function(X), rtol=1e-6)


def test_tables_of_8_bits(table, tmp_path, caplog):
    ranker = small_ranker(
        "ShareBottom", categorical_features=IDS, embedding_dim=64, bin_dim=32
    ).fit(*table)
    whole = exported(ranker, tmp_path)
    size = (tmp_path / "ranker.onnx").stat().st_size
    small = exported(ranker, tmp_path, table_dtype="int8", X=table[0])
    embedding = ranker.net_.module_.embedding
    numbers = embedding.bins.numel() + sum(t.numel() for t, _ in embedding.id_tables())
    # Of four bytes of each number three are saved, less what the nodes take.
    assert size - (tmp_path / "ranker.onnx").stat().st_size > 2.7 * numbers
    assert not [one for one in caplog.records if one.name == "root"]
    found = small.get_modelmeta().custom_metadata_map
    assert found["inputs"] == whole.get_modelmeta().custom_metadata_map["inputs"]
    inputs = onnx_inputs(small, table[0])
    proba, expected = (s.run(None, inputs)[0] for s in (small, whole))
    difference = np.abs(proba - expected).max()
    assert 1e-6 < difference <= float(found["largest_difference"]) + 1e-6
    # A row's probability does not depend on the others.
    alone = small.run(None, {name: cells[:1] for name, cells in inputs.items()})[0]
    np.testing.assert_allclose(alone, proba[:1], rtol=1e-6)


def test_tables_of_8_bits_that_differ_are_not_written(table, tmp_path, monkeypatch):
    fitted = small_ranker("ShareBottom").fit(table[0][["item"]], table[1])
    monkeypatch.setattr(module, "SMALL_TABLES", 1e-9)
    path = tmp_path / "ranker.onnx"
    with pytest.raises(RuntimeError, match="Use table_dtype='float32'"):
        to_onnx(fitted, path, table_dtype="int8")
    with pytest.raises(ValueError, match="must be 'float32' or 'int8', found 'int4'"):
        to_onnx(fitted, path, table_dtype="int4")
    assert not path.exists()


def test_edges_of_bins_are_exact_flags_and_names_that_are_taken(table, tmp_path):
    X = table[0].rename(columns={"price": "score", "age": "probabilities"})
    X = X[["score", "probabilities"]].assign(flag=X["score"] > 1)
    ranker = small_ranker("ShareBottom", n_bins=64, learning_rate=0.1).fit(X, table[1])
    assert len(ranker.encoder_.bin_sizes_) == 2
    session = exported(ranker, tmp_path)
    assert [one.name for one in session.get_inputs()] == [
        "score_input",
        "probabilities_input",
        "flag",
    ]
    assert_same(session, ranker, X)
    for column, scale in zip(X, ranker.encoder_._scales[:2], strict=False):
        edges = np.repeat(scale.edges, 3)
        edges[1::3] = np.nextafter(edges[1::3], -np.inf)
        edges[2::3] = np.nextafter(edges[2::3], np.inf)
        rows = pd.DataFrame(1.0, range(len(edges)), X.columns).assign(flag=True)
        assert_same(session, ranker, rows.assign(**{column: edges}))


def test_metadata_and_signature(session, fitted):
    found = session.get_modelmeta().custom_metadata_map
    assert json.loads(found["task_names"]) == ["click", "order"]
    assert json.loads(found["feature_names"]) == list(fitted.feature_names_in_)
    assert json.loads(found["output_weights"]) == [1.0, 5.0]
    assert json.loads(found["fusion_method"]) == "sum"
    assert found["skmtl_version"]
    kinds = {one.name: (one.type, one.shape) for one in session.get_inputs()}
    assert kinds == {
        "item": ("tensor(string)", ["rows", 1]),
        "category": ("tensor(string)", ["rows", 1]),
        "user": ("tensor(int64)", ["rows", 1]),
        "price": ("tensor(double)", ["rows", 1]),
        "age": ("tensor(double)", ["rows", 1]),
        "history": ("tensor(string)", ["rows", "history length"]),
        "seen": ("tensor(int64)", ["rows", "seen length"]),
    }
    assert [one.name for one in session.get_outputs()] == ["probabilities", "score"]


def test_markers_of_missing_ids_are_no_ids(tmp_path):
    rng = np.random.default_rng(0)
    words = np.array(["", "<missing>", "a"], dtype=object)
    X = pd.DataFrame(
        {
            "word": words[rng.integers(3, size=200)],
            "number": rng.integers(-1, 3, size=200),
            "words": [list(words[rng.integers(3, size=2)]) for _ in range(200)],
        }
    )
    X.loc[::7, "word"] = None
    y = pd.DataFrame({"a": X["word"] == "", "b": X["number"] == -1}).astype(int)
    ranker = small_ranker(
        "ShareBottom", categorical_features=[0, 1, 2], learning_rate=0.1
    ).fit(X, y)
    session = exported(ranker, tmp_path)
    assert_same(session, ranker, X)
    columns = json.loads(session.get_modelmeta().custom_metadata_map["inputs"])
    assert [c["missing"] for c in columns] == ["<missing 2>", -(2**63), "<missing 2>"]


def test_what_cannot_be_expressed_is_named(fitted, table, tmp_path):
    path = tmp_path / "ranker.onnx"

    def refuse(message, estimator):
        with pytest.raises(ValueError, match=message):
            to_onnx(estimator, path)
        assert not path.exists()

    X, y = table[0][["item", "price"]], table[1]
    hashed = small_ranker("ShareBottom", n_buckets={"item": 5}).fit(X, y)
    refuse("Column 'item' is hashed", hashed)
    large = X.assign(item=[2**70 + k % 5 for k in range(len(X))])
    beyond = small_ranker("ShareBottom", categorical_features=["item"]).fit(large, y)
    refuse("Column 'item' has ids beyond 64 bits", beyond)
    refuse("method='rank'", FixedOutputWeights(fitted, [1, 2], method="rank"))
    refuse("precision='bf16'", small_ranker("ShareBottom", precision="bf16").fit(X, y))
    steps = CalibratedTasksCV(small_ranker("ShareBottom").fit(X, y), method="isotonic")
    refuse("isotonic", steps.set_params(cv="prefit").fit(X, y))
    forest = RandomForestClassifier(2).fit(np.ones((4, 1)), [[0, 1], [1, 0]] * 2)
    refuse("RandomForestClassifier", FixedOutputWeights(forest, [1, 2]))
    refuse("RandomForestClassifier", forest)


def test_a_file_that_differs_is_not_written(of_numbers, tmp_path, monkeypatch):
    path = tmp_path / "ranker.onnx"
    predict = of_numbers.predict_task_proba
    monkeypatch.setattr(
        of_numbers, "predict_task_proba", lambda X: predict(X) * (1 + 2e-4)
    )
    with pytest.raises(RuntimeError, match="differ from those of the ranker"):
        to_onnx(of_numbers, path)
    assert not path.exists()


def test_both_tolerances_count():
    expected = np.full((3, 2), 1e-3)
    module._check_close("probabilities", expected * (1 + 5e-5), expected)
    unknown = np.full((3, 2), np.nan)
    for found, wanted in (
        (expected * (1 + 2e-4), expected),
        (unknown, expected),
        (expected, unknown),
    ):
        with pytest.raises(RuntimeError, match="row 0 of a trial table of 3 rows"):
            module._check_close("probabilities", found, wanted)
    with pytest.raises(RuntimeError):
        module._check_close(
            "probabilities", np.full((1, 1), 0.500002), np.full((1, 1), 0.5)
        )


def test_extra_is_named(fitted, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"skmtl\[onnx\]"):
        to_onnx(fitted, tmp_path / "ranker.onnx")


def test_missing_columns_are_named(session, table):
    with pytest.raises(ValueError, match="X lacks the column 'item'"):
        onnx_inputs(session, table[0].drop(columns="item"))


def test_polars(session, table):
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(table[0])
    for name, cells in onnx_inputs(session, frame).items():
        np.testing.assert_array_equal(cells, onnx_inputs(session, table[0])[name])
