"""Early stopping watches scikit-learn's scorers and those of single tasks."""

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import make_pipeline

from skmtl import MMoE
from skmtl.metrics import get_task_scorer, group_roc_auc, roc_auc
from skmtl.model_selection import MultiTaskStratifiedKFold
from skmtl.training.validation import split_rows
from tests.rankers.conftest import make_impressions


def mmoe(**kwargs):
    small = {"n_experts": 2, "expert_units": (8,), "tower_units": (8,), "max_iter": 4}
    small["batch_size"] = 64
    ids = {"categorical_features": ["user", "item"], "random_state": 0}
    return MMoE(**{**small, **ids, "learning_rate": 0.02, **kwargs})


@pytest.fixture(scope="module")
def halves(impressions):
    X, y = impressions
    return (X[:1000], y[:1000]), {"X_val": X[1000:], "y_val": y[1000:]}


def best_score(ranker):
    return max(ranker.net_.history[:, "valid_score"])


def areas(ranker, X_val, y_val):
    return roc_auc(y_val, ranker.predict_task_proba(X_val))


EXPECTED = {
    "auc:cart": lambda auc: auc[1],
    "mean_auc": np.mean,
    "min_auc": np.min,
    "roc_auc": np.mean,
}


@pytest.mark.parametrize("scoring", EXPECTED)
def test_names(halves, scoring):
    train, valid = halves
    ranker = mmoe(scoring=scoring).fit(*train, **valid)
    expected = EXPECTED[scoring](areas(ranker, **valid))
    assert best_score(ranker) == pytest.approx(expected, abs=1e-9)


def test_names_that_are_wrong_for_several_tasks_are_refused(halves):
    train, valid = halves
    with pytest.raises(ValueError, match="use scoring='mean_log_loss'"):
        mmoe(scoring="neg_log_loss").fit(*train, **valid)
    X, y = train
    only = {"X_val": valid["X_val"], "y_val": valid["y_val"]["cart"]}
    ranker = mmoe(scoring="neg_log_loss").fit(X, y["cart"], **only)
    assert best_score(ranker) < 0


def test_losses_are_negated(halves):
    train, valid = halves
    ranker = mmoe(scoring="log_loss:cart").fit(*train, **valid)
    assert best_score(ranker) < 0


def test_scorers_of_several_kinds_agree(halves):
    train, valid = halves
    scorer = get_task_scorer("auc:cart")

    def by_hand(ranker, X, y):
        return roc_auc_score(y["cart"], ranker.predict_proba(X)[1][:, 1])

    by_name = mmoe(scoring="auc:cart").fit(*train, **valid)
    for same in (scorer, by_hand):
        ranker = mmoe(scoring=same).fit(*train, **valid)
        assert best_score(ranker) == pytest.approx(best_score(by_name), abs=1e-12)


def test_own_functions_get_the_rows_of_the_caller(impressions):
    X, y = impressions
    X.index = X.index[::-1]
    seen = []

    def cheap(ranker, rows, labels):
        seen.append((rows, labels))
        at = (rows["price"] < 1).to_numpy()
        proba = ranker.predict_proba(rows[at])[1][:, 1]
        return roc_auc_score(labels["cart"][at], proba)

    ranker = mmoe(scoring=cheap, max_iter=1)
    ranker.fit(X[:1000], y[:1000], X_val=X[1000:], y_val=y[1000:])
    rows, labels = seen.pop()
    pd.testing.assert_frame_equal(rows, X[1000:])
    assert_array_equal(labels, y[1000:])
    assert best_score(ranker) == pytest.approx(cheap(ranker, X[1000:], y[1000:]))

    seen.clear()
    mmoe(scoring=cheap, max_iter=1, early_stopping=True).fit(X, y)
    rows, labels = seen.pop()
    assert len(rows) == len(labels) == 150
    pd.testing.assert_frame_equal(rows, X.loc[rows.index])


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("container", ["polars", "array", "mapping"])
def test_own_functions_get_the_container_of_the_caller(
    impressions, container, early_stopping
):
    X, y = impressions
    make = {
        "polars": pl.from_pandas,
        "array": np.asarray,
        "mapping": lambda frame: dict(frame.items()),
    }[container]
    seen = []

    def first(ranker, rows, labels):
        seen.append((rows, ranker.predict_task_proba(rows)))
        return 0.0

    valid = {} if early_stopping else {"X_val": make(X[1000:]), "y_val": y[1000:]}
    if container == "array":
        y = y.to_numpy()
        valid = valid and {**valid, "y_val": y[1000:]}
    ranker = mmoe(
        scoring=first, max_iter=1, early_stopping=early_stopping, unknown_rate=0
    )
    if container == "array":
        ranker.set_params(categorical_features=[0, 1])
    ranker.fit(make(X[:1000]), y[:1000], **valid)
    rows, proba = seen.pop()
    n_rows = 100 if early_stopping else 500
    assert proba.shape == (n_rows, 2)
    if not early_stopping:
        assert rows is valid["X_val"]
    elif container == "mapping":
        assert isinstance(rows, pd.DataFrame)
    else:
        assert type(rows) is type(make(X))


