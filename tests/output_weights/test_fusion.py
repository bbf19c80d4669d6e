"""fuse and its borders."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import logit
from scipy.stats import rankdata
from sklearn.multioutput import MultiOutputClassifier
from sklearn.tree import DecisionTreeClassifier

from skmtl import FixedOutputWeights, fuse

P = np.array([[0.5, 0.1], [0.25, 0.3], [0.125, 0.2], [0.25, 0.3]])


@pytest.mark.parametrize(
    ("method", "transform"),
    [
        ("sum", lambda p: p),
        ("product", np.log),
        ("rank", lambda p: rankdata(p, axis=0) / len(p)),
        ("logit", logit),
    ],
)
def test_methods_against_their_formula(method, transform):
    expected = transform(P) @ [0.3, 0.7]
    np.testing.assert_allclose(fuse(P, [0.3, 0.7], method), expected, rtol=1e-14)


def test_product_ranks_as_product_of_powers():
    p = np.random.default_rng(0).random((200, 3))
    score = np.prod(p ** [0.2, 1.0, 0.5], axis=1)
    found = fuse(p, [0.2, 1.0, 0.5], "product")
    assert (np.argsort(found) == np.argsort(score)).all()


def test_every_form_of_probabilities():
    expected = fuse(P, [1, 2])
    as_list = [np.column_stack([1 - c, c]) for c in P.T]
    frame = pd.DataFrame(P, columns=["click", "order"])
    assert (fuse(as_list, [1, 2]) == expected).all()
    assert (fuse(frame, {"order": 2, "click": 1}) == expected).all()
    assert (fuse(frame, {"order": 2}) == 2 * P[:, 1]).all()


def test_equal_rows_stay_equal():
    p = np.repeat(np.random.default_rng(0).random((37, 3)), 5, axis=0)
    score = fuse(p, [0.1, 0.7, 0.3]).reshape(37, 5)
    assert (score == score[:, :1]).all()


def test_logarithms_of_zero_and_one_are_finite():
    extremes = np.array([[0.0, 1.0], [1.0, 0.0]])
    for method in ("product", "logit"):
        score = fuse(extremes, [1, 1], method)
        assert np.isfinite(score).all()
        assert score[0] == score[1]  # the rows are equal but for the order of tasks


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([-1, 1], "weight of task '0' is -1.0"),
        ([1, np.nan], "weight of task '1' is nan"),
        ([0, 0], "all zero"),
        ([1], "each of the 2 task"),
        ({"buy": 1}, "unknown task 'buy'"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        fuse(P, weights)


def test_bad_probabilities_name_task_and_row():
    bad = P.copy()
    bad[2, 1] = 1.5
    with pytest.raises(ValueError, match=r"task '1' must lie between.*1.5 at row 2"):
        fuse(bad, [1, 1], "logit")
    bad[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"task '1' must be finite.*row 2"):
        fuse(bad, [1, 1])
    with pytest.raises(ValueError, match="method must be one of"):
        fuse(P, [1, 1], "max")


def test_a_series_of_weights_goes_by_its_index():
    proba = pd.DataFrame({"click": [0.1, 0.9], "order": [0.9, 0.1]})
    by_name = pd.Series({"order": 9.0, "click": 1.0})
    want = fuse(proba, {"click": 1.0, "order": 9.0})
    np.testing.assert_array_equal(fuse(proba, by_name), want)
    np.testing.assert_array_equal(fuse(proba, pd.Series([1.0, 9.0])), want)
    with pytest.raises(ValueError, match="unknown task 'cart'"):
        fuse(proba, pd.Series({"cart": 1.0, "order": 9.0}))
    with pytest.raises(ValueError, match="repeats 'click'"):
        fuse(proba, pd.Series([1.0, 9.0], index=["click", "click"]))


def test_fixed_weights_in_a_series_go_by_the_names_of_the_tasks():
    rng = np.random.default_rng(0)
    X = rng.random((20, 2))
    y = pd.DataFrame((X > 0.5).astype(int), columns=["click", "order"])
    model = MultiOutputClassifier(DecisionTreeClassifier(max_depth=1, random_state=0))
    weights = pd.Series({"order": 9.0, "click": 1.0})
    got = FixedOutputWeights(model, weights).fit(X, y).decision_function(X)
    want = FixedOutputWeights(model, [1.0, 9.0]).fit(X, y).decision_function(X)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("method", ["sum", "product", "rank", "logit"])
@pytest.mark.parametrize("size", [1e299, 1e-289])
def test_weights_of_any_size_that_sums_can_hold(method, size):
    proba = np.random.default_rng(0).random((50, 2))
    proba[:2] = [[0, 1], [1, 0]]
    with np.errstate(all="raise"):
        got = fuse(proba, [2 * size, size], method)
    np.testing.assert_allclose(got / size, fuse(proba, [2, 1], method))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1e308, 1e308], r"too large for float64 sums"),
        ([1e308], r"too large for float64 sums"),
        ([5e-324, 0], r"too small for float64 sums"),
        ([10**400, 1], r"weights must be numbers; got"),
        (["a", 1], r"weights must be numbers; got \['a', 1\]"),
        ([[1], [2, 3]], r"weights must be numbers; got"),
    ],
)
def test_weights_that_sums_cannot_hold(weights, message):
    proba = np.full((3, len(weights)), 0.5)
    with pytest.raises(ValueError, match=message):
        fuse(proba, weights)
    y = np.array([[0, 1], [1, 0], [0, 1]])[:, : len(weights)].squeeze()
    with pytest.raises(ValueError, match=message):
        FixedOutputWeights(DecisionTreeClassifier(), weights).fit(proba, y)


def test_products_of_columns_beside_sums():
    rng = np.random.default_rng(0)
    values = pd.DataFrame(
        {
            "click": rng.random(9),
            "order": rng.random(9),
            "revenue": rng.lognormal(3, 1, 9),
        }
    )
    weights = {"click": 0.5, ("order", "revenue"): 2.0}
    expected = 0.5 * values["click"] + 2 * values["order"] * values["revenue"]
    assert_allclose(fuse(values, weights), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="unknown task 'cart'"):
        fuse(values, {("cart", "revenue"): 1})
    product = values["order"] * values["revenue"]
    for method, transform in (("product", np.log), ("rank", rankdata)):
        expected = 0.5 * transform(values["click"]) + 2 * transform(product)
        expected /= len(values) if method == "rank" else 1
        assert_allclose(fuse(values, weights, method), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"'order \* revenue' must lie between 0"):
        fuse(values, weights, method="logit")
    with pytest.raises(ValueError, match="'revenue' must be finite and at least 0"):
        fuse(-values[["revenue"]], {"revenue": 1}, method="product")
    with pytest.raises(ValueError, match="must be finite"):
        fuse(values * np.inf, {("order", "revenue"): 1})
