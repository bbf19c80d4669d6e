"""A last step that diverges is found, though no loss of training shows it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from skorch.callbacks import Callback

from skmtl import MMoE, PooledTask, ShareBottom
from tests.rankers.conftest import make_impressions

# An epoch is one step, so that every step is the last of its epoch.
ONE_STEP = {"batch_size": 200, "random_state": 0, "embedding_dim": 4}
SENTENCE = "The loss of task '(click|cart)' is no longer a finite number"


@pytest.mark.parametrize("ranker", [MMoE, ShareBottom, PooledTask])
@pytest.mark.parametrize("max_iter", [1, 2])
@pytest.mark.parametrize("learning_rate", [1e10, 1e20, 1e30])
def test_a_fit_of_one_step(ranker, learning_rate, max_iter):
    X, y = make_impressions(200)
    made = ranker(learning_rate=learning_rate, max_iter=max_iter, **ONE_STEP)
    with pytest.raises(ValueError, match=f"{SENTENCE}.*nothing was kept"):
        made.fit(X, y)


class Jump(Callback):
    """Make the step of one epoch much too long."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **_):
        if len(net.history) == self.epoch:
            for optimizer in net.all_optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = 1e25


@pytest.mark.parametrize("loss_weight", [None, "uncertainty", "mgda", "famo"])
@pytest.mark.parametrize("max_iter", [3, 4])
def test_the_epoch_before_is_kept(max_iter, loss_weight):
    """Also where training would have continued from the weights that diverged."""
    X, y = make_impressions(200)
    params = ONE_STEP | {"loss_weight": loss_weight}
    good = MMoE(max_iter=2, **params).fit(X, y)
    made = MMoE(max_iter=max_iter, callbacks=[Jump(3)], **params)
    with pytest.warns(UserWarning, match=f"{SENTENCE}.*stopped after 2 whole epochs"):
        made.fit(X, y)
    assert made.n_iter_ == 2
    # The weights are averaged along training, over a window that max_iter decides.
    expected = good.predict_task_proba(X)
    assert_allclose(made.predict_task_proba(X), expected, atol=0.01)
    assert_allclose(made.loss_weight_, good.loss_weight_, rtol=0.05)


def test_a_warm_start_that_diverges_leaves_the_ranker():
    X, y = make_impressions(200)
    made = MMoE(max_iter=1, loss_weight="stochastic_mgda", **ONE_STEP).fit(X, y)
    expected = made.predict_task_proba(X)
    made.set_params(warm_start=True, learning_rate=1e30)
    with pytest.raises(ValueError, match=SENTENCE):
        made.fit(X, y)
    assert_array_equal(made.predict_task_proba(X), expected)


def test_large_numbers_alone_are_no_divergence():
    X, y = make_impressions(200)
    made = ShareBottom(learning_rate=30.0, max_iter=2, **ONE_STEP).fit(X, y)
    norm = sum(p.square().sum() for p in made.net_.module_.parameters()) ** 0.5
    assert norm > 10
    assert np.isfinite(made.predict_task_proba(X)).all()
