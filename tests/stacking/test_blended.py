"""BlendedRanker: each model counts as much as held-out rows say."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold, TimeSeriesSplit, cross_val_score
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import MMoE, OutputWeightSearchCV, RegressionTask, ShareBottom
from skmtl.calibration import CalibratedTasksCV
from skmtl.datasets import make_funnel
from skmtl.metrics import predicted_to_observed
from skmtl.stacking import BlendedRanker, _blended
from skmtl.stacking._blended import blend_of
from skmtl.stacking._cross_fitting import as_categories

TREES = HistGradientBoostingClassifier(max_iter=5)
SMALL = ShareBottom(max_iter=1, bottom_units=(8,), tower_units=(), random_state=0)


# A tree for which a weight of 2 is a repeated row, unlike for boosted trees' bins.
@parametrize_with_checks(
    [
        BlendedRanker(
            SMALL, estimator=DecisionTreeClassifier(max_depth=2), random_state=0
        )
    ]
)
def test_common_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def log():
    log = make_funnel(3000, cart_rate=0.06, order_rate=0.05, random_state=0)
    return log.data, log.target[["click", "order"]]


def test_the_blend_is_of_the_log_odds_of_both(log):
    X, y = log
    blend = BlendedRanker(SMALL, estimator=TREES, n_rankers=2, cv=5, random_state=0)
    blend.fit(X[:2500], y[:2500])
    later = X[2500:]
    p = [np.asarray(one.predict_task_proba(later)) for one in blend.rankers_]
    assert abs(p[0] - p[1]).max() > 1e-4  # of different seeds
    of_rankers = logit(p).mean(axis=0)
    found = logit(blend.predict_task_proba(later))
    for task, model in enumerate(blend.estimators_):
        a, b = blend.coef_[task]
        # The trees saw ids as categories of the encoder.
        rest = found[:, task] - a * of_rankers[:, task] - blend.intercept_[task]
        assert len(np.unique(rest.round(6))) < len(later)
        assert b > 0
        assert model.n_iter_ == 5
    assert [one.n_validation_rows_ for one in blend.rankers_] == [500, 500]
    assert list(blend.task_names_) == ["click", "order"]


def test_the_better_model_counts_more():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20_000, 2)) * 2 - 1
    y = (rng.random(20_000) < expit(0.8 * z[:, 0] + 0.1 * z[:, 1] + 0.3)).astype(float)
    found = blend_of(z, y, np.ones(len(y)))
    np.testing.assert_allclose(found, [0.8, 0.1, 0.3], atol=0.08)


def test_a_harmful_model_counts_for_nothing():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(5000, 2)) * 2
    y = (rng.random(5000) < expit(z[:, 0] - 0.5 * z[:, 1])).astype(float)
    assert blend_of(z, y, np.ones(len(y)))[1] == 0


def test_few_positives_leave_the_plain_mean():
    z = np.full((10, 2), -3.0)
    y = np.array([1.0] + [0.0] * 9)
    found = blend_of(z, y, np.ones(10))
    np.testing.assert_allclose(found, [0.5, 0.5, 0.0], atol=0.1)
    # Without any label there is nothing to learn from.
    np.testing.assert_allclose(blend_of(z, y, np.zeros(10)), [0.5, 0.5, 0.0])


def test_weights_of_rows_count_like_repeated_rows():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(200, 2)), rng.integers(2, size=200).astype(float)
    w = rng.integers(3, size=200).astype(float)
    at = np.repeat(np.arange(200), w.astype(int))
    found = blend_of(z, y, w), blend_of(z[at], y[at], np.ones(len(at)))
    np.testing.assert_allclose(*found, atol=1e-4)


class Opposite(ClassifierMixin, BaseEstimator):
    """Is sure of the contrary of what it was shown."""

    def fit(self, X, y):
        self.trees_ = HistGradientBoostingClassifier(max_iter=20).fit(X, y)
        self.classes_ = self.trees_.classes_
        return self

    def predict_proba(self, X):
        return self.trees_.predict_proba(X)[:, ::-1]


def test_a_bad_classifier_does_not_spoil_the_ranker():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(3000, 3)), columns=list("abc"))
    y = (X["a"] + rng.normal(size=3000) > 0).astype(int)
    ranker = MMoE(max_iter=2, n_experts=2, batch_size=64)
    blend = BlendedRanker(ranker, estimator=Opposite(), cv=5, random_state=0)
    blend.fit(X[:2000], y[:2000])
    p = blend.predict_proba(X[2000:])[:, 1]
    alone = blend.rankers_[0].predict_proba(X[2000:])[:, 1]
    assert blend.coef_[0, 1] == 0
    assert log_loss(y[2000:], p) < log_loss(y[2000:], alone) + 0.01


def test_the_level_stays(log):
    X, y = log
    blend = BlendedRanker(SMALL, estimator=TREES, cv=5, random_state=0).fit(X, y)
    ratio = predicted_to_observed(y, blend.predict_task_proba(X))
    assert ((ratio > 0.85) & (ratio < 1.15)).all()


@pytest.mark.filterwarnings("ignore:.*(no positive|never):UserWarning")
def test_a_task_of_one_class_and_labels_not_observed(log):
    X, y = log
    y = y.astype(float).assign(never=0.0)
    y.loc[y.index[::3], "order"] = np.nan
    blend = BlendedRanker(SMALL, estimator=TREES, cv=5, random_state=0)
    blend.fit(X, y)
    assert blend.estimators_[2] is None
    p = blend.predict_task_proba(X)
    assert np.isfinite(p).all()
    assert p[:, 2].max() < 0.01


def test_row_weights_reach_every_model(log):
    X, y = log
    seen = np.arange(len(X)) < 2000
    other = y.copy()
    other[~seen] = 1 - other[~seen]
    blend = BlendedRanker(SMALL, estimator=TREES, cv=5, random_state=0)
    found = [
        clone(blend).fit(X, labels, seen.astype(float)).predict_task_proba(X)
        for labels in (y, other)
    ]
    # Folds are stratified by all labels, so that only the weights' rows must agree.
    assert abs(found[0] - found[1]).mean() < 0.05
    two = np.column_stack([seen, np.ones(len(X))]).astype(float)
    assert clone(blend).fit(X, y, two).coef_.shape == (2, 2)


def test_splitters_and_groups(log):
    X, y = log
    by_time = BlendedRanker(SMALL, estimator=TREES, cv=TimeSeriesSplit(5))
    assert by_time.fit(X, y).rankers_[0].n_validation_rows_ == 500
    by_user = BlendedRanker(SMALL, estimator=TREES, cv=GroupKFold(4))
    by_user.fit(X, y, groups=X["user_id"])
    assert by_user.rankers_[0].n_validation_rows_ > 500


def test_same_seed_same_blend_also_after_pickling(log):
    X, y = log
    blend = BlendedRanker(SMALL, estimator=TREES, cv=5, random_state=3)
    found = clone(blend).fit(X, y)
    again = clone(blend).fit(X, y)
    copy = pickle.loads(pickle.dumps(found))
    for one in (again, copy):
        np.testing.assert_array_equal(
            one.predict_task_proba(X), found.predict_task_proba(X)
        )


def test_it_works_in_cross_validation(log):
    X, y = log
    blend = BlendedRanker(SMALL, estimator=DummyClassifier(), cv=5, random_state=0)
    assert cross_val_score(blend, X, y, cv=2).shape == (2,)


def test_tasks_that_are_not_binary_are_refused(log):
    X, y = log
    ranker = clone(SMALL).set_params(task_kinds={"click": RegressionTask()})
    with pytest.raises(ValueError, match="binary tasks"):
        BlendedRanker(ranker).fit(X, y)


@pytest.mark.parametrize("wrap", [CalibratedTasksCV, OutputWeightSearchCV])
def test_only_rankers_are_blended(log, wrap):
    X, y = log
    with pytest.raises(TypeError, match="takes a ranker, such as MMoE"):
        BlendedRanker(wrap(SMALL)).fit(X, y)


def test_short_tables_are_not_divided(log, monkeypatch):
    X, y = log
    whole = BlendedRanker(SMALL, estimator=TREES, random_state=0).fit(X, y)
    assert_array_equal(whole.coef_, np.full((2, 2), 0.5))
    assert_array_equal(whole.intercept_, np.zeros(2))
    p = whole.rankers_[0].predict_task_proba(X)
    assert_allclose(whole.rankers_[0].prior_, y.mean())
    assert_allclose(
        whole.predict_task_proba(X)[:, 0],
        expit(
            0.5 * logit(p[:, 0])
            + 0.5
            * logit(
                whole.estimators_[0].predict_proba(as_categories(whole.encoder_, X))[
                    :, 1
                ]
            )
        ),
    )
    monkeypatch.setattr(_blended, "_FEW", len(X) - 1)
    divided = BlendedRanker(SMALL, estimator=TREES, random_state=0).fit(X, y)
    by_hand = BlendedRanker(SMALL, estimator=TREES, cv=20, random_state=0).fit(X, y)
    assert_array_equal(divided.coef_, by_hand.coef_)
    assert not np.array_equal(divided.coef_, whole.coef_)


def test_set_output_is_that_of_rankers(log):
    X, y = log
    X = X.set_axis(np.arange(len(X))[::-1])
    ranker = clone(SMALL).set_output(transform="pandas")
    model = BlendedRanker(ranker, estimator=TREES, random_state=0).fit(X, y)
    plain, labels, area = (
        model.predict_task_proba(X),
        model.predict(X),
        model.score(X, y),
    )
    assert type(plain) is np.ndarray
    model.set_output(transform="pandas")
    expected = pd.DataFrame(plain, columns=["click", "order"], index=X.index)
    pd.testing.assert_frame_equal(model.predict_task_proba(X), expected)
    assert_array_equal(model.predict(X), labels)
    assert_array_equal(model.predict_proba(X)[0][:, 1], plain[:, 0])
    assert model.score(X, y) == area
