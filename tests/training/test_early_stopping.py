"""Early stopping, and the rows that it watches."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from tests.rankers.makers import small_mmoe


@pytest.mark.parametrize("scoring", [None, "roc_auc"])
def test_early_stopping_restores_the_best_weights(impressions, scoring):
    X, y = impressions
    ranker = small_mmoe(
        max_iter=60, learning_rate=0.02, early_stopping=True, scoring=scoring
    )
    ranker.fit(X[:1000], y[:1000], X_val=X[1000:], y_val=y[1000:])
    assert ranker.n_iter_ < 60
    key = "valid_loss" if scoring is None else "valid_score"
    values = np.array(ranker.net_.history[:, key])
    best = values.min() if scoring is None else values.max()
    if scoring is None:
        # What training watches comes before the intercept is refitted.
        proba = expit(logit(ranker.predict_task_proba(X[1000:])) - ranker.intercept_)
        truth = y[1000:].to_numpy()
        losses = -(truth * np.log(proba) + (1 - truth) * np.log(1 - proba)).mean(0)
        loss = losses @ ranker.loss_weight_
        assert loss == pytest.approx(best, rel=1e-4)
    else:
        assert ranker.score(X[1000:], y[1000:]) == pytest.approx(best, abs=1e-9)


def test_early_stopping_sets_rows_aside(impressions):
    X, y = impressions
    ranker = small_mmoe(max_iter=50, learning_rate=0.02, early_stopping=True).fit(X, y)
    assert ranker.n_iter_ < 50
    assert "valid_task_loss" in ranker.net_.history[-1]


def test_y_val_alone_is_refused(impressions):
    X, y = impressions
    with pytest.raises(ValueError, match="y_val is given without X_val"):
        small_mmoe().fit(X, y, y_val=y)


def test_weights_for_validation_alone_are_refused(impressions):
    X, y = impressions
    with pytest.raises(ValueError, match="sample_weight_val is given without X_val"):
        small_mmoe().fit(X, y, sample_weight_val=np.ones(len(X)))


@pytest.mark.parametrize("label", ["no", "yes"])
def test_validation_rows_of_one_label_count_as_what_they_are(impressions, label):
    X, y = impressions
    named = y["click"].map({0: "no", 1: "yes"})
    rows = named == label
    expected = small_mmoe().fit(X, y["click"], X_val=X[rows], y_val=y["click"][rows])
    ranker = small_mmoe().fit(X, named, X_val=X[rows], y_val=named[rows])
    pd.testing.assert_frame_equal(ranker.history_, expected.history_)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda y: y.map({0: "no", 1: "perhaps"}), r"'perhaps', which is not one of"),
        (lambda y: y * np.nan, "y_val holds only NaN"),
    ],
)
def test_bad_labels_for_validation_are_refused(impressions, spoil, message):
    X, y = impressions
    named = y["click"].map({0: "no", 1: "yes"})
    with pytest.raises(ValueError, match=message):
        small_mmoe().fit(X, named, X_val=X, y_val=spoil(y["click"]))


@pytest.mark.parametrize(
    ("labels", "weight", "use"),
    [
        ([0.0, np.nan], None, "train on|validate with"),
        ([0.0, 1.0], [1.0, 0.0], "train on|validate with"),
        ([1.0] * 9 + [np.nan] * 91, [0.0] * 8 + [1.0] + [0.0] * 91, "validate with"),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_parts_without_labels_are_refused(labels, weight, use, seed):
    X = np.arange(len(labels))[:, None]
    ranker = small_mmoe(max_iter=2, early_stopping=True, random_state=seed)
    with pytest.raises(
        ValueError, match=rf"^validation_fraction='auto' leaves no .* to ({use})\."
    ):
        ranker.fit(X, labels, sample_weight=weight)
    assert not hasattr(ranker, "net_")


def test_splits_without_labels_to_train_on_are_refused():
    X, y = np.arange(4)[:, None], [np.nan, np.nan, 0, 1]
    ranker = small_mmoe(early_stopping=True, validation_split=[([0, 1], [2, 3])])
    with pytest.raises(ValueError, match=r"^validation_split leaves no .* to train on"):
        ranker.fit(X, y)
