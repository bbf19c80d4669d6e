"""`OutputWeightSearchCV` beside `GridSearchCV`: what is the same, and what differs."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    get_scorer,
    make_scorer,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.multioutput import MultiOutputClassifier

from skmtl import FixedOutputWeights, OutputWeightSearchCV, fuse
from skmtl.metrics import get_task_scorer, make_task_scorer
from tests.output_weights.tables import Given, three_tasks

PROBA, Y = three_tasks(400, 0)
MODEL = MultiOutputClassifier(LogisticRegression())


def searched(y=Y, fit=None, **params):
    params = {"cv": 3, "weights": 3, **params}
    return OutputWeightSearchCV(MODEL, **params).fit(PROBA, y, **(fit or {}))


def test_attributes_of_a_grid_search():
    search = searched(scoring="auc:2")
    assert isinstance(search.best_estimator_, FixedOutputWeights)
    np.testing.assert_array_equal(
        search.best_estimator_.decision_function(PROBA),
        search.decision_function(PROBA),
    )
    assert search.multimetric_ is False
    assert search.refit_time_ > 0
    results = search.cv_results_
    for kind in ("fit", "score"):
        mean, std = results[f"mean_{kind}_time"], results[f"std_{kind}_time"]
        assert mean.shape == std.shape == (len(results["params"]),)
        assert (mean > 0).all()
        assert (std >= 0).all()
    assert search.best_params_ == results["params"][search.best_index_]
    assert search.best_score_ == results["mean_test_score"][search.best_index_]
    several = searched(scoring=["auc:0", "auc:2"], refit="auc:0")
    assert several.multimetric_ is True


def test_shares_sum_to_one_and_are_the_weights():
    search = searched(scoring="min_auc", weights=6)
    shares = np.array(list(search.best_shares_.values()))
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(
        shares * search.best_weights_.sum(), search.best_weights_
    )
    assert list(search.best_shares_) == list(search.best_params_)


def test_best_params_go_back_to_fixed_weights():
    search = searched(scoring="min_auc", weights=6)
    fixed = FixedOutputWeights(MODEL).set_params(weights=search.best_params_)
    fixed.fit(PROBA, Y)
    np.testing.assert_array_equal(
        fixed.decision_function(PROBA), search.decision_function(PROBA)
    )


def test_names_and_scorers_of_scikit_learn():
    ours = searched(scoring="auc").cv_results_["mean_test_score"]
    for theirs in ("roc_auc", get_scorer("roc_auc")):
        got = searched(scoring=theirs).cv_results_["mean_test_score"]
        np.testing.assert_array_equal(got, ours)
    want = searched(scoring=average_precision_score).cv_results_["mean_test_score"]
    for scoring in ("average_precision", get_scorer("average_precision")):
        got = searched(scoring=scoring).cv_results_["mean_test_score"]
        np.testing.assert_array_equal(got, want)


def test_parameters_of_a_scorer_are_kept():
    scorer = make_scorer(
        roc_auc_score, max_fpr=0.2, response_method="decision_function"
    )
    search = OutputWeightSearchCV(
        Given(3), cv="prefit", weights=[[1, 0, 0], [0, 0, 1]], scoring=scorer
    ).fit(PROBA, Y)
    want = [
        np.mean([roc_auc_score(column, PROBA[:, j], max_fpr=0.2) for column in Y.T])
        for j in (0, 2)
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], want)


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "f1", "r2"])
def test_scorers_that_judge_no_ranking_are_refused(scoring):
    for one in (scoring, get_scorer(scoring)):
        with pytest.raises(ValueError, match=r"judges predict.*ranking score"):
            searched(scoring=one)


def test_unknown_name_lists_both_kinds():
    with pytest.raises(ValueError, match=r"scoring='nothing' is not .*'roc_auc'"):
        searched(scoring="nothing")


def worst(estimator, X, y):
    ranks = rankdata(estimator.decision_function(X))
    assert [p.shape for p in estimator.predict_proba(X)] == [(len(X), 2)] * 3
    n = y.sum(axis=0)  # as roc_auc_score, which takes four times as long
    return min((ranks @ y - n * (n + 1) / 2) / (n * (len(y) - n)))


@pytest.mark.parametrize("search", ["grid", "halving", "refine", "continuous"])
def test_function_of_estimator_and_rows(search):
    got = searched(scoring=worst, search=search)
    want = searched(scoring="min_auc", search=search)
    np.testing.assert_array_equal(got.best_weights_, want.best_weights_)
    assert got.best_score_ == pytest.approx(want.best_score_)
    intervals = got.bootstrap_intervals(5, random_state=0)
    assert intervals.loc["best", "value"] == pytest.approx(got.best_score_)


def test_task_scorers_inside_a_function_judge_the_fused_score():
    scorer = get_task_scorer("auc:2")

    def wrapped(estimator, X, y):
        return scorer(estimator, X, y)

    got = searched(scoring=wrapped).cv_results_["mean_test_score"]
    want = searched(scoring="auc:2").cv_results_["mean_test_score"]
    np.testing.assert_allclose(got, want)


def test_function_of_estimator_gets_the_rows_in_their_form():
    X = pd.DataFrame(PROBA, columns=["a", "b", "c"])
    y = pd.DataFrame(Y, columns=["click", "cart", "order"])
    seen = []

    def scorer(estimator, X, y):
        seen.append((list(X.columns), list(y.columns), list(estimator.task_names_)))
        return 0.5

    OutputWeightSearchCV(MODEL, cv=2, weights=2, scoring=scorer).fit(X, y)
    assert all(s == (["a", "b", "c"], list(y.columns), list(y.columns)) for s in seen)

    def other_rows(estimator, X, y):
        return estimator.decision_function(X[:3])[0]

    with pytest.raises(ValueError, match="rows that it gets; it asked for 3"):
        OutputWeightSearchCV(MODEL, cv=2, weights=2, scoring=other_rows).fit(X, y)


def test_refit_by_a_function_of_the_results():
    def last(results):
        return len(results["params"]) - 1

    search = searched(scoring=["auc:0", "auc:2"], refit=last)
    assert search.best_index_ == len(search.cv_results_["params"]) - 1
    assert not hasattr(search, "best_score_")
    assert search.decision_function(PROBA).shape == (len(PROBA),)
    with pytest.raises(TypeError, match="index of a candidate"):
        searched(refit=lambda results: "last")
    with pytest.raises(IndexError, match="returned the index 1000"):
        searched(refit=lambda results: 1000)
    with pytest.raises(ValueError, match="needs search='grid'"):
        searched(refit=last, search="halving")


def test_without_refit_nothing_can_be_predicted():
    search = searched(refit=False)
    assert search.best_weights_.shape == (3,)
    assert not hasattr(search, "best_estimator_")
    assert not hasattr(search, "refit_time_")
    with pytest.raises(NotFittedError, match="no estimator is kept"):
        search.decision_function(PROBA)
    single = searched(refit=False, cv=0.3)
    assert single.best_estimator_.decision_function(PROBA).shape == (len(PROBA),)
    # A second fit without a refit leaves nothing of the first.
    refitted = searched().set_params(refit=False).fit(PROBA, Y)
    assert not hasattr(refitted, "best_estimator_")


class NeedsFirstRow(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        if X[0, 0] != PROBA[0, 0]:
            raise RuntimeError("no first row")
        self.classes_ = [np.array([0, 1])] * 3
        return self

    def predict_proba(self, X):
        return [np.column_stack([1 - p, p]) for p in X.T]


@pytest.mark.parametrize("value", [np.nan, 0.25])
def test_error_score(value):
    def search(**params):
        return OutputWeightSearchCV(
            NeedsFirstRow(), weights=3, cv=KFold(3), refit=False, **params
        )

    with pytest.raises(RuntimeError, match="no first row"):
        search().fit(PROBA, Y)
    with pytest.warns(FitFailedWarning, match="fit failed on a fold of 266 rows"):
        found = search(error_score=value).fit(PROBA, Y)
    results = found.cv_results_
    assert found.n_splits_ == 3
    np.testing.assert_array_equal(
        results["split0_test_score"], np.full(len(results["params"]), value)
    )
    assert np.isfinite(results["split1_test_score"]).all()
    means = [results[f"split{k}_test_score"] for k in range(3)]
    np.testing.assert_allclose(results["mean_test_score"], np.nanmean(means, axis=0))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
def test_error_score_where_every_fold_fails():
    class Fails(NeedsFirstRow):
        def fit(self, X, y):
            raise RuntimeError("always")

    with pytest.raises(ValueError, match="failed on all 3 folds"):
        OutputWeightSearchCV(Fails(), cv=3, error_score=0.0).fit(PROBA, Y)


def test_cross_validation_of_a_search():
    search = OutputWeightSearchCV(MODEL, weights=3, cv=2, scoring="auc:2")
    own = cross_val_score(search, PROBA, Y, cv=3)
    fused = cross_val_score(search, PROBA, Y, cv=3, scoring=get_task_scorer("auc"))
    np.testing.assert_allclose(own, fused)
    one = OutputWeightSearchCV(LogisticRegression(), weights=3, cv=2)
    scores = cross_val_score(one, PROBA, Y[:, 0], cv=3, scoring="roc_auc")
    # The weight of a single task does not change its ranking.
    plain = LogisticRegression()
    expected = cross_val_score(plain, PROBA, Y[:, 0], cv=3, scoring="roc_auc")
    np.testing.assert_allclose(scores, expected)
    # A fused score is one column, which scikit-learn's scorer cannot set beside three.
    with pytest.raises(ValueError):
        cross_val_score(search, PROBA, Y, cv=3, scoring="roc_auc", error_score="raise")


def test_task_scorers_judge_the_fused_score():
    """A grid over output weights tells them apart by scorers of tasks."""
    grid = GridSearchCV(
        FixedOutputWeights(MODEL),
        {"weights": [[1, 0, 0], [0, 0, 1]]},
        scoring={"auc": get_task_scorer("auc:2"), "loss": get_task_scorer("log_loss")},
        refit="auc",
        cv=KFold(2),
    ).fit(PROBA, Y)
    first, second = grid.cv_results_["mean_test_auc"]
    assert first != second
    assert grid.best_params_ == {"weights": [0, 0, 1]}
    # The probabilities are those of the tasks, whatever the weights.
    losses = grid.cv_results_["mean_test_loss"]
    assert losses[0] == losses[1]


def test_response_of_scorers_over_output_weights():
    model = clone(MODEL).fit(PROBA, Y)
    fixed = FixedOutputWeights(model, [1, 0, 0])
    table = np.column_stack([p[:, 1] for p in model.predict_proba(PROBA)])
    fused = roc_auc_score(Y[:, 2], fuse(table, [1, 0, 0]))
    alone = roc_auc_score(Y[:, 2], table[:, 2])
    assert fused != alone
    search = OutputWeightSearchCV(model, cv="prefit", weights=[[1, 0, 0]])
    for estimator in (fixed, search.fit(PROBA, Y)):
        for response, want in (
            ("auto", fused),
            ("decision_function", fused),
            ("predict_proba", alone),
        ):
            scorer = make_task_scorer("auc", task="2", response_method=response)
            assert scorer(estimator, PROBA, Y) == pytest.approx(want)
    own = make_task_scorer(roc_auc_score, task="2")
    with pytest.warns(UserWarning, match="response_method='decision_function'"):
        assert own(fixed, PROBA, Y) == pytest.approx(alone)
    own(model, PROBA, Y)  # no warning without output weights


@pytest.mark.parametrize("cv", ["prefit", 2])
@pytest.mark.parametrize("length", [401, 399, 0])
def test_groups_of_wrong_length(cv, length):
    search = OutputWeightSearchCV(
        clone(MODEL).fit(PROBA, Y), cv=cv, scoring="gauc", weights=3
    )
    with pytest.raises(ValueError, match=r"groups must have shape \(400,\)"):
        search.fit(PROBA, Y, groups=np.zeros(length))
    with pytest.raises(ValueError, match="groups must have shape"):
        search.fit(PROBA, Y, groups="user")
    assert not hasattr(search, "best_weights_")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("search", ["grid", "halving", "refine", "continuous"])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"constraints": {"auc:0": (">=", 0.5)}},
        {"constraints": {"auc:1": (">=", 0.9, "relative")}},
        {"scoring": ["auc:2", "auc:0"], "refit": "auc:2"},
    ],
)
def test_metric_that_no_fold_defines(search, params):
    y = Y.copy()
    y[:, :2] = 1
    if params.get("scoring"):
        y[:, 2] = 1
    params = {"scoring": "auc:2" if params else "auc:0", **params}
    with pytest.raises(ValueError, match=r"The metric .* is not defined on these rows"):
        OutputWeightSearchCV(
            Given(3), cv="prefit", search=search, weights=3, **params
        ).fit(PROBA, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("search", ["grid", "halving", "refine", "continuous"])
def test_own_function_that_is_never_defined(search):
    def undefined(y, score):
        return np.nan

    with pytest.raises(ValueError, match="not defined on these rows"):
        OutputWeightSearchCV(
            Given(3), cv="prefit", search=search, weights=3, scoring=undefined
        ).fit(PROBA, Y)


@pytest.mark.parametrize(
    ("weights", "n_tasks", "count"),
    [(11, 6, 11**6), (10**9, 1, 10**9), (10**9, 3, 10**27)],
)
def test_size_of_a_grid_is_checked_before_it_is_made(weights, n_tasks, count):
    X = np.random.default_rng(0).random((20, n_tasks))
    y = (X > 0.5).astype(int)
    y = y[:, 0] if n_tasks == 1 else y
    with pytest.raises(ValueError, match=f"grid has {count} points, more than 500000"):
        OutputWeightSearchCV(Given(n_tasks), cv="prefit", weights=weights).fit(X, y)


def test_points_with_names_go_by_name():
    y = pd.DataFrame(Y, columns=["click", "cart", "order"])
    points = pd.DataFrame({"order": [1.0], "cart": [0.0], "click": [0.0]})
    search = OutputWeightSearchCV(Given(3), cv="prefit", weights=points)
    search.fit(PROBA, y)
    np.testing.assert_array_equal(search.best_weights_, [0, 0, 1])
    with pytest.raises(ValueError, match="columns of weights are"):
        search.set_params(weights=points.rename(columns={"cart": "x"})).fit(PROBA, y)


@pytest.mark.parametrize("shape", [(400, 0), (400,)])
def test_one_task_without_a_column_for_each_class(shape):
    class Odd(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.array([0, 1])
            return self

        def predict_proba(self, X):
            return np.zeros(shape)

    search = OutputWeightSearchCV(Odd().fit(PROBA, Y[:, 0]), cv="prefit", weights=3)
    with pytest.raises(ValueError, match=r"Odd\.predict_proba gives shape"):
        search.fit(PROBA, Y[:, 0])


def test_forest_of_one_table():
    """The search works on a classifier that takes a table by itself."""
    forest = RandomForestClassifier(5, random_state=0)
    search = OutputWeightSearchCV(forest, weights=3, cv=2, scoring="roc_auc")
    assert np.isfinite(search.fit(PROBA, Y).best_score_)


def test_error_score_without_folds():
    with pytest.raises(
        ValueError, match=r"error_score=0\.0 has no effect with cv='pre"
    ):
        OutputWeightSearchCV(Given(), cv="prefit", error_score=0.0).fit(PROBA, Y)