def test_rows_set_aside_with_missing_labels(impressions):
    X, y = impressions
    y = y.astype(float).mask(np.random.default_rng(0).random(y.shape) < 0.3)
    ranker = mmoe(scoring="auc:cart", early_stopping=True).fit(X, y)
    assert 0.5 < best_score(ranker) <= 1


@pytest.mark.parametrize("name", ["0", "cart"])
def test_one_column(impressions, name):
    X, y = impressions
    y = y["cart"].to_numpy() if name == "0" else y["cart"]
    ranker = mmoe(scoring=f"auc:{name}")
    ranker.fit(X[:1000], y[:1000], X_val=X[1000:], y_val=y[1000:])
    expected = roc_auc_score(y[1000:], ranker.predict_proba(X[1000:])[:, 1])
    assert best_score(ranker) == pytest.approx(expected, abs=1e-9)


def test_in_a_pipeline(impressions):
    X, y = impressions
    ranker = mmoe(scoring="min_auc", early_stopping=True)
    make_pipeline(ranker).fit(X, y)
    assert "valid_score" in ranker.net_.history[-1]


@pytest.mark.parametrize("how", ["groups_val", "partial"])
def test_groups_of_the_validation_rows(how, halves):
    train, valid = halves
    users = valid["X_val"]["user"].to_numpy()
    scoring, groups = "gauc:click", {"groups_val": users}
    if how == "partial":
        scoring, groups = partial(get_task_scorer(scoring), **{"groups": users}), {}
    ranker = mmoe(scoring=scoring).fit(*train, **valid, **groups)
    proba = ranker.predict_task_proba(valid["X_val"])[:, 0]
    expected = group_roc_auc(valid["y_val"]["click"], proba, users)
    assert best_score(ranker) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scoring", ["gauc:click", "ndcg@3"])
def test_rows_set_aside_have_the_groups_of_fit(scoring, halves):
    (X, y), _ = halves
    users = np.array([f"u{user}" for user in X["user"]])
    split = GroupShuffleSplit(1, test_size=0.3, random_state=0)
    ranker = mmoe(scoring=scoring, validation_split=split)
    ranker.fit(X, y, groups=list(users))
    ((_, at),) = split.split(X, y, users)
    assert ranker.n_validation_rows_ == len(at)
    rows, labels = X.iloc[at], y.iloc[at]
    found = get_task_scorer(scoring)(ranker, rows, labels, groups=users[at])
    assert best_score(ranker) == pytest.approx(found, abs=1e-9)


