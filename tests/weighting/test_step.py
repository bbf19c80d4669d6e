"""The way back in two halves gives what plain autograd gives."""

import pytest
import torch

from skmtl.modules import ParallelTowers, SharedBottom, Sharing
from tests.weighting.conftest import (
    dense,
    make_batch,
    make_module,
    make_step,
    task_losses,
)

WEIGHTS = torch.tensor([0.5, 2.0, 0.1], dtype=torch.float64)


def plain_gradients(module, X, y, parameters, weight=None):
    """Gradient of every task's loss, by one pass each."""
    losses = task_losses(module(**X), y, weight)
    return [
        [
            torch.zeros_like(p) if g is None else dense(g)
            for p, g in zip(
                parameters,
                torch.autograd.grad(
                    loss, parameters, retain_graph=True, allow_unused=True
                ),
                strict=True,
            )
        ]
        for loss in losses
    ]


def split_parameters(module):
    towers = list(module.towers.parameters())
    own = {id(p) for p in towers}
    return towers, [p for p in module.parameters() if id(p) not in own]


@pytest.mark.parametrize("above", [torch.ones(3).double(), WEIGHTS])
@pytest.mark.parametrize("apart", [True, False])
def test_towers_get_one_weighted_sum_and_what_is_shared_another(module, above, apart):
    X, y = make_batch()
    towers, shared = split_parameters(module)
    per_task = plain_gradients(module, X, y, towers + shared)
    below = torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64) if apart else None
    step = make_step(module, X, y, apart=apart)
    step.through_towers(above, apart=apart)
    step.descend(below)
    factor = above * below if apart else above
    for k, p in enumerate(towers + shared):
        weights = above if k < len(towers) else factor
        expected = sum(w * g[k] for w, g in zip(weights, per_task, strict=True))
        torch.testing.assert_close(dense(p.grad), expected, rtol=1e-9, atol=1e-12)


def shared_tensors(module, X):
    """Outputs that all tasks share, and the representations they make."""
    x = module.embedding(**X)
    if hasattr(module.sharing, "experts"):
        x = module.sharing.bottom(x)
        shared = module.sharing.experts(x)
        mixed = torch.bmm(module.sharing.gate_weights(x), shared).transpose(0, 1)
        return shared, mixed
    shared = module.sharing.layers(x)
    return shared, shared.expand(3, *shared.shape)


@pytest.mark.parametrize("above", [torch.ones(3).double(), WEIGHTS])
def test_gramian_at_the_tensors_that_tasks_share(module, above):
    X, y = make_batch()
    shared, representation = shared_tensors(module, X)
    losses = task_losses(module.towers(representation), y)
    rows = torch.stack(
        [torch.autograd.grad(loss, shared, retain_graph=True)[0] for loss in losses]
    ).flatten(1)
    step = make_step(module, X, y)
    step.through_towers(above, apart=True)
    torch.testing.assert_close(step.gramian(), rows @ rows.t(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("at", ["shared_parameters", "last_shared_layer"])
def test_gramian_by_parameters(module, at):
    X, y = make_batch()
    parameters = getattr(module, at)()
    per_task = plain_gradients(module, X, y, parameters)
    rows = torch.stack([torch.cat([g.flatten() for g in gs]) for gs in per_task])
    step = make_step(module, X, y)
    step.through_towers(WEIGHTS, apart=True)
    torch.testing.assert_close(step.gramian(at), rows @ rows.t(), rtol=1e-9, atol=0)
    step.descend()  # the graph below the cut is still there


def test_gates_are_no_shared_parameters():
    module = make_module("experts")
    shared = {id(p) for p in module.shared_parameters()}
    assert not shared & {id(p) for p in module.sharing.gates.parameters()}
    assert id(module.embedding.ids.tables[0]) in shared
    last = {id(p) for p in module.last_shared_layer()}
    assert last == {id(p) for p in module.sharing.rest[0].parameters()}


def test_recording_changes_no_gradient(module):
    X, y = make_batch()
    found = []
    for record in (False, True):
        module.zero_grad()
        step = make_step(module, X, y, record=record, apart=False)
        step.through_towers(WEIGHTS)
        step.descend()
        found.append([dense(p.grad) for p in module.parameters()])
    assert step.gramian().shape == (3, 3)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-14)


def test_one_gradient_for_all_tasks_where_they_read_one_and_nobody_asks_for_more():
    module = make_module("bottom")
    X, y = make_batch()
    joint = make_step(module, X, y, apart=False)
    assert len(joint.cut) == 1
    for asks in ({"apart": True}, {"record": True, "apart": False}):
        assert len(make_step(module, X, y, **asks).cut) == 3
    assert len(make_step(make_module("experts"), X, y, apart=False).cut) == 3
    with pytest.raises(RuntimeError, match=r"Set the class attribute apart = True"):
        joint.through_towers(WEIGHTS, apart=True)
    joint.through_towers(WEIGHTS)
    for at in ("representation", "last_shared_layer"):
        with pytest.raises(RuntimeError, match="gradient of the sum of the losses"):
            joint.gramian(at)
    with pytest.raises(RuntimeError, match=r"only the gradient of the sum of"):
        joint.descend(WEIGHTS)


def test_towers_that_read_each_task_get_a_representation_for_each():
    class Second(ParallelTowers):
        def forward(self, representation):
            return super().forward(representation) * representation[1].mean()

    module = make_module("bottom")
    module.towers.__class__ = Second
    assert len(make_step(module, *make_batch(), apart=False).cut) == 3


def test_a_bottom_of_ones_own_trains_on_what_it_predicts_with():
    class Scaled(SharedBottom):
        def forward(self, x):
            return 3 * super().forward(x)

    module = make_module("bottom")
    module.sharing.__class__ = Scaled
    X, _ = make_batch()
    assert torch.equal(module.split(**X)[0], module.representation(**X))


def test_weight_zero_leaves_a_gradient_unknown():
    X, y = make_batch()
    step = make_step(make_module("experts"), X, y)
    step.through_towers(torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))
    gramian = step.gramian()
    assert gramian.isfinite().all()
    assert (gramian[1] == 0).all()
    assert gramian[0, 0] > 0


def test_nothing_below_the_cut_is_no_error():
    module = make_module("bottom")
    X, y = make_batch()
    for p in split_parameters(module)[1]:
        p.requires_grad_(False)
    step = make_step(module, X, y)
    step.through_towers(WEIGHTS)
    step.descend()
    towers = split_parameters(module)[0]
    per_task = plain_gradients(module, X, y, towers)
    for k, p in enumerate(towers):
        expected = sum(w * g[k] for w, g in zip(WEIGHTS, per_task, strict=True))
        torch.testing.assert_close(dense(p.grad), expected, rtol=1e-9, atol=1e-12)


def test_a_sharing_without_mix_counts_as_one_tensor_for_each_task():
    module = make_module("bottom")
    X, _ = make_batch()
    expected = module.representation(**X)

    class Plain(Sharing):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x)

    module.sharing = Plain(module.sharing)
    representation, mixture = module.split(**X)
    assert torch.equal(representation, expected)
    assert torch.equal(mixture, torch.eye(3, dtype=torch.float64)[None])
    with pytest.raises(ValueError, match="needs a dense layer that the tasks share"):
        module.last_shared_layer()
