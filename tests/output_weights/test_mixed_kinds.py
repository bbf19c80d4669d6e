"""Output weights of clicks, orders and the value of an order."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skmtl
from skmtl import FixedOutputWeights, OutputWeightSearchCV, ShareBottom, fuse
from skmtl.displays import OutputWeightsDisplay, TaskROCDisplay
from skmtl.metrics import get_task_scorer, make_task_scorer, ndcg, roc_auc
from skmtl.tasks import TaskKinds, check_targets, kinds_by_task

KINDS = {"value": "regression", "stars": "ordinal", "reason": "multiclass"}
REVENUE = ("order", "value")


class Given(RegressorMixin, BaseEstimator):
    """A ranker whose table is what it predicts."""

    def __init__(self, task_kinds=None):
        self.task_kinds = task_kinds

    def fit(self, X, y):
        kinds = kinds_by_task(self.task_kinds, list(y))
        self.task_kinds_ = list(check_targets(y, kinds=kinds).kinds)
        self.task_names_ = np.array(y.columns, dtype=object)
        self.classes_ = [None] * y.shape[1]
        return self

    def predict_task(self, X):
        names = TaskKinds(self.task_kinds_).column_names(self.task_names_)
        return X[names].to_numpy()

    def predict(self, X):
        return self.predict_task(X)


@pytest.fixture(scope="module")
def data():
    """Predictions, labels and requests; values are known for orders."""
    rng = np.random.default_rng(0)
    n = 1500
    X = pd.DataFrame(
        {
            "click": rng.uniform(0.1, 0.6, n),
            "order": rng.uniform(0.02, 0.5, n),
            "value": rng.lognormal(3, 1, n),
        }
    )
    order = rng.random(n) < X["order"]
    y = pd.DataFrame(
        {
            "click": 1.0 * ((rng.random(n) < X["click"]) | order),
            "order": order.astype(float),
            "value": np.where(order, X["value"] * rng.gamma(4, 1 / 4, n), np.nan),
        }
    )
    return X, y, rng.integers(n // 10, size=n)


@pytest.fixture(scope="module")
def given(data):
    return Given({"value": "regression"}).fit(data[0], data[1])


def captured(y, score, groups, k):
    """Mean over requests of the share of the revenue in the first k places."""
    revenue = np.nan_to_num(y["value"].to_numpy()) * y["order"].to_numpy()
    table = pd.DataFrame({"r": revenue, "s": score, "g": groups})
    shares = [
        one.nlargest(k, "s")["r"].sum() / one["r"].sum()
        for _, one in table.groupby("g")
        if one["r"].sum()
    ]
    return np.mean(shares)


def test_the_revenue_of_the_first_places(data, given):
    X, y, groups = data
    revenue = get_task_scorer("recall@3", gains={REVENUE: 1})
    search = OutputWeightSearchCV(
        given, terms=["click", REVENUE], weights=5, scoring=revenue, cv="prefit"
    ).fit(X, y, groups=groups)
    columns = np.column_stack([X["click"], X["order"] * X["value"]])
    assert_allclose(search.scales_, columns.std(axis=0))
    for params, value in zip(
        search.cv_results_["params"],
        search.cv_results_["split0_test_score"],
        strict=True,
    ):
        score = params["click"] * columns[:, 0] + params[REVENUE] * columns[:, 1]
        assert value == pytest.approx(captured(y, score, groups, 3))
    assert search.best_params_[REVENUE] > 0
    clicks = search.cv_results_["param_order * value"] == 0
    assert search.best_score_ > search.cv_results_["mean_test_score"][clicks][0] + 0.02
    # An even grid is one of terms of the same spread.
    steps = search.cv_results_["param_click"] * search.scales_[0]
    assert_allclose(np.unique(steps.round(12)), [0, 0.25, 0.5, 0.75, 1])
    assert sum(search.best_shares_.values()) == pytest.approx(1)
    # What it found is what `fuse` and fixed weights take.
    score = search.decision_function(X)
    assert_array_equal(score, fuse(X, search.best_params_))
    fixed = FixedOutputWeights(given, search.best_params_)
    assert_array_equal(score, fixed.decision_function(X))
    assert_array_equal(score, search.best_estimator_.decision_function(X))
    intervals = search.bootstrap_intervals(5, random_state=0)
    assert {"best", "best - click", "best - order * value"} <= set(intervals.index)
    display = OutputWeightsDisplay.from_search(search).plot()
    assert "order * value" in display.axes_[0].get_xlabel()


def test_the_default_metric_is_the_share_of_pairs_in_order(data, given):
    X, y, groups = data
    search = OutputWeightSearchCV(given, weights=3, cv="prefit")
    search.fit(X, y, groups=groups)  # groups are for the splitter
    score = search.decision_function(X)
    seen = y["value"].notna().to_numpy()
    a, s = y["value"].to_numpy()[seen], score[seen]
    above = np.sign(a[:, None] - a)
    pairs = (above * np.sign(s[:, None] - s) + 1)[above != 0].mean() / 2
    areas = [roc_auc(y[task], score) for task in ("click", "order")]
    assert search.best_score_ == pytest.approx(np.mean([*areas, pairs]))
    assert search.score(X, y) == pytest.approx(search.best_score_)
    with pytest.raises(ValueError, match="sample_weight needs tasks that are all"):
        search.score(X, y, np.ones(len(X)))


@pytest.mark.parametrize(
    ("scoring", "expected"),
    [
        ("auc:order", lambda y, s, g: roc_auc(y["order"], s)),
        ("ndcg@3:click", lambda y, s, g: ndcg(y["click"], s, g, k=3)),
        (
            "spearman:value",
            lambda y, s, g: pd.DataFrame({"y": y["value"], "s": s, "g": g})
            .dropna()
            .groupby("g")[["y", "s"]]
            .apply(lambda one: one.corr("spearman").iloc[0, 1])
            .mean(),
        ),
        (
            make_task_scorer("auc", task="value", threshold=20),
            lambda y, s, g: roc_auc((y["value"] > 20)[y["value"].notna()] * 1.0,
                                    s[y["value"].notna()]),
        ),
        (
            make_task_scorer(lambda y, score: y @ score / len(y), task="value"),
            lambda y, s, g: np.nanmean(y["value"] * s),
        ),
    ],
)  # fmt: skip
def test_metrics_of_each_kind(scoring, expected, data, given):
    X, y, groups = data
    with_groups = {"groups": groups}
    search = OutputWeightSearchCV(
        given, weights={"click": [0.3], "order": [1.0]}, scoring=scoring, cv="prefit"
    ).fit(X, y, **with_groups)
    score = 0.3 * X["click"].to_numpy() + X["order"].to_numpy()
    assert search.best_score_ == pytest.approx(expected(y, score, groups))
    scorer = search.scorer_
    if not scorer.metric.of_own_function:  # which judges the tasks one by one
        given_groups = with_groups if "groups" in scorer.metric.metadata else {}
        found = scorer(search, X, y, **given_groups)
        assert found == pytest.approx(search.best_score_)


def test_weights_of_the_user_are_in_their_own_units(data, given):
    X, y, _ = data
    points = {"click": [0.0, 0.5], REVENUE: [1.0]}
    search = OutputWeightSearchCV(given, weights=points, cv="prefit").fit(X, y)
    assert [*search.cv_results_["param_click"]] == [0.0, 0.5]
    assert search.terms_ == ["click", REVENUE]
    ranks = OutputWeightSearchCV(given, weights=3, method="rank", cv="prefit")
    assert set(ranks.fit(X, y).cv_results_["param_value"]) == {0.0, 0.5, 1.0}


@pytest.mark.parametrize("search", ["halving", "continuous"])
def test_other_searches_with_a_constraint(search, data, given):
    X, y, _ = data
    found = OutputWeightSearchCV(
        given,
        terms=["click", "order", REVENUE],
        weights=4,
        scoring=["pair_accuracy:value", "auc:click"],
        refit="pair_accuracy:value",
        constraints={"auc:click": (">=", 0.9, "relative")},
        search=search,
        cv="prefit",
    ).fit(X, y)
    assert found.cv_results_["feasible"][found.best_index_]


def test_a_pipeline_of_a_ranker_is_fitted_saved_and_searched(tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(400, 2)), columns=["a", "b"])
    click = rng.random(400) < 1 / (1 + np.exp(-X["a"]))
    value = np.where(click, np.exp(X["b"]), np.nan)
    y = pd.DataFrame({"click": click.astype(float), "value": value})
    ranker = ShareBottom(
        task_kinds={"value": "regression"}, max_iter=1, batch_size=64, random_state=0
    )
    terms, scorer = [("click", "value")], get_task_scorer("spearman:value")
    search = OutputWeightSearchCV(ranker, terms=terms, scoring=scorer, cv=2)
    assert clone(search).get_params()["terms"] == terms
    pipeline = make_pipeline(FunctionTransformer(), search).fit(X, y)
    score = pipeline.decision_function(X)
    expected = search.estimator_.predict_task(X)
    assert_allclose(score, search.best_weights_[0] * expected.prod(axis=1))
    assert scorer(pipeline, X, y) == pytest.approx(
        pd.Series(score).corr(y["value"], "spearman")
    )
    search.save(tmp_path / "search")
    loaded = skmtl.load(tmp_path / "search")
    assert_array_equal(loaded.decision_function(X), score)
    assert loaded.terms_ == terms
    assert loaded.bootstrap_intervals(3, random_state=0).equals(
        search.bootstrap_intervals(3, random_state=0)
    )
    grid = {"weights": [{"click": 1}, {("click", "value"): 1}]}
    found = GridSearchCV(FixedOutputWeights(ranker), grid, scoring=scorer, cv=2)
    assert np.isfinite(found.fit(X, y).best_score_)


def test_what_cannot_be_fused_or_judged_is_named(data, given):
    X, y, _ = data
    wide = X.assign(stars=3.0, reason_late=0.2, reason_size=0.8)
    labels = y.assign(
        stars=np.arange(len(y)) % 3 + 1.0,
        reason=np.where(X["click"] > 0.3, "late", "size"),
    )
    every = Given(KINDS).fit(wide, labels)
    with pytest.raises(ValueError, match=r"'reason' is multiclass.*'reason_late'"):
        OutputWeightSearchCV(every, cv="prefit").fit(wide, labels)
    chosen = OutputWeightSearchCV(
        every, terms=["click", "stars", "reason_late"], weights=2, cv="prefit"
    ).fit(wide, labels)
    assert chosen.scales_[1] == 1.0  # the same for all rows
    gains = get_task_scorer("ndcg@3", gains={"reason": 1})
    with pytest.raises(ValueError, match="gains cannot use task 'reason'"):
        OutputWeightSearchCV(every, terms=["click"], scoring=gains, cv="prefit").fit(
            wide, labels, groups=np.zeros(len(wide))
        )
    for params, message in (
        ({"scoring": "rmse:value"}, "'rmse' judges predicted labels or values"),
        ({"scoring": "auc:value"}, "cannot judge a ranking score by 'value'"),
        ({"scoring": "spearman:click"}, "cannot judge a ranking score by 'click'"),
        ({"scoring": "auc:cart"}, "Unknown task 'cart'"),
        (
            {"scoring": make_task_scorer(average_precision_score)},
            "Task 'value' cannot be judged: continuous",
        ),
        ({"terms": ["cart"]}, "terms name the unknown task 'cart'"),
        ({"terms": ["clik"]}, "unknown task 'clik'.*Did you mean 'click'"),
        ({"terms": ["click", "click"]}, "terms repeat 'click'"),
        ({"terms": []}, "terms must list tasks"),
    ):
        with pytest.raises(ValueError, match=message):
            OutputWeightSearchCV(given, cv="prefit", **params).fit(X, y)
    with pytest.raises(ValueError, match=r"fitted on the tasks .*columns of y are"):
        OutputWeightSearchCV(given, cv="prefit").fit(X, y[["click", "order"]])
    with pytest.raises(ValueError, match=r"weights=None adds.*have different units"):
        FixedOutputWeights(given).decision_function(X)
    odds = FixedOutputWeights(given, {"order": 2}, method="logit").decision_function(X)
    assert_allclose(odds, 2 * np.log(X["order"] / (1 - X["order"])))
    ranked = FixedOutputWeights(given, method="rank").decision_function(X)
    assert_array_equal(ranked, fuse(X, [1, 1, 1], "rank"))


def test_classes_that_a_fold_has_not_seen_have_probability_0(data):
    X, y, _ = data
    wide = X.assign(reason_a=0.1, reason_b=0.2, reason_c=0.7)
    reason = np.where(np.arange(len(y)) < 2, "a", np.where(X["click"] > 0.3, "b", "c"))
    labels = y.assign(reason=reason)
    last, first = np.arange(700, 1500), np.arange(700)
    search = OutputWeightSearchCV(
        Given({k: KINDS[k] for k in ("value", "reason")}),
        terms=["click", "reason_a"],
        weights=2,
        scoring="auc:click",
        cv=[(last, first)],
    ).fit(wide, labels)
    assert not search._folds_[0].columns[1].any()


def of_scale(data, scale):
    """The data with values in another unit."""
    X, y, _ = data
    return (X.assign(value=X["value"] * scale), y.assign(value=y["value"] * scale))


def test_a_grid_keeps_its_points_whatever_the_units(data, given):
    terms = ["click", "value"]
    plain, scaled = (
        OutputWeightSearchCV(
            given, terms=terms, weights=4, scoring="auc:click", cv="prefit"
        ).fit(*of_scale(data, scale))
        for scale in (1, 2.0**50)
    )
    found, expected = (s.cv_results_["mean_test_score"] for s in (scaled, plain))
    assert len(set(expected)) > 5
    assert_array_equal(found, expected)


def test_points_of_the_user_differ_whatever_their_size(data, given):
    X, y = of_scale(data, 2.0**50)
    small = np.arange(1, 4) * 2.0**-55
    points = np.column_stack([np.ones(3), np.zeros(3), small])
    points = np.concatenate([points, [[0, 0, 1.0]]])
    search = OutputWeightSearchCV(given, weights=points, cv="prefit").fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 4


@pytest.mark.parametrize("noise", [0, 1e-9])
def test_a_constant_prediction_has_scale_1(noise, data, given):
    X, y, _ = data
    constant = X.assign(value=0.3 + noise * np.sin(np.arange(len(X))))
    search = OutputWeightSearchCV(given, weights=3, cv="prefit").fit(constant, y)
    assert search.scales_[2] == 1.0
    assert search.scales_[0] == pytest.approx(X["click"].std(ddof=0))


def test_a_metric_of_constraints_alone_gets_the_groups(data, given):
    X, y, groups = data
    weights = {"click": [0.2], "order": [0.5], "value": [0.01]}
    for metric, routing in (
        ("spearman:value", False), ("gauc:click", False), ("gauc:click", True)
    ):  # fmt: skip
        expected = OutputWeightSearchCV(
            given, weights=weights, scoring=metric, cv="prefit"
        )
        bound = expected.fit(X, y, groups=groups).best_score_
        search = OutputWeightSearchCV(given, weights=weights, cv="prefit")
        with sklearn.config_context(enable_metadata_routing=routing):
            search.set_params(constraints={metric: (">=", bound - 1e-9)})
            search.fit(X, y, groups=groups)
            search.set_params(constraints={metric: (">=", bound + 1e-9)})
            with pytest.raises(ValueError, match=f"{metric} = {bound:.6g} of at"):
                search.fit(X, y, groups=groups)


class Unfitted(Given):
    """A ranker that must not be fitted."""

    def fit(self, X, y):
        raise AssertionError("Fitted before the search was checked.")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"terms": [REVENUE], "constraints": {"auc:click": (">=", 1, "relative")}},
            r"relative to what 'click' alone.*not one of the terms",
        ),
        ({"constraints": {"gauc:click": (">=", 0)}}, "needs the group of each row"),
        ({"scoring": make_task_scorer("auc", average={"clik": 1})}, "task 'clik'"),
        ({"method": "logit"}, r"the term 'value' contains 'value', of kind regr"),
        ({"terms": [("order", "value"), ("value", "order")]}, "as 'value . order'"),
        ({"terms": ["reason"]}, r"'reason' is multiclass.*'reason_late'"),
        ({"terms": [("order", "reason")]}, r"'reason' is multiclass"),
        (
            {"weights": {"click": [0.0], "order": [0, 0.0]}, "search": "refine"},
            "only the all-zero point",
        ),
    ],
)
def test_errors_that_are_known_come_before_any_fit(params, message, data):
    X, y, _ = data
    y = y.assign(reason=np.where(X["click"] > 0.3, "late", "size"))
    if "weights" not in params:
        params = {"terms": ["click", "order", "value"]} | params
    ranker = Unfitted({"value": "regression", "reason": "multiclass"})
    with pytest.raises(ValueError, match=message):
        OutputWeightSearchCV(ranker, cv=2, **params).fit(X, y)


def test_a_scorer_that_does_not_request_its_groups(data):
    X, y, _ = data
    ranker = Unfitted({"value": "regression"})
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = get_task_scorer("gauc:click").set_score_request(groups=False)
        splitter = KFold(2)
        search = OutputWeightSearchCV(ranker, scoring=scorer, cv=splitter)
        with pytest.raises(ValueError, match="needs the group of each row"):
            search.fit(X, y)


@pytest.mark.parametrize(
    ("n_tasks", "search", "message"),
    [
        (6, "grid", "search='refine', search='continuous', fewer points"),
        (12, "grid", "Use search='continuous', fewer points"),
        (12, "refine", "'refine' starts from 531440 points.*'continuous', or fewer"),
    ],
)
def test_grids_that_are_too_large(n_tasks, search, message):
    X = np.zeros((20, 1))
    y = np.tile(np.arange(20)[:, None] % 2, n_tasks)
    model = MultiOutputClassifier(DummyClassifier())
    with pytest.raises(ValueError, match=message):
        OutputWeightSearchCV(model, search=search, cv=2).fit(X, y)


@pytest.mark.parametrize(
    ("scoring", "metric"),
    [("roc_auc", roc_auc), ("average_precision", average_precision_score)],
)
def test_metrics_of_scikit_learn_judge_the_binary_tasks(scoring, metric, data, given):
    X, y, _ = data
    weights = {"click": [0.3], "order": [1.0]}
    search = OutputWeightSearchCV(given, weights=weights, scoring=scoring, cv="prefit")
    score = 0.3 * X["click"].to_numpy() + X["order"].to_numpy()
    expected = np.mean([metric(y[task], score) for task in ("click", "order")])
    assert search.fit(X, y).best_score_ == pytest.approx(expected)


def test_a_function_of_the_estimator_gets_expected_labels(data, given):
    X, y, _ = data

    def mean_value(estimator, X, y):
        assert not hasattr(estimator, "predict_proba")
        return estimator.predict_task(X)[:, 2].mean()

    search = OutputWeightSearchCV(given, weights=2, scoring=mean_value, cv="prefit")
    assert search.fit(X, y).best_score_ == pytest.approx(X["value"].mean())
    search.set_params(scoring=lambda estimator, X, y: estimator.predict_proba(X))
    with pytest.raises(AttributeError, match="Use predict_task"):
        search.fit(X, y)


def test_weights_of_a_fitted_ranker_are_judged_without_a_fit(data, given):
    X, y, groups = data
    fixed = FixedOutputWeights(given, {"click": 1.0, REVENUE: 0.02})
    fitted = clone(fixed).fit(X, y)
    gains = get_task_scorer("ndcg@3", gains={REVENUE: 1})
    for scorer, params in (
        (get_task_scorer("auc:order"), {}),
        (get_task_scorer("spearman:value"), {}),
        (get_task_scorer("rmse:value"), {}),
        (gains, {"groups": groups}),
    ):
        assert scorer(fixed, X, y, **params) == scorer(fitted, X, y, **params)
    with pytest.warns(UserWarning, match="leaves out the task"):
        TaskROCDisplay.from_estimator(fixed, X, y)


def test_messages_say_what_is_wrong(data, given):
    X, y, _ = data
    far = make_task_scorer("auc", task="value", threshold=1e9)
    with pytest.raises(ValueError, match=r"threshold of 1000000000\.0, or none is"):
        OutputWeightSearchCV(given, scoring=far, cv="prefit").fit(X, y)
    model = MultiOutputClassifier(DummyClassifier())
    for scoring in ("pair_accuracy", "spearman"):
        with pytest.raises(ValueError, match=r"all tasks are binary\. Use 'auc'"):
            OutputWeightSearchCV(model, scoring=scoring).fit(
                X, y[["click", "order"]].astype(int)
            )
    wide = X.assign(reason_late=0.2, reason_size=0.8)
    labels = y.assign(reason=np.where(X["click"] > 0.3, "late", "size"))
    ranker = Given({k: KINDS[k] for k in ("value", "reason")}).fit(wide, labels)
    with pytest.raises(ValueError, match="'reason' is multiclass"):
        FixedOutputWeights(ranker, {"reason": 1}).decision_function(wide)
