"""What each architecture promises, on tables as people have them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmtl import (
    AITM,
    ESMM,
    ChainedMMoE,
    MMoE,
    PooledTask,
    ShareBottom,
    SingleTask,
    SoftSharing,
)
from tests.rankers.conftest import make_impressions
from tests.rankers.makers import ON_IMPRESSIONS

SMALL = {
    **ON_IMPRESSIONS,
    "max_iter": 3,
    "tower_units": (8,),
    "bottom_units": (16,),
    "batch_size": 64,
}


@pytest.fixture(scope="module")
def funnel():
    X, y = make_impressions(n_tasks=3)
    return X, y


def test_single_task_does_not_see_the_other_tasks(funnel):
    X, y = funnel
    other = y.assign(cart=np.random.default_rng(0).integers(0, 2, len(y)))
    expected = SingleTask(**SMALL).fit(X, y).predict_task_proba(X)
    found = SingleTask(**SMALL).fit(X, other).predict_task_proba(X)
    assert_array_equal(found[:, [0, 2]], expected[:, [0, 2]])
    assert (found[:, 1] != expected[:, 1]).all()
    # The same in a network that shares.
    expected = ShareBottom(**SMALL).fit(X, y).predict_task_proba(X)
    found = ShareBottom(**SMALL).fit(X, other).predict_task_proba(X)
    assert (found[:, 0] != expected[:, 0]).all()


def test_single_task_is_not_moved_by_loss_weights(funnel):
    """Adam is invariant under the scale of a loss that is alone."""
    X, y = funnel
    expected = SingleTask(**SMALL).fit(X, y).predict_task_proba(X)
    weighted = SingleTask(loss_weight=[1, 64, 1], **SMALL).fit(X, y)
    assert_allclose(weighted.predict_task_proba(X), expected, rtol=2e-2)


@pytest.mark.parametrize("label_weight", [None, {"click": 1, "cart": 5, "order": 50}])
def test_pooled_task_has_one_order_and_true_rates(funnel, label_weight):
    X, y = funnel
    ranker = PooledTask(label_weight=label_weight, **SMALL).fit(X, y)
    proba = ranker.predict_task_proba(X)
    order = np.argsort(proba[:, 0], kind="stable")
    assert (np.diff(proba[order], axis=0) >= 0).all()
    assert_allclose(proba.mean(axis=0), y.mean(), rtol=1e-3)
    assert ranker.score(X, y) > 0.7


def test_pooled_task_learns_any_positive_feedback():
    """Two tasks without a row in common: the score is that of either."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 3))
    y = np.column_stack([X[:, 0] > 1, X[:, 0] < -1]).astype(int)
    ranker = PooledTask(batch_size=128, random_state=0).fit(X, y)
    proba = ranker.predict_task_proba(X)[:, 0]
    any_positive = y.any(axis=1)
    assert proba[any_positive].min() > np.quantile(proba[~any_positive], 0.95)


def test_pooled_task_follows_the_heavier_label():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 3))
    y = np.column_stack([X[:, 0] > 0, X[:, 0] < 0]).astype(int)
    y *= rng.random(y.shape) < 0.5
    for weight, sign in ([1, 20], -1), ([20, 1], 1):
        ranker = PooledTask(
            label_weight=weight, batch_size=128, max_iter=3, random_state=0
        ).fit(X, y)
        score = ranker.predict_task_proba(X)[:, 0]
        assert sign * np.corrcoef(score, X[:, 0])[0, 1] > 0.5


@pytest.mark.parametrize("order", [None, {"order": ["click"], "cart": ["click"]}])
def test_esmm_never_rises_along_the_funnel(funnel, order):
    X, y = funnel
    weight = {"click": 1, "cart": 30, "order": 1}
    ranker = ESMM(task_order=order, label_weight=weight, **SMALL).fit(X, y)
    click, cart, order_ = ranker.predict_task_proba(X).T
    assert (cart <= click).all()
    assert (order_ <= (cart if order is None else click)).all()
    given = ranker.predict_conditional_proba(X)
    assert ((given >= 0) & (given <= 1)).all()
    assert_array_equal(given[:, 0], click)
    assert_allclose(given[:, 1] * click, cart, rtol=1e-12)


