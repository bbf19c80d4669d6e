"""Rows that are set aside for early stopping."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import GroupShuffleSplit, TimeSeriesSplit

from skmtl import ShareBottom
from skmtl.training.validation import n_validation_rows, split_rows

FEW = {"max_iter": 1, "bottom_units": (4,), "tower_units": (4,), "random_state": 0}


def table(n_rows):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 3))
    return X, (X[:, :2] + rng.normal(size=(n_rows, 2)) > 0).astype(int)


@pytest.mark.parametrize(("n_rows", "expected"), [(10_000, 0), (10_001, 1000)])
def test_auto_sets_rows_aside_of_large_tables(n_rows, expected):
    X, y = table(n_rows)
    ranker = ShareBottom(
        early_stopping="auto", validation_fraction="auto", batch_size=1024, **FEW
    )
    assert ranker.fit(X, y).n_validation_rows_ == expected
    assert np.isnan(ranker.history_.valid_loss).all() == (expected == 0)


@pytest.mark.parametrize(
    ("n_rows", "expected"),
    [(50, 5), (5000, 500), (10_001, 1000), (50_000, 2500), (10**6, 10_000)],
)
def test_auto_fraction(n_rows, expected):
    assert n_validation_rows("auto", n_rows) == expected


def test_auto_stops_with_a_table_for_validation():
    X, y = table(600)
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 2, size=(200, 2))
    params = FEW | {"max_iter": 40, "learning_rate": 0.05, "n_iter_no_change": 2}
    ranker = ShareBottom(early_stopping="auto", **params)
    ranker.fit(X, y, X_val=X[:200], y_val=noise)
    assert ranker.n_validation_rows_ == 200
    assert ranker.n_iter_ == ranker.best_iter_ + 2 < 40


def test_best_iter_repeats_the_fit_on_all_rows():
    X, y = table(400)
    plain = ShareBottom(**FEW | {"max_iter": 3}).fit(X, y)
    assert plain.best_iter_ == 3
    assert plain.n_validation_rows_ == 0


def test_a_splitter_chooses_the_rows():
    X, y = table(600)
    ranker = ShareBottom(
        early_stopping="auto", validation_split=TimeSeriesSplit(3), **FEW
    ).fit(X, y)
    assert ranker.n_validation_rows_ == 150
    same = ShareBottom(**FEW).fit(X[:450], y[:450], X_val=X[450:], y_val=y[450:])
    expected = same.history_.valid_loss.to_numpy()
    # Scales are those of all rows, so that losses are near and not equal.
    np.testing.assert_allclose(ranker.history_.valid_loss, expected, rtol=0.05)


def test_rows_in_neither_part_are_not_trained_on():
    X, y = table(600)
    wrong = y.copy()
    wrong[300:500] = 1 - wrong[300:500]
    pairs = [(np.arange(300), np.arange(500, 600))]
    params = FEW | {"early_stopping": True, "validation_split": pairs}
    a, b = (ShareBottom(**params).fit(X, labels) for labels in (y, wrong))
    assert_array_equal(a.predict_task_proba(X), b.predict_task_proba(X))


def test_groups_by_pairs_of_indices():
    X, y = table(600)
    groups = np.arange(600) % 20
    pairs = list(GroupShuffleSplit(1, random_state=0).split(X, y, groups))
    train, valid = split_rows(pairs, X, y, 600)
    assert set(groups[train]).isdisjoint(groups[valid])
    ranker = ShareBottom(early_stopping=True, validation_split=pairs, **FEW)
    assert ranker.fit(X, y).n_validation_rows_ == valid.sum()


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ([], "validation_split gives no split"),
        (
            [(np.arange(5), np.array([], dtype=int))],
            "The test rows of split 0 of validation_split are none of the 600",
        ),
        ([(np.arange(300), np.arange(200, 600))], "100 rows both"),
        ([np.arange(5)], "must be a pair, of training rows"),
    ],
)
def test_a_wrong_split_is_refused(split, message):
    X, y = table(600)
    ranker = ShareBottom(early_stopping=True, validation_split=split, **FEW)
    with pytest.raises(ValueError, match=message):
        ranker.fit(X, y)


def test_partial_fit_sets_nothing_aside_under_auto():
    X, y = table(10_500)
    ranker = ShareBottom(early_stopping="auto", batch_size=1024, **FEW)
    assert ranker.partial_fit(X, y).n_validation_rows_ == 0
