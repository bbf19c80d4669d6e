"""FAMO against the reference implementation's numbers, TorchJD's and the formulas."""

import copy

import pytest
import torch

from skmtl.weighting import FAMO
from skmtl.weighting._step import StepTaken
from tests.weighting.conftest import (
    TASKS,
    make_batch,
    make_module,
    take_step,
    task_losses,
)

# Two quadratics of very different size. The numbers are those of the reference
# implementation (github.com/Cranial-XIX/FAMO, famo.py of 2023) with w_lr=0.025 and
# gamma=1e-3, in double precision: softmax of the logits, and the point, by step.
ENDS = torch.tensor([[-1.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
SCALE = torch.tensor([10.0, 0.1], dtype=torch.float64)
START = torch.tensor([0.3, 2.0], dtype=torch.float64)
REFERENCE = {
    1: ([0.5124972836, 0.4875027164], [0.2996850227, 1.9790166565]),
    10: ([0.6160962087, 0.3839037913], [0.2837207836, 1.7826592053]),
    50: ([0.5360781087, 0.4639218913], [0.2127676719, 1.1234418755]),
    200: ([0.4911041322, 0.5088958678], [0.2806546650, 0.4463745594]),
}


def losses_at(x, scale=SCALE):
    return scale * (x - ENDS).square().sum(dim=1) + 0.05


def take(weighting, losses, after):
    """A step whose losses are known before and after it."""
    step = StepTaken(losses.detach(), weighting.current())
    step.again = lambda: after
    weighting.after_step(step)


def descend(weighting, x, scale=SCALE, lr=0.02):
    x = x.clone().requires_grad_()
    losses = losses_at(x, scale)
    weighting(losses).backward()
    x = (x - lr * x.grad).detach()
    take(weighting, losses, losses_at(x, scale))
    return x


def started(names=("a", "b"), **params):
    return FAMO(**params).start(names).double()


def test_equals_the_reference_implementation():
    weighting, x = started(), START
    for step in range(1, 201):
        x = descend(weighting, x)
        if step in REFERENCE:
            shares, point = REFERENCE[step]
            assert weighting.logits.softmax(0).tolist() == pytest.approx(shares, 1e-8)
            assert x.tolist() == pytest.approx(point, 1e-8)


@pytest.mark.parametrize("n_tasks", [1, 2, 5])
def test_equals_torchjd(n_tasks):
    scalarization = pytest.importorskip("torchjd.scalarization")
    generator = torch.Generator().manual_seed(n_tasks)
    ours = started([str(t) for t in range(n_tasks)], gamma=0.01)
    theirs = scalarization.FAMO(n_tasks, weight_decay=0.01).double()
    for _ in range(20):
        before, after = 0.1 + torch.rand(2, n_tasks, generator=generator).double()
        one, other = (before.clone().requires_grad_() for _ in range(2))
        ours(one).backward()
        theirs(other).backward()
        # Ours sum to the number of tasks.
        torch.testing.assert_close(one.grad, n_tasks * other.grad)
        take(ours, before, after)
        theirs.update(after)


def test_weights_by_hand():
    weighting = started()
    losses = torch.tensor([0.3, 0.1], dtype=torch.float64, requires_grad=True)
    weighting(losses).backward()
    assert losses.grad.tolist() == pytest.approx([0.5, 1.5])
    with torch.no_grad():
        weighting.logits.copy_(torch.tensor([3.0, 1.0]).log())
    losses.grad = None
    weighting(losses).backward()
    # Shares 3/4 and 1/4: 3/4 / 0.3 = 2.5 and 1/4 / 0.1 = 2.5.
    assert losses.grad.tolist() == pytest.approx([1.0, 1.0])


def test_the_task_that_falls_less_gains():
    weighting = started()
    before = torch.tensor([0.5, 0.5], dtype=torch.float64)
    for _ in range(3):
        take(weighting, before, before * torch.tensor([0.9, 0.99]))
    assert weighting.logits[0] < 0 < weighting.logits[1]


def test_losses_of_any_size_fall_at_one_rate():
    """The first loss is 100 times the second; equal weights forget the second."""

    def fall(weights_of):
        x = START
        for _ in range(300):
            point = x.clone().requires_grad_()
            losses = losses_at(point)
            (weights_of(losses.detach()) * losses).sum().backward()
            x = (x - 0.02 * point.grad).detach()
            after(losses.detach(), losses_at(x))
        return (losses_at(x) / losses_at(START)).log()

    weighting = started()

    def by_famo(losses):
        known = losses.clone().requires_grad_()
        weighting(known).backward()
        return known.grad

    def after(before, now):
        take(weighting, before, now)

    balanced, equal = fall(by_famo), fall(torch.ones_like)
    assert (balanced < 0).all()
    assert abs(balanced[0] - balanced[1]) < 0.4 * abs(equal[0] - equal[1])


def test_a_task_without_a_label_takes_no_part():
    gap, alone = started(TASKS), started(TASKS[::2])
    both = torch.tensor([0.4, 0.2], dtype=torch.float64)
    now = both * torch.tensor([0.9, 0.95])
    for k in range(3):
        three = torch.tensor([0.4, 0.0, 0.2], dtype=torch.float64)
        losses, other = three.clone().requires_grad_(), both.clone().requires_grad_()
        gap(losses).backward()
        alone(other).backward()
        torch.testing.assert_close(losses.grad[[0, 2]], other.grad)
        after = three.clone()
        after[[0, 2]] = now
        take(gap, three, after)
        take(alone, both, now)
        assert gap.logits[1] == gap.mean[1] == gap.n_steps[1] == 0, k
    torch.testing.assert_close(gap.logits[[0, 2]], alone.logits)
    nothing = torch.zeros(3, dtype=torch.float64)
    logits = gap.logits.clone()
    assert gap(nothing) == 0
    take(gap, nothing, nothing)
    assert torch.equal(gap.logits, logits)


def test_a_step_that_diverges_leaves_the_logits():
    weighting = started()
    before = torch.tensor([0.4, 0.2], dtype=torch.float64)
    for after in (torch.tensor([torch.nan, 0.2]), torch.tensor([0.4, torch.inf])):
        take(weighting, before, after.double())
        assert weighting.logits.tolist() == [0.0, 0.0]


def test_looks_at_the_losses_after_the_step():
    module = make_module("experts")
    weighting = started(TASKS)
    X, y = make_batch()
    twin = copy.deepcopy(weighting)
    step = take_step(module, weighting, X, y)
    take(twin, step.losses, task_losses(module(**X), y).detach())
    assert (weighting.logits != 0).all()
    torch.testing.assert_close(weighting.logits, twin.logits)
