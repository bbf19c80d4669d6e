"""Scorers work wherever scikit-learn takes ``scoring=``, with and without routing."""

import pickle
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from skmtl.metrics import (
    get_task_scorer,
    get_task_scorer_names,
    group_roc_auc,
    make_task_scorer,
    ndcg,
    recall_at_k,
    roc_auc,
)

TASKS = ["click", "cart", "order"]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    logits = X[:, :3] + rng.normal(size=(240, 3)) - [0.0, 0.5, 1.0]
    y = pd.DataFrame((logits > 0).astype(int), columns=TASKS)
    return X, y, rng.integers(0, 24, 240)


class Ranker(ClassifierMixin, BaseEstimator):
    """Multioutput probabilities by the house's convention; labels may be NaN."""

    def __init__(self, C=1.0):
        self.C = C

    def fit(self, X, y, sample_weight=None):
        self.task_names_ = list(y.columns)
        y = y.to_numpy(float)
        self.classes_ = [np.array([0, 1])] * y.shape[1]
        self.models_ = [
            LogisticRegression(C=self.C).fit(X[seen], column[seen])
            for column in y.T
            for seen in [~np.isnan(column)]
        ]
        return self

    def predict(self, X):
        return np.column_stack([m.predict(X) for m in self.models_])

    def predict_proba(self, X):
        return [m.predict_proba(X) for m in self.models_]

    def decision_function(self, X):
        click, cart, order = (p[:, 1] for p in self.predict_proba(X))
        return click + 3 * cart + 10 * order

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


ESTIMATORS = [
    RandomForestClassifier(5, max_depth=3, random_state=0),
    DecisionTreeClassifier(max_depth=3),
    KNeighborsClassifier(),
    MultiOutputClassifier(LogisticRegression()),
    ClassifierChain(LogisticRegression()),
    OneVsRestClassifier(LogisticRegression()),
    MLPClassifier((4,), max_iter=15, random_state=0, solver="adam", tol=1.0),
    Ranker(),
    make_pipeline(StandardScaler(), MultiOutputClassifier(LogisticRegression())),
    make_pipeline(StandardScaler(), Ranker()),
    GridSearchCV(RandomForestClassifier(3, random_state=0), {"max_depth": [2]}, cv=2),
]


def probabilities(estimator, X):
    proba = estimator.predict_proba(X)
    return (
        np.column_stack([p[:, 1] for p in proba]) if isinstance(proba, list) else proba
    )


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_every_multioutput_classifier(estimator, data):
    X, y, _ = data
    fitted = clone(estimator).fit(X, y)
    expected = [
        roc_auc_score(y[t], probabilities(fitted, X)[:, i]) for i, t in enumerate(TASKS)
    ]
    for task, value in zip(TASKS, expected, strict=True):
        assert get_task_scorer(f"auc:{task}")(fitted, X, y) == pytest.approx(value)
    assert get_task_scorer("auc")(fitted, X, y) == pytest.approx(np.mean(expected))
    assert get_task_scorer("min_auc")(fitted, X, y) == pytest.approx(min(expected))
    assert get_task_scorer("max_auc")(fitted, X, y) == pytest.approx(max(expected))


@pytest.mark.parametrize("as_table", [True, False])
def test_one_task(data, as_table):
    X, y, _ = data
    one = y[["click"]] if as_table else y["click"]
    model = DecisionTreeClassifier(max_depth=3).fit(X, one)
    expected = roc_auc_score(one, model.predict_proba(X)[:, 1])
    assert get_task_scorer("auc")(model, X, one) == pytest.approx(expected)
    assert get_task_scorer("auc:click")(model, X, one) == pytest.approx(expected)
    unnamed = get_task_scorer("auc:0")(model, X, one.to_numpy())
    assert unnamed == pytest.approx(expected)


def test_two_tasks_are_not_taken_for_one_binary_problem(data):
    X, y, _ = data
    y = y[["click", "order"]]
    chain = ClassifierChain(LogisticRegression()).fit(X, y)  # an (n, 2) table
    expected = [
        roc_auc_score(y.iloc[:, i], chain.predict_proba(X)[:, i]) for i in (0, 1)
    ]
    assert get_task_scorer("auc")(chain, X, y) == pytest.approx(np.mean(expected))


