"""Predicted rates equal observed rates."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from skmtl import ShareBottom
from skmtl.datasets import make_funnel
from skmtl.tasks import binary_kinds
from skmtl.training.computing import logits
from skmtl.training.intercept import LatePredictions, fit_intercept, n_rows_to_read

ONE = np.ones(4)


def intercept(parts, rates):
    return fit_intercept(parts, rates, binary_kinds(len(rates)))


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_likelihood_equation(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(-3, 2, size=(500, 3))
    w = rng.integers(0, 3, size=z.shape).astype(float)
    y = rng.random(z.shape) < expit(z + np.array([2, 0, -1]))
    rates = (w * y).sum(0) / w.sum(0)
    shift = intercept([(ONE, z, w)], rates)
    assert_allclose(np.average(expit(z + shift), axis=0, weights=w), rates, rtol=1e-7)


def test_logits_may_be_as_large_as_they_like():
    z = np.array([[-1000.0], [1000.0], [-2.0], [0.0]])
    shift = intercept([(ONE, z, np.ones((4, 1)))], np.array([0.4]))
    assert_allclose(expit(z + shift).mean(), 0.4, rtol=1e-7)


def test_a_regression_estimator_has_the_mean_of_all():
    """Cheap logits of all rows, and good and cheap ones of all: the good ones' mean."""
    rng = np.random.default_rng(0)
    good, w = rng.normal(-3, 2, size=(500, 2)), rng.random((500, 2))
    cheap = good + rng.normal(size=good.shape)
    half = np.full(2, 0.5)
    parts = [(half, cheap, w), (ONE, good, w), (-half, cheap, w)]
    rates = np.array([0.2, 0.01])
    assert_allclose(
        intercept(parts, rates), intercept([(ONE, good, w)], rates), atol=1e-8
    )


def test_equals_a_logistic_regression_with_an_offset_of_zero():
    y = np.r_[np.ones(30), np.zeros(70)]
    shift = intercept([(ONE, np.zeros((100, 1)), np.ones((100, 1)))], np.array([0.3]))
    reference = LogisticRegression(C=1e10).fit(np.zeros((100, 1)), y).intercept_
    assert_allclose(shift, reference, atol=1e-4)


def test_tasks_that_cannot_be_learnt_are_left_alone():
    z = np.zeros((4, 4))
    w = np.ones((4, 4))
    w[:, 3] = 0
    rates = np.array([0.0, 1.0, np.nan, 0.5])
    assert_array_equal(intercept([(ONE, z, w)], rates), 0)
    assert_array_equal(intercept([(ONE, z - 500, w)], np.full(4, 0.5)), 0)


def test_long_training_reads_all_rows():
    assert n_rows_to_read(1000, 1) == 1000
    assert n_rows_to_read(100_000, 1) == 65_536
    assert n_rows_to_read(1_000_000, 1) == 250_000
    assert n_rows_to_read(1_000_000, 9) == 1_000_000


@pytest.fixture
def long_log():
    return make_funnel(80_000, random_state=0)


def level(ranker, log):
    return ranker.predict_task_proba(log.data).mean(axis=0) / log.target.mean()


@pytest.mark.parametrize("unseen", [False, True])
def test_short_training_uses_its_own_predictions(long_log, unseen, monkeypatch):
    target = long_log.target.astype(float)
    if unseen:  # a task whose two labels are in none of the batches that are kept
        two = [target["cart"].argmin(), target["cart"].argmax()]
        target.loc[~target.index.isin(two), "cart"] = np.nan
    read = []
    monkeypatch.setattr(
        "skmtl.training.loop.logits", lambda *a: read.append(a[2]) or logits(*a)
    )
    ranker = ShareBottom(max_iter=1, dropout=0.2, batch_size=1024, random_state=3)
    ranker.fit(long_log.data, target)
    assert len(read) == unseen
    # Of 80 orders; the rate of training rows is exact where all rows are read.
    assert_allclose(level(ranker, long_log)[["click", "order"]], 1, atol=0.06)
    assert abs(level(ranker, long_log)["click"] - 1) < 0.02


def test_epochs_of_earlier_fits_do_not_count(monkeypatch):
    log = make_funnel(3000, random_state=0)
    seen = []

    def few(n_rows, n_epochs):
        seen.append(n_epochs)
        return 500

    monkeypatch.setattr("skmtl.training.fit.n_rows_to_read", few)
    ranker = ShareBottom(max_iter=3, warm_start=True, random_state=0)
    ranker.fit(log.data, log.target[["click", "cart"]])
    ranker.set_params(max_iter=1).fit(log.data, log.target[["click", "cart"]])
    assert ranker.n_iter_ == 4
    assert seen == [3, 3, 1, 1]  # before training, and after it


def test_no_row_is_kept_where_all_are_read():
    late = LatePredictions(0)
    late.on_epoch_begin(None, dataset_train=range(8))
    batch = {"ids": None}, np.zeros((8, 1))
    late.on_batch_end(None, batch=batch, training=True, y_pred=None, weight=None)
    late.on_epoch_end(None)
    assert late.parts(None, binary_kinds(1)) == []


def test_rates_of_a_long_table_are_the_observed_rates_under_label_weights():
    log = make_funnel(40_000, random_state=0)
    weights = {"click": 1, "cart": 10, "order": 100}
    ranker = ShareBottom(
        label_weight=weights,
        max_iter=4,
        batch_size=2048,
        early_stopping=False,
        random_state=0,
    )
    proba = ranker.fit(log.data, log.target).predict_task_proba(log.data)
    assert_allclose(proba.mean(axis=0), log.target.mean(), rtol=1e-4)


def test_late_predictions_lie_in_one_piece_of_memory():
    late = LatePredictions(10)
    late.on_epoch_begin(None, dataset_train=range(12))
    batches = [torch.randn(k, 2) for k in (2, 4, 4, 2)]
    for z in batches:
        rows = torch.zeros(len(z), 3)
        late.on_batch_end(None, ({"ids": rows}, rows), True, z, None)
    kept = [z for _, z in late.found_]
    assert len(kept) == 3
    for z, given in zip(kept, batches[1:], strict=True):
        assert torch.equal(z, given)
    assert len({z.untyped_storage().data_ptr() for z in kept}) == 1
    # The next epoch does not write into what the last one left.
    late.on_epoch_end(None)
    late.on_epoch_begin(None, dataset_train=range(12))
    later = torch.randn(12, 2)
    late.on_batch_end(None, ({"ids": later}, later), True, later, None)
    for (_, z), given in zip(late.last_, batches[1:], strict=True):
        assert torch.equal(z, given)
