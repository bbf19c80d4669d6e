"""Conversions that are known only after a click."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy.special import expit

from skmtl import AITM, ESMM, ChainedMMoE, MMoE, MultiTaskRanker
from skmtl.modules import ProductTowers
from skmtl.rankers._task_order import with_implied_labels
from skmtl.tasks import check_targets

PARAMS = {"max_iter": 2, "random_state": 0, "tower_units": (8,), "batch_size": 256}


@pytest.fixture(scope="module")
def log():
    """A funnel, and its labels as a conversion log has them."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(4000, 4)), columns=list("abcd"))
    p_click = expit(X["a"] - 2)
    p_given = expit(X["b"] - X["a"] - 1)
    click = rng.random(len(X)) < p_click
    cart = click & (rng.random(len(X)) < p_given)
    y = pd.DataFrame({"click": click, "cart": cart}).astype(float)
    return X, y, y.assign(cart=y["cart"].where(click))


@pytest.mark.parametrize(
    ("kind", "params"), [(ESMM, {}), (ChainedMMoE, {"chain_probability": True})]
)
def test_rankers_that_multiply_read_all_impressions(log, kind, params):
    X, whole, after_click = log
    expected = kind(**params, **PARAMS).fit(X, whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranker = kind(**params, **PARAMS).fit(X, after_click)
    proba = ranker.predict_task_proba(X)
    assert_array_equal(proba, expected.predict_task_proba(X))
    assert proba[:, 1].mean() == pytest.approx(whole["cart"].mean(), rel=1e-6)
    assert ranker.score(X, after_click) == pytest.approx(ranker.score(X, whole))
    # Partial fits and tables for validation are read the same way.
    part = kind(**params, **PARAMS).partial_fit(X, after_click)
    assert_array_equal(
        part.predict_task_proba(X),
        kind(**params, **PARAMS).partial_fit(X, whole).predict_task_proba(X),
    )
    valid = {"X_val": X[:500], "y_val": after_click[:500]}
    history = kind(**params, **PARAMS).fit(X, whole, **valid).history_
    valid["y_val"] = whole[:500]
    other = kind(**params, **PARAMS).fit(X, whole, **valid).history_
    assert_array_equal(history["valid_loss"], other["valid_loss"])


def eight_units(width):
    return torch.nn.Sequential(torch.nn.Linear(width, 8), torch.nn.ReLU())


class ProductOfTwo(ProductTowers):
    """Custom towers that multiply along the order of the columns."""

    def __init__(self, n_tasks, width, units, dropout):
        parents = [[t - 1] if t else [] for t in range(n_tasks)]
        super().__init__(parents=parents, width=width, units=units, dropout=dropout)


@pytest.mark.parametrize(
    "towers",
    [
        {"towers": ProductTowers, "towers__parents": [[], [0]]},
        {"towers": ProductOfTwo},
        {
            "towers": ProductTowers(
                parents=[[], [0]], width=8, units=(8,), dropout=0.0
            ),
            "sharing": eight_units,
        },
    ],
    ids=["class", "own class", "module"],
)
def test_networks_of_ones_own_read_all_impressions_too(log, towers):
    X, whole, after_click = log
    state = torch.random.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranker = MultiTaskRanker(**towers, **PARAMS).fit(X, after_click)
        same = MultiTaskRanker(**towers, **PARAMS).fit(X, whole)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert_array_equal(ranker.predict_task_proba(X), same.predict_task_proba(X))
    assert ranker.predict_task_proba(X)[:, 1].mean() == pytest.approx(
        whole["cart"].mean(), rel=0.05
    )


def test_towers_that_promise_nothing_say_so(log):
    X, _, after_click = log
    with pytest.warns(UserWarning, match="'cart' is observed only where 'click' is 1"):
        MultiTaskRanker(**{**PARAMS, "max_iter": 1}).fit(X, after_click)


@pytest.mark.parametrize("kind", [MMoE, AITM, ChainedMMoE])
def test_others_say_that_they_estimate_given_the_click(log, kind):
    X, _, after_click = log
    message = "'cart' is observed only where 'click' is 1.* given 'click'"
    with pytest.warns(UserWarning, match=message) as found:
        ranker = kind(**PARAMS).fit(X, after_click)
    assert len(found) == 1
    assert found[0].filename == __file__
    rate = after_click["cart"].mean()  # of clicks
    clicks = after_click["click"] == 1
    proba = ranker.predict_task_proba(X[clicks])[:, 1]
    assert proba.mean() == pytest.approx(rate, rel=0.02)


def test_labels_that_are_missing_at_random_are_not_taken_for_conditional(log):
    X, whole, _ = log
    hidden = np.random.default_rng(1).random(len(X)) < 0.3
    masked = whole.assign(cart=whole["cart"].mask(hidden))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MMoE(**{**PARAMS, "max_iter": 1}).fit(X, masked)


def test_labels_follow_along_chains_and_graphs():
    nan = np.nan
    y = pd.DataFrame(
        {
            "click": [0, 1, 1, nan, 0],
            "cart": [nan, 0, nan, nan, 1],
            "order": [nan, nan, nan, nan, 1],
            "return": [nan, nan, nan, nan, nan],
        }
    )
    chain = with_implied_labels(check_targets(y), [[], [0], [1], [2]])
    assert chain.observed.tolist() == [
        [True, True, True, False],  # of the last task nothing is known
        [True, True, True, False],
        [True, False, False, False],
        [False, False, False, False],
        [True, True, True, False],
    ]
    assert chain.labels[4, 1] == 1  # what was observed stays
    graph = with_implied_labels(check_targets(y), [[], [], [0, 1], []])
    assert graph.observed[:, 2].tolist() == [True, True, False, False, True]
    targets = check_targets(y.fillna(0))
    assert with_implied_labels(targets, [[], [0], [1], [2]]) is targets
