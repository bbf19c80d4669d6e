"""MultiTaskStratifiedKFold keeps every task's labels in every fold."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.multioutput import MultiOutputClassifier

from skmtl.model_selection import MultiTaskStratifiedKFold


def test_parts(split, y):
    folds = list(split.split(np.zeros((len(y), 1)), y))
    assert len(folds) == split.get_n_splits()
    for train, test in folds:
        np.testing.assert_array_equal(
            np.sort(np.concatenate([train, test])), np.arange(len(y))
        )
    return [test for _, test in folds]


test_parts.__test__ = False


def spread(tests, chosen):
    """Largest minus smallest number of chosen rows over the folds."""
    return np.ptp([chosen[test].sum() for test in tests])


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 4), st.booleans())
def test_labels_are_spread(seed, n_splits, n_tasks, shuffle):
    rng = np.random.default_rng(seed)
    y = (rng.random((80, n_tasks)) < rng.choice([0.5, 0.2, 0.06])).astype(float)
    y[rng.random(y.shape) < rng.choice([0, 0.1, 0.4])] = np.nan
    y[0, 0] = 1
    split = MultiTaskStratifiedKFold(n_splits, shuffle=shuffle)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        tests = test_parts(split, y)
    np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(80))
    labels = [y[:, t] == value for t in range(n_tasks) for value in (0, 1)]
    labels = [chosen for chosen in labels if chosen.any()]
    rarest = min(labels, key=np.sum)
    if sum(chosen.sum() == rarest.sum() for chosen in labels) == 1:
        assert spread(tests, rarest) <= 1
    combinations = np.unique(np.nan_to_num(y, nan=2), axis=0)
    for combination in combinations:
        rows = (np.nan_to_num(y, nan=2) == combination).all(axis=1)
        assert spread(tests, rows) <= 1


def test_nested_rare_tasks_reach_every_fold():
    rng = np.random.default_rng(0)
    click = rng.random(20_000) < 0.2
    cart = click & (rng.random(20_000) < 0.1)
    order = cart & (rng.random(20_000) < 0.05)
    y = np.column_stack([click, cart, order]).astype(float)
    y[15_000:, 2] = np.nan
    tests = test_parts(MultiTaskStratifiedKFold(5, shuffle=True, random_state=0), y)
    for task in range(3):
        assert spread(tests, y[:, task] == 1) <= 1
    assert spread(tests, np.isnan(y[:, 2])) <= 5
    assert np.ptp([len(test) for test in tests]) <= 5
    assert min((y[test, 2] == 1).sum() for test in tests) > 0


def test_one_task_is_as_even_as_scikit_learn():
    y = np.random.default_rng(1).random(103) < 0.3
    ours = test_parts(MultiTaskStratifiedKFold(4), y)
    theirs = [test for _, test in StratifiedKFold(4).split(y, y)]
    assert spread(ours, y) <= spread(theirs, y)


def test_rows_stay_in_order_without_shuffle():
    y = np.zeros(12)
    y[[0, 4, 8]] = 1
    tests = test_parts(MultiTaskStratifiedKFold(3), y)
    assert [t.tolist() for t in tests] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_random_state():
    y = np.random.default_rng(2).random((60, 2)) < 0.4

    def first(random_state):
        split = MultiTaskStratifiedKFold(3, shuffle=True, random_state=random_state)
        return next(iter(split.split(y, y)))[1].tolist()

    assert first(1) == first(1)
    assert first(1) != first(2)


@pytest.mark.parametrize(
    "make",
    [
        pd.DataFrame,
        lambda y: pd.DataFrame(y).astype("Int64"),
        lambda y: pd.DataFrame(y).astype(object).where(pd.notna(y), None),
        lambda y: y.tolist(),
    ],
)
def test_forms_of_y(make):
    rng = np.random.default_rng(3)
    y = (rng.random((50, 2)) < 0.4).astype(float)
    y[::9, 1] = np.nan
    expected = test_parts(MultiTaskStratifiedKFold(3), y)
    for ours, theirs in zip(
        test_parts(MultiTaskStratifiedKFold(3), make(y)), expected, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_works_as_cv_of_scikit_learn():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(90, 3))
    y = (X[:, :2] > [0, 1]).astype(int)
    model = MultiOutputClassifier(LogisticRegression())
    split = MultiTaskStratifiedKFold(3, shuffle=True, random_state=0)
    assert len(cross_val_score(model, X, y, cv=split, scoring="roc_auc")) == 3
    search = GridSearchCV(model, {"estimator__C": [0.1, 1]}, cv=split).fit(X, y)
    assert search.n_splits_ == 3
    assert "random_state=0" in repr(split)
    assert clone(search).cv.n_splits == 3


def test_too_few_positives_are_named():
    y = pd.DataFrame({"click": [0, 1] * 10, "order": [1, 1] + [0] * 18})
    with pytest.warns(UserWarning, match=r"'order': '2 in all'.*Use fewer folds"):
        list(MultiTaskStratifiedKFold(5).split(y, y))


def test_bad_input():
    y = np.array([0, 1, 1])
    with pytest.raises(ValueError, match="n_splits must be a whole number"):
        MultiTaskStratifiedKFold(1)
    with pytest.raises(ValueError, match="n_splits must be a whole number"):
        MultiTaskStratifiedKFold("five")
    with pytest.raises(ValueError, match="random_state has no effect"):
        MultiTaskStratifiedKFold(2, random_state=0)
    with pytest.raises(ValueError, match="n_splits=5 is more than the 3 rows"):
        list(MultiTaskStratifiedKFold(5).split(y, y))
    with pytest.raises(ValueError, match="No task has a positive label"):
        list(MultiTaskStratifiedKFold(2).split(y, y * 0))
    with pytest.raises(ValueError, match="X has 2 rows, but y has 3"):
        list(MultiTaskStratifiedKFold(2).split(y[:2], y))
    bad = pd.DataFrame({"click": [0, 1, 1], "order": [0, 3, 1]})
    with pytest.raises(ValueError, match=r"Task 'order' holds the labels \[3.0\]"):
        list(MultiTaskStratifiedKFold(2).split(bad, bad))
    bad = pd.DataFrame({"click": ["no", "yes", None]})
    with pytest.raises(ValueError, match=r"task 'click' holds missing cells"):
        list(MultiTaskStratifiedKFold(2).split(bad, bad))
