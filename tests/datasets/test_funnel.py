import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from skmtl.datasets import make_funnel

RATES = {"click": 0.1, "cart": 0.015, "order": 0.001}


@pytest.fixture(scope="module")
def log():
    return make_funnel(200_000, new_item_share=0.2, history_length=3, random_state=0)


@settings(deadline=None, max_examples=30)
@given(
    rates=st.lists(st.floats(1e-6, 1 - 1e-6), min_size=3, max_size=3, unique=True),
    signal=st.floats(0, 3),
    drift=st.floats(-3, 3),
    n_samples=st.integers(1, 500),
    seed=st.integers(0, 2**32 - 1),
)
def test_mean_of_true_probability_is_the_rate(rates, signal, drift, n_samples, seed):
    order, cart, click = sorted(rates)
    assume(order < cart * (1 - 1e-6) and cart < click * (1 - 1e-6))
    log = make_funnel(
        n_samples,
        n_users=30,
        n_items=20,
        n_categories=4,
        click_rate=click,
        cart_rate=cart,
        order_rate=order,
        signal=signal,
        drift=drift,
        random_state=seed,
    )
    mean = log.true_proba.mean().to_numpy()
    np.testing.assert_allclose(mean, [click, cart, order], rtol=0, atol=1e-9)
    steps = np.diff(log.true_proba.to_numpy(), axis=1)
    assert (steps <= 0).all()
    assert (np.diff(log.target.to_numpy(), axis=1) <= 0).all()


def test_observed_rates_agree_with_the_true_probability(log):
    """By tenth of the rows, within five standard deviations of the binomial sum."""
    for task, rate in RATES.items():
        proba, label = log.true_proba[task], log.target[task]
        assert proba.mean() == pytest.approx(rate, abs=1e-9)
        tenth = pd.qcut(proba, 10, labels=False)
        seen, expected = label.groupby(tenth).sum(), proba.groupby(tenth).sum()
        spread = np.sqrt((proba * (1 - proba)).groupby(tenth).sum())
        assert (np.abs(seen - expected) <= 5 * spread + 1).all()
        assert expected.iloc[-1] > 4 * expected.iloc[0]


def test_stages_are_drawn_independently_given_the_one_before(log):
    """Among the clicked rows the carts follow P(cart | click)."""
    clicked = log.target["click"] == 1
    given = (log.true_proba["cart"] / log.true_proba["click"])[clicked]
    spread = np.sqrt((given * (1 - given)).sum())
    assert abs(log.target["cart"][clicked].sum() - given.sum()) <= 5 * spread


def test_ids_and_numbers_can_be_learnt():
    """The click rate of a value, taken from earlier rows, ranks later rows."""
    log = make_funnel(60_000, n_users=200, n_items=200, random_state=1)
    early, late = slice(None, 40_000), slice(40_000, None)
    click = log.target["click"]
    columns = log.data.assign(price=pd.qcut(log.data["price"], 20, duplicates="drop"))
    auc = {}
    for name in ("user_id", "item_id", "category_id", "position", "price"):
        rate = click[early].groupby(columns[name][early], observed=True).mean()
        score = columns[name][late].astype(object).map(rate).fillna(click.mean())
        auc[name] = roc_auc_score(click[late], score)
    assert min(auc.values()) > 0.53, auc
    truth = roc_auc_score(click[late], log.true_proba["click"][late])
    assert truth > max(auc.values()) + 0.05


def test_tasks_are_related_but_not_identical(log):
    proba = log.true_proba
    cart = np.log(proba["cart"] / proba["click"])  # the stage alone
    order = np.log(proba["order"] / proba["cart"])
    stages = np.corrcoef([np.log(proba["click"]), cart, order])
    off_diagonal = stages[np.triu_indices(3, 1)]
    assert (off_diagonal > 0.15).all()
    assert (off_diagonal < 0.9).all()


def test_columns_dtypes_and_order(log):
    dtypes = log.data.dtypes.astype(str).to_dict()
    assert dtypes == {
        "user_id": "category",
        "item_id": "category",
        "category_id": "category",
        "device": "category",
        "position": "int64",
        "price": "float64",
        "discount": "float64",
        "hour": "int64",
        "history": "object",
    }
    for name, n in {"user_id": 10_000, "item_id": 5_000, "category_id": 50}.items():
        categories = log.data[name].cat.categories
        assert categories.dtype == "int64"
        assert categories.tolist() == list(range(n))
    assert set(log.target.dtypes.astype(str)) == {"int64"}
    assert set(log.true_proba.dtypes.astype(str)) == {"float64"}
    assert log.timestamp.dtype == "datetime64[s]"
    assert log.timestamp.is_monotonic_increasing
    assert (log.timestamp.dt.hour == log.data["hour"]).all()
    assert log.timestamp.dt.day.unique().tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert list(log.frame) == [
        "session",
        "timestamp",
        *log.feature_names,
        *log.target_names,
    ]
    assert log.feature_names == list(log.data)
    assert (log.data["price"] > 0).all()
    assert log.data["discount"].between(0, 0.5).all()


