"""Training that diverges or is interrupted keeps what was good."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from tests.rankers.makers import small_mmoe


def test_diverging_loss_keeps_the_last_good_weights(impressions):
    X, y = impressions

    def explode(progress):
        return 1.0 if progress < 0.5 else 1e30

    ranker = small_mmoe(max_iter=4, learning_rate_schedule=explode, optimizer="sgd")
    with pytest.warns(ConvergenceWarning, match="Try a smaller learning_rate"):
        ranker.fit(X, y)
    assert 1 <= ranker.n_iter_ < 4
    assert np.isfinite(ranker.predict_task_proba(X)).all()
    assert ranker.score(X, y) > 0.5


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("loss_weight", [None, "uncertainty", "gradnorm"])
def test_training_goes_on_after_a_loss_that_diverged(
    impressions, loss_weight, optimizer
):
    X, y = impressions

    def explode(progress):
        return 1.0 if progress < 0.4 else 1e12

    how = {"loss_weight": loss_weight, "optimizer": optimizer, "warm_start": True}
    ranker = small_mmoe(max_iter=4, learning_rate_schedule=explode, **how)
    with pytest.warns(ConvergenceWarning, match="Try a smaller learning_rate"):
        ranker.fit(X, y)
    kept = ranker.loss_weight_
    assert ranker.n_iter_ == 1
    assert (kept > 1e-3).all()
    assert (kept < 1e3).all()
    assert not any(one.state for one in ranker.net_.all_optimizers)
    score = ranker.score(X, y)
    ranker.set_params(learning_rate_schedule="constant", max_iter=2).fit(X, y)
    assert ranker.n_iter_ == 3
    assert ranker.score(X, y) > score


def test_diverging_at_once_leaves_the_fitted_ranker(impressions):
    X, y = impressions
    ranker = small_mmoe().fit(X, y)
    expected = ranker.predict_task_proba(X)
    ranker.set_params(learning_rate=1e30, optimizer="sgd")
    with pytest.raises(ValueError, match=r"task '(click|cart)' is no longer a finite"):
        ranker.fit(X, y)
    assert_array_equal(ranker.predict_task_proba(X), expected)


class Interrupt(Callback):
    """Press Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, **_):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_interrupted_fit_keeps_whole_epochs(impressions, early_stopping):
    X, y = impressions
    how = {"learning_rate_schedule": "constant", "early_stopping": early_stopping}
    expected = small_mmoe(max_iter=2, **how).fit(X, y)
    ranker = small_mmoe(max_iter=9, callbacks=[Interrupt(3)], warm_start=True, **how)
    with pytest.warns(ConvergenceWarning, match="interrupted after 2 whole epochs"):
        ranker.fit(X, y)
    assert ranker.n_iter_ == 2
    pd.testing.assert_frame_equal(ranker.history_, expected.history_)
    assert_array_equal(ranker.predict_task_proba(X), expected.predict_task_proba(X))
    assert ranker.set_params(callbacks=None, max_iter=1).fit(X, y).n_iter_ == 3


def test_an_interrupted_fit_keeps_the_loss_weights_of_whole_epochs(impressions):
    how = {"learning_rate_schedule": "constant", "loss_weight": "uncertainty"}
    expected = small_mmoe(max_iter=2, **how).fit(*impressions)
    ranker = small_mmoe(max_iter=9, callbacks=[Interrupt(3)], **how)
    with pytest.warns(ConvergenceWarning, match="interrupted after 2 whole epochs"):
        ranker.fit(*impressions)
    assert_array_equal(ranker.loss_weight_, expected.loss_weight_)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_interrupted_at_once_leaves_the_fitted_ranker(impressions, method):
    X, y = impressions
    ranker = small_mmoe(warm_start=True)
    getattr(ranker, method)(X, y)
    expected, n_iter = ranker.predict_task_proba(X), ranker.n_iter_
    ranker.set_params(callbacks=[Interrupt(n_iter + 1)])
    with pytest.raises(KeyboardInterrupt):
        getattr(ranker, method)(X, y)
    assert ranker.n_iter_ == n_iter
    assert_array_equal(ranker.predict_task_proba(X), expected)
    with pytest.raises(KeyboardInterrupt):
        getattr(clone(ranker.set_params(callbacks=[Interrupt(1)])), method)(X, y)


def test_trains_where_gradients_are_off(impressions):
    X, y = impressions
    expected = small_mmoe().fit(X, y).predict_task_proba(X)
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            ranker = small_mmoe().fit(X, y)
        assert_array_equal(ranker.predict_task_proba(X), expected)
        ranker.partial_fit(X, y)