def test_groups_of_other_rows_are_refused(halves):
    (X, y), valid = halves
    split = GroupShuffleSplit(1, random_state=0)
    for params, given, message in (
        (
            {"validation_split": split},
            {},
            "GroupShuffleSplit.* needs the group of each",
        ),
        ({"validation_split": split}, {"groups": [1, 2]}, "groups must have shape"),
        (
            {"scoring": "gauc"},
            {"groups": X["user"]} | valid,
            "gauc.*needs the group of",
        ),
        (
            {"scoring": "gauc"},
            {"groups_val": [1, 2]} | valid,
            "groups_val must have shape",
        ),
        ({}, {"groups_val": X["user"]}, "groups_val is given without X_val"),
    ):
        with pytest.raises(ValueError, match=message):
            mmoe(**params).fit(X, y, **given)


def test_a_missing_group_is_named_by_its_row(halves):
    (X, y), valid = halves
    missing = np.array([f"u{user}" for user in X["user"]], dtype=object)
    missing[400] = None
    last = [(np.arange(300), np.arange(300, len(X)))]
    amount = y.assign(cart=X["user"].to_numpy() / 2)
    for params, labels, given in (
        ({"scoring": "gauc:click", "validation_split": last}, y, "groups"),
        (
            {
                "scoring": "gauc:click",
                "validation_split": last,
                "task_kinds": {"cart": "regression"},
            },
            amount,
            "groups",
        ),
        ({"validation_split": GroupShuffleSplit(1)}, y, "groups"),
        ({"scoring": "gauc:click"}, y, "groups_val"),
    ):
        more = valid if given == "groups_val" else {}
        groups = missing[: len(more.get("X_val", X))]
        ranker = mmoe(max_iter=1, **params)
        with pytest.raises(ValueError, match=f"^{given} has a missing id at row 400"):
            ranker.fit(X, labels, **{given: groups}, **more)
        assert not hasattr(ranker, "net_")


def test_requests_of_splitters(halves):
    (X, y), _ = halves
    with sklearn.config_context(enable_metadata_routing=True):
        alias, none = (
            GroupShuffleSplit(1, random_state=0).set_split_request(groups=request)
            for request in ("session", False)
        )
    rows = [
        split_rows(split, X, y, len(X), X["user"])[1]
        for split in (alias, GroupShuffleSplit(1, random_state=0))
    ]
    np.testing.assert_array_equal(*rows)
    with pytest.raises(ValueError, match=r"request groups: .*set_split_request\("):
        split_rows(none, X, y, len(X), X["user"])


