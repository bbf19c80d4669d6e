"""Labels whose columns have the names of the tasks, in another order."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skmtl import ShareBottom
from skmtl.metrics import get_task_scorer, log_loss, roc_auc, task_report

# Both kinds take the labels of both tasks, so that nothing but names tells them apart.
KINDS = {"stars": "ordinal", "rating": "regression"}


def make_table(names=("stars", "rating")):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b", "c"])
    effects = [X["a"], X["b"] + 2 * rng.normal(size=300)]
    columns = [np.clip(np.round(3 + effect), 1, 5) for effect in effects]
    return X, pd.DataFrame(dict(zip(names, columns, strict=True)))


def make_ranker(**params):
    return ShareBottom(**{"task_kinds": KINDS, "max_iter": 2} | params, random_state=0)


@pytest.fixture(scope="module")
def fitted():
    X, y = make_table()
    return make_ranker().fit(X, y), X, y


def test_scores_match_labels_by_name_before_they_are_read(fitted):
    ranker, X, y = fitted
    swapped = y[["rating", "stars"]]
    assert ranker.score(X, swapped) == ranker.score(X, y)
    for name in ("kappa", "accuracy", "mean_rmse", "rmse:rating", "kappa:stars"):
        scorer = get_task_scorer(name)
        assert scorer(ranker, X, swapped) == scorer(ranker, X, y), name
    with pytest.raises(ValueError, match=r"tasks are \['stars', 'rating'\], but the"):
        ranker.score(X, y.set_axis(["stars", "other"], axis=1))


def test_names_of_integers_are_names():
    X, y = make_table(names=(0, 1))
    ranker = make_ranker(task_kinds={0: "ordinal", 1: "regression"}).fit(X, y)
    score = ranker.score(X, y)
    assert ranker.score(X, y[[1, 0]]) == score
    # Those of an array, and other names, count columns.
    assert ranker.score(X, y.to_numpy()) == score
    assert ranker.score(X, y.set_axis(["stars", "rating"], axis=1)) == score


@pytest.mark.parametrize("scoring", [None, "kappa:stars"])
def test_validation_labels_are_matched_by_name(scoring):
    X, y = make_table()
    first, second = (
        make_ranker(early_stopping=True, scoring=scoring).fit(X, y, X_val=X, y_val=own)
        for own in (y, y[["rating", "stars"]])
    )
    assert_array_equal(first.predict_task(X), second.predict_task(X))
    assert first.history_.filter(like="valid").equals(
        second.history_.filter(like="valid")
    )


@pytest.mark.parametrize("again", ["partial_fit", "warm_start"])
def test_fits_that_continue_name_the_tasks(again, fitted):
    X, y = make_table()
    ranker = make_ranker(warm_start=True).fit(X, y)
    fit = ranker.partial_fit if again == "partial_fit" else ranker.fit
    with pytest.raises(ValueError, match=rf"{again} continues with the tasks .*'rat"):
        fit(X, y[["rating", "stars"]])


def test_columns_that_count_are_matched_by_name_where_both_have_them():
    rng = np.random.default_rng(0)
    y = pd.DataFrame(rng.integers(0, 2, (50, 2)))
    proba = pd.DataFrame(rng.random((50, 2)))
    for metric in (roc_auc, log_loss):
        expected = metric(y, proba)
        assert_array_equal(metric(y, proba[[1, 0]]), expected)
        assert_array_equal(metric(y[[1, 0]], proba), expected[::-1])
        # All other names are matched by place.
        assert_array_equal(metric(y, proba.set_axis(["a", "b"], axis=1)), expected)
    kinds = {1: "regression"}
    expected = task_report(y, proba, task_kinds=kinds, interval=None)
    found = task_report(y, proba[[1, 0]], task_kinds=kinds, interval=None)
    pd.testing.assert_frame_equal(found, expected)
    scorer = get_task_scorer("rmse:1")
    assert scorer.evaluate(y, proba[[1, 0]]) == scorer.evaluate(y, proba)
