"""Calibration of every task, beside scikit-learn's of one."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import OutputWeightSearchCV, ShareBottom
from skmtl.calibration import CalibratedTasksCV
from skmtl.calibration._maps import MAPS
from skmtl.metrics import brier, get_task_scorer, predicted_to_observed, roc_auc

METHODS = ["sigmoid", "isotonic", "prior_shift"]


# Weights of zero leave one class there.
@pytest.mark.filterwarnings("ignore:Task .0. has:UserWarning")
@parametrize_with_checks(
    [
        CalibratedTasksCV(LogisticRegression(), cv=2),
        CalibratedTasksCV(
            RandomForestClassifier(5, random_state=0), method="isotonic", cv=2
        ),
        CalibratedTasksCV(LogisticRegression(), method="prior_shift", cv=2),
    ]
)
def test_common_checks(estimator, check):
    check(estimator)


class Sharp(ClassifierMixin, BaseEstimator):
    """Log-odds three times too large and shifted; the columns of X are the truth."""

    def fit(self, X, y):
        self.classes_ = [np.array([0, 1])] * np.shape(y)[1]
        return self

    def predict_proba(self, X):
        proba = expit(3 * np.asarray(X) - 2).T
        return [np.column_stack([1 - p, p]) for p in proba]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 2)) - [0, 1]
    y = (rng.random((4000, 2)) < expit(X)).astype(float)
    return X, y


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("weighted", [False, True])
def test_one_task_is_that_of_scikit_learn(method, weighted):
    X, y = make_classification(600, random_state=0)
    params = {}
    if weighted:
        params["sample_weight"] = np.random.default_rng(0).random(600)
    labels = np.array(["no", "yes"])[y]
    model = LogisticRegression(C=100)  # its decision function is the log-odds
    theirs = CalibratedClassifierCV(model, method=method, cv=4, ensemble=False)
    ours = CalibratedTasksCV(model, method=method, cv=4)
    np.testing.assert_allclose(
        ours.fit(X, labels, **params).predict_proba(X),
        theirs.fit(X, labels, **params).predict_proba(X),
        atol=2e-4 if weighted else 1e-6,  # weights make the optimum of L-BFGS flatter
    )
    np.testing.assert_array_equal(ours.classes_, ["no", "yes"])
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("method", METHODS)
def test_each_task_is_calibrated_as_if_alone(data, method):
    X, y = data
    together = CalibratedTasksCV(
        MultiOutputClassifier(LogisticRegression()), method=method, cv=KFold(3)
    ).fit(X, y)
    table = together.predict_task_proba(X)
    for task in range(2):
        alone = CalibratedTasksCV(LogisticRegression(), method=method, cv=KFold(3))
        alone.fit(X, y[:, task])
        np.testing.assert_allclose(table[:, task], alone.predict_proba(X)[:, 1])


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_become_right(data, method):
    X, y = data
    train, test = slice(0, 2000), slice(2000, None)
    raw = Sharp().fit(X, y).predict_proba(X[test])
    model = CalibratedTasksCV(Sharp(), method=method, cv=2).fit(X[train], y[train])
    proba = model.predict_proba(X[test])
    assert [p.shape for p in proba] == [(2000, 2)] * 2
    better = brier(y[test], proba)
    assert (better < brier(y[test], raw) - 0.02).all()
    if method != "prior_shift":  # which keeps the wrong slope
        assert (better < brier(y[test], expit(X[test])) + 0.003).all()
    np.testing.assert_allclose(predicted_to_observed(y[test], proba), 1, atol=0.15)
    if method != "isotonic":
        np.testing.assert_allclose(roc_auc(y[test], proba), roc_auc(y[test], raw))


def test_prior_shift_meets_the_rate_of_the_rows_left_out(data):
    X, y = data
    weight = np.random.default_rng(1).random(len(X))

    class Fitted(Sharp):
        def __sklearn_is_fitted__(self):
            return True

    model = CalibratedTasksCV(Fitted().fit(X, y), method="prior_shift", cv="prefit")
    model.fit(X, y)
    np.testing.assert_allclose(model.predict_task_proba(X).mean(0), y.mean(0))
    model.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(
        np.average(model.predict_task_proba(X), axis=0, weights=weight),
        np.average(y, axis=0, weights=weight),
    )


@pytest.mark.parametrize("method", METHODS)
def test_labels_not_observed_are_left_out(data, method):
    X, y = data
    missing = np.random.default_rng(0).random(y.shape) < 0.4
    labels = np.where(missing, np.nan, y)
    model = CalibratedTasksCV(Sharp(), method=method, cv=KFold(2)).fit(X, labels)
    grid = np.linspace(0, 1, 9)
    for task, raw in enumerate(Sharp().fit(X, y).predict_proba(X)):
        seen = ~missing[:, task]
        alone = MAPS[method]().fit(raw[seen, 1], y[seen, task] == 1, None)
        np.testing.assert_allclose(model.calibration_maps_[task](grid), alone(grid))
    assert np.isfinite(model.predict_task_proba(X)).all()


@pytest.mark.parametrize("value", [0, 1, np.nan])
def test_task_without_both_labels_stays_as_it_is(data, value):
    X, y = data
    y = y.copy()
    y[:, 1] = value
    frame = pd.DataFrame(y, columns=["click", "order"])
    with pytest.warns(UserWarning, match="Task 'order' has .* cannot be calibrated"):
        model = CalibratedTasksCV(Sharp(), cv=KFold(2)).fit(X, frame)
    raw = Sharp().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(model.predict_task_proba(X)[:, 1], raw[1][:, 1])
    assert not np.allclose(model.predict_task_proba(X)[:, 0], raw[0][:, 1])


def test_every_kind_of_cv(data):
    X, y = data
    model = MultiOutputClassifier(LogisticRegression())
    fitted = clone(model).fit(X[:2000], y[:2000])
    prefit = CalibratedTasksCV(fitted, cv="prefit").fit(X[2000:], y[2000:])
    assert prefit.estimator_ is fitted
    frozen = CalibratedTasksCV(FrozenEstimator(fitted), cv=2).fit(X[2000:], y[2000:])
    np.testing.assert_allclose(
        frozen.predict_task_proba(X), prefit.predict_task_proba(X), atol=1e-9
    )
    for cv in (None, 3, 0.3, KFold(2)):
        found = CalibratedTasksCV(model, cv=cv, random_state=0).fit(X, y)
        np.testing.assert_allclose(found.predict_task_proba(X), expit(X), atol=0.1)
    with pytest.raises(ValueError, match="needs a fitted estimator"):
        CalibratedTasksCV(model, cv="prefit").fit(X, y)


@pytest.mark.filterwarnings("ignore:Of 2 folds", "ignore:Task '1' has")
@pytest.mark.parametrize("method", METHODS)
def test_a_saved_file(data, method, tmp_path):
    X, y = data
    X, y = X[:400], y[:400].copy()
    y[:, 1] = np.nan
    ranker = ShareBottom(max_iter=1, random_state=0)
    model = CalibratedTasksCV(ranker, method=method, cv=2).fit(X, y)
    model.save(tmp_path / "model.safetensors")
    loaded = CalibratedTasksCV.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        loaded.predict_task_proba(X), model.predict_task_proba(X)
    )


def test_between_a_ranker_and_output_weights(data):
    X, y = data
    X, y = X[:600], pd.DataFrame(y[:600], columns=["click", "order"])
    ranker = ShareBottom(max_iter=1, random_state=0)
    search = OutputWeightSearchCV(
        CalibratedTasksCV(ranker, method="prior_shift", cv=2), cv=2, weights=3
    ).fit(X, y)
    assert list(search.task_names_) == ["click", "order"]
    assert search.decision_function(X).shape == (600,)
    np.testing.assert_allclose(
        search.predict_task_proba(X).mean(axis=0), y.mean(), atol=0.05
    )


def test_grid_search_pipeline_clone_and_pickle(data):
    X, y = data
    X, y = X[:800], y[:800]
    model = CalibratedTasksCV(MultiOutputClassifier(LogisticRegression()), cv=2)
    pipeline = make_pipeline(StandardScaler(), clone(model))
    grid = GridSearchCV(
        pipeline,
        {
            "calibratedtaskscv__method": METHODS,
            "calibratedtaskscv__estimator__estimator__C": [0.1, 1],
        },
        scoring=get_task_scorer("log_loss"),
        cv=KFold(2),
    ).fit(X, y)
    assert len(grid.cv_results_["params"]) == 6
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    model.fit(X, y)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        loaded.predict_task_proba(X), model.predict_task_proba(X)
    )
    click, order = cross_val_predict(
        model, X, y.astype(int), cv=2, method="predict_proba"
    )
    assert click.shape == order.shape == (800, 2)
    assert model.score(X, y) == pytest.approx(
        roc_auc(y, loaded.predict_proba(X)).mean()
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "platt"}, "'method' parameter"),
        ({"cv": 1.5}, "'cv' parameter"),
        ({"cv": "prefit", "n_jobs": 2}, "n_jobs=2 has no effect with cv='prefit'"),
        ({"estimator": StandardScaler()}, "'estimator' parameter"),
    ],
)
def test_bad_parameters(data, params, message):
    model = CalibratedTasksCV(Sharp()).set_params(**params)
    with pytest.raises(ValueError, match=message):
        model.fit(*data)


def test_a_failed_fit_leaves_the_estimator_as_it_was(data):
    X, y = data
    model = CalibratedTasksCV(Sharp(), cv=2).fit(X, y)
    before = model.predict_task_proba(X)
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X, y, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match=r"must be 0, 1 or NaN|labels"):
        model.fit(X, y + 2)
    np.testing.assert_array_equal(model.predict_task_proba(X), before)


def test_other_tasks_of_a_ranker_are_passed_on(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(500, 2)), columns=["a", "b"])
    effect = X["a"] + rng.logistic(size=500)
    y = pd.DataFrame(
        {
            "stars": np.digitize(effect, [-1, 1]) + 1.0,
            "click": (effect > 1).astype(float),
            "reason": np.where(effect > 0, "price", "size"),
        }
    )
    y.loc[::7, "click"] = np.nan
    kinds = {"stars": "ordinal", "reason": "multiclass"}
    ranker = ShareBottom(task_kinds=kinds, max_iter=1, random_state=0)
    model = CalibratedTasksCV(ranker, cv=2, method="prior_shift")
    model.fit(X, y, sample_weight=np.ones((500, 3)))
    assert [one is None for one in model.calibration_maps_] == [True, False, True]
    table, plain = model.predict_task(X), model.estimator_.predict_task(X)
    np.testing.assert_array_equal(table[:, [0, 2, 3]], plain[:, [0, 2, 3]])
    np.testing.assert_array_equal(table[:, 1], model.calibration_maps_[1](plain[:, 1]))
    stars, click, reason = model.predict_proba(X)
    assert stars.shape == (500, 3)
    np.testing.assert_array_equal(click[:, 1], table[:, 1])
    np.testing.assert_array_equal(reason, plain[:, 2:])
    labels = model.predict(X)
    np.testing.assert_array_equal(labels[:, 1], table[:, 1] > 0.5)
    assert {type(label) for label in labels[:, 1]} == {int}
    np.testing.assert_array_equal(
        labels[:, [0, 2]], model.estimator_.predict(X)[:, [0, 2]]
    )
    seen = y["click"].notna()
    assert model.score(X, y) == pytest.approx(roc_auc(y["click"][seen], table[seen, 1]))
    assert get_task_scorer("auc:click")(model, X, y) == pytest.approx(model.score(X, y))
    with pytest.raises(
        ValueError, match=r"'stars' is of kind ordinal.*Use predict_task"
    ):
        model.predict_task_proba(X)
    model.save(tmp_path / "calibrated")
    loaded = CalibratedTasksCV.load(tmp_path / "calibrated")
    np.testing.assert_array_equal(loaded.predict_task(X), table)
    # With a regression there are no probabilities.
    worth = y[["click"]].assign(worth=X["b"])
    ranker.set_params(task_kinds={"worth": "regression"})
    fused = OutputWeightSearchCV(
        CalibratedTasksCV(ranker, cv=2), terms=[("click", "worth")], weights=2, cv=2
    ).fit(X, worth)
    assert not hasattr(fused.estimator_, "predict_proba")
    np.testing.assert_array_equal(
        fused.decision_function(X),
        fused.best_weights_[0] * fused.estimator_.predict_task(X).prod(axis=1),
    )


def test_set_output_is_that_of_rankers(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=400)}, index=np.arange(400)[::-1])
    y = pd.DataFrame({"click": 2 * (X.x > 0), "price": X.x + 3.0}).astype(float)
    for kinds, labels in (
        ({"price": "regression"}, y.assign(click=y.click / 2)),
        (None, (y > 1.0).astype(int)),
    ):
        ranker = ShareBottom(task_kinds=kinds, max_iter=1, random_state=0)
        # The container of the inner estimator does not matter.
        ranker.set_output(transform="pandas")
        model = CalibratedTasksCV(ranker, cv=2, random_state=0).fit(X, labels)
        plain = model.predict_task(X)
        assert type(plain) is np.ndarray
        score, found = model.score(X, labels), model.predict(X)
        model.set_output(transform="pandas").save(tmp_path / "m.skmtl")
        for one in (model, CalibratedTasksCV.load(tmp_path / "m.skmtl"), clone(model)):
            if one is not model and not hasattr(one, "estimator_"):
                one.fit(X, labels)
            pd.testing.assert_frame_equal(
                one.predict_task(X),
                pd.DataFrame(plain, columns=list(labels), index=X.index),
            )
            assert one.score(X, labels) == score
            np.testing.assert_array_equal(one.predict(X), found)
    assert list(model.predict_task_proba(X)) == ["click", "price"]
    with pytest.raises(ValueError, match="transform must be 'default', 'pandas'"):
        model.set_output(transform="polars")
    assert type(model.set_output(transform="default").predict_task(X)) is np.ndarray
