"""The report of transfer against fits by hand, for any multioutput classifier."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import d2_tweedie_score
from sklearn.model_selection import GroupKFold, KFold
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmtl import MMoE, PooledTask, RegressionTask, ShareBottom, SingleTask
from skmtl.inspection import transfer_report
from skmtl.inspection._transfer import corrected_interval
from skmtl.metrics import get_task_scorer, group_roc_auc, roc_auc
from tests.rankers.conftest import make_impressions

SMALL = {
    "max_iter": 2,
    "categorical_features": ["user", "item"],
    "tower_units": (8,),
}
RANKERS = {
    "SingleTask": SingleTask(bottom_units=(16,), **SMALL),
    "MMoE": MMoE(n_experts=2, expert_units=(16,), **SMALL),
    "PooledTask": PooledTask(bottom_units=(16,), **SMALL),
}


@pytest.fixture(scope="module")
def table():
    return make_impressions(700)


def numbers(n=600):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    y = (X[:, :2] + rng.normal(size=(n, 2)) > 1).astype(int)
    return X, y


def test_equals_fits_by_hand(table):
    X, y = table
    users = X["user"].to_numpy()
    cv = list(GroupKFold(2).split(X, y, users))
    report, scores = transfer_report(
        RANKERS, X, y, cv, users, random_states=[3, 5], return_scores=True
    )
    by_hand, sizes = {}, {}
    for name, ranker in RANKERS.items():
        for fold, (train, test) in enumerate(cv):
            for seed in (3, 5):
                ranker.set_params(random_state=seed)
                fitted = ranker.fit(X.iloc[train], y.iloc[train])
                proba = fitted.predict_task_proba(X.iloc[test])
                sizes.setdefault(name, []).append(fitted.n_parameters_)
                by_hand[name, fold, seed] = (
                    roc_auc(y.iloc[test], proba),
                    group_roc_auc(y.iloc[test], proba, users[test]),
                )
    for row in scores.itertuples():
        which = ["roc_auc", "group_roc_auc"].index(row.metric)
        task = ["click", "cart"].index(row.task)
        place = (row.estimator, row.fold, row.random_state)
        assert row.value == by_hand[place][which][task]

    assert list(report["metric"]) == ["roc_auc"] * 6 + ["group_roc_auc"] * 6
    for row in report.itertuples():
        which = ["roc_auc", "group_roc_auc"].index(row.metric)
        task = ["click", "cart"].index(row.task)
        own, alone = (
            np.array(
                [[by_hand[name, f, s][which][task] for s in (3, 5)] for f in (0, 1)]
            )
            for name in (row.estimator, "SingleTask")
        )
        assert row.value == pytest.approx(own.mean())
        assert row.difference == pytest.approx((own - alone).mean())
        assert row.wins == ((own > alone).mean())
        ratio = np.mean([len(test) / len(train) for train, test in cv])
        bounds = corrected_interval((own - alone).mean(axis=1), ratio, 0.95)
        assert (row.low, row.high) == pytest.approx(bounds)
        assert row.n_parameters == np.mean(sizes[row.estimator])
        assert row.fit_time > 0


def test_any_multioutput_classifier():
    X, y = numbers()
    estimators = {
        "boosting": MultiOutputClassifier(HistGradientBoostingClassifier(max_iter=5)),
        "forest": RandomForestClassifier(5),
        "linear": make_pipeline(
            StandardScaler(), MultiOutputClassifier(LogisticRegression())
        ),
        "nothing": DummyClassifier(strategy="prior"),
        "MMoE": MMoE(n_experts=2, max_iter=2),
    }
    report = transfer_report(estimators, X, y, 3, reference="linear")
    report = report.set_index(["task", "estimator"])
    assert report.loc[("0", "nothing"), "value"] == 0.5
    assert report.loc[("0", "nothing"), "high"] < 0  # plain to see
    assert report.loc[("0", "linear"), "difference"] == 0
    assert report.loc[("1", "linear"), ["low", "high"]].tolist() == [0, 0]
    assert report["n_parameters"].notna().sum() == 2


def test_lightgbm_where_it_is_installed():
    lightgbm = pytest.importorskip("lightgbm")
    X, y = numbers()
    boosting = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1)
    estimators = {
        "LightGBM": MultiOutputClassifier(boosting),
        "SingleTask": SingleTask(bottom_units=(16,), max_iter=2),
    }
    report = transfer_report(estimators, X, y, 2)
    assert report["value"].between(0.5, 1).all()


def test_nested_seeds_are_set():
    X, y = numbers()
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(3))
    report, scores = transfer_report(
        {"forest": forest},
        X,
        y,
        cv=2,
        reference="forest",
        random_states=[0, 1],
        return_scores=True,
    )
    again = transfer_report(
        {"forest": forest}, X, y, cv=2, reference="forest", random_states=[0, 1]
    )
    assert report["value"].tolist() == again["value"].tolist()
    values = scores.pivot(
        index=["task", "fold"], columns="random_state", values="value"
    )
    assert (values[0] != values[1]).all()


def test_one_fold_speaks_of_the_seeds(table):
    X, y = table
    split = [(np.arange(500), np.arange(500, 700))]
    one = transfer_report(RANKERS, X, y, split)
    assert one[["low", "high"]].isna().all(axis=None)
    report, scores = transfer_report(
        RANKERS, X, y, split, random_states=range(3), return_scores=True
    )
    values = scores.pivot(
        index=["task", "random_state"], columns="estimator", values="value"
    )
    difference = (values["MMoE"] - values["SingleTask"])["click"].to_numpy()
    row = report[(report["estimator"] == "MMoE") & (report["task"] == "click")].iloc[0]
    bounds = corrected_interval(difference, 0.0, 0.95)
    assert (row["low"], row["high"]) == pytest.approx(bounds)


def test_one_column_and_two_jobs(table):
    X, y = table
    alone = transfer_report(RANKERS, X, y["click"], 2)
    with parallel_config("threading"):
        apart = transfer_report(RANKERS, X, y["click"], 2, n_jobs=2)
    assert alone["task"].unique().tolist() == ["click"]
    assert alone["value"].tolist() == apart["value"].tolist()


def test_groups_are_for_the_metric_where_the_splitter_does_without(table):
    X, y = table
    report = transfer_report(RANKERS, X, y, KFold(2), X["user"])
    assert report["metric"].unique().tolist() == ["roc_auc", "group_roc_auc"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"estimators": [MMoE()]},
            r"'SingleTask' is not among the estimators \['MMoE'\]",
        ),
        ({"estimators": [MMoE(), MMoE(n_experts=2)]}, "have the same class"),
        ({"random_states": []}, "at least one seed"),
        ({"random_states": [1, 1]}, "each once"),
        ({"level": 1.0}, "level must be between 0 and 1"),
        ({"cv": []}, "gives no split"),
        ({"groups": [1, 2]}, "samples: X has .* rows, .*groups has 2 rows"),
    ],
)
def test_bad_input(table, change, message):
    X, y = table
    given = {"estimators": RANKERS, "X": X, "y": y, **change}
    with pytest.raises(ValueError, match=message):
        transfer_report(**given)


def test_tasks_of_several_kinds():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(400, 2)), columns=["a", "b"])
    effect = X["a"] + rng.logistic(size=400) / 2
    y = pd.DataFrame(
        {
            "click": (effect > 0).astype(float),
            "dwell": np.exp(effect),
            "stars": np.digitize(effect, [-1, 1]) + 1.0,
            "reason": np.where(effect > 1, "late", "size"),
        }
    )
    y.loc[effect < -1, "dwell"] = np.nan
    users = rng.integers(20, size=400)
    kinds = {
        "dwell": RegressionTask("gamma"), "stars": "ordinal", "reason": "multiclass",
    }  # fmt: skip
    budget = {"task_kinds": kinds, "max_iter": 1, "batch_size": 64}
    both = {
        "one": ShareBottom(**budget),
        "wide": ShareBottom(bottom_units=(64,), **budget),
    }
    cv = [(np.arange(300), np.arange(300, 400))]
    report = transfer_report(both, X, y, cv, users, reference="one")
    found = report.set_index(["metric", "task", "estimator"])["value"]
    train, test = slice(0, 300), slice(300, None)
    ranker = both["wide"].set_params(random_state=0).fit(X[train], y[train])
    for metric, task in (
        ("roc_auc", "click"), ("d2_tweedie", "dwell"), ("kappa", "stars"),
        ("roc_auc", "reason"), ("group_roc_auc", "click"), ("group_spearman", "dwell"),
        ("group_spearman", "stars"),
    ):  # fmt: skip
        assert np.isfinite(found[metric, task, "one"])
    assert len(found) == 7 * 2
    values = ranker.predict_task(X[test])
    known = y["dwell"][test].notna().to_numpy()
    dwell = y["dwell"][test][known]
    assert found["d2_tweedie", "dwell", "wide"] == pytest.approx(
        d2_tweedie_score(dwell, values[known, 1], power=2)
    )
    assert found["group_spearman", "dwell", "wide"] == pytest.approx(
        get_task_scorer("spearman:dwell")(ranker, X[test], y[test], groups=users[test])
    )
    other = {"one": both["one"], "plain": ShareBottom(task_kinds={"stars": "ordinal"})}
    with pytest.raises(
        ValueError, match=r"'dwell' is of kind binary in 'plain' and reg"
    ):
        transfer_report(other, X, y, cv, reference="one")
    # An integer stands for folds that spread the labels of the binary tasks.
    report = transfer_report({"one": both["one"]}, X, y, 2, reference="one")
    assert report["value"].notna().all()


class Constant(RegressorMixin, BaseEstimator):
    """A ranker of one regression that predicts the same level for all rows."""

    def __init__(self, task_kinds, level):
        self.task_kinds = task_kinds
        self.level = level

    def fit(self, X, y):
        self.task_names_ = np.array(["value"], dtype=object)
        self.task_kinds_ = list(self.task_kinds.values())
        return self

    def predict_task(self, X):
        return np.full((len(X), 1), self.level) + X[:, :1]


def test_losses_that_differ_are_compared_by_r2():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 1)), pd.DataFrame({"value": rng.gamma(2, size=60)})
    kinds = {"value": RegressionTask("gamma")}, {"value": RegressionTask()}
    gamma, squared = Constant(kinds[0], 9.0), Constant(kinds[1], -1.0)
    for reference, other in ((gamma, squared), (squared, gamma)):
        report = transfer_report(
            {"reference": reference, "other": other}, X, y, 3, reference="reference"
        )
        assert set(report["metric"]) == {"r2"}
        assert report["value"].notna().all()
    report = transfer_report({"reference": gamma}, X, y, 3, reference="reference")
    assert set(report["metric"]) == {"d2_tweedie"}