def test_values_of_every_name(data):
    X, y, groups = data
    model = Ranker().fit(X, y)
    p = pd.DataFrame(probabilities(model, X), columns=TASKS)
    order = get_task_scorer("log_loss:order")(model, X, y)
    assert order == pytest.approx(-log_loss(y["order"], p["order"]))
    gauc = get_task_scorer("gauc:click")(model, X, y, groups=groups)
    assert gauc == group_roc_auc(y["click"], p["click"], groups)
    recall = get_task_scorer("recall@3:cart")(model, X, y, groups=groups)
    assert recall == recall_at_k(y["cart"], p["cart"], groups, k=3)
    gains = {"click": 1, "order": 10}
    fused = get_task_scorer("ndcg@5", gains=gains)(model, X, y, groups=groups)
    assert fused == ndcg(y, p, groups, k=5, gains=gains)
    for name in get_task_scorer_names():
        scorer = get_task_scorer(name)
        given = {"groups": groups} if scorer.metric.needs_groups else {}
        assert np.isfinite(scorer(model, X, y, **given))


def test_losses_are_negated_before_they_are_averaged(data):
    X, y, _ = data
    model = Ranker().fit(X, y)
    each = [get_task_scorer(f"brier:{t}")(model, X, y) for t in TASKS]
    assert max(each) < 0
    assert get_task_scorer("min_brier")(model, X, y) == min(each)


def test_weighted_mean_of_tasks(data):
    X, y, _ = data
    model = Ranker().fit(X, y)
    auc = roc_auc(y, probabilities(model, X))
    scorer = make_task_scorer("auc", average={"order": 3, "click": 1})
    assert scorer(model, X, y) == pytest.approx((3 * auc[2] + auc[0]) / 4)


def test_ranking_score_against_every_task(data):
    X, y, groups = data
    model = Ranker().fit(X, y)
    fused = model.decision_function(X)
    scorer = make_task_scorer("auc", response_method="decision_function")
    assert scorer(model, X, y) == pytest.approx(roc_auc(y, fused).mean())
    scorer = get_task_scorer("auc:order", response_method="decision_function")
    assert scorer(model, X, y) == pytest.approx(roc_auc(y["order"], fused))
    scorer = get_task_scorer("gauc:order", response_method="decision_function")
    expected = group_roc_auc(y["order"], fused, groups)
    assert scorer(model, X, y, groups=groups) == pytest.approx(expected)


def test_own_function(data):
    X, y, _ = data
    y = y.astype(float)
    y.iloc[:40, 2] = np.nan
    model = Ranker().fit(X, y)
    p = probabilities(model, X)
    scorer = make_task_scorer(average_precision_score, task="order")
    expected = average_precision_score(y["order"][40:], p[40:, 2])
    assert scorer(model, X, y) == pytest.approx(expected)
    weight = np.arange(240.0)
    expected = average_precision_score(
        y["order"][40:], p[40:, 2], sample_weight=weight[40:]
    )
    assert scorer(model, X, y, sample_weight=weight) == pytest.approx(expected)

    def count(y, score, threshold=0.5):
        return float((score > threshold).sum())

    scorer = make_task_scorer(count, greater_is_better=False, threshold=0.1)
    expected = (p[:, :2] > 0.1).sum() + (p[40:, 2] > 0.1).sum()
    assert scorer(model, X, y) == pytest.approx(-expected / 3)


def test_own_function_and_its_groups(data):
    X, y, groups = data
    model = Ranker().fit(X, y)

    def gauc(y, score, groups=None):
        """Named like a metric of ours, but its groups are optional."""
        if groups is None:
            return roc_auc(y, score)
        return group_roc_auc(y, score, groups)

    scorer = make_task_scorer(gauc, task="click")
    assert scorer(model, X, y) == get_task_scorer("auc:click")(model, X, y)
    expected = get_task_scorer("gauc:click")(model, X, y, groups=groups)
    assert scorer(model, X, y, groups=groups) == expected
    with pytest.raises(ValueError, match="needs the group of each row"):
        make_task_scorer(group_roc_auc, task="click")(model, X, y)


def test_columns_of_y_in_another_order(data):
    X, y, _ = data
    model = Ranker().fit(X, y)
    scorer = get_task_scorer("auc:order")
    assert scorer(model, X, y[TASKS[::-1]]) == scorer(model, X, y)
    assert scorer(model, X, y.to_numpy()) == scorer(model, X, y)


