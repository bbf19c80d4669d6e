"""OutOfFoldScores: no row is scored by a model that has seen it."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import skmtl
from skmtl import MMoE, ShareBottom
from skmtl.datasets import make_funnel
from skmtl.export import to_onnx
from skmtl.model_selection import MultiTaskStratifiedKFold
from skmtl.stacking import BlendedRanker, OutOfFoldScores


# Cross-fitting makes no difference to this classifier where folds keep the shares of
# the classes: the checks ask transform for what fit_transform gave.
@parametrize_with_checks([OutOfFoldScores(DummyClassifier(), cv=3, random_state=0)])
def test_common_checks(estimator, check):
    check(estimator)


class Memory(ClassifierMixin, BaseEstimator):
    """Is sure of the rows it has seen, which `x` numbers, and of nothing else."""

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.label_ = dict(zip(X["number_x"], y, strict=True))
        self.weight_ = None if sample_weight is None else np.asarray(sample_weight)
        return self

    def predict_proba(self, X):
        p = np.array([self.label_.get(x, 0.5) for x in X["number_x"]], dtype=float)
        return np.column_stack([1 - p, p])


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": np.arange(90.0)})
    y = pd.DataFrame(rng.integers(2, size=(90, 2)), columns=["click", "order"])
    return X, y


@pytest.fixture(scope="module")
def log():
    log = make_funnel(1500, cart_rate=0.06, order_rate=0.05, random_state=0)
    return log.data, log.target[["click", "order"]]


def test_training_rows_are_scored_by_models_that_have_not_seen_them(table):
    X, y = table
    scores = OutOfFoldScores(Memory(), passthrough=False, random_state=0)
    found = scores.fit_transform(X, y)
    assert list(found.columns) == ["score_click", "score_order"]
    assert (found == 0).all(axis=None)
    # Four of five models have seen each row.
    seen = scores.transform(X)
    assert ((seen > 1) == (y == 1).to_numpy()).all(axis=None)


def test_new_rows_get_the_mean_log_odds_of_the_folds(log):
    X, y = log
    trees = HistGradientBoostingClassifier(max_iter=5)
    scores = OutOfFoldScores(trees, cv=3, random_state=0)
    scores.fit(X[:1000], y[:1000])
    found = scores.transform(X[1000:])
    assert [len(models) for models in scores.estimators_] == [3, 3]
    np.testing.assert_array_equal(found[X.columns], X[1000:])
    one_fold = clone(scores).fit(X[:1000], y[:1000])
    each = []
    for k in range(3):
        one_fold.estimators_ = [[models[k]] for models in scores.estimators_]
        each.append(one_fold.transform(X[1000:])["score_click"])
    assert np.std(each, axis=0).max() > 0.1
    np.testing.assert_allclose(found["score_click"], np.mean(each, axis=0))


def test_time_folds_leave_the_first_rows_without_a_score_and_refit(table):
    X, y = table
    scores = OutOfFoldScores(Memory(), cv=TimeSeriesSplit(2), passthrough=False)
    found = scores.fit_transform(X, y)
    assert found[:30].isna().all(axis=None)
    assert (found[30:] == 0).all(axis=None)
    assert [len(models) for models in scores.estimators_] == [1, 1]
    # The model of all rows knows every one.
    assert ((scores.transform(X) > 1) == (y == 1).to_numpy()).all(axis=None)


def test_refit_is_what_it_says(table):
    X, y = table
    for refit, n_models in ((True, 1), (False, 2), ("auto", 2)):
        scores = OutOfFoldScores(Memory(), cv=2, refit=refit).fit(X, y)
        assert len(scores.estimators_[0]) == n_models, refit


def test_groups_are_held_out_together(table):
    X, y = table
    groups = np.repeat(np.arange(30), 3)
    scores = OutOfFoldScores(Memory(), cv=GroupKFold(3)).fit(X, y, groups=groups)
    for model in scores.estimators_[0]:
        seen = {int(x) // 3 for x in model.label_}
        assert len(model.label_) == 3 * len(seen) == 60
    pipeline = make_pipeline(scores, MMoE(max_iter=1))
    pipeline.fit(X, y, outoffoldscores__groups=groups)


def test_labels_that_were_not_observed_count_for_nothing(table):
    X, y = table
    y = y.astype(float)
    y.loc[y.index % 3 == 0, "order"] = np.nan
    scores = OutOfFoldScores(Memory(), cv=3, random_state=0)
    found = scores.fit_transform(X, y)
    seen = set().union(*(model.label_ for model in scores.estimators_[1]))
    assert seen == set(np.flatnonzero(y["order"].notna()).astype(float))
    assert found["score_order"].notna().all()
    assert scores.prior_ == pytest.approx(y.mean().to_numpy())


def test_weights_reach_the_models_and_rows_without_one_are_left_out(table):
    X, y = table
    weight = np.where(np.arange(90) < 10, 0.0, 2.0)
    weight[50] = 3.0
    scores = OutOfFoldScores(Memory(), cv=KFold(2)).fit(X, y, sample_weight=weight)
    first, second = scores.estimators_[0]
    assert len(first.label_) == 45  # fitted to the second half
    assert sorted(np.unique(first.weight_)) == [2.0, 3.0]
    assert len(second.label_) == 35


def test_a_task_of_one_class_has_the_score_of_its_prior(table):
    X, y = table
    y = y.assign(order=0)
    scores = OutOfFoldScores(Memory(), cv=KFold(2))
    found = scores.fit_transform(X, y)
    assert scores.estimators_[1] == [None, None]
    assert found["score_order"].unique().tolist() == pytest.approx([-13.8], abs=0.1)


@pytest.mark.parametrize(
    "cv",
    [
        ShuffleSplit(3, test_size=0.5, random_state=0),
        [([0, 1], [2]), ([0], [2])],
        [(range(90), range(45)), (range(45), range(45, 90))],
        [(np.arange(90) < 46, np.arange(90) > 44)],
        [([0, -1], [89])],
    ],
)
def test_folds_that_share_rows_are_refused(table, cv):
    with pytest.raises(ValueError, match="cv must give folds"):
        OutOfFoldScores(Memory(), cv=cv).fit(*table)


@pytest.mark.parametrize("kind", [OutOfFoldScores, BlendedRanker])
@pytest.mark.parametrize("cv", [5, MultiTaskStratifiedKFold(5)])
def test_warnings_of_folds_name_tasks(table, kind, cv):
    X, y = table
    rare = y.assign(rare=np.arange(len(y)) < 3)
    first = Memory() if kind is OutOfFoldScores else MMoE(max_iter=1)
    with pytest.warns(UserWarning, match=r"of the tasks .'rare': '3 in all'"):
        kind(first, cv=cv).fit(X, rare)


def test_a_column_with_the_name_of_a_score_is_refused(table):
    X, y = table
    with pytest.raises(ValueError, match=r"columns \['score_click'\]"):
        OutOfFoldScores(Memory()).fit(X.assign(score_click=1.0), y)


def test_containers_and_missing_cells(log):
    X, y = log
    X = X.iloc[:300].copy()
    X.iloc[::7, 0] = None
    number = X.select_dtypes("number").columns[0]
    X.loc[X.index[::5], number] = np.nan
    scores = OutOfFoldScores(DummyClassifier(), cv=3).fit(X, y[:300])
    found = scores.transform(X[list(X.columns[::-1])])
    assert list(found.columns) == list(scores.get_feature_names_out())
    pd.testing.assert_frame_equal(found[X.columns], X)
    array = OutOfFoldScores(DummyClassifier(), cv=3).fit(np.eye(30), np.arange(30) % 2)
    assert list(array.transform(np.eye(30)).columns[[0, -1]]) == ["x0", "score_0"]


def test_trees_read_numbers_as_they_are_and_ids_as_categories(log):
    X, y = log
    scores = OutOfFoldScores(Reader(), cv=2).fit(X, y)
    seen = scores.estimators_[0][0].X_
    for name in X:
        if f"number_{name}" in seen:
            at = seen.index
            np.testing.assert_array_equal(seen[f"number_{name}"], X[name].iloc[at])
        else:
            assert isinstance(seen[f"id_{name}"].dtype, pd.CategoricalDtype)
            assert len(seen[f"id_{name}"].cat.categories) <= 255


class Reader(DummyClassifier):
    """Keeps the table that it was fitted to."""

    def fit(self, X, y, sample_weight=None):
        self.X_ = X
        return super().fit(X, y)


def test_the_same_seed_gives_the_same_scores(log):
    X, y = log
    trees = HistGradientBoostingClassifier(max_iter=3)
    first, again, other = (
        OutOfFoldScores(
            trees, cv=2, passthrough=False, random_state=seed
        ).fit_transform(X, y)
        for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_a_pipeline_goes_through_a_search_and_is_not_saved_as_a_ranker(log, tmp_path):
    X, y = log
    trees = HistGradientBoostingClassifier(max_iter=5)
    pipeline = make_pipeline(
        OutOfFoldScores(trees, random_state=0),
        ShareBottom(max_iter=1, random_state=0),
    )
    search = GridSearchCV(
        pipeline, {"outoffoldscores__cv": [2, 3]}, cv=2, error_score="raise"
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_estimator_
    for refuse in (skmtl.save, to_onnx):
        with pytest.raises((ValueError, TypeError), match="Pipeline"):
            refuse(best, tmp_path / "file")
    with pytest.raises(ValueError, match="OutOfFoldScores"):
        skmtl.save(best[0], tmp_path / "file")


def test_steps_of_a_pipeline_are_seeded(log):
    X, y = log
    forest = RandomForestClassifier(3, max_depth=4)
    steps = make_pipeline("passthrough", forest)
    scores = OutOfFoldScores(steps, cv=2, passthrough=False, random_state=0)
    first, again = (scores.fit_transform(X, y) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    seeds = {one[-1].random_state for models in scores.estimators_ for one in models}
    assert len(seeds) == 4
    assert forest.random_state is None


def test_lightgbm_gives_scores_too(log):
    pytest.importorskip("lightgbm")
    X, y = log
    found = OutOfFoldScores("lightgbm", cv=2, random_state=0).fit_transform(X, y)
    assert found["score_click"].std() > 0.1


def test_lightgbm_is_asked_for_by_the_name_of_the_extra(log, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ImportError, match=r"skmtl\[boosting\]"):
        OutOfFoldScores("lightgbm", cv=2).fit(*log)


def test_a_fitted_pipeline_goes_through_pickle_and_skops(log):
    sio = pytest.importorskip("skops.io")
    X, y = log
    trees = HistGradientBoostingClassifier(max_iter=5)
    pipeline = make_pipeline(
        OutOfFoldScores(trees, cv=2, random_state=0),
        ShareBottom(max_iter=1, random_state=0),
    ).fit(X, y)
    data = sio.dumps(pipeline)
    found = [
        pickle.loads(pickle.dumps(pipeline)),
        sio.loads(data, trusted=sio.get_untrusted_types(data=data)),
    ]
    for one in found:
        for p, q in zip(one.predict_proba(X), pipeline.predict_proba(X), strict=True):
            np.testing.assert_array_equal(p, q)
