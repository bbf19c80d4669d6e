"""The grid equals brute force; races and climbs keep what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from skmtl import OutputWeightSearchCV, fuse
from skmtl.metrics import make_task_scorer
from skmtl.output_weights._candidates import directions, make_candidates
from skmtl.output_weights._fusion import weighted_sum
from skmtl.output_weights._rare_auc import RareAuc
from tests.output_weights.tables import Given, brute_force, three_tasks


def searched(proba, y, **params):
    params = {"cv": "prefit", "scoring": "auc:2", **params}
    return OutputWeightSearchCV(Given(), **params).fit(proba, y)


def assert_grid_is_brute_force(proba, y, scoring, label):
    search = searched(proba, y, scoring=scoring)
    points = make_candidates(11, ["0", "1", "2"])
    assert len(points) == 1330
    expected = np.mean([brute_force(proba.T, c, points) for c in label.T], axis=0)
    found = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert expected[search.best_index_] >= expected.max() - 1e-12
    assert search.best_score_ == found.max()


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(5, 60), st.integers(1, 4))
def test_grid_with_repeated_rows(seed, n, times):
    proba, y = three_tasks(n, seed)
    again = np.random.default_rng(seed).integers(0, n, n * times)
    again[:2] = 0, 1
    assert_grid_is_brute_force(proba[again], y[again], "auc:2", y[again][:, 2:])


def test_grid_of_mean_auc():
    proba, y = three_tasks(400, 3)
    assert_grid_is_brute_force(proba, y, None, y)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_coarse_probabilities_at_one_point_of_each_direction(seed, decimals):
    proba, y = three_tasks(80, seed, decimals)
    points = make_candidates(6, ["0", "1", "2"])
    first, _ = directions(points)
    search = searched(proba, y, weights=6)
    expected = brute_force(proba.T, y[:, 2], points[first])
    found = search.cv_results_["mean_test_score"][first]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_many_rows_on_two_threads():
    proba, y = three_tasks(60_000, 0)
    again = np.random.default_rng(1).integers(0, 30_000, 60_000)
    proba, y = proba[again], y[again]
    search = searched(proba, y, n_jobs=2)
    points = make_candidates(11, ["0", "1", "2"])
    some = np.random.default_rng(2).choice(len(points), 20, replace=False)
    some = np.append(some, search.best_index_)
    expected = brute_force(proba.T, y[:, 2], points[some])
    found = search.cv_results_["mean_test_score"][some]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1.0, 1e-300, 1e-8, 1e8]),
    st.sampled_from([0.0, -0.5, 1e5, -1e5]),
    st.sampled_from([None, 0, 1, 2]),
)
def test_rare_auc_is_exact_for_any_scores(seed, scale, shift, decimals):
    rng = np.random.default_rng(seed)
    columns = rng.random((3, 300))
    columns = columns if decimals is None else columns.round(decimals)
    columns = columns * scale + shift
    positive = rng.random(300) < 0.1
    positive[:2] = True, False
    rare, weights = RareAuc(columns, positive, ~positive), rng.random(3)
    expected = roc_auc_score(positive, weighted_sum(columns, weights))
    assert rare(weights) == pytest.approx(expected, rel=0, abs=1e-12)


def test_scores_one_unit_in_the_last_place_apart():
    """Keys of 32 bits cannot tell these rows apart; their scores can."""
    base = 0.3 + np.arange(64) * np.spacing(0.3)
    columns = np.concatenate([base, np.linspace(0, 1, 2000)])[None]
    positive = np.zeros(2064, dtype=bool)
    positive[[5, 33, 40]] = True
    rare = RareAuc(columns, positive, ~positive)
    assert rare(np.ones(1)) == pytest.approx(
        roc_auc_score(positive, columns[0]), rel=0, abs=1e-12
    )


def test_directions_are_evaluated_once():
    proba, y = three_tasks(300, 0)
    search = searched(proba, y)
    assert search.n_evaluations_ == 1033
    scores = search.cv_results_["mean_test_score"]
    same = [dict(p) for p in search.cv_results_["params"]]
    low = same.index({"0": 0.1, "1": 0.2, "2": 0.1})
    high = same.index({"0": 0.5, "1": 1.0, "2": 0.5})
    assert scores[low] == scores[high]


def test_missing_labels_are_left_out():
    proba, y = three_tasks(500, 0)
    y = y.astype(float)
    y[np.random.default_rng(0).random(500) < 0.3, 2] = np.nan
    seen = ~np.isnan(y[:, 2])
    search = searched(proba, y)
    score = fuse(proba[seen], search.best_weights_)
    expected = roc_auc_score(y[seen, 2], score)
    assert search.best_score_ == pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("scoring", ["auc:2", None])
def test_halving_finds_the_argmax(seed, scoring):
    proba, y = three_tasks(60_000, seed)
    grid = searched(proba, y, scoring=scoring, weights=6)
    fast = searched(
        proba, y, scoring=scoring, weights=6, search="halving", random_state=seed
    )
    assert fast.best_index_ == grid.best_index_
    assert fast.best_score_ == grid.best_score_
    assert fast.n_evaluations_ < grid.n_evaluations_
    assert fast.cv_results_["n_rounds"].max() >= 1


def test_halving_of_another_metric_with_groups():
    proba, y = three_tasks(150_000, 0)
    users = np.repeat(np.arange(7_500), 20)
    found = []
    for search in ("grid", "halving"):
        one = OutputWeightSearchCV(
            Given(), cv="prefit", scoring="gauc:2", weights=3, search=search,
            random_state=0,
        )  # fmt: skip
        found.append(one.fit(proba, y, groups=users))
    assert found[0].best_index_ == found[1].best_index_


def test_halving_with_samples_too_small_to_judge():
    """Most parts of the rows hold no positive of the task: nobody is dropped."""
    proba, y = three_tasks(130_000, 0)
    y[20:, 2] = 0
    scorer = make_task_scorer("gauc", task="2")
    params = {"cv": "prefit", "scoring": scorer, "weights": 3, "random_state": 0}
    users = np.repeat(np.arange(13_000), 10)
    found = [
        OutputWeightSearchCV(Given(), search=search, **params).fit(
            proba, y, groups=users
        )
        for search in ("grid", "halving")
    ]
    assert found[0].best_index_ == found[1].best_index_
    assert found[1].n_evaluations_ == found[0].n_evaluations_


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("method", ["sum", "product", "rank", "logit"])
def test_continuous_is_never_below_the_grid(seed, method):
    proba, y = three_tasks(800, seed)
    grid = searched(proba, y, weights=5, method=method)
    climbed = searched(proba, y, weights=5, method=method, search="continuous")
    assert climbed.best_score_ >= grid.best_score_
    points = climbed.cv_results_["mean_test_score"]
    assert (points[: len(grid.cv_results_["params"])] <= climbed.best_score_).all()


def test_continuous_with_eight_tasks():
    rng = np.random.default_rng(0)
    y = (rng.random((3000, 8)) < 0.2).astype(int)
    proba = 1 / (1 + np.exp(1 - rng.normal(size=(3000, 8)) - y[:, [0]]))
    search = OutputWeightSearchCV(
        Given(8), cv="prefit", scoring="auc:0", search="continuous"
    ).fit(proba, y)
    single = max(roc_auc_score(y[:, 0], p) for p in proba.T)
    equal = roc_auc_score(y[:, 0], proba.sum(axis=1))
    assert search.best_score_ > max(single, equal)
    assert search.n_evaluations_ < 20_000


def many_tasks(n, n_tasks, seed):
    """Probabilities of tasks that inform about each other, and labels."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, n_tasks)) < rng.uniform(0.03, 0.3, n_tasks)).astype(int)
    y[0], y[1] = 1, 0
    signal = np.eye(n_tasks) + rng.normal(scale=0.5, size=(n_tasks, n_tasks))
    return 1 / (1 + np.exp(2 - rng.normal(size=y.shape) - y @ signal)), y