def test_a_session_is_a_page_of_one_user():
    log = make_funnel(95, page_size=10, random_state=0)
    groups = log.frame.groupby("session")
    assert groups.size().tolist() == [10] * 9 + [5]
    for name in ("user_id", "device", "timestamp", "hour"):
        assert (groups[name].nunique() == 1).all()
    assert groups["position"].agg(list).iloc[0] == list(range(1, 11))


def test_an_item_has_one_category_and_one_price(log):
    by_item = log.data.groupby("item_id", observed=True)
    assert (by_item["category_id"].nunique() == 1).all()
    assert (by_item["price"].nunique() == 1).all()


@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.3])
def test_popularity_is_zipf(exponent):
    log = make_funnel(100_000, n_items=20, zipf_exponent=exponent, random_state=0)
    counts = log.data["item_id"].value_counts().to_numpy()
    share = np.arange(1.0, 21) ** -exponent
    expected = 100_000 * share / share.sum()
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_new_items_appear_in_the_last_days_only(log):
    new = log.data["item_id"].isin(log.new_items)
    last = log.timestamp.dt.day == 7
    assert len(log.new_items) == 1_000
    assert not new[~last].any()
    assert 0.05 < new[last].mean() < 0.5


def test_category_tells_of_the_effect_of_a_new_item():
    log = make_funnel(
        300_000, new_item_share=0.3, n_users=500, n_categories=20, random_state=0
    )
    new = log.data["item_id"].isin(log.new_items)
    logit = np.log(log.true_proba["click"] / (1 - log.true_proba["click"]))
    category = log.data["category_id"]
    means = [
        logit[rows].groupby(category[rows], observed=True).mean()
        for rows in (new, ~new)
    ]
    assert np.corrcoef(*means)[0, 1] > 0.5


def test_history_is_what_was_clicked_in_earlier_sessions():
    log = make_funnel(
        600, n_users=8, n_items=15, click_rate=0.4, history_length=4, random_state=0
    )
    frame = log.frame
    for row in frame.itertuples():
        before = frame[
            (frame["user_id"] == row.user_id)
            & (frame["session"] < row.session)
            & (frame["click"] == 1)
        ]
        assert row.history == before["item_id"].tolist()[-4:]
    lengths = frame["history"].map(len)
    assert lengths.min() == 0
    assert lengths.max() == 4


def test_options_do_not_change_the_rest():
    plain = make_funnel(2_000, random_state=3)
    more = make_funnel(2_000, random_state=3, history_length=2, tasks=("order", "cart"))
    pd.testing.assert_frame_equal(plain.data, more.data.drop(columns="history"))
    pd.testing.assert_frame_equal(plain.target[["order", "cart"]], more.target)
    assert list(more.true_proba) == more.target_names == ["order", "cart"]
    X, y = make_funnel(2_000, random_state=3, return_X_y=True)
    pd.testing.assert_frame_equal(X, plain.data)
    pd.testing.assert_frame_equal(y, plain.target)


def test_same_seed_same_log_and_global_state_is_not_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = make_funnel(1_000, random_state=np.random.default_rng(2))
    make_funnel(10)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    second = make_funnel(1_000, random_state=2)
    pd.testing.assert_frame_equal(first.frame, second.frame)
    pd.testing.assert_frame_equal(first.true_proba, second.true_proba)
    other = make_funnel(1_000, random_state=4)
    assert not first.frame.equals(other.frame)


@pytest.mark.parametrize("rate", [0.1 * (1 - 2e-6), 0.0010001])
@pytest.mark.parametrize("signal", [0.0, 100.0])
def test_extreme_signals_and_near_rates(rate, signal):
    log = make_funnel(500, cart_rate=rate, signal=signal, random_state=0)
    mean = log.true_proba.mean().to_numpy()
    np.testing.assert_allclose(mean, [0.1, rate, 0.001], rtol=1e-6)


@pytest.mark.parametrize("drift", [1.5, -1.5])
def test_drift_moves_every_stage_over_time_and_keeps_the_rates(drift):
    options = {"signal": 0.0, "cart_rate": 0.05, "order_rate": 0.02, "random_state": 0}
    log = make_funnel(20_000, drift=drift, **options)
    np.testing.assert_allclose(log.true_proba.mean(), [0.1, 0.05, 0.02])
    proba = log.true_proba.to_numpy()
    stage = np.column_stack([proba[:, 0], proba[:, 1:] / proba[:, :-1]])
    seconds = (log.timestamp - pd.Timestamp("2024-01-01")).dt.total_seconds()
    slope = np.polyfit(seconds / (7 * 86_400), logit(stage), 1)[0]
    np.testing.assert_allclose(slope, drift, rtol=1e-6)
    still = make_funnel(20_000, **options)
    pd.testing.assert_frame_equal(log.data, still.data)


