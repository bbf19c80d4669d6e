"""Labels of any kind, labels that are missing, and the weights of tasks."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.rankers.makers import MAKERS, small_mmoe


def test_unobserved_labels_count_in_no_loss(maker, impressions):
    X, y = impressions
    # Where there is no click, rankers that multiply know that there is no cart.
    seen = (np.arange(len(y)) % 3 > 0) | (y["click"] == 0).to_numpy()
    masked = y.astype(float)
    masked.loc[~seen, "cart"] = np.nan
    scrambled = masked.copy()
    weight = np.ones(y.shape)
    weight[~seen, 1] = 0
    scrambled["cart"] = np.where(seen, masked["cart"], 1 - y["cart"])
    by_nan = maker().fit(X, masked).predict_task_proba(X)
    by_weight = maker().fit(X, scrambled, sample_weight=weight).predict_task_proba(X)
    assert_array_equal(by_nan, by_weight)
    assert np.isfinite(by_nan).all()


def test_whole_epoch_without_a_label_for_a_task(maker, impressions):
    X, y = impressions
    y = y.astype(float).assign(order=np.nan)
    with pytest.warns(UserWarning, match="Task 'order' has no observed label"):
        ranker = maker().fit(X, y)
    proba = ranker.predict_task_proba(X)
    assert (proba[:, 2] == 0.5).all()
    assert np.isfinite(proba).all()
    assert ranker.score(X, y) > 0.6


def test_y_without_any_label_is_refused(impressions):
    X, y = impressions
    with pytest.raises(ValueError, match=r"y holds only NaN for the tasks \['click'"):
        small_mmoe().fit(X, y * np.nan)


@pytest.mark.parametrize("value", [0, 1])
def test_one_class_gives_the_prior_with_a_warning(impressions, value):
    X, y = impressions
    with pytest.warns(UserWarning, match="Task 'order' has only one class"):
        ranker = small_mmoe().fit(X, y.assign(order=value))
    assert (ranker.predict_task_proba(X)[:, 2] == value).all()
    assert list(ranker.classes_[2]) == [0, 1]


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"PooledTask"}))
def test_label_weights_leave_probabilities_true(impressions, name):
    X, y = impressions
    rates = y.mean().to_numpy()
    intercepts = {}
    mixtures = ("MMoE", "ChainedMMoE")
    for weight in (1, 10, 100) if name in mixtures else (100,):
        ranker = MAKERS[name](label_weight=weight).fit(X, y)
        mean = ranker.predict_task_proba(X).mean(axis=0)
        assert mean == pytest.approx(rates, rel=0.01)
        intercepts[weight] = ranker.intercept_
    if name in mixtures:
        # The shift of the loss, log(weight), does the work. The intercept that is
        # fitted last undoes what memorised rows add, about the same at any weight.
        assert abs(intercepts[1]).max() < 0.6
        for weight in (10, 100):
            moved = abs(intercepts[weight] - intercepts[1]).max()
            assert moved < 0.1 * np.log(weight)


def test_loss_weight_zero_leaves_a_task_untrained(impressions):
    X, y = impressions
    weights = {"click": 1.0, "cart": 0.0}
    ranker = small_mmoe(loss_weight=weights).fit(X, y)
    flipped = y.assign(cart=1 - y["cart"])
    other = small_mmoe(loss_weight=weights).fit(X, flipped)
    assert list(ranker.loss_weight_) == [1, 0]
    assert_array_equal(
        ranker.predict_task_proba(X)[:, 0], other.predict_task_proba(X)[:, 0]
    )


def test_binary_labels_of_any_kind(impressions):
    X, y = impressions
    label = np.where(y["click"] == 1, "yes", "no")
    ranker = small_mmoe().fit(X, label)
    assert list(ranker.classes_) == ["no", "yes"]
    proba = ranker.predict_proba(X)
    assert proba.shape == (len(X), 2)
    assert set(ranker.predict(X)) <= {"no", "yes"}
    assert ranker.score(X, label) > 0.6
    column = small_mmoe().fit(X, y[["click"]])
    assert_array_equal(column.predict_proba(X), proba)
    assert list(column.task_names_) == ["click"]


def test_frame_of_nullable_labels(impressions):
    X, y = impressions
    expected = small_mmoe().fit(X, y).predict_task_proba(X)
    nullable = small_mmoe().fit(X, y.astype("Int64")).predict_task_proba(X)
    assert_array_equal(nullable, expected)
