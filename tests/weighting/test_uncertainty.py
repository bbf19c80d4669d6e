"""Uncertainty against TorchJD's form, and at rest."""

import pytest
import torch

from skmtl.weighting import Uncertainty
from tests.weighting.conftest import TASKS


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_tasks", [2, 8])
def test_equals_torchjd_on_twice_the_loss(seed, n_tasks):
    """TorchJD has the paper's form for regression, half of ours for each loss."""
    scalarization = pytest.importorskip("torchjd.scalarization")
    torch.manual_seed(seed)
    losses = torch.rand(n_tasks, requires_grad=True)
    ours = Uncertainty().start([str(t) for t in range(n_tasks)])
    theirs = scalarization.UW(n_tasks)
    with torch.no_grad():
        ours.log_variance.normal_()
        theirs.log_var.copy_(ours.log_variance)
    found, expected = ours(losses), theirs(2 * losses)
    torch.testing.assert_close(found, expected)
    (one,) = torch.autograd.grad(found, ours.log_variance, retain_graph=True)
    (other,) = torch.autograd.grad(expected, theirs.log_var, retain_graph=True)
    torch.testing.assert_close(one, other)
    torch.testing.assert_close(torch.autograd.grad(found, losses)[0], ours.current())


def settle(scale, steps=1500):
    """Weights while the losses fall from one value to another."""
    start, end = torch.tensor([0.6, 0.04]), torch.tensor([0.3, 0.02])
    weighting = Uncertainty().start(["a", "b"])
    weighting.begin(lambda: scale * start)
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.005)
    found = [weighting.current()]
    for step in range(steps):
        optimizer.zero_grad()
        weighting(scale * (start + (end - start) * min(1, step / 500))).backward()
        optimizer.step()
        found.append(weighting.current())
    return torch.stack(found)


def test_a_loss_times_1000_gets_a_thousandth_of_the_weight_at_every_step():
    plain = settle(torch.ones(2))
    torch.testing.assert_close(plain[0], 0.5 / torch.tensor([0.6, 0.04]))
    at_rest = 0.5 / torch.tensor([0.3, 0.02])
    torch.testing.assert_close(plain[-1], at_rest, rtol=1e-3, atol=0)
    scale = torch.tensor([1000.0, 1.0])
    # At rest the sign of a step, of 0.005, is that of the rounding error.
    torch.testing.assert_close(settle(scale) * scale, plain, rtol=0.01, atol=0)


def test_a_task_without_a_label_keeps_its_variance():
    weighting = Uncertainty().start(TASKS)
    weighting(torch.tensor([0.4, 0.0, 0.1])).backward()
    gradient = weighting.log_variance.grad
    assert gradient[1] == 0
    assert (gradient[[0, 2]] != 0).all()


def test_a_task_never_observed_stays_finite():
    weighting = Uncertainty(learning_rate=1.0).start(["a", "b"])
    optimizer = torch.optim.SGD(weighting.parameters(), lr=1.0)
    for _ in range(500):
        optimizer.zero_grad()
        weighting(torch.tensor([0.5, 0.0])).backward()
        optimizer.step()
    assert weighting.current().tolist() == pytest.approx([1.0, 1.0])
