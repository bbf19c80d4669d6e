"""skorch's callbacks do what their documentation says."""

import copy
import io

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from skorch.callbacks import (
    Callback,
    Freezer,
    GradientNormClipping,
    LoadInitState,
    LRScheduler,
    TrainEndCheckpoint,
)
from skorch.callbacks import Checkpoint as SkorchCheckpoint
from torch.optim.lr_scheduler import ExponentialLR

from skmtl import MMoE
from tests.rankers.makers import ON_IMPRESSIONS

SMALL = {
    **ON_IMPRESSIONS,
    "max_iter": 2,
    "expert_units": (8,),
    "tower_units": (4,),
    "batch_size": 256,
}


def fitted(impressions, *callbacks, **params):
    X, y = impressions
    return MMoE(callbacks=list(callbacks), **{**SMALL, **params}).fit(X, y)


class Norms(Callback):
    """Keep the norm of every gradient that a step is about to take."""

    def __init__(self, after=None):
        self.after = after
        self.found = []

    def on_grad_computed(self, net, named_parameters, **_):
        squares = {n: p.grad.square().sum() for n, p in named_parameters if p.numel()}
        self.found.append({n: float(s) ** 0.5 for n, s in squares.items()})


def test_gradients_are_shown_before_each_step(impressions):
    norms = Norms()
    ranker = fitted(impressions, norms, max_iter=1)
    n_steps = -(-len(impressions[0]) // 256)
    assert len(norms.found) == n_steps
    names = {n for n, p in ranker.net_.get_all_learnable_params() if p.numel()}
    assert set(norms.found[0]) == names
    assert all(norm > 0 for norm in norms.found[-1].values())


@pytest.mark.parametrize("embedding_optimizer", ["lazy_adam", "adagrad", "adam"])
def test_clipped_gradients_are_those_of_the_step(impressions, embedding_optimizer):
    params = {"optimizer": "sgd", "embedding_optimizer": embedding_optimizer}
    clipped = Norms()
    fitted(impressions, GradientNormClipping(1e-3), clipped, **params)
    for norms in clipped.found:
        total = np.sqrt(np.sum(np.square(list(norms.values()))))
        assert total == pytest.approx(1e-3, rel=1e-3)
    # Steps of nothing move nothing: everything stays where it started.
    still = fitted(impressions, GradientNormClipping(1e-30), **params)
    first = fitted(impressions, learning_rate=1e-30, **params)
    for name, one in still.net_.module_.state_dict().items():
        if embedding_optimizer == "adagrad" or "ids" not in name:
            torch.testing.assert_close(
                one, first.net_.module_.state_dict()[name], atol=1e-6, rtol=1e-4
            )


def test_gradients_that_are_only_looked_at_change_no_bit(impressions):
    expected = fitted(impressions).predict_task_proba(impressions[0])
    found = fitted(impressions, Norms()).predict_task_proba(impressions[0])
    assert_array_equal(found, expected)


def test_a_scheduler_reaches_every_optimizer(impressions):
    rates = []

    class Rates(Callback):
        def on_epoch_end(self, net, **_):
            rates.append([g["lr"] for g in net.optimizer_.param_groups])

    scheduler = LRScheduler(ExponentialLR, gamma=0.1)
    ranker = fitted(impressions, Rates(), scheduler, max_iter=3)
    assert len(ranker.net_.all_optimizers) > 1
    assert all(len(of_epoch) == len(rates[0]) for of_epoch in rates)
    assert rates[0][0] == 5e-3
    np.testing.assert_allclose(rates, np.logspace(0, -2, 3)[:, None] * [rates[0]])


def test_saved_optimizers_hold_the_moments_of_tables(impressions):
    ranker = fitted(impressions)
    file = io.BytesIO()
    ranker.net_.save_params(f_optimizer=file)
    other = copy.deepcopy(ranker)
    for one in other.net_.all_optimizers:
        one.state.clear()
    file.seek(0)
    other.net_.load_params(f_optimizer=file)
    for one, same in zip(
        ranker.net_.all_optimizers, other.net_.all_optimizers, strict=True
    ):
        assert one.state
        for p, q in zip(one.state.values(), same.state.values(), strict=True):
            for name in p:
                torch.testing.assert_close(p[name], q[name], rtol=0, atol=0)
    X, y = impressions
    assert_array_equal(
        ranker.set_params(warm_start=True).fit(X, y).predict_task_proba(X),
        other.set_params(warm_start=True).fit(X, y).predict_task_proba(X),
    )


def test_frozen_parameters_stay(impressions):
    start = fitted(impressions, learning_rate=1e-30)
    ranker = fitted(impressions, Freezer("towers.*"))
    moved = {
        name: not torch.equal(p, dict(start.net_.module_.named_parameters())[name])
        for name, p in ranker.net_.module_.named_parameters()
        if p.numel()
    }
    assert {name for name in moved if not moved[name]} == {
        name for name in moved if name.startswith("towers.")
    }


def test_resuming_from_weights_alone_is_refused(impressions, tmp_path):
    saving = SkorchCheckpoint(dirname=tmp_path)
    with pytest.raises(
        ValueError, match=r"callbacks\[1\] is LoadInitState .*skmtl\.Ch"
    ):
        fitted(impressions, saving, LoadInitState(saving))
    best = SkorchCheckpoint(dirname=tmp_path, load_best=True)
    with pytest.raises(ValueError, match=r"load_best=True.*early_stopping"):
        fitted(impressions, ("best", best))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("early_stopping", [False, True])
def test_saved_weights_are_those_of_the_ranker(impressions, early_stopping, tmp_path):
    params = {
        "early_stopping": early_stopping,
        "max_iter": 12,
        "n_iter_no_change": 1,
        "learning_rate": 0.3,
    }
    expected = fitted(impressions, **params)
    every = SkorchCheckpoint(monitor=None, dirname=str(tmp_path / "every"))
    last = TrainEndCheckpoint(dirname=str(tmp_path / "end"))
    ranker = fitted(impressions, last, every, **params)
    X = impressions[0]
    assert_array_equal(ranker.predict_task_proba(X), expected.predict_task_proba(X))
    if early_stopping:
        assert ranker.best_iter_ < ranker.n_iter_
    state = ranker.net_.module_.state_dict()
    saved = torch.load(tmp_path / "end" / "train_end_params.pt", weights_only=True)
    for name, value in state.items():
        torch.testing.assert_close(saved[name], value, rtol=0, atol=0)
    moments = torch.load(tmp_path / "every" / "optimizer.pt", weights_only=True)
    assert len(moments["parts"]) == len(ranker.net_.all_optimizers)
    assert all(part["state"] for part in moments["parts"])


class Counted(Callback):
    """Counts epochs from its initialization."""

    def initialize(self):
        self.n_epochs_ = 0
        return self

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs_ += 1


def test_what_a_callback_knows_is_kept_after_the_fit(impressions):
    counted = Counted()
    fitted(impressions, counted)
    assert counted.n_epochs_ == SMALL["max_iter"]