def refined(proba, y, search="refine", **params):
    given = Given(proba.shape[1])
    return OutputWeightSearchCV(given, cv="prefit", search=search, **params).fit(
        proba, y
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("scoring", [None, "auc:1"])
def test_refine_finds_the_best_of_a_grid_of_four_tasks(seed, scoring):
    proba, y = many_tasks(300, 4, seed)
    grid = refined(proba, y, "grid", scoring=scoring, weights=5)
    fine = refined(proba, y, scoring=scoring, weights=5)
    assert fine.best_score_ == grid.best_score_
    n = len(fine.cv_results_["params"])
    assert fine.n_evaluations_ == n < grid.n_evaluations_ / 2
    assert fine.n_skipped_ == 5**4 - 1 - n
    assert fine.n_candidates_ == np.bincount(fine.cv_results_["iter"]).tolist()
    scores = {tuple(point.values()): score for point, score in rows_of(grid)}
    for point, score in rows_of(fine):
        assert scores[tuple(point.values())] == score


def rows_of(search):
    scores = search.cv_results_["mean_test_score"]
    return zip(search.cv_results_["params"], scores, strict=True)


def test_refine_takes_a_grid_of_six_tasks_that_is_too_large_for_the_others():
    proba, y = many_tasks(300, 6, 0)
    fine = refined(proba, y, scoring="auc:0")
    assert sum(fine.n_candidates_) + fine.n_skipped_ == 11**6 - 1
    assert fine.n_skipped_ > 1_700_000
    fixed = [roc_auc_score(y[:, 0], proba @ w) for w in (*np.eye(6), np.ones(6))]
    assert fine.best_score_ > max(fixed)
    # No point of the grid that is one step away in one weight is better.
    step = 0.1 * np.concatenate([np.eye(6), -np.eye(6)])
    near = np.clip(fine.best_weights_ + step, 0, 1)
    scores = [roc_auc_score(y[:, 0], proba @ w) for w in near if w.any()]
    assert max(scores) <= fine.best_score_ + 1e-12


def test_refine_with_values_for_each_task():
    proba, y = three_tasks(600, 0)
    values = {"0": [0.3], "1": [2, 0, 0.5, 1], "2": [7, 0, 1, 3, 5, 0.1]}
    grid = refined(proba, y, "grid", weights=values)
    fine = refined(proba, y, weights=values)
    assert fine.best_score_ == grid.best_score_
    assert len(fine.cv_results_["params"]) + fine.n_skipped_ == 24
    again = fine.set_params(search="grid").fit(proba, y)
    assert not hasattr(again, "n_skipped_")
    with pytest.raises(ValueError, match="search='refine' needs a grid"):
        refined(proba, y, weights=np.eye(3))


def test_refine_takes_axes_longer_than_a_whole_grid(monkeypatch):
    monkeypatch.setattr("skmtl.output_weights._candidates.MAX_POINTS", 150)
    proba, y = many_tasks(300, 2, 0)
    fine = refined(proba, y, weights=201)
    assert fine.n_evaluations_ + fine.n_skipped_ == 201**2 - 1
    with pytest.raises(ValueError, match=r"40401 points, .*search='refine'"):
        refined(proba, y, "grid", weights=201)
    with pytest.raises(ValueError, match="weights=1 gives a grid of one point"):
        refined(proba, y, weights=1)
