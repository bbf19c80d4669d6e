"""GradNorm against the gradient of its own loss, taken twice by autograd."""

import math

import pytest
import torch

from skmtl.weighting import GradNorm
from tests.weighting.conftest import (
    TASKS,
    dense,
    make_batch,
    make_module,
    make_step,
    task_losses,
)


def by_autograd(weights, parameter, losses, initial, alpha):
    """The paper's equations 1 and 2 on a shared parameter, differentiated by w."""
    weights = weights.clone().requires_grad_()
    norms = torch.stack(
        [
            torch.autograd.grad(w * loss, parameter, create_graph=True)[0].norm()
            for w, loss in zip(weights, losses, strict=True)
        ]
    )
    left = losses.detach() / initial
    target = (norms.mean() * (left / left.mean()) ** alpha).detach()
    (norms - target).abs().sum().backward()
    return weights.grad


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.9, 0.1], [0.02, 1.98]])
def test_slope_on_a_problem_of_two_parameters(alpha, weights):
    x = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    initial = torch.tensor([2.0, 0.5], dtype=torch.float64)
    losses = torch.stack([(x[0] - 1).square() + x[1] ** 2, 0.1 * (x[0] + x[1]).exp()])
    w = torch.tensor(weights, dtype=torch.float64)
    norms = torch.stack(
        [torch.autograd.grad(loss, x, retain_graph=True)[0].norm() for loss in losses]
    )
    expected = by_autograd(w, x, losses, initial, alpha)
    weighting = GradNorm(alpha=alpha).start(["a", "b"])
    weighting.begin(lambda: initial)
    found = weighting.slope(w * norms, losses.detach())
    # By the chain rule: d/d(log w) = w d/dw.
    torch.testing.assert_close(found, w * expected, rtol=1e-10, atol=0)


def test_slope_by_hand():
    weighting = GradNorm(alpha=1.0).start(["a", "b"])
    weighting.begin(lambda: torch.tensor([1.0, 1.0]))
    # r = (0.75, 0.25) / 0.5 = (1.5, 0.5); the mean norm is 3: targets 4.5 and 1.5.
    slope = weighting.slope(torch.tensor([4.0, 2.0]), torch.tensor([0.75, 0.25]))
    assert slope.tolist() == [-4.0, 2.0]


@pytest.mark.parametrize(
    "at", ["representation", "last_shared_layer", "shared_parameters"]
)
def test_step_matches_autograd_in_a_network(module, at):
    X, y = make_batch()
    weighting = GradNorm(alpha=0.7, at=at).start(TASKS).double()
    weighting.begin(lambda: torch.tensor([0.5, 0.9, 0.6], dtype=torch.float64))
    with torch.no_grad():
        weighting.log_weights.copy_(torch.tensor([0.8, 1.7, 0.5]).log())
    step = make_step(module, X, y)
    weighting.backward(step)
    found = [dense(p.grad).clone() for p in module.parameters()]
    weights = weighting.current()
    probe = make_step(module, X, y)
    probe.through_towers(torch.ones(3, dtype=torch.float64), apart=True)
    norms = weights * probe.gramian(at).diagonal().sqrt()
    expected = weighting.slope(norms, probe.losses.detach())
    torch.testing.assert_close(weighting.log_weights.grad, expected)
    # The network descends the weighted sum, towers included.
    module.zero_grad()
    (weights * task_losses(module(**X), y)).sum().backward()
    for one, p in zip(found, module.parameters(), strict=True):
        torch.testing.assert_close(one, dense(p.grad), rtol=1e-9, atol=1e-14)


def train(weighting, scale, steps=800):
    """Two least-squares tasks on one vector, the losses multiplied by `scale`."""
    torch.manual_seed(0)
    A = torch.randn(2, 30, 10, dtype=torch.float64)
    b = torch.randn(2, 30, dtype=torch.float64)
    x = torch.zeros(10, dtype=torch.float64)

    def gradients(x):
        residual = torch.einsum("tnd,d->tn", A, x) - b
        return scale * residual.square().mean(dim=1), scale[:, None] * (
            2 * torch.einsum("tnd,tn->td", A, residual) / 30
        )

    weighting.double().begin(lambda: gradients(x)[0])
    optimizer = torch.optim.Adam(weighting.parameters(), lr=weighting.learning_rate)
    for _ in range(steps):
        losses, g = gradients(x)
        weights = weighting.current()
        norms = weights * g.norm(dim=1)
        weighting.log_weights.grad = weighting.slope(norms, losses)
        optimizer.step()
        weighting.after_step(None)
        x = x - 0.01 * (weights @ g) / (weights @ scale)
    return weighting.current(), weights * g.norm(dim=1)


def test_a_loss_of_large_numbers_does_not_drown_the_other():
    weights, norms = train(
        GradNorm(alpha=0.0).start(["a", "b"]), torch.tensor([1000.0, 1.0]).double()
    )
    assert weights.sum() == pytest.approx(2)
    assert (weights > 0).all()
    assert norms.max() / norms.min() < 1.1
    # With even weights the first outweighs the other by far.
    assert (norms / weights).max() / (norms / weights).min() > 50


def test_a_task_without_a_label_keeps_its_weight():
    weighting = GradNorm().start(TASKS)
    weighting.begin(lambda: torch.ones(3))
    slope = weighting.slope(torch.tensor([2.0, 0.0, 1.0]), torch.tensor([0.5, 0, 0.5]))
    assert slope.tolist() == [2.0, 0.0, -1.0]
    # As if the others were alone.
    alone = GradNorm().start(TASKS[:2])
    alone.begin(lambda: torch.ones(2))
    other = alone.slope(torch.tensor([2.0, 1.0]), torch.tensor([0.5, 0.5]))
    assert other.tolist() == [2.0, -1.0]
    nothing = weighting.slope(torch.zeros(3), torch.zeros(3))
    assert nothing.tolist() == [0.0, 0.0, 0.0]


def test_weights_sum_to_the_number_of_tasks():
    weighting = GradNorm().start(TASKS)
    with torch.no_grad():
        weighting.log_weights.copy_(torch.tensor([5.0, -3.0, 0.1]))
    before = weighting.current()
    weighting.after_step(None)
    after = weighting.current()
    assert float(after.sum()) == pytest.approx(3, rel=1e-6)
    torch.testing.assert_close(after / after[0], before / before[0])


def test_preference_sets_the_target():
    weighting = GradNorm(alpha=0.0, preference=[3, 1]).start(["a", "b"])
    weighting.begin(lambda: torch.ones(2))
    for norms, signs in (([3.1, 1.0], [1, -1]), ([2.9, 1.0], [-1, 1])):
        slope = weighting.slope(torch.tensor(norms), torch.ones(2))
        assert slope.sign().tolist() == signs


def test_initial_losses_are_measured_once():
    weighting = GradNorm().start(["a", "b"])
    weighting.begin(lambda: torch.tensor([1.0, 2.0]))
    weighting.begin(lambda: pytest.fail("measured again"))
    assert weighting.initial.tolist() == [1.0, 2.0]


def test_bad_alpha():
    for alpha in (-1, math.inf, math.nan):
        with pytest.raises(ValueError, match="alpha of GradNorm must be a"):
            GradNorm(alpha=alpha).start(["a"])


def test_module_without_a_shared_layer_names_the_way_out():
    module = make_module("bottom")
    module.sharing.layers = torch.nn.Sequential()
    with pytest.raises(ValueError, match="Use at='representation'"):
        module.last_shared_layer()