def test_grid_search_with_several_scorers_and_refit(data):
    X, y, _ = data
    names = ["auc:order", "mean_auc", "log_loss:order"]
    search = GridSearchCV(
        Ranker(),
        {"C": [0.001, 1.0]},
        scoring={name: get_task_scorer(name) for name in names},
        refit="auc:order",
        cv=KFold(3),
        error_score="raise",
    ).fit(X, y)
    values = search.cv_results_["mean_test_auc:order"]
    assert search.best_score_ == values.max()
    each = [
        roc_auc_score(
            y["order"].iloc[test],
            Ranker(**search.best_params_)
            .fit(X[train], y.iloc[train])
            .predict_proba(X[test])[2][:, 1],
        )
        for train, test in KFold(3).split(X)
    ]
    assert search.best_score_ == pytest.approx(np.mean(each))


def test_predictions_are_made_once_for_several_scorers(data):
    X, y, _ = data

    class Counting(Ranker):
        calls = 0

        def predict_proba(self, X):
            Counting.calls += 1
            return super().predict_proba(X)

    names = ["auc:order", "mean_auc", "log_loss"]
    cross_validate(
        Counting(), X, y, cv=KFold(3), scoring={n: get_task_scorer(n) for n in names}
    )
    assert Counting.calls == 3


def test_together_with_scikit_learn_scorers(data):
    X, y, _ = data
    model = MultiOutputClassifier(LogisticRegression())
    scoring = {"ours": get_task_scorer("auc"), "theirs": "roc_auc", "acc": "accuracy"}
    scores = cross_validate(model, X, y, scoring=scoring, cv=3)
    np.testing.assert_allclose(scores["test_ours"], scores["test_theirs"])


def test_learning_curve(data):
    X, y, _ = data
    _, _, scores = learning_curve(
        Ranker(),
        X,
        y,
        scoring=get_task_scorer("auc:cart"),
        cv=KFold(3),
        train_sizes=[0.5, 1.0],
    )
    assert scores.shape == (2, 3)
    assert (scores > 0.6).all()


def test_missing_labels_with_an_explicit_fold(data):
    X, y, _ = data
    y = y.astype(float).mask(np.random.default_rng(1).random(y.shape) < 0.2)
    scores = cross_val_score(
        Ranker(), X, y, scoring=get_task_scorer("auc"), cv=KFold(3), error_score="raise"
    )
    for score, (train, test) in zip(scores, KFold(3).split(X), strict=True):
        proba = Ranker().fit(X[train], y.iloc[train]).predict_proba(X[test])
        expected = []
        for task, p in zip(TASKS, proba, strict=True):
            label = y[task].iloc[test].to_numpy()
            seen = ~np.isnan(label)
            expected.append(roc_auc_score(label[seen], p[seen, 1]))
        assert score == pytest.approx(np.mean(expected))


def test_a_class_that_training_did_not_see(data):
    X, y, _ = data
    y = y.assign(order=np.arange(240) >= 160)
    model = RandomForestClassifier(3, random_state=0).fit(X[:160], y[:160])
    assert [len(c) for c in model.classes_] == [2, 2, 1]
    with_order = y.assign(order=[True, False] * 120)
    assert get_task_scorer("auc:order")(model, X, with_order) == 0.5
    everything = RandomForestClassifier(3, random_state=0).fit(X[160:], y[160:])
    assert get_task_scorer("auc:order")(everything, X, with_order) == 0.5


@pytest.mark.usefixtures("routing")
def test_groups_travel_to_folds_and_scorer(data):
    X, y, groups = data
    scoring = {
        "gauc": get_task_scorer("gauc:click").set_score_request(groups=True),
        "auc": get_task_scorer("auc"),
    }
    scores = cross_validate(
        Ranker(),
        X,
        y,
        scoring=scoring,
        cv=GroupKFold(4),
        params={"groups": groups},
        error_score="raise",
    )
    expected = []
    for train, test in GroupKFold(4).split(X, y, groups):
        p = Ranker().fit(X[train], y.iloc[train]).predict_proba(X[test])[0][:, 1]
        expected.append(group_roc_auc(y["click"].iloc[test], p, groups[test]))
    np.testing.assert_allclose(scores["test_gauc"], expected)


