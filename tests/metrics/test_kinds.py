"""Metrics, scorers and reports of tasks that are not all binary."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import spearmanr
from sklearn import metrics as reference
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

from skmtl import RegressionTask, ShareBottom
from skmtl.metrics import get_task_scorer, make_task_scorer, task_report
from skmtl.metrics._by_kind import pair_accuracy_of, spearman_of

KINDS = {
    "stars": "ordinal",
    "dwell": RegressionTask("gamma"),
    "reason": "multiclass",
}


def make_table(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = pd.DataFrame(
        {
            "click": (X[:, 0] + rng.normal(size=n) > 0).astype(float),
            "stars": np.digitize(X[:, 0] + rng.normal(size=n), [-1, 0, 1]) / 2 + 1,
            "dwell": np.exp(X[:, 1] + rng.normal(size=n)),
            "reason": rng.choice(["late", "size", "colour"], n),
        }
    )
    return X, y.mask(rng.random(y.shape) < 0.1)


@pytest.fixture(scope="module")
def fitted():
    X, y = make_table()
    ranker = ShareBottom(
        task_kinds=KINDS, max_iter=3, random_state=0, bottom_units=(16,)
    ).fit(X, y)
    values = pd.DataFrame(
        ranker.predict_task(X), columns=ranker._kinds.column_names(ranker.task_names_)
    )
    return ranker, X, y, values


def observed(y, values, task):
    known = y[task].notna().to_numpy()
    return y.loc[known, task], values.loc[known, task], known


EXPECTED = {
    "rmse:dwell": lambda y, p: -reference.root_mean_squared_error(y, p),
    "mae:stars": lambda y, p: -reference.mean_absolute_error(y, p),
    "r2:dwell": reference.r2_score,
    "gamma_deviance:dwell": lambda y, p: -reference.mean_gamma_deviance(y, p),
    "poisson_deviance:dwell": lambda y, p: -reference.mean_poisson_deviance(y, p),
    "spearman:dwell": lambda y, p: spearmanr(y, p).statistic,
    "auc:click": reference.roc_auc_score,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_scorers_are_scikit_learns_metrics_of_observed_rows(name, fitted):
    ranker, X, y, values = fitted
    labels, predicted, _ = observed(y, values, name.partition(":")[2])
    found = get_task_scorer(name)(ranker, X, y)
    assert_allclose(found, EXPECTED[name](labels.astype(float), predicted), rtol=1e-6)


@pytest.mark.parametrize("name", ["rmse:dwell", "kappa:stars"])
def test_scikit_learn_gets_an_estimator_that_it_calls_unchanged(name, fitted):
    # Before 1.9 it refuses methods such as `predict_task` of other types.
    ranker, X, y, _ = fitted
    asked = []

    def caller(estimator, method, rows):
        asked.append((get_tags(estimator).estimator_type, method))
        return getattr(estimator, method)(rows)

    found = get_task_scorer(name)._score(caller, ranker, X, y)
    assert found == get_task_scorer(name)(ranker, X, y)
    assert {kind for kind, _ in asked} == {"outlier_detector"}
    assert asked[0][1] == "predict_task"


def test_parameters_of_scorers(fitted):
    ranker, X, y, values = fitted
    labels, predicted, known = observed(y, values, "dwell")
    pinball = make_task_scorer("pinball", task="dwell", alpha=0.9)
    expected = -reference.mean_pinball_loss(labels, predicted, alpha=0.9)
    assert_allclose(pinball(ranker, X, y), expected, rtol=1e-6)
    above = make_task_scorer("auc", task="dwell", threshold=2.0)
    expected = reference.roc_auc_score(labels > 2.0, predicted)
    assert_allclose(above(ranker, X, y), expected)
    assert_allclose(above.evaluate(y[["dwell"]], values[["dwell"]]), expected)
    weight = np.random.default_rng(0).random(len(y))
    found = get_task_scorer("rmse:dwell")(ranker, X, y, sample_weight=weight)
    expected = reference.root_mean_squared_error(
        labels, predicted, sample_weight=weight[known]
    )
    assert_allclose(found, -expected, rtol=1e-6)


def test_a_threshold_with_binary_tasks_alone():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=300)})
    y = pd.DataFrame(rng.random((300, 2)) < 0.4, columns=["a", "b"]).astype(int)
    ranker = ShareBottom(max_iter=1, random_state=0).fit(X, y)
    for task in ("b", None):
        scorer = make_task_scorer("auc", task=task, threshold=0.5)
        assert scorer(ranker, X, y) == make_task_scorer("auc", task=task)(ranker, X, y)


def test_labels_that_are_classes(fitted):
    ranker, X, y, _ = fitted
    labels = ranker.predict(X)
    known = y["stars"].notna().to_numpy()
    expected = reference.cohen_kappa_score(
        y.loc[known, "stars"].astype(str),
        labels[known, 1].astype(str),
        weights="quadratic",
    )
    assert_allclose(get_task_scorer("kappa:stars")(ranker, X, y), expected)
    known = y["reason"].notna().to_numpy()
    proba = ranker.predict_task(X)[known, 3:]
    truth = y.loc[known, "reason"]
    assert_allclose(
        get_task_scorer("log_loss:reason")(ranker, X, y),
        -reference.log_loss(truth, proba),
    )
    assert_allclose(
        get_task_scorer("auc:reason")(ranker, X, y),
        reference.roc_auc_score(truth, proba, multi_class="ovr"),
    )
    expected = (labels[known, 3] == truth).mean()
    assert_allclose(get_task_scorer("accuracy:reason")(ranker, X, y), expected)


def test_a_scorer_of_a_kind_that_lacks_it_says_which_it_has(fitted):
    ranker, X, y, _ = fitted
    with pytest.raises(ValueError, match=r"'dwell' is of kind regression.*'rmse'"):
        get_task_scorer("auc:dwell")(ranker, X, y)
    with pytest.raises(ValueError, match=r"'click' is of kind binary.*'auc'"):
        get_task_scorer("rmse:click")(ranker, X, y)
    with pytest.raises(ValueError, match="Unknown task 'order'"):
        get_task_scorer("rmse:order")(ranker, X, y)
    binary = ShareBottom(max_iter=1).fit(X, y[["click"]].fillna(0.0).to_numpy()[:, 0])
    with pytest.raises(ValueError, match="is of kind binary"):
        get_task_scorer("rmse")(binary, X, y["click"].fillna(0.0))


def test_averages_leave_out_tasks_without_the_metric(fitted):
    ranker, X, y, _ = fitted
    each = [
        get_task_scorer(f"auc:{task}")(ranker, X, y) for task in ("click", "reason")
    ]
    assert_allclose(get_task_scorer("mean_auc")(ranker, X, y), np.mean(each))
    weighted = make_task_scorer("auc", average={"click": 3, "reason": 1})
    assert_allclose(weighted(ranker, X, y), np.average(each, weights=[3, 1]))


def test_pairs_and_ranks_within_groups(fitted):
    rng = np.random.default_rng(0)
    y, score = rng.integers(4, size=60).astype(float), rng.integers(6, size=60)
    groups = rng.integers(7, size=60)
    right = pairs = 0.0
    for i in range(60):
        for j in range(i):
            if groups[i] == groups[j] and y[i] != y[j]:
                pairs += 1
                product = (y[i] - y[j]) * (score[i] - score[j])
                right += 1.0 if product > 0 else 0.5 * (product == 0)
    assert_allclose(pair_accuracy_of(y, score, groups=groups), right / pairs)
    each = [spearmanr(y[groups == g], score[groups == g]).statistic for g in range(7)]
    assert_allclose(spearman_of(y, score, groups=groups), np.nanmean(each))
    assert np.isnan(pair_accuracy_of(np.ones(3), np.arange(3)))
    assert pair_accuracy_of(np.arange(3), np.ones(3)) == 0.5
    # All rows in one group are counted in another way.
    above, told = (np.sign(one[:, None] - one) for one in (y, score))
    every = ((above * told + 1) / 2)[above != 0].mean()
    assert_allclose(pair_accuracy_of(y, score), every)
    label = (y > np.median(y)).astype(int)
    assert_allclose(
        pair_accuracy_of(label, score), reference.roc_auc_score(label, score)
    )
    assert np.isnan(spearman_of(np.ones(3), np.arange(3)))
    ranker, X, table, values = fitted
    of_rows = rng.integers(20, size=len(X)).astype(str)
    labels, predicted, known = observed(table, values, "dwell")
    found = get_task_scorer("pair_accuracy:dwell")(ranker, X, table, groups=of_rows)
    expected = pair_accuracy_of(labels, predicted, groups=of_rows[known])
    assert_allclose(found, expected)


def test_searches_pipelines_and_other_estimators_take_the_scorers(fitted):
    _, X, y, _ = fitted
    small = ShareBottom(task_kinds=KINDS, max_iter=1, random_state=0, bottom_units=(8,))
    pipe = make_pipeline(FunctionTransformer(), small)
    scoring = {
        "rmse": get_task_scorer("rmse:dwell"),
        "auc": get_task_scorer("auc:click"),
    }
    search = GridSearchCV(
        pipe, {"sharebottom__max_iter": [1, 2]}, scoring=scoring, refit="rmse", cv=2
    ).fit(X, y)
    assert search.cv_results_["mean_test_rmse"].max() < 0
    assert np.isfinite(get_task_scorer("rmse:dwell")(search, X, y))
    numbers = y[["stars", "dwell"]].fillna(1.0)
    scorer = get_task_scorer("rmse:1")
    found = cross_val_score(LinearRegression(), X, numbers.to_numpy(), scoring=scorer)
    alone = cross_val_score(
        LinearRegression(), X, numbers["dwell"], scoring="neg_root_mean_squared_error"
    )
    assert_allclose(found, alone)


def test_early_stopping_watches_metrics_of_kinds(fitted):
    _, X, y, _ = fitted
    ranker = ShareBottom(
        task_kinds=KINDS, max_iter=3, random_state=0, early_stopping=True,
        scoring="rmse:dwell",
    )  # fmt: skip
    assert np.isfinite(ranker.fit(X, y).net_.history[-1]["valid_score"])
    ranker.set_params(scoring="auc:dwell")
    with pytest.raises(ValueError, match="'dwell' is of kind regression"):
        ranker.fit(X, y)


def test_reports_show_each_task_its_own_metrics(fitted):
    ranker, X, y, values = fitted
    groups = np.random.default_rng(0).integers(30, size=len(X))
    report = task_report(y, values, groups, task_kinds=ranker.task_kinds_)
    assert list(report.index) == ["click", "stars", "dwell", "reason"]
    alone = task_report(y[["click"]], values[["click"]], groups)
    assert_allclose(report.loc[["click"], alone.columns].astype(float), alone)
    labels, predicted, _ = observed(y, values, "dwell")
    dwell = report.loc["dwell"]
    assert_allclose(dwell["rmse"], reference.root_mean_squared_error(labels, predicted))
    expected = reference.mean_gamma_deviance(labels, predicted)
    assert_allclose(dwell["tweedie_deviance"], expected, rtol=1e-6)
    assert dwell.isna()[["roc_auc", "kappa", "accuracy"]].all()
    assert report.loc["stars"].notna()[["rmse", "pair_accuracy"]].all()
    labels, predicted, _ = observed(y, values, "stars")
    grades = np.array([1.0, 1.5, 2.0, 2.5])
    nearest = np.abs(predicted.to_numpy()[:, None] - grades).argmin(axis=1)
    codes = np.searchsorted(grades, labels.astype(float))
    expected = reference.cohen_kappa_score(codes, nearest, weights="quadratic")
    assert_allclose(report.loc["stars", "kappa"], expected)
    assert report.loc["reason"].notna()[["roc_auc", "log_loss", "accuracy"]].all()
    named = task_report(y, values, groups, task_kinds=KINDS)
    pd.testing.assert_frame_equal(named, report)
    with pytest.raises(ValueError, match="Pass what predict_task returns"):
        task_report(y, values.iloc[:, :4], task_kinds=KINDS)


def two_numbers(n=200):
    rng = np.random.default_rng(0)
    y = pd.DataFrame({"a": rng.gamma(2.0, size=n), "b": 50 + rng.normal(size=n)})
    return y, y + rng.normal(size=y.shape) / 10 + 1.0


@pytest.mark.parametrize("kinds", ["regression", [RegressionTask()] * 2])
def test_columns_with_names_are_matched_by_name(kinds):
    y, values = two_numbers()
    expected = task_report(y, values, task_kinds=kinds)
    assert_allclose(
        expected.loc["a", "rmse"],
        reference.root_mean_squared_error(y["a"], values["a"]),
    )
    found = task_report(y, values[["b", "a"]], task_kinds=kinds)
    pd.testing.assert_frame_equal(found, expected)
    # Names that only count match by their place.
    found = task_report(y, values.set_axis(["0", "1"], axis=1), task_kinds=kinds)
    pd.testing.assert_frame_equal(found, expected)
    found = task_report(y.to_numpy(), values, task_kinds=kinds)
    assert_allclose(found, expected)
    with pytest.raises(ValueError, match=r"of proba are \['a', 'c'\], but the tasks"):
        task_report(y, values.rename(columns={"b": "c"}), task_kinds=kinds)


def test_columns_of_classes_are_matched_by_name(fitted):
    ranker, _, y, values = fitted
    expected = task_report(y, values, task_kinds=KINDS)
    found = task_report(y, values[values.columns[::-1]], task_kinds=KINDS)
    pd.testing.assert_frame_equal(found, expected)
    renamed = values.rename(columns={"reason_late": "late"})
    with pytest.raises(ValueError, match=r"'late', 'reason_size'.*but the tasks are"):
        task_report(y, renamed, task_kinds=ranker.task_kinds_)


def test_a_list_of_different_kinds_needs_one_order():
    y, values = two_numbers()
    kinds = [RegressionTask("gamma"), RegressionTask()]
    with pytest.raises(ValueError, match="task_kinds is a list without names"):
        task_report(y, values[["b", "a"]], task_kinds=kinds)
    assert task_report(y, values, task_kinds=kinds).loc["a", "tweedie_deviance"] > 0


def test_a_list_of_kinds_may_name_them():
    y, values = two_numbers()
    y, values = y.assign(a=y["a"] > 1), values.assign(a=0.5)
    expected = task_report(y, values, task_kinds={"b": "regression"}, interval=None)
    for kinds in (["binary", "regression"], ("binary", RegressionTask())):
        found = task_report(y, values, task_kinds=kinds, interval=None)
        pd.testing.assert_frame_equal(found, expected)
    with pytest.raises(ValueError, match=r"task_kinds has 1 entries, but y has 2 col"):
        task_report(y, values, task_kinds=["regression"])
    with pytest.raises(ValueError, match="'numbers' is not a kind of task"):
        task_report(y, values, task_kinds=["binary", "numbers"])
    with pytest.raises(TypeError, match="task_kinds must hold names of kinds"):
        task_report(y, values, task_kinds=3)


def test_scorers_of_numbers_match_columns_by_name():
    y, values = two_numbers()
    expected = -reference.root_mean_squared_error(y["b"], values["b"])
    scorer = get_task_scorer("rmse:b")
    # Labels are float32.
    assert_allclose(scorer.evaluate(y, values), expected, rtol=1e-6)
    assert_allclose(scorer.evaluate(y, values[["b", "a"]]), expected, rtol=1e-6)
    assert_allclose(scorer.evaluate(y[["b", "a"]], values), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="The columns of score are"):
        scorer.evaluate(y, values.rename(columns={"a": "c"}))
    with pytest.raises(ValueError, match="score has 300 rows, but y has 200"):
        scorer.evaluate(y, np.zeros((300, 2)))
    with pytest.raises(ValueError, match=r"'b' cannot be judged.*finite; found nan"):
        scorer.evaluate(y, values.mask(values == values["b"].max()))
    gamma = get_task_scorer("gamma_deviance:a")
    with pytest.raises(ValueError, match=r"'a' cannot be judged: .*strictly positive"):
        gamma.evaluate(y, values - 100)


@pytest.mark.parametrize("groups", [None, np.arange(400) % 7])
def test_a_task_without_labels_is_a_row_of_nan(groups, fitted):
    ranker, _, y, values = fitted
    for task in y:
        missing = y.astype({"reason": object}).assign(**{task: np.nan})
        with pytest.warns(UserWarning, match=f"Task '{task}' has 0"):
            report = task_report(
                missing, values, groups, task_kinds=ranker.task_kinds_, interval=None
            )
        assert report.loc[task, "n_labels"] == 0
        assert report.loc[task].drop(["n_labels", "positives"]).isna().all()
        others = task_report(y, values, groups, task_kinds=KINDS, interval=None)
        same = report.drop(task)[others.columns]
        pd.testing.assert_frame_equal(same, others.drop(task), check_dtype=False)


def test_a_report_of_equal_labels_has_nan_with_a_warning():
    y = pd.DataFrame({"n": np.zeros(5), "stars": np.ones(5), "r": ["x"] * 5})
    kinds = {"n": RegressionTask("poisson"), "stars": "ordinal", "r": "multiclass"}
    values = pd.DataFrame({"n": np.zeros(5), "stars": np.ones(5), "r_x": np.ones(5)})
    with pytest.warns(UndefinedMetricWarning) as warned:
        report = task_report(y, values, task_kinds=kinds)
    assert [str(one.message)[5:].partition(";")[0] for one in warned] == [
        "'n' has 5 labels",
        "'stars' has 5 labels",
        "'r' has 5 labels",
    ]
    assert np.isnan(report.loc["n", "tweedie_deviance"])
    assert np.isnan(report.loc["stars", "kappa"])
    assert report.loc["n", "rmse"] == report.loc["stars", "mae"] == 0
    assert report.loc["r", "accuracy"] == 1
    assert report.loc["r", "log_loss"] == 0


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("gamma", lambda v: v.assign(a=0.0), "'a' cannot be judged: .*strictly posit"),
        ("poisson", lambda v: v.assign(a=-1.0), "'a' cannot be judged: .*strictly pos"),
        ("tweedie", lambda v: v.assign(a=-1.0), "'a' cannot be judged: .*strictly pos"),
        ("squared", lambda v: v.assign(b=np.nan), "'b' cannot .*finite; found nan"),
        ("squared", lambda v: v.assign(a=np.inf), "'a' cannot .*finite; found inf"),
        ("squared", lambda v: v[:150], "proba has 150 rows, but y has 200"),
    ],
)
def test_refusals_of_reports_name_the_task(kind, change, message):
    y, values = two_numbers()
    with pytest.raises(ValueError, match=message):
        task_report(y, change(values), task_kinds=RegressionTask(kind))