def test_no_signal_is_a_constant_probability():
    log = make_funnel(1_000, signal=0.0, random_state=0)
    np.testing.assert_allclose(log.true_proba, [list(RATES.values())] * 1_000)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer ≥ 1; got 0"),
        ({"n_users": -1}, "n_users must be an integer ≥ 1"),
        ({"n_items": 0}, "n_items must be an integer ≥ 1"),
        ({"n_categories": 0}, "n_categories must be an integer ≥ 1"),
        ({"page_size": 0}, "page_size must be an integer ≥ 1"),
        ({"n_days": 0}, "n_days must be an integer ≥ 1"),
        ({"history_length": -1}, "history_length must be an integer ≥ 0"),
        ({"zipf_exponent": -0.1}, "zipf_exponent must be a number in"),
        ({"drift": float("inf")}, "drift must be a number in"),
        ({"signal": float("nan")}, "signal must be a number in"),
        ({"click_rate": 1.0}, r"click_rate must be a number in \(0.0, 1.0\)"),
        ({"order_rate": 0.0}, r"order_rate must be a number in \(0.0, 1.0\)"),
        ({"order_rate": 0.02}, "order_rate must be less than cart_rate"),
        ({"cart_rate": 0.1}, "cart_rate must be less than click_rate.*=0.1 and"),
        ({"cart_rate": 0.1 - 1e-9}, "cart_rate must be less than click_rate"),
        ({"new_item_share": 1.0}, r"new_item_share must be a number in \[0.0, 1.0\)"),
        ({"new_item_share": 0.1, "n_days": 1}, "n_new_days must be less than n_days"),
        (
            {"tasks": ["click", "buy"]},
            r"\['click', 'cart', 'order'\].*\['click', 'buy'",
        ),
        ({"tasks": []}, "at least one"),
        ({"tasks": ["click", "click"]}, "each named once"),
    ],
)
def test_bad_values(wrong, message):
    with pytest.raises(ValueError, match=message):
        make_funnel(**wrong)


@pytest.mark.parametrize(
    "name", ["n_samples", "click_rate", "signal", "history_length"]
)
@pytest.mark.parametrize("value", ["3", None, True, [1]])
def test_bad_types(name, value):
    with pytest.raises(TypeError, match=f"{name} must be"):
        make_funnel(**{name: value})


def test_clicks_need_examination():
    """The share of clicks by position is that of examination, up to chance."""
    log = make_funnel(
        60_000, click_rate=0.2, position_bias=0.7, random_state=0, n_users=500
    )
    position = log.data["position"]
    np.testing.assert_allclose(log.examination, position**-0.7)
    for task, rate in {**RATES, "click": 0.2}.items():
        proba = log.relevance[task] * log.examination
        np.testing.assert_allclose(proba, log.true_proba[task])
        assert log.true_proba[task].mean() == pytest.approx(rate, abs=1e-9)
    rate = log.target["click"].groupby(position).mean()
    # Pages are in random order, so that relevance has the same mean everywhere.
    expected = log.relevance["click"].mean() * rate.index**-0.7
    assert np.abs(rate / expected - 1).max() < 0.1
    plain = make_funnel(60, random_state=0)
    assert "relevance" not in plain
    assert "examination" not in plain


def test_relevance_of_rows_that_nobody_examines():
    log = make_funnel(
        500, position_bias=400.0, click_rate=0.02, cart_rate=0.01, order_rate=0.005,
        random_state=0,
    )  # fmt: skip
    assert log.examination.min() == 0
    assert log.relevance.min(axis=None) > 0
    seen = log.examination == 1
    np.testing.assert_array_equal(log.relevance[seen], log.true_proba[seen])


def test_pages_are_sorted_by_relevance_or_a_preference_for_items():
    made = [
        make_funnel(10_000, position_bias=1.0, random_state=0, **given)
        for given in (
            {},
            {"page_order": 3.0},
            {"page_relevance": 1.0},
            {"page_relevance": 5.0},
        )
    ]
    random, preferred, sorted_, more = (
        log.relevance["click"].corr(-log.data["position"], method="spearman")
        for log in made
    )
    assert max(abs(random), abs(preferred)) < 0.1
    assert 0.2 < sorted_ < more < 0.9
    spread = []
    for log in made:
        item = log.data["item_id"]
        place = log.data["position"].groupby(item, observed=True).mean()
        spread.append(place[item.value_counts().index[:50]].std())
    assert spread[1] > 2 * spread[0]  # preferred items keep their places
    for log in made:
        assert log.data["position"].iloc[:11].tolist() == [*range(1, 11), 1]
        by_item = log.data.groupby("item_id", observed=True)
        assert (by_item["price"].nunique() == 1).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"page_order": 1.0}, "page_order=1.0 .* need position_bias"),
        ({"position_bias": -1.0}, "position_bias"),
        ({"position_bias": 5.0, "click_rate": 0.2}, "the rows that are examined"),
    ],
    ids=["order alone", "negative", "too few examined"],
)
def test_refused_position_bias(params, message):
    with pytest.raises(ValueError, match=message):
        make_funnel(100, **params)
