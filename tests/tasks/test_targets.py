"""The border for y."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from skmtl import MulticlassTask, ShareBottom
from skmtl.rankers._task_order import check_task_order
from skmtl.tasks import check_targets
from skmtl.training.criterion import check_per_task
from skmtl.training.loop import merge_rows
from skmtl.training.validation import validation_rows

TABLE = np.array([[0, 1], [1, 0], [1, 1]])
NAMES = np.array(["click", "cart", "order"], dtype=object)


@pytest.mark.parametrize("y", [[[0, 1], [1, 0]], [[0], [1]]])
def test_masked_labels_are_not_observed(y):
    y = np.array(y)
    mask = np.zeros(y.shape, dtype=bool)
    mask[1, -1] = True
    found = check_targets(
        np.ma.masked_array(np.vstack([y, y]), np.vstack([mask, ~mask]))
    )
    assert_array_equal(found.observed, np.vstack([~mask, mask]))


def test_masked_strings_are_not_observed():
    y = np.ma.masked_array(["late", "size", "late"], [False, False, True])
    found = check_targets(y, kinds=[MulticlassTask()])
    assert_array_equal(found.observed[:, 0], [True, True, False])
    assert found.classes.tolist() == ["late", "size"]
    with pytest.raises(ValueError, match="missing cells"):
        check_targets(y)


@pytest.mark.parametrize(
    "y",
    [
        TABLE,
        TABLE.astype(bool),
        TABLE.astype(float),
        TABLE.tolist(),
        pd.DataFrame(TABLE),
        pd.DataFrame(TABLE, dtype="Int8"),
        pl.DataFrame({"0": [0, 1, 1], "1": [1, 0, 1]}),
    ],
)
def test_tables_of_labels(y):
    targets = check_targets(y)
    assert_array_equal(targets.labels, TABLE)
    assert targets.observed.all()
    assert list(targets.names) == ["0", "1"]
    assert targets.multioutput


def test_missing_labels_in_every_form():
    expected = [[True, False], [True, True]]
    for y in (
        np.array([[0, np.nan], [1, 1]]),
        pd.DataFrame({"a": [0, 1], "b": pd.array([None, 1], dtype="Int64")}),
        pl.DataFrame({"a": [0, 1], "b": [None, 1]}),
    ):
        targets = check_targets(y)
        assert_array_equal(targets.observed, expected)
        assert_array_equal(targets.labels, [[0, 0], [1, 1]])
    assert_array_equal(
        check_targets(np.array([0, 1, np.nan])).observed.ravel(), [1, 1, 0]
    )


@pytest.mark.parametrize(
    ("y", "classes", "positive"),
    [
        (["no", "yes", "no"], ["no", "yes"], [0, 1, 0]),
        ([5, 3, 5], [3, 5], [1, 0, 1]),
        ([[1], [0], [1]], [0, 1], [1, 0, 1]),
        ([0, 0, 0], [0, 1], [0, 0, 0]),
    ],
)
def test_one_column_is_a_binary_problem(y, classes, positive):
    targets = check_targets(y)
    assert not targets.multioutput
    assert list(targets.classes) == classes
    assert_array_equal(targets.labels.ravel(), positive)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([], "y is empty"),
        (None, "requires y to be passed"),
        ([0, 1, 2], "3 classes"),
        ([0.5, 1.5], "Unknown label type"),
        ([0.0, np.inf], "infinity"),
        ([2.0, 3.0, np.nan], "contains NaN"),
        (np.array(["a", None], dtype=object), "missing cells"),
        ([[0, 2], [1, 1]], r"Task '1' holds the labels \[2.0\] \(first in row 0\)"),
        ([["a", "b"], ["b", "a"]], "must hold 0, 1 and NaN .*, but task '0' holds"),
        (pd.DataFrame({"a": [0, 1], "b": ["no", "1"]}), "task 'b' holds .* 'no'"),
        (np.array([[1, 0], [0, pd.NA]], dtype=object), "task '1' holds"),
        ([[1, 0], [0, 10**400]], "task '1' holds something else.*too large"),
    ],
)
def test_bad_labels_are_named(y, message):
    with pytest.raises(ValueError, match=message):
        check_targets(y)


def test_rates_are_weighted_over_observed_labels():
    targets = check_targets(np.array([[1, np.nan], [0, np.nan], [1, np.nan]]))
    rates = targets.means(np.array([[1.0], [2.0], [1.0]]) * np.ones((3, 2)))
    assert rates[0] == 0.5
    assert np.isnan(rates[1])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [1, 1, 1]),
        (2, [2, 2, 2]),
        ([1, 2, 3], [1, 2, 3]),
        ({"order": 3, "cart": 2, "click": 1}, [1, 2, 3]),
    ],
)
def test_per_task_values(value, expected):
    assert_array_equal(check_per_task(value, NAMES, "w", positive=True), expected)


@pytest.mark.parametrize(
    "value", [["a", 1, 2], [1, 2], -1, np.nan, [0, 0, 0], {"x": 1}]
)
def test_bad_per_task_values(value):
    with pytest.raises(ValueError, match=r"^w "):
        check_per_task(value, NAMES, "w", positive=False)


def test_task_order():
    names = list(NAMES)
    assert check_task_order(None, names) == [[], [0], [1]]
    assert check_task_order(["order", "click", "cart"], names) == [[2], [0], []]
    graph = {"cart": "click", "order": ["click", "cart"]}
    assert check_task_order(graph, names) == [[], [0], [0, 1]]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["click", "cart"], "must name every task once"),
        (["click", "cart", "buy"], r"names \['buy'\]"),
        ({"buy": ["click"]}, r"names \['buy'\]"),
        ({"cart": ["buy"]}, r"task_order of 'cart' names \['buy'\]"),
        ({"cart": ["order"], "order": ["cart"]}, r"cycle among \['cart', 'order'\]"),
        ({"cart": ["cart"]}, r"cycle among \['cart'\]"),
    ],
)
def test_bad_task_orders(order, message):
    with pytest.raises(ValueError, match=message):
        check_task_order(order, list(NAMES))


@pytest.mark.parametrize("seed", range(3))
def test_validation_takes_its_share_of_every_pattern(seed):
    rng = np.random.RandomState(seed)
    labels = (rng.rand(5000, 3) < [0.3, 0.05, 0.004]).astype(np.float32)
    observed = rng.rand(5000, 3) < 0.9
    labels *= observed
    chosen = validation_rows(labels, observed, 0.2, rng)
    assert chosen.sum() == 1000
    for task in range(3):
        positives = labels[:, task] > 0
        expected = 0.2 * positives.sum()
        # Task by task, rarest first: a pattern is cut into at most eight runs.
        assert abs(chosen[positives].sum() - expected) <= 6
    assert labels[chosen, 2].sum() > 0
    assert labels[~chosen, 2].sum() > 0


def test_validation_needs_rows():
    one = np.ones((1, 1))
    with pytest.raises(ValueError, match="leaves none to train on"):
        validation_rows(one, one > 0, 0.5, np.random.RandomState(0))


def test_merging_makes_weights_and_repetitions_equal():
    from skmtl.encoding import TableEncoder

    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (40, 2)).astype(float)
    y = rng.integers(0, 2, (40, 2))
    times = rng.integers(0, 4, 40)
    encoder = TableEncoder().fit(X)
    order = rng.permutation(40)
    weighted = merge_rows(
        encoder.encode(X[order]),
        check_targets(y[order]),
        np.repeat(times[order, None], 2, axis=1).astype(float),
    )
    repeated = merge_rows(
        encoder.encode(X.repeat(times, axis=0)),
        check_targets(y.repeat(times, axis=0)),
        np.ones((times.sum(), 2)),
    )
    assert weighted[2].sum() == 2 * times.sum()
    assert_array_equal(weighted[0].numeric, repeated[0].numeric)
    assert_array_equal(weighted[0].bins, repeated[0].bins)
    for one, two in zip(weighted[1:], repeated[1:], strict=True):
        assert_array_equal(one, two)


@pytest.mark.parametrize(("n_rows", "positives"), [(1000, 3), (1000, 9)])
def test_a_task_of_a_large_table_with_few_positives_is_warned_of(n_rows, positives):
    y = pd.DataFrame({"click": np.arange(n_rows) % 2, "order": 0})
    y.loc[: positives - 1, "order"] = 1
    message = f"Task 'order' has {positives} positives among 1,000 labels"
    with pytest.warns(UserWarning, match=message):
        ShareBottom(max_iter=1).fit(np.zeros((n_rows, 1)), y)


@pytest.mark.parametrize(("n_rows", "positives"), [(1000, 10), (999, 3)])
def test_small_tables_and_ten_positives_are_not_warned_of(n_rows, positives):
    y = pd.DataFrame({"click": np.arange(n_rows) % 2, "order": 0})
    y.loc[: positives - 1, "order"] = 1
    ShareBottom(max_iter=1).fit(np.zeros((n_rows, 1)), y)


def test_tables_of_partial_fit_may_have_few_positives():
    y = pd.DataFrame({"click": np.arange(1000) % 2, "order": np.arange(1000) == 0})
    ShareBottom(max_iter=1).partial_fit(np.zeros((1000, 1)), y)
