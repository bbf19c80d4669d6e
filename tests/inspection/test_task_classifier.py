"""One task of several, for tools that take a binary classifier."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibrationDisplay
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.inspection import (
    PartialDependenceDisplay,
    partial_dependence,
    permutation_importance,
)
from sklearn.metrics import RocCurveDisplay
from sklearn.pipeline import make_pipeline

from skmtl import MMoE
from skmtl.inspection import task_classifier
from skmtl.metrics import roc_auc
from tests.rankers.conftest import make_impressions
from tests.rankers.makers import ON_IMPRESSIONS

SMALL = {**ON_IMPRESSIONS, "max_iter": 1, "expert_units": (8,), "tower_units": (4,)}


@pytest.fixture(scope="module")
def impressions():
    return make_impressions()


@pytest.fixture(scope="module")
def ranker(impressions):
    return MMoE(**SMALL).fit(*impressions)


def test_probabilities_are_those_of_the_task(impressions, ranker):
    X, _ = impressions
    for task, place in (("click", 0), ("cart", 1), (1, 1), (-1, 1)):
        one = task_classifier(ranker, task)
        assert_array_equal(one.predict_proba(X), ranker.predict_proba(X)[place])
        assert_array_equal(one.predict(X), ranker.predict(X)[:, place])
        assert_array_equal(one.classes_, [0, 1])


def test_partial_dependence_is_the_mean_prediction(impressions, ranker):
    X, _ = impressions
    X = X.astype({"position": float})
    cart = task_classifier(ranker, "cart")
    found = partial_dependence(cart, X, ["position"], grid_resolution=3)
    for value, average in zip(
        found["grid_values"][0], found["average"][0], strict=True
    ):
        proba = ranker.predict_task_proba(X.assign(position=value))[:, 1]
        assert average == pytest.approx(proba.mean())
    assert np.ptp(found["average"]) > 0


def test_displays_of_one_task(impressions, ranker):
    X, y = impressions
    X = X.astype({"position": float})
    cart = task_classifier(ranker, "cart")
    shown = PartialDependenceDisplay.from_estimator(
        cart, X, ["position", "price"], grid_resolution=3
    )
    assert len(shown.pd_results) == 2
    area = RocCurveDisplay.from_estimator(cart, X, y["cart"]).roc_auc
    assert area == pytest.approx(roc_auc(y, ranker.predict_task_proba(X))[1])
    curve = CalibrationDisplay.from_estimator(cart, X, y["cart"], strategy="quantile")
    assert curve.prob_true.size == 5


def test_score_reads_the_column_of_the_task(impressions, ranker):
    X, y = impressions
    cart = task_classifier(ranker, "cart")
    expected = roc_auc(y, ranker.predict_task_proba(X))[1]
    for labels in (y, y["cart"], y[["cart", "click"]], y.to_numpy()):
        assert cart.score(X, labels) == pytest.approx(expected)
    some = y["cart"].where(np.arange(len(y)) % 2 == 0)
    half = slice(None, None, 2)
    expected = roc_auc(y[half], ranker.predict_task_proba(X[half]))[1]
    assert cart.score(X, some) == pytest.approx(expected)
    importance = permutation_importance(cart, X, y, n_repeats=1, random_state=0)
    assert importance.importances_mean.shape == (4,)


def test_it_stays_fitted(impressions, ranker):
    X, y = impressions
    one = task_classifier(ranker, "click")
    before = one.predict_proba(X)
    assert_array_equal(clone(one).fit(X, 1 - y).predict_proba(X), before)


def test_other_classifiers(impressions):
    X, y = impressions
    numbers = X[["position", "user"]]
    forest = RandomForestClassifier(5, random_state=0).fit(numbers, y)
    one = task_classifier(forest, 1)
    assert_array_equal(one.predict_proba(numbers), forest.predict_proba(numbers)[1])
    single = task_classifier(forest.fit(numbers, y["cart"]), 0)
    assert_array_equal(single.predict_proba(numbers), forest.predict_proba(numbers))
    pipeline = make_pipeline(MMoE(**SMALL)).fit(X, y)
    assert list(task_classifier(pipeline, "cart").feature_names_in_) == list(X)


@pytest.mark.parametrize("task", ["buy", 2, -3, 1.0, None])
def test_unknown_tasks(ranker, task):
    with pytest.raises(ValueError, match=r"names \['click', 'cart'\], or a position"):
        task_classifier(ranker, task)


def test_an_estimator_that_is_not_fitted():
    with pytest.raises(NotFittedError):
        task_classifier(MMoE(), "click")
