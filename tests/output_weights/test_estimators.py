"""Both estimators are scikit-learn meta-estimators."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import FixedOutputWeights, OutputWeightSearchCV, ShareBottom, fuse
from skmtl.metrics import get_task_scorer, roc_auc

TASKS = ["click", "order"]
LOGISTIC = MultiOutputClassifier(LogisticRegression())
RANKER = ShareBottom(max_iter=1, random_state=0)
FITS = []


class Counted(DecisionTreeClassifier):
    def fit(self, X, y, **params):
        FITS.append(len(X))
        return super().fit(X, y, **params)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(600, 4)), columns=list("abcd"))
    latent = X.to_numpy()[:, :2] + X[["c"]].to_numpy() + rng.normal(size=(600, 2))
    return X, pd.DataFrame((latent > [0, 1.5]).astype(int), columns=TASKS)


@parametrize_with_checks(
    [
        FixedOutputWeights(DecisionTreeClassifier(random_state=0)),
        FixedOutputWeights(LogisticRegression(), method="logit"),
        OutputWeightSearchCV(LogisticRegression()),
        OutputWeightSearchCV(LogisticRegression(), search="halving", cv=3),
        OutputWeightSearchCV(DecisionTreeClassifier(random_state=0), method="product"),
        OutputWeightSearchCV(
            ShareBottom(max_iter=1, random_state=0), cv=0.3, search="continuous"
        ),
    ]
)
def test_common_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("params", "n_fits"),
    [
        ({"cv": 3}, 4),
        ({"cv": 3, "search": "halving"}, 4),
        ({"cv": 3, "search": "continuous"}, 4),
        ({"cv": 0.25}, 2),
        ({"cv": 0.25, "refit": False}, 1),
    ],
)
def test_fits_once_per_fold_and_refit(data, params, n_fits):
    FITS.clear()
    OutputWeightSearchCV(Counted(max_depth=3), weights=5, **params).fit(*data)
    assert len(FITS) == n_fits


def test_prefit_is_not_fitted(data):
    X, y = data
    fitted = Counted(max_depth=3).fit(X[:300], y[:300])
    FITS.clear()
    search = OutputWeightSearchCV(fitted, cv="prefit").fit(X[300:], y[300:])
    assert not FITS
    assert search.estimator_ is fitted
    score = fuse(fitted.predict_proba(X[300:]), search.best_weights_)
    expected = np.mean([roc_auc_score(y[t][300:], score) for t in TASKS])
    assert search.best_score_ == pytest.approx(expected, abs=1e-12)
    with pytest.raises(sklearn.exceptions.NotFittedError, match="fit it on other rows"):
        OutputWeightSearchCV(LOGISTIC, cv="prefit").fit(X, y)
    fitted.task_names_ = list(TASKS)
    with pytest.raises(ValueError, match="was fitted on the tasks"):
        OutputWeightSearchCV(fitted, cv="prefit").fit(X, y.add_prefix("no "))


@pytest.mark.parametrize(
    "estimator",
    [
        LOGISTIC,
        RandomForestClassifier(10, max_depth=4, random_state=0),
        KNeighborsClassifier(20),
        make_pipeline(StandardScaler(), LOGISTIC),
        ShareBottom(max_iter=2, random_state=0),
    ],
    ids=lambda e: type(e).__name__,
)
def test_any_multioutput_classifier(data, estimator):
    X, y = data
    search = OutputWeightSearchCV(estimator, weights=5, cv=3, scoring="auc:order")
    search.fit(X, y)
    assert list(search.task_names_) == TASKS
    assert set(search.best_params_) == set(TASKS)
    assert search.decision_function(X).shape == (600,)
    assert search.predict(X).shape == (600, 2)
    proba = search.predict_proba(X)
    assert len(proba) == 2
    expected = fuse(proba, search.best_weights_)
    np.testing.assert_array_equal(search.decision_function(X), expected)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.decision_function(X), expected)
    assert not hasattr(clone(search), "best_weights_")


def test_ranker_with_missing_labels(data):
    X, y = data
    y = y.astype(float)
    y.iloc[::3, 1] = np.nan
    ranker = ShareBottom(max_iter=2, random_state=0)
    search = OutputWeightSearchCV(ranker, weights=5, cv=3, random_state=0).fit(X, y)
    assert 0.5 < search.best_score_ <= 1
    assert search.score(X, y) == pytest.approx(
        np.mean(roc_auc(y, search.decision_function(X)))
    )


def test_results_read_as_those_of_grid_search(data):
    search = OutputWeightSearchCV(LOGISTIC, weights=3, cv=3).fit(*data)
    frame = pd.DataFrame(search.cv_results_)
    folds = [f"split{k}_test_score" for k in range(3)]
    assert list(frame.columns) == [
        "mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time",
        "param_click", "param_order", "params", *folds,
        "mean_test_score", "std_test_score", "rank_test_score",
    ]  # fmt: skip
    assert len(frame) == 8
    np.testing.assert_allclose(frame["mean_test_score"], frame[folds].mean(axis=1))
    np.testing.assert_allclose(
        frame["std_test_score"], frame[folds].std(axis=1, ddof=0)
    )
    best = frame.iloc[search.best_index_]
    assert best["rank_test_score"] == 1
    assert best["params"] == search.best_params_
    assert best["mean_test_score"] == search.best_score_


def test_out_of_fold_scores_are_those_of_each_fold(data):
    X, y = data
    cv = KFold(3)
    search = OutputWeightSearchCV(LOGISTIC, weights=3, cv=cv, scoring="auc:order")
    search.fit(X, y)
    for k, (train, test) in enumerate(cv.split(X)):
        model = clone(LOGISTIC).fit(X.iloc[train], y.iloc[train])
        proba = model.predict_proba(X.iloc[test])
        for row, params in enumerate(search.cv_results_["params"]):
            score = fuse(proba, [params[t] for t in TASKS])
            expected = roc_auc_score(y["order"].iloc[test], score)
            found = search.cv_results_[f"split{k}_test_score"][row]
            assert found == pytest.approx(expected, abs=1e-12)


def test_nested_in_grid_search_and_pipeline(data):
    X, y = data
    search = OutputWeightSearchCV(
        MultiOutputClassifier(LogisticRegression()), weights=3, cv=2
    )
    outer = GridSearchCV(
        make_pipeline(StandardScaler(), search),
        {"outputweightsearchcv__estimator__estimator__C": [0.1, 1.0]},
        scoring=get_task_scorer("auc:order", response_method="decision_function"),
        cv=KFold(2),
    ).fit(X, y)
    assert outer.decision_function(X).shape == (600,)
    scores = cross_val_score(search, X, y, cv=KFold(3))
    assert ((scores > 0.5) & (scores <= 1)).all()


def test_fixed_weights_under_grid_search(data):
    X, y = data
    scorer = get_task_scorer("auc:order", response_method="decision_function")
    search = GridSearchCV(
        FixedOutputWeights(LOGISTIC),
        {"weights": [[1, 0], [0, 1], {"click": 1, "order": 1}]},
        scoring=scorer,
        cv=KFold(3),
    ).fit(X, y)
    ours = OutputWeightSearchCV(
        LOGISTIC, weights=[[1, 0], [0, 1], [1, 1]], scoring="auc:order", cv=KFold(3)
    ).fit(X, y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], ours.cv_results_["mean_test_score"]
    )


def test_fixed_weights_of_a_fitted_estimator(data):
    X, y = data
    fitted = clone(LOGISTIC).fit(X, y)
    ranker = FixedOutputWeights(fitted, weights=[1, 2])
    expected = fuse(fitted.predict_proba(X), [1, 2])
    np.testing.assert_array_equal(ranker.decision_function(X), expected)
    scorer = get_task_scorer("auc:order")
    at_the_end = make_pipeline("passthrough", ranker)
    assert scorer(at_the_end, X, y) == scorer(ranker, X, y)
    unfitted = FixedOutputWeights(LOGISTIC)
    for one in (unfitted, make_pipeline("passthrough", unfitted)):
        with pytest.raises(sklearn.exceptions.NotFittedError):
            one.decision_function(X)


def test_one_task_is_trivial(data):
    X, y = data
    search = OutputWeightSearchCV(LogisticRegression(), weights=3).fit(X, y["order"])
    assert search.best_params_ == {"order": 0.5}
    assert search.n_evaluations_ == 1
    positive = search.decision_function(X) > 0
    np.testing.assert_array_equal(positive.astype(int), search.predict(X))


def test_constant_probabilities_rank_as_chance(data):
    X, y = data
    tree = DecisionTreeClassifier(max_depth=1, min_samples_leaf=400)
    search = OutputWeightSearchCV(tree, weights=3, cv=2).fit(X, y)
    assert (search.cv_results_["mean_test_score"] == 0.5).all()
    assert search.best_index_ == 0


def test_groups_reach_metric_and_splitter(data):
    X, y = data
    users = np.repeat(np.arange(60), 10)
    plain = OutputWeightSearchCV(
        LOGISTIC, weights=3, scoring="gauc:click", cv=GroupKFold(3)
    ).fit(X, y, groups=users)
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = get_task_scorer("gauc:click").set_score_request(groups=True)
        routed = OutputWeightSearchCV(
            LOGISTIC, weights=3, scoring=scorer, cv=GroupKFold(3)
        ).fit(X, y, groups=users)
    np.testing.assert_array_equal(
        plain.cv_results_["mean_test_score"], routed.cv_results_["mean_test_score"]
    )
    with pytest.raises(ValueError, match="needs the group of each row"):
        OutputWeightSearchCV(LOGISTIC, scoring="gauc:click").fit(X, y)


def test_sample_weight_is_routed_to_estimator_and_metric(data):
    X, y = data
    weight = np.random.default_rng(0).random(600)
    with sklearn.config_context(enable_metadata_routing=True):
        tree = DecisionTreeClassifier(max_depth=3, random_state=0)
        tree.set_fit_request(sample_weight=True)
        scorer = get_task_scorer("auc:order").set_score_request(sample_weight=True)
        search = OutputWeightSearchCV(tree, weights=3, scoring=scorer, cv=KFold(2))
        search.fit(X, y, sample_weight=weight)
    test = np.arange(300)
    model = DecisionTreeClassifier(max_depth=3, random_state=0)
    model.fit(X[300:], y[300:], sample_weight=weight[300:])
    score = fuse(model.predict_proba(X[:300]), [0, 1])
    expected = roc_auc_score(y["order"][:300], score, sample_weight=weight[test])
    assert search.cv_results_["split0_test_score"][0] == pytest.approx(expected)


def test_progress_is_shown(data, capsys):
    pytest.importorskip("rich")
    search = OutputWeightSearchCV(RANKER, weights=5, cv=2)
    bar = pytest.importorskip("sklearn.callback").ProgressBar
    search.set_callbacks(bar()).fit(*data)
    out = capsys.readouterr().out
    for part in ("OutputWeightSearchCV - fit", "fold", "evaluation", "refit"):
        assert part in out
    OutputWeightSearchCV(LOGISTIC, weights=5, cv=2).set_callbacks(bar()).fit(*data)
