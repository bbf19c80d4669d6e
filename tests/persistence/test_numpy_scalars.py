"""Hyperparameters that are numbers and strings of numpy, as a search gives them."""

import numpy as np
import pytest

import skmtl
from skmtl.calibration import CalibratedTasksCV
from skmtl.embedders import GraphSAGEEmbedder, Word2VecEmbedder
from skmtl.encoding import TableEncoder
from skmtl.model_selection import TimeSplit
from skmtl.output_weights import FixedOutputWeights, OutputWeightSearchCV
from skmtl.tasks import RegressionTask
from skmtl.training.checkpoint import Checkpoint
from tests.persistence.conftest import IDS, RANKERS, small_ranker

# Narrow integers overflow early; a long double has no place in a file.
TYPES = [
    (np.float64, np.int64),
    (np.float32, np.int32),
    (np.float16, np.uint8),
    (np.longdouble, np.int16),
]
# Exact in all of them, and not what the fits begin with.
EXACT = {
    "gate_dropout": 0.25,
    "dropout": 0.5,
    "calibrator_weight": 0.5,
    "own_weight": 0.5,
    "alpha": 0.125,
    "learning_rate": 2.0**-7,
    "n_microbatches": 2,
    "batch_size": 64,
    "chain_probability": True,
    "embedding_optimizer": "adam",
    "pooling": "sum",
    "n_buckets": {"item": 20},
    "fallback": {"user": "category"},
    "bin_start": 0.25,
}


def of_numpy(value, types):
    """The value with numpy's scalars in place of Python's."""
    decimal, whole = types
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return whole(value) if value <= np.iinfo(whole).max else np.int64(value)
    if isinstance(value, float):
        same = float(decimal(value)) == value
        return decimal(value) if same else np.float64(value)
    if isinstance(value, str):
        return np.str_(value)
    if isinstance(value, dict):
        return {of_numpy(k, types): of_numpy(v, types) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(of_numpy(one, types) for one in value)
    return value


def exact(name):
    """A ranker whose hyperparameters are the same in all types."""
    known = small_ranker(name).get_params(deep=False)
    return small_ranker(
        name, **{k: v for k, v in EXACT.items() if k in known}
    ).set_params(categorical_features=IDS, verbose=0, warm_start=True)


def check_saved(estimator, path):
    """Save and load; the hyperparameters are equal."""
    skmtl.save(estimator, path)
    loaded = skmtl.load(path)
    given = estimator.get_params(deep=False)
    for name, value in loaded.get_params(deep=False).items():
        if isinstance(value, str | int | float | dict | tuple | np.generic | None):
            assert value == given[name]
    return loaded


@pytest.mark.parametrize("name", RANKERS)
def test_every_ranker_saves_and_continues(name, table, unseen, tmp_path):
    X, y = table
    fitted = exact(name).fit(X, y)
    path = tmp_path / "ranker"
    plain = fitted.get_params(deep=False)
    proba = fitted.predict_task_proba(unseen)
    for types in TYPES:
        for one, value in plain.items():
            fitted.set_params(**{one: of_numpy(value, types)})
        loaded = check_saved(fitted, path)
        np.testing.assert_array_equal(loaded.predict_task_proba(unseen), proba)
        # The file of one that is set back says the same.
        loaded.set_params(**plain)
        check_saved(loaded, path)
    fitted.set_params(max_iter=np.int8(1)).fit(X, y).partial_fit(X, y)


@pytest.mark.parametrize("types", TYPES)
def test_fits_are_equal(table, unseen, types, tmp_path):
    X, y = table
    made = exact("MMoE")
    proba = made.fit(X, y).predict_task_proba(unseen)
    for name, value in made.get_params(deep=False).items():
        made.set_params(**{name: of_numpy(value, types)})
    made.set_params(warm_start=False).fit(X, y)
    np.testing.assert_array_equal(made.predict_task_proba(unseen), proba)
    loaded = check_saved(made, tmp_path / "ranker")
    np.testing.assert_array_equal(loaded.predict_task_proba(unseen), proba)


def test_a_checkpoint_is_of_the_same_fit(table, unseen, tmp_path):
    made = exact("MMoE").set_params(
        warm_start=False, max_iter=2, callbacks=[Checkpoint(tmp_path / "state")]
    )
    proba = made.fit(*table).predict_task_proba(unseen)
    for types in TYPES:
        for name, value in made.get_params(deep=False).items():
            made.set_params(**{name: of_numpy(value, types)})
        made.fit(*table)
        np.testing.assert_array_equal(made.predict_task_proba(unseen), proba)


def test_another_number_is_still_another_network(table, tmp_path):
    fitted = exact("MMoE").fit(*table).set_params(gate_dropout=np.float32(0.1))
    with pytest.raises(ValueError, match="describe another network"):
        fitted.save(tmp_path / "ranker")


@pytest.mark.parametrize("types", TYPES)
def test_other_estimators(table, types, tmp_path):
    X, y = table
    path, logs = tmp_path / "file", X[["category", "item"]].dropna()
    ranker = small_ranker("ShareBottom", categorical_features=IDS)
    for made, data in [
        (TableEncoder(IDS, n_bins=8, min_frequency=2), (X,)),
        (CalibratedTasksCV(ranker, cv=2, n_jobs=1), (X, y)),
        (CalibratedTasksCV(ranker, cv=0.5, random_state=1), (X, y)),
        (OutputWeightSearchCV(ranker, weights=3, cv=2, n_jobs=1), (X, y)),
        (FixedOutputWeights(ranker, [1.0, 2.0], method="sum"), (X, y)),
        (Word2VecEmbedder(embedding_dim=16, max_iter=1), (logs,)),
        (GraphSAGEEmbedder(embedding_dim=16, max_iter=1), (logs,)),
    ]:
        for name, value in made.get_params(deep=False).items():
            made.set_params(**{name: of_numpy(value, types)})
        check_saved(made, path)
        check_saved(made.fit(*data), path)


@pytest.mark.parametrize("types", TYPES)
def test_parts_of_rankers(types, tmp_path):
    made = small_ranker(
        "MMoE",
        task_kinds={"watch": RegressionTask("quantile", quantile=types[0](0.5))},
        validation_split=TimeSplit(types[1](2), test_size=types[0](0.25)),
    )
    made.save(tmp_path / "ranker")
    loaded = skmtl.load(tmp_path / "ranker")
    assert loaded.task_kinds["watch"].quantile == 0.5
    assert loaded.validation_split.n_splits == 2


def test_durations(tmp_path):
    week = np.timedelta64(7, "D")
    made = small_ranker("MMoE", validation_split=TimeSplit(2, test_size=week))
    made.save(tmp_path / "ranker")
    again = skmtl.load(tmp_path / "ranker").validation_split.test_size
    assert again == week
    assert again.dtype == week.dtype


def test_early_stopping_of_a_table_in_parts(table):
    with pytest.raises(ValueError, match="cannot stop early"):
        small_ranker("MMoE", early_stopping=np.True_).partial_fit(*table)