BAD = {
    "unknown": ("nothing", r"(?s)\['auc', 'brier'.*scikit-learn's names.*'roc_auc'"),
    "task": ("auc:buy", r"Unknown task 'buy'. The known tasks are \['click', 'cart'"),
    "groups": ("gauc:click", "Pass groups_val, the group of each row of X_val, or wat"),
    "group scorer": (get_task_scorer("ndcg@5"), "group of each validation row"),
    "weights": ("mean_auc:cart", "names both an average"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_scoring_leaves_the_ranker(halves, case):
    train, valid = halves
    scoring, message = BAD[case]
    ranker = mmoe(max_iter=1).fit(*train)
    before = ranker.predict_task_proba(train[0])
    with pytest.raises(ValueError, match=message):
        ranker.set_params(scoring=scoring).fit(*train, **valid)
    np.testing.assert_array_equal(ranker.predict_task_proba(train[0]), before)


def test_a_score_that_is_not_defined(halves):
    train, valid = halves
    y_val = valid["y_val"].assign(cart=0)
    with (
        pytest.warns(UserWarning, match="undefined for task 'cart'"),
        pytest.raises(ValueError, match=r"scoring='auc:cart' is NaN on the 500 valid"),
    ):
        mmoe(scoring="auc:cart").fit(*train, X_val=valid["X_val"], y_val=y_val)


def test_labels_other_than_0_and_1_are_judged_alike(impressions):
    X, y = impressions
    y = pd.Series(np.where(y["cart"], "yes", "no"), name="cart")
    ranker = mmoe(scoring="roc_auc", early_stopping=True).fit(X, y)
    assert 0.5 < best_score(ranker) <= 1
    other = mmoe(scoring="auc:cart", early_stopping=True).fit(X, y)
    assert best_score(other) == pytest.approx(best_score(ranker), abs=1e-12)


def test_rankers_in_cross_validation_with_groups_and_missing_labels(impressions):
    X, y = impressions
    y = y.astype(float).mask(np.random.default_rng(1).random(y.shape) < 0.2)
    users = X["user"].to_numpy()
    with sklearn.config_context(enable_metadata_routing=True):
        gauc = get_task_scorer("gauc:click").set_score_request(groups=True)
        result = cross_validate(
            mmoe(max_iter=1),
            X,
            y,
            scoring={"gauc": gauc, "worst": get_task_scorer("min_auc")},
            cv=GroupKFold(2),
            params={"groups": users},
            return_estimator=True,
            return_indices=True,
            error_score="raise",
        )
    for fold, ranker in enumerate(result["estimator"]):
        test = result["indices"]["test"][fold]
        proba, truth = ranker.predict_task_proba(X.iloc[test]), y.iloc[test]
        expected = group_roc_auc(truth["click"], proba[:, 0], users[test])
        assert result["test_gauc"][fold] == pytest.approx(expected)
        assert result["test_worst"][fold] == pytest.approx(roc_auc(truth, proba).min())


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("n_tasks", [1, 2, 3])
def test_learning_curves_that_go_on_from_table_to_table(n_tasks, missing):
    X, y = make_impressions(900, n_tasks=n_tasks)
    if missing:
        rng = np.random.default_rng(0)
        y = y.astype(float).mask(rng.random(y.shape) < 0.2)
    tables = [y, y.to_numpy()] if n_tasks > 1 else [y["click"], y]
    curves = [
        learning_curve(
            mmoe(),
            X,
            table,
            cv=KFold(2),
            train_sizes=[0.5, 1.0],
            exploit_incremental_learning=True,
            error_score="raise",
        )[2]
        for table in tables
    ]
    assert_array_equal(*curves)
    # The first point is that of one pass over half of the rows.
    train, test = next(KFold(2).split(X))
    half = train[: len(train) // 2]
    once = mmoe(max_iter=1).partial_fit(X.iloc[half], y.iloc[half])
    assert curves[0][0, 0] == pytest.approx(once.score(X.iloc[test], y.iloc[test]))


# scikit-learn looks at the kind of the labels before it looks for NaN.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_an_integer_cv_and_labels_that_are_missing(impressions):
    """scikit-learn refuses them before it calls a ranker; the guide has the cure."""
    X, y = impressions
    y = y.astype(float).mask(np.random.default_rng(0).random(y.shape) < 0.3)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        cross_validate(mmoe(max_iter=1), X, y, cv=2, error_score="raise")
    for cv in (KFold(2), MultiTaskStratifiedKFold(2)):
        found = cross_validate(mmoe(max_iter=1), X, y, cv=cv, error_score="raise")
        train, test = list(cv.split(X, y))[1]
        by_hand = mmoe(max_iter=1).fit(X.iloc[train], y.iloc[train])
        expected = by_hand.score(X.iloc[test], y.iloc[test])
        assert found["test_score"][1] == pytest.approx(expected)


def test_rankers_in_searches_and_learning_curves(impressions):
    X, y = impressions
    scoring = {name: get_task_scorer(name) for name in ("auc:cart", "log_loss")}
    search = GridSearchCV(
        make_pipeline(mmoe(max_iter=1)),
        {"mmoe__learning_rate": [1e-4, 0.02]},
        scoring=scoring,
        refit="auc:cart",
        cv=KFold(2),
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ == search.cv_results_["mean_test_auc:cart"].max()
    _, _, scores = learning_curve(
        mmoe(max_iter=1),
        X,
        y,
        scoring=scoring["auc:cart"],
        cv=KFold(2),
        train_sizes=[0.5, 1.0],
        error_score="raise",
    )
    train, test = next(KFold(2).split(X))
    by_hand = mmoe(max_iter=1).fit(X.iloc[train], y.iloc[train])
    proba = by_hand.predict_task_proba(X.iloc[test])[:, 1]
    assert scores[1, 0] == pytest.approx(roc_auc_score(y["cart"].iloc[test], proba))
