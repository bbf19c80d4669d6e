"""Hyperparameters at and beyond the ends of what numbers can hold."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skmtl import AITM, PLE, STEM, MMoE
from skmtl.modules import layers

X = pd.DataFrame({"id": ["x", "y", "z", "x"] * 10, "x": np.arange(40.0)})
Y = np.array([[0, 1], [1, 0]] * 20)
HUGE = 10**400
SMALL = {"max_iter": 1, "random_state": 0, "n_bins": 4}


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"learning_rate": HUGE}, ValueError, "learning_rate"),
        ({"weight_decay": HUGE}, ValueError, "weight_decay"),
        ({"unknown_rate": HUGE}, ValueError, "unknown_rate"),
        ({"tol": HUGE}, ValueError, "tol"),
        ({"label_weight": HUGE}, ValueError, "label_weight must hold numbers"),
        ({"loss_weight": [HUGE, 1]}, ValueError, "loss_weight must hold numbers"),
        ({"batch_size": 10**30}, ValueError, "batch_size"),
        ({"max_iter": 10**30}, ValueError, "max_iter"),
        ({"min_frequency": 10**30}, ValueError, "min_frequency"),
        ({"bin_dim": 10**30}, ValueError, "bin_dim"),
        ({"n_hashes": 10**18}, ValueError, "n_hashes"),
        ({"n_threads": 2**40}, ValueError, "n_threads"),
        ({"n_buckets": {"id": 10**30}}, ValueError, "n_buckets of column 'id'"),
        ({"n_buckets": {"id": 2**40}}, MemoryError, "column 'id'"),
        ({"embedding_dim": 2**62}, MemoryError, "column 'id'"),
        ({"bin_dim": 2**40}, MemoryError, "bin_dim"),
        ({"n_experts": 2**40}, MemoryError, "fewer experts"),
        ({"tower_units": (10**30,)}, MemoryError, "tower_units"),
        ({"expert_units": (2**12, 2**28)}, MemoryError, "expert_units"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_numbers_that_are_too_large(params, error, words):
    ranker = MMoE(**SMALL | params)
    with pytest.raises(error, match=words):
        ranker.fit(X, Y)
    assert not hasattr(ranker, "net_")


def test_a_huge_weight_of_a_term_or_a_strategy():
    with pytest.raises(ValueError, match="calibrator_weight"):
        AITM(**SMALL, calibrator_weight=HUGE).fit(X, Y)
    from skmtl.weighting import DynamicWeightAverage

    with pytest.raises(ValueError, match="temperature of DynamicWeightAverage"):
        MMoE(**SMALL, loss_weight=DynamicWeightAverage(temperature=HUGE)).fit(X, Y)


@pytest.mark.parametrize(
    ("cls", "params"),
    [
        (MMoE, {"batch_size": 100}),
        (MMoE, {"bin_dim": 100}),
        (MMoE, {"n_experts": 100}),
        (MMoE, {"embedding_dim": 100, "tower_units": (100,), "expert_units": (100,)}),
        (MMoE, {"n_buckets": {"id": 100}, "n_hashes": 2}),
        (PLE, {"n_task_experts": 100, "n_shared_experts": 100}),
        (STEM, {"n_shared_experts": 100}),
    ],
    ids=str,
)
def test_small_integers_of_numpy_count_as_those_of_python(cls, params):
    def short(value):
        if isinstance(value, dict):
            return {k: short(v) for k, v in value.items()}
        if isinstance(value, tuple):
            return tuple(map(short, value))
        return np.int8(value)

    expected = cls(**SMALL, **params).fit(X, Y).predict_task_proba(X)
    found = cls(**SMALL, **short(params)).fit(X, Y).predict_task_proba(X)
    assert_array_equal(found, expected)


def test_weights_whose_sum_no_float_can_hold():
    expected = MMoE(**SMALL).fit(X, Y).predict_task_proba(X)
    huge = np.full(len(X), 2.0**1023)
    found = MMoE(**SMALL).fit(X, Y, sample_weight=huge).predict_task_proba(X)
    assert_array_equal(found, expected)
    weights = np.linspace(0.1, 1.0, len(X))
    expected = MMoE(**SMALL).fit(X, Y, sample_weight=weights * 2.0**900)
    found = MMoE(**SMALL).fit(X, Y, sample_weight=weights * 2.0**1023)
    for name in ("prior_", "intercept_"):
        assert_array_equal(getattr(found, name), getattr(expected, name))
    assert_array_equal(found.predict_task_proba(X), expected.predict_task_proba(X))
    with pytest.raises(ValueError, match="sample_weight must hold numbers"):
        MMoE(**SMALL).fit(X, Y, sample_weight=[HUGE] * len(X))


@pytest.mark.parametrize("name", ["label_weight", "loss_weight"])
def test_weights_beyond_float32(name):
    with pytest.raises(ValueError, match=rf"{name} of task '0' is .*at most 3.4"):
        MMoE(**SMALL, **{name: 1e308}).fit(X, Y)


def test_a_layer_is_measured_before_its_memory_is_taken(monkeypatch):
    assert layers.room_for(3, 4) == (3, 4)
    monkeypatch.setattr(layers, "free_memory", lambda: 16 * 2**24)
    assert layers.room_for(2**12, 2**12) == (2**12, 2**12)
    with pytest.raises(MemoryError, match="4,097 x 4,096 numbers"):
        layers.room_for(2**12 + 1, 2**12)
    monkeypatch.setattr(layers, "free_memory", lambda: None)
    assert layers.room_for(2**12 + 1, 2**12) == (2**12 + 1, 2**12)