def test_esmm_estimates_conversion_over_all_impressions():
    """Clicked rows are selected by what drives conversion; over all rows it is seen."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 2))
    true = 1 / (1 + np.exp(-X[:, 1]))
    click = rng.random(len(X)) < 1 / (1 + np.exp(1 - 2 * X[:, 0]))
    buy = click & (rng.random(len(X)) < true)
    ranker = ESMM(batch_size=512, random_state=0)
    ranker.fit(X, np.column_stack([click, buy]).astype(int))
    found = ranker.predict_conditional_proba(X)[:, 1]
    seen = X[:, 0] > -1  # where clicks are rarer than 1 in 20 little can be learnt
    assert np.corrcoef(found[seen], true[seen])[0, 1] > 0.9
    assert abs(found[seen] - true[seen]).mean() < 0.08


def test_calibrator_draws_probabilities_into_order():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 4))
    # Two tasks that have nothing to do with each other: the order is violated.
    y = (X[:, :2] + rng.normal(size=(3000, 2)) > [0.5, 1.0]).astype(int)

    def excess(weight):
        ranker = AITM(
            calibrator_weight=weight, batch_size=128, max_iter=4, random_state=0
        ).fit(X, y)
        first, second = ranker.predict_task_proba(X).T
        return np.maximum(second - first, 0).mean()

    assert excess(5.0) < 0.5 * excess(0.0)


def test_calibrator_counts_rows_by_their_weight(funnel):
    """A row of weight 0 is as if it were not there."""
    X, y = funnel
    weight = np.ones(len(X))
    weight[1200:] = 0
    scrambled = y.copy()
    scrambled.iloc[1200:] = 1 - scrambled.iloc[1200:]
    ranker = AITM(calibrator_weight=3.0, **SMALL)
    expected = ranker.fit(X, y, sample_weight=weight).predict_task_proba(X)
    found = ranker.fit(X, scrambled, sample_weight=weight).predict_task_proba(X)
    assert_array_equal(found, expected)


# Weights that have come to rest, not their average on the way.
LAST = {"average_weights": False, "learning_rate_schedule": "cosine"}


def first_layers(ranker):
    return ranker.net_.module_.sharing.layers[0].weight.detach().flatten(1)


def test_l2_draws_layers_together(funnel):
    spread = []
    for alpha in (0.0, 1e-3, 0.1):
        weight = first_layers(SoftSharing(alpha=alpha, **SMALL, **LAST).fit(*funnel))
        spread.append(float((weight - weight.mean(0)).norm() / weight.norm()))
    assert spread[2] < 0.1 < spread[1] < 0.8 * spread[0]


def test_trace_norm_draws_layers_into_few_dimensions(funnel):
    ratio = []
    for alpha in (0.0, 1e-3, 1e-2):
        trace = {"penalty": "trace_norm", "alpha": alpha}
        ranker = SoftSharing(**trace, **SMALL, **LAST, loss_weight=None).fit(*funnel)
        values = np.linalg.svd(first_layers(ranker).numpy(), compute_uv=False)
        ratio.append(values[-1] / values[0])
    assert ratio[2] < 0.1 < ratio[1] < 0.5 * ratio[0]


def test_parameters_are_counted(funnel):
    X, y = funnel
    shared, apart = ShareBottom(**SMALL).fit(X, y), SingleTask(**SMALL).fit(X, y)
    one = SingleTask(**SMALL).fit(X, y[["click"]])
    assert apart.n_parameters_ == 3 * one.n_parameters_
    expected = sum(p.numel() for p in shared.net_.module_.parameters())
    assert shared.n_parameters_ == expected < apart.n_parameters_
    with pytest.raises(AttributeError):
        MMoE().n_parameters_


def test_chained_probabilities_never_rise(impressions):
    X, y = impressions
    y = y.assign(order=y["cart"] * (X["position"] > 4).astype(int))
    ranker = ChainedMMoE(
        **SMALL,
        chain_probability=True,
        label_weight={"click": 50, "cart": 1, "order": 1},
    ).fit(X, y)
    click, cart, order = ranker.predict_task_proba(X).T
    assert (order <= cart).all()
    assert (cart <= click).all()