@pytest.mark.usefixtures("routing")
def test_groups_in_grid_search_of_a_pipeline(data):
    X, y, groups = data
    search = GridSearchCV(
        make_pipeline(StandardScaler(), Ranker()),
        {"ranker__C": [0.01, 1.0]},
        scoring=get_task_scorer("gauc:order").set_score_request(groups=True),
        cv=GroupKFold(3),
        error_score="raise",
    ).fit(X, y, groups=groups)
    expected = []
    for train, test in GroupKFold(3).split(X, y, groups):
        model = make_pipeline(StandardScaler(), Ranker(C=0.01))
        p = model.fit(X[train], y.iloc[train]).predict_proba(X[test])[2][:, 1]
        expected.append(group_roc_auc(y["order"].iloc[test], p, groups[test]))
    found = search.cv_results_["mean_test_score"][0]
    assert found == pytest.approx(np.mean(expected))
    assert clone(search).scoring is not search.scoring


@pytest.mark.usefixtures("routing")
def test_sample_weight_and_renamed_groups(data):
    X, y, groups = data
    weight = np.random.default_rng(2).random(240)
    scorer = get_task_scorer("gauc:click").set_score_request(
        groups="user", sample_weight=True
    )
    model = Ranker().set_fit_request(sample_weight=False)
    params = {"user": groups, "sample_weight": weight}
    scores = cross_validate(
        model, X, y, scoring=scorer, cv=KFold(2), params=params, error_score="raise"
    )
    _, test = next(iter(KFold(2).split(X)))
    train, _ = next(iter(KFold(2).split(X)))
    p = Ranker().fit(X[train], y.iloc[train]).predict_proba(X[test])[0][:, 1]
    expected = group_roc_auc(
        y["click"].iloc[test], p, groups[test], sample_weight=weight[test]
    )
    assert scores["test_score"][0] == pytest.approx(expected)


def test_without_routing_the_error_says_what_to_set(data):
    X, y, _groups = data
    scorer = get_task_scorer("gauc:click")
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        scorer(Ranker().fit(X, y), X, y)
    with pytest.raises(ValueError, match=r"set_score_request\(groups=True\)"):
        cross_validate(Ranker(), X, y, scoring=scorer, cv=KFold(2), error_score="raise")
    with pytest.raises(RuntimeError, match="enable_metadata_routing=True"):
        scorer.set_score_request(groups=True)


@pytest.mark.usefixtures("routing")
def test_groups_passed_but_not_requested(data):
    X, y, groups = data
    # A TypeError before scikit-learn 1.7.
    refusals = (sklearn.exceptions.UnsetMetadataPassedError, TypeError)
    with pytest.raises(refusals, match="groups"):
        cross_validate(
            Ranker(),
            X,
            y,
            scoring=get_task_scorer("gauc"),
            cv=KFold(2),
            params={"groups": groups},
            error_score="raise",
        )


def test_a_fold_without_positives_of_one_task(data):
    X, y, _ = data
    model = Ranker().fit(X, y)
    y = y.assign(order=0)
    with (
        pytest.warns(UndefinedMetricWarning, match="averaged 2 of 3 tasks.*'order'"),
        pytest.warns(UndefinedMetricWarning, match="undefined for task 'order'"),
    ):
        value = get_task_scorer("mean_auc")(model, X, y)
    p = probabilities(model, X)
    assert value == pytest.approx(roc_auc(y.to_numpy()[:, :2], p[:, :2]).mean())
    with pytest.warns(UndefinedMetricWarning, match="task 'order' and set to NaN"):
        assert np.isnan(get_task_scorer("auc:order")(model, X, y))
    with pytest.raises(ValueError, match="No task has a positive label"):
        get_task_scorer("mean_auc")(model, X, y * 0)


def test_evaluate_and_prepare_without_an_estimator(data):
    X, y, groups = data
    p = probabilities(Ranker().fit(X, y), X)
    scorer = get_task_scorer("auc:order")
    prepared = scorer.prepare(y)
    for column in range(3):
        expected = roc_auc_score(y["order"], p[:, column])
        assert scorer.evaluate(y, p[:, column]) == pytest.approx(expected)
        assert prepared(p[:, column]) == pytest.approx(expected)
    assert scorer.evaluate(y, p) == pytest.approx(roc_auc_score(y["order"], p[:, 2]))
    gauc = get_task_scorer("gauc:order").evaluate(y, p, groups=groups)
    assert gauc == group_roc_auc(y["order"], p[:, 2], groups)


