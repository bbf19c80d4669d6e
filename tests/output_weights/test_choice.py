"""Constraints, several metrics, intervals, and bad input."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Perceptron
from sklearn.metrics import average_precision_score, roc_auc_score

from skmtl import FixedOutputWeights, OutputWeightSearchCV, fuse
from skmtl.metrics import get_task_scorer, ndcg
from tests.output_weights.tables import Given, three_tasks

PROBA, Y = three_tasks(2000, 0)


def searched(y=Y, proba=PROBA, **params):
    params = {"cv": "prefit", "scoring": "auc:2", "weights": 6, **params}
    return OutputWeightSearchCV(Given(proba.shape[1]), **params).fit(proba, y)


@pytest.mark.parametrize("search", ["grid", "halving", "refine", "continuous"])
@pytest.mark.parametrize("sign", [">=", "≥"])
def test_relative_constraint(search, sign):
    found = searched(
        constraints={"auc:0": (sign, 0.97, "relative")}, search=search, random_state=0
    )
    alone = roc_auc_score(Y[:, 0], PROBA[:, 0])
    kept = roc_auc_score(Y[:, 0], fuse(PROBA, found.best_weights_))
    assert kept >= 0.97 * alone
    free = searched()
    assert found.best_score_ < free.best_score_
    if search == "grid":
        points = np.array([list(p.values()) for p in found.cv_results_["params"]])
        held = np.array([roc_auc_score(Y[:, 0], fuse(PROBA, p)) for p in points])
        feasible = held >= 0.97 * alone
        np.testing.assert_array_equal(found.cv_results_["feasible"], feasible)
        best = free.cv_results_["mean_test_score"][feasible].max()
        assert found.best_score_ == best


def test_infeasible_constraint_says_how_near_one_gets():
    top = searched(scoring="auc:0").best_score_
    with pytest.raises(ValueError, match=f"auc:0 = {top:.6g} of at least 0.99"):
        searched(constraints={"auc:0": (">=", 0.99)})


@pytest.mark.parametrize(
    "given", [("<=", 0.5), 0.5, (">=", "high"), (">=", 0.5, "share"), (">=", np.nan)]
)
def test_bad_constraint(given):
    with pytest.raises(ValueError, match=r"constraints\['auc:0'\] must be"):
        searched(constraints={"auc:0": given})


def test_several_metrics():
    found = searched(scoring=["auc:0", "auc:2", "min_auc"], refit="auc:2")
    alone = searched()
    assert found.best_score_ == alone.best_score_
    assert found.best_params_ == alone.best_params_
    assert set(found.scorer_) == {"auc:0", "auc:2", "min_auc"}
    assert found.pareto_scores_.shape == (len(found.pareto_weights_), 3)
    assert found.pareto_scores_[:, 1].max() == found.best_score_
    for weights, scores in zip(
        found.pareto_weights_, found.pareto_scores_, strict=True
    ):
        aucs = [roc_auc_score(c, fuse(PROBA, weights)) for c in Y.T]
        np.testing.assert_allclose(scores, [aucs[0], aucs[2], min(aucs)], atol=1e-12)
    with pytest.raises(ValueError, match="refit must name"):
        searched(scoring=["auc:0", "auc:2"])
    with pytest.raises(ValueError, match="not one of the metrics"):
        searched(refit="auc:1")


def test_ndcg_with_gains_and_own_functions():
    users, gains = np.repeat(np.arange(100), 20), {"0": 1, "2": 10}
    search = OutputWeightSearchCV(
        Given(), cv="prefit", weights=3, scoring=get_task_scorer("ndcg@5", gains=gains)
    ).fit(PROBA, Y, groups=users)
    score = fuse(PROBA, search.best_weights_)
    expected = ndcg(Y, score, users, k=5, gains=gains)
    assert search.best_score_ == pytest.approx(expected, abs=1e-12)
    own = searched(scoring=average_precision_score, weights=2)
    score = fuse(PROBA, own.best_weights_)
    expected = np.mean([average_precision_score(c, score) for c in Y.T])
    assert own.best_score_ == pytest.approx(expected, abs=1e-12)


def test_weighted_mean_of_tasks():
    scorer = get_task_scorer("auc", average={"0": 1, "2": 3})
    search = searched(scoring=scorer)
    aucs = [roc_auc_score(c, fuse(PROBA, search.best_weights_)) for c in Y.T]
    assert search.best_score_ == pytest.approx((aucs[0] + 3 * aucs[2]) / 4, abs=1e-12)


def test_mapping_of_values():
    search = searched(weights={"0": [0, 1], "1": [0.5], "2": [1, 2, 3]})
    points = pd.DataFrame(search.cv_results_["params"])
    assert len(points) == 6
    assert (points["1"] == 0.5).all()


def test_bootstrap_covers_what_fresh_rows_say():
    search = searched()
    intervals = search.bootstrap_intervals(200, random_state=0)
    assert list(intervals.index[:3]) == [
        "best", "best - best single task", "best - equal weights",
    ]  # fmt: skip
    assert intervals.loc["best", "value"] == pytest.approx(search.best_score_)
    assert (intervals["low"] <= intervals["high"]).all()
    again = search.bootstrap_intervals(200, random_state=0)
    pd.testing.assert_frame_equal(intervals, again)
    # The spread against resamples drawn here, by roc_auc_score.
    rng, drawn = np.random.default_rng(1), []
    score = fuse(PROBA, search.best_weights_)
    for _ in range(200):
        rows = rng.integers(2000, size=2000)
        drawn.append(roc_auc_score(Y[rows, 2], score[rows]))
    width = np.diff(np.quantile(drawn, [0.025, 0.975]))[0]
    found = intervals.loc["best", "high"] - intervals.loc["best", "low"]
    assert found == pytest.approx(width, rel=0.3)


def test_bootstrap_draws_groups():
    users = np.repeat(np.arange(100), 20)
    search = OutputWeightSearchCV(
        Given(), cv="prefit", weights=2, scoring="gauc:0"
    ).fit(PROBA, Y, groups=users)
    intervals = search.bootstrap_intervals(50, random_state=0)
    low, high = intervals.loc["best", ["low", "high"]]
    assert low < search.best_score_ < high
    with pytest.raises(ValueError, match="n_resamples must be"):
        search.bootstrap_intervals(0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (1, "grid of one point"),
        ([[1, -1, 1]], "weight of task '1' is -1.0"),
        ([[1, 1, np.nan]], "weight of task '2' is nan"),
        ([[0, 0, 0]], "only the all-zero point"),
        ([[1, 1]], "got shape"),
        ({"0": [1], "1": [1]}, "values for each of the tasks"),
        (1000, "search='continuous'"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        searched(weights=weights)


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        ("auc:buy", "Unknown task 'buy'"),
        ("log_loss", "judges probabilities"),
        ("f1", "judges predict, and output weights give a ranking score"),
        ([], "scoring is empty"),
    ],
)
def test_bad_scoring(scoring, message):
    with pytest.raises(ValueError, match=message):
        searched(scoring=scoring)


def test_estimator_without_probabilities():
    for estimator in (OutputWeightSearchCV, FixedOutputWeights):
        with pytest.raises(ValueError, match="predict_proba"):
            estimator(Perceptron()).fit(PROBA, Y)


def test_task_without_a_positive():
    y = Y.copy()
    y[:, 2] = 0
    with (
        pytest.warns(UserWarning, match="only one class"),
        pytest.raises(ValueError, match="not defined on these rows"),
    ):
        searched(y=y)


def test_a_failed_fit_leaves_the_search_as_it_was():
    search = searched()
    before = search.best_params_
    with pytest.raises(ValueError, match="is not a known scorer"):
        search.set_params(scoring="none").fit(PROBA, Y)
    assert search.best_params_ == before
