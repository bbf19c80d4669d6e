"""A strategy looks back on a step: the losses of its batch, before and after it."""

import inspect
from typing import ClassVar

import pytest
import torch
from numpy.testing import assert_array_equal
from torch.nn.modules.module import register_module_forward_pre_hook

from skmtl import MMoE, ShareBottom
from skmtl.weighting import LossWeighting, StaticWeighting, Uncertainty
from tests.rankers.conftest import make_impressions
from tests.weighting.conftest import make_batch, make_module, make_step

SMALL = {
    "max_iter": 2,
    "batch_size": 64,
    "random_state": 0,
    "dropout": 0.5,
    "embedding_dim": 4,
}


class LooksBack(StaticWeighting):
    """Weights of 1, and a diary."""

    looks_back = True
    diary: ClassVar[list] = []

    def after_step(self, step):
        before = step.losses.detach()
        self.diary.append((before, step.losses_after(), step.losses_after()))


@pytest.fixture
def diary(monkeypatch):
    monkeypatch.setattr(LooksBack, "diary", [])
    return LooksBack.diary


def fit(weighting, cls=MMoE, **params):
    X, y = make_impressions(200)
    ranker = cls(loss_weight=weighting, **SMALL | params)
    return ranker.fit(X, y).predict_task_proba(X)


def test_the_difference_is_what_the_step_did(diary):
    """With steps of no length it is nothing, under dropout and unknown ids too."""
    fit(LooksBack([1.0, 1.0]), learning_rate=1e-30, optimizer="sgd")
    assert len(diary) == 8
    for before, after, again in diary:
        assert torch.equal(before, after)
        assert torch.equal(before, again)
    assert len({tuple(before.tolist()) for before, *_ in diary}) == 8


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_falls_in_the_first_step(diary, seed):
    """Later ones follow the gradients of other batches too, by their moments."""
    fit(LooksBack([1.0, 1.0]), max_iter=1, learning_rate=1e-3, random_state=seed)
    before, after, _ = diary[0]
    assert after.sum() < before.sum()


def test_looking_back_changes_no_bit_of_the_fit(diary):
    assert_array_equal(fit(LooksBack([1.0, 1.0])), fit(StaticWeighting([1.0, 1.0])))
    assert len(diary) == 8


def test_large_batches_are_taken_again_in_the_same_blocks(diary, monkeypatch):
    X, y = make_impressions(200)
    net = inspect.getmodule(type(MMoE(**SMALL).fit(X, y).net_))
    monkeypatch.setattr(net, "_WHOLE_ROWS", 100)
    monkeypatch.setattr(net, "_BLOCK_ROWS", 30)
    fit(
        LooksBack([1.0, 1.0]),
        ShareBottom,
        batch_size=200,
        learning_rate=1e-30,
        optimizer="sgd",
    )
    for before, after, _ in diary:
        assert torch.equal(before, after)


def test_it_costs_only_who_asks(diary):
    class AsksOnce(LooksBack):
        def after_step(self, step):
            step.losses_after()

    class AsksNot(LooksBack):
        def after_step(self, step):
            pass

    counts = []
    for weighting in (AsksOnce([1.0, 1.0]), AsksNot([1.0, 1.0])):
        seen = []
        hook = register_module_forward_pre_hook(
            lambda module, _, seen=seen: seen.append(type(module).__name__)
        )
        try:
            fit(weighting)
        finally:
            hook.remove()
        counts.append(seen.count("TaskLosses"))
    assert counts == [16, 8]


def test_who_does_not_declare_it_is_told_to():
    step = make_step(make_module("bottom"), *make_batch())
    with pytest.raises(RuntimeError, match="looks_back = True"):
        step.losses_after()


def test_a_gradient_that_no_optimiser_applies_is_refused():
    class Late(Uncertainty):
        def after_step(self, step):
            self.log_variance.grad = torch.ones(2)

    with pytest.raises(RuntimeError, match=r"Change the parameters in place"):
        fit(Late())


def test_parameters_may_be_changed_after_a_step():
    class Halved(Uncertainty):
        def after_step(self, step):
            with torch.no_grad():
                self.log_variance.mul_(0.0)

    X, y = make_impressions(200)
    ranker = MMoE(loss_weight=Halved(), **SMALL).fit(X, y)
    assert ranker.loss_weight_.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("parent", "arguments"), [(StaticWeighting, ([1.0, 2.0],)), (Uncertainty, ())]
)
def test_known_weights_are_withdrawn_from_who_weighs_otherwise(parent, arguments):
    class Forward(parent):
        def forward(self, losses):
            return losses.square().sum()

    class Mixin:
        def backward(self, step):
            step.descend()

    class Backward(Mixin, parent):
        pass

    class Apart(parent):
        apart = True

    class Child(Forward):
        pass

    class Says(Forward):
        def ahead(self):
            return torch.ones(2)

    class Harmless(parent):
        def after_epoch(self, losses):
            pass

    for cls in (Forward, Backward, Apart, Child):
        assert cls(*arguments).start("ab").ahead() is None
    assert Says(*arguments).start("ab").ahead().tolist() == [1.0, 1.0]
    for cls in (parent, Harmless):
        assert cls(*arguments).start("ab").ahead() is not None
    assert LossWeighting().start("ab").ahead() is None
