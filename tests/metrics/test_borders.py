"""What callers hand to the metrics: byte orders, weights of any size, containers."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from skmtl.metrics import (
    brier,
    get_task_scorer,
    group_roc_auc,
    log_loss,
    make_task_scorer,
    ndcg,
    predicted_to_observed,
    roc_auc,
    task_report,
)
from skmtl.metrics._validation import _zeros_and_ones, labels_of
from skmtl.model_selection import TimeSplit
from skmtl.tasks import check_targets

RNG = np.random.default_rng(0)
N = 200
Y = (RNG.random(N) < 0.4).astype(int)
SCORE = RNG.random(N)
USERS = RNG.integers(0, 20, N)
WEIGHT = RNG.random(N)


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">f2"])
@pytest.mark.parametrize("container", [np.asarray, pd.Series])
def test_byte_order_does_not_change_a_metric(dtype, container):
    native = SCORE.astype(np.dtype(dtype).newbyteorder("="))
    foreign = container(SCORE.astype(dtype))
    assert roc_auc(Y, foreign) == roc_auc(Y, native)
    assert group_roc_auc(Y, foreign, USERS) == group_roc_auc(Y, native, USERS)
    assert ndcg(Y, foreign, USERS) == ndcg(Y, native, USERS)
    assert brier(Y, foreign) == brier(Y, native)


@pytest.mark.parametrize("dtype", [">i8", ">i4", ">u8", ">f8"])
def test_byte_order_of_labels_groups_and_weights(dtype):
    users = USERS * 2**28 if dtype in (">i8", ">u8") else USERS
    want = group_roc_auc(Y, SCORE, users, sample_weight=WEIGHT)
    got = group_roc_auc(
        Y.astype(dtype), SCORE, users.astype(dtype), sample_weight=WEIGHT.astype(">f8")
    )
    assert got == want


def test_byte_order_of_a_report():
    foreign = task_report(Y.astype(">f8"), SCORE.astype(">f8"), USERS.astype(">i8"))
    pd.testing.assert_frame_equal(foreign, task_report(Y, SCORE, USERS))


def test_byte_order_of_groups_and_times_of_a_split():
    times = np.arange(N, dtype=float)
    users = np.arange(N) // 10 * 2**40
    native = TimeSplit(3).split(SCORE, timestamps=times, groups=users)
    foreign = TimeSplit(3).split(
        SCORE, timestamps=times.astype(">f8"), groups=users.astype(">i8")
    )
    for want, got in zip(native, foreign, strict=True):
        np.testing.assert_array_equal(want[0], got[0])
        np.testing.assert_array_equal(want[1], got[1])


SCALES = [5e-324, 1e-300, 1e-170, 1e-150, 1e150, 1e170, 1e300, 1e308]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "metric", [roc_auc, log_loss, brier, predicted_to_observed, "gauc"]
)
def test_scale_of_weights_does_not_matter(metric, scale):
    weight = np.where(USERS % 2, 1.0, 2.0) if scale < 1e-310 else WEIGHT

    def value(w):
        if metric == "gauc":
            return group_roc_auc(Y, SCORE, USERS, sample_weight=w)
        return metric(Y, SCORE, sample_weight=w)

    assert value(weight * scale) == pytest.approx(value(weight), rel=1e-12)


def test_small_weights_of_one_group_beside_large_ones_of_another():
    y, score = [0, 1, 1, 0, 1], [0.1, 0.4, 0.05, 0.3, 0.2]
    groups = [0, 0, 0, 1, 1]
    weight = np.array([1e-200, 2e-200, 1e-200, 1e100, 1e100])
    got = group_roc_auc(y, score, groups, sample_weight=weight, weights="equal")
    assert got == pytest.approx((2 / 3 + 0) / 2)
    # A task that sees only the small ones.
    observed = np.array([0, 1, 1, np.nan, np.nan])
    assert roc_auc(observed, score, sample_weight=weight) == pytest.approx(2 / 3)


def test_arrow_tables_have_the_names_of_their_columns():
    y = pa.table({"click": Y, "order": 1 - Y})
    proba = pa.table({"order": 1 - SCORE, "click": SCORE})
    report = task_report(y, proba, pa.chunked_array([USERS]), interval=None)
    assert list(report.index) == ["click", "order"]
    assert report["roc_auc"].tolist() == [roc_auc(Y, SCORE)] * 2


def test_a_series_of_gains_goes_by_its_index():
    y = pd.DataFrame({"click": Y, "order": 1 - Y})
    gains = pd.Series({"order": 5.0, "click": 1.0})
    want = ndcg(y, SCORE, USERS, gains={"click": 1.0, "order": 5.0})
    assert ndcg(y, SCORE, USERS, gains=gains) == want
    assert ndcg(y, SCORE, USERS, gains=pd.Series([1.0, 5.0])) == want
    assert want != ndcg(y, SCORE, USERS, gains=[5.0, 1.0])
    with pytest.raises(ValueError, match="Unknown task 'cart'"):
        ndcg(y, SCORE, USERS, gains=pd.Series({"cart": 5.0}))
    with pytest.raises(ValueError, match="repeats 'click'"):
        ndcg(y, SCORE, USERS, gains=pd.Series([1, 2], index=["click", "click"]))


def test_a_series_of_averages_goes_by_its_index():
    y = pd.DataFrame({"click": Y, "order": 1 - Y})
    scorer = make_task_scorer("auc", average=pd.Series({"order": 3.0, "click": 1.0}))
    click, order = roc_auc(y, SCORE)
    assert scorer.evaluate(y, SCORE) == pytest.approx((click + 3 * order) / 4)


@pytest.mark.parametrize("gains", [["a", 1], [10**400, 1], "x"])
def test_gains_that_are_not_numbers(gains):
    y = pd.DataFrame({"click": Y, "order": 1 - Y})
    with pytest.raises(ValueError, match="gains must be numbers"):
        ndcg(y, SCORE, USERS, gains=gains)


def test_groups_of_wrong_length_for_a_function_of_ones_own():
    def metric(y, score, groups):
        return 0.0

    scorer = make_task_scorer(metric)
    with pytest.raises(ValueError, match=r"groups must have shape \(200,\)"):
        scorer.evaluate(Y, SCORE, groups=np.append(USERS, 1))


def test_two_classes_of_any_kind():
    words = np.array(["no", "yes"])[Y]
    assert roc_auc(words, SCORE) == roc_auc(Y, SCORE)
    assert roc_auc(np.where(Y, 1, -1), SCORE) == roc_auc(Y, SCORE)


def test_numbers_in_columns_of_objects():
    y = pd.Series(np.where(Y, 2.0, 0.0), dtype=object, name="click")
    assert roc_auc(y, SCORE) == roc_auc(Y, SCORE)
    table = pd.DataFrame({"click": y / 2, "order": [0, *[None] * (N - 2), 1]})
    report = task_report(table.astype(object), np.column_stack([SCORE] * 2))
    assert list(report["n_labels"]) == [N, 2]


def test_masked_labels_are_not_observed_and_masked_scores_are_refused():
    mask = np.arange(N) % 3 == 0
    observed = np.where(mask, np.nan, Y)
    assert roc_auc(np.ma.masked_array(Y, mask), SCORE) == roc_auc(observed, SCORE)
    table = np.ma.masked_array(np.column_stack([Y, 1 - Y]), np.column_stack([mask] * 2))
    want = roc_auc(np.column_stack([observed, 1 - observed]), SCORE)
    np.testing.assert_array_equal(roc_auc(table, SCORE), want)
    with pytest.raises(ValueError, match="must be finite; found nan at row 0"):
        roc_auc(Y, np.ma.masked_array(SCORE, mask))


def test_tables_as_mappings_and_queries():
    y = {"click": Y, "order": 1 - Y}
    report = task_report(y, {"order": 1 - SCORE, "click": SCORE}, interval=None)
    assert report["roc_auc"].tolist() == [roc_auc(Y, SCORE)] * 2
    query = pl.DataFrame(y).lazy()
    with pytest.raises(TypeError, match=r"y is a polars LazyFrame.*y\.collect\(\)"):
        roc_auc(query, SCORE)


@pytest.mark.parametrize("missing", [False, True])
def test_the_quick_reading_of_plain_labels_is_that_of_all_others(missing):
    rng = np.random.default_rng(0)
    table = (rng.random((50, 3)) < 0.4).astype(float)
    if missing:
        table[rng.random((50, 3)) < 0.2] = np.nan
    quick = _zeros_and_ones(table, None)
    slow = labels_of(check_targets(table), one_dimensional=False)
    np.testing.assert_array_equal(quick.positive, slow.positive)
    assert (quick.observed is None) == (slow.observed is None) == (not missing)
    if missing:
        np.testing.assert_array_equal(quick.observed, slow.observed)
    assert quick.names == slow.names


@pytest.mark.parametrize("name", ["auc:order", "log_loss:order"])
def test_a_scorer_of_one_task_finds_its_column_by_name(name):
    y = pd.DataFrame({"click": Y, "order": 1 - Y})
    scorer = get_task_scorer(name)
    want = scorer.evaluate(y, np.column_stack([SCORE, SCORE**2]))
    other_order = pd.DataFrame({"order": SCORE**2, "click": SCORE})
    assert scorer.evaluate(y, other_order) == want
    both = [np.column_stack([1 - p, p]) for p in (SCORE, SCORE**2)]
    assert scorer.evaluate(y, both) == want
    assert scorer.evaluate(y[["order"]], other_order["order"]) == want


@pytest.mark.parametrize("write", [np.array, pd.Series, pd.DataFrame])
def test_two_classes_as_python_numbers(write):
    """An array of objects is read as the same numbers in an array of floats."""
    y, score = np.array([2.0, 1.0, 2.0, 1.0]), np.array([0.9, 0.1, 0.2, 0.2])
    expected = roc_auc(y, score)
    found = roc_auc(write(y.astype(object)), score)
    assert np.ravel(found) == expected == 0.875
    one = roc_auc(write(np.array([1, None, 0, 1], dtype=object)), score)
    assert np.ravel(one) == roc_auc([1, np.nan, 0, 1], score)