@pytest.mark.parametrize("name", ["auc", "recall@5:order", "ece", "min_gauc"])
def test_copies_and_pickles(name, data):
    X, y, groups = data
    scorer = get_task_scorer(name)
    model = Ranker().fit(X, y)
    given = {"groups": groups} if scorer.metric.needs_groups else {}
    for copy in (deepcopy(scorer), pickle.loads(pickle.dumps(scorer))):
        assert copy(model, X, y, **given) == scorer(model, X, y, **given)
        assert repr(copy) == repr(scorer)


def test_a_scorer_is_returned_as_it_is():
    scorer = get_task_scorer("auc")
    assert get_task_scorer(scorer) is scorer
    assert get_task_scorer("auc") is not scorer


BAD_NAMES = {
    "acc": r"scoring='acc' is not a known scorer. The known names are \['auc', 'brier'",
    "auc@3": "the metric 'auc' has no '@k'",
    "mean_auc:order": "names both an average over tasks and the task 'order'",
    "AUC": "scoring='AUC' is not a known scorer",
    "recall@": "is not a known scorer",
    3: "scoring=3 is not a known scorer",
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(name):
    with pytest.raises(ValueError, match=BAD_NAMES[name]):
        get_task_scorer(name)


BAD = {
    "metric": (("f1",), {}, r"Unknown metric 'f1'. The known metrics are \['auc'"),
    "param": (("auc",), {"k": 3}, "The metric 'auc' has no parameter 'k'"),
    "average": (("auc",), {"average": "median"}, "average must be one of"),
    "average weights": (
        ("auc",),
        {"average": {"a": -1}},
        "must be finite, not negative",
    ),
    "response": (("auc",), {"response_method": "predict"}, "response_method must be"),
    "sign": (("auc",), {"greater_is_better": True}, "leave it out"),
    "gains": (("ndcg",), {"task": "a", "gains": {"a": 1}}, "either gains or task"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters(case):
    args, kwargs, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        make_task_scorer(*args, **kwargs)


def test_bad_calls(data):
    X, y, groups = data
    model = Ranker().fit(X, y)
    with pytest.raises(TypeError, match="must be a name or a function"):
        make_task_scorer(3)
    with pytest.raises(ValueError, match="already names k"):
        get_task_scorer("recall@3", k=4)
    with pytest.raises(ValueError, match=r"Unknown task 'buy'. The known tasks are"):
        get_task_scorer("auc:buy")(model, X, y)
    with pytest.raises(ValueError, match="Unknown task 'buy'"):
        make_task_scorer("auc", average={"buy": 1})(model, X, y)
    with pytest.raises(TypeError, match="does not take groups"):
        get_task_scorer("auc")(model, X, y, groups=groups)
    with pytest.raises(ValueError, match="groups must have shape"):
        get_task_scorer("gauc")(model, X, y, groups=groups[:9])
    with pytest.raises(ValueError, match=r"fitted on the tasks .* but the columns"):
        get_task_scorer("auc")(model, X, y.rename(columns={"cart": "buy"}))
    with pytest.raises(ValueError, match="2 column"):
        get_task_scorer("auc")(model, X, y.to_numpy()[:, :2])
    svc = MultiOutputClassifier(LinearSVC()).fit(X, y)
    with pytest.raises(AttributeError, match="predict_proba"):
        get_task_scorer("auc")(svc, X, y)
    three = DecisionTreeClassifier().fit(X, np.arange(240) % 3)
    with pytest.raises(ValueError, match="a column for each class 0 and 1"):
        get_task_scorer("auc")(three, X, y["click"])


def test_labels_of_two_other_classes_are_judged_as_zero_and_one():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = (X[:, 0] + rng.normal(size=300) > 0).astype(int)
    for names in (["no", "yes"], [2, 5], [-1, 1]):
        labels = pd.Series(np.array(names)[y], name="liked")
        model = LogisticRegression().fit(X, labels)
        found = get_task_scorer("auc:liked")(model, X, labels)
        assert found == pytest.approx(roc_auc_score(y, model.predict_proba(X)[:, 1]))
    one = DummyClassifier().fit(X, np.full(300, "yes"))
    labels = pd.Series(np.where(y, "yes", "no"), name="liked")
    with pytest.raises(ValueError, match="fitted on the single class 'yes'"):
        get_task_scorer("auc:liked")(one, X, labels)
