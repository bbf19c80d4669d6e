"""Own layers drawn together: the forward pass and both penalties."""

import numpy as np
import pytest
import torch

from skmtl.modules import ParallelTowers, SoftlySharedBottoms
from tests.modules.reference import (
    TASKS,
    WIDTH,
    batch,
    check_gradient,
    compose,
    count,
    embed,
    parallel,
    stack,
    values,
)


def soft(distance="l2", strength=0.7, n_tasks=TASKS):
    return SoftlySharedBottoms(
        n_tasks=n_tasks,
        width=WIDTH,
        units=[6, 4],
        distance=distance,
        strength=strength,
        dropout=0.0,
    )


@pytest.mark.parametrize("seed", range(3))
def test_forward_and_gradient(seed):
    torch.manual_seed(seed)
    data = batch(seed)
    towers = ParallelTowers(n_tasks=TASKS, width=4, units=[3], dropout=0.0)

    def reference(p):
        x = embed(p, *data)
        return parallel(p, [stack(p, "sharing.layers", t, x, 2) for t in range(TASKS)])

    check_gradient(compose(soft(), towers), data, reference, seed)


def rows(p, layer):
    weight, bias = p[f"layers.{layer}.weight"], p[f"layers.{layer}.bias"]
    return np.stack([np.r_[w.ravel(), b.ravel()] for w, b in zip(weight, bias)])  # noqa: B905


@pytest.mark.parametrize("distance", ["l2", "trace_norm"])
def test_penalty(distance):
    torch.manual_seed(1)
    module = soft(distance).double()
    p = values(module)
    expected = 0.0
    for layer in (0, 1):
        W = rows(p, layer)
        if distance == "l2":  # the mean squared distance of all pairs, times n / 2
            pairs = W[:, None] - W[None]
            expected += 0.7 * (pairs**2).sum() / (2 * TASKS)
        else:
            expected += 0.7 * np.linalg.svd(W, compute_uv=False).sum()
    found = module.penalty(torch.zeros(1, TASKS).double(), None)
    assert found.shape == ()
    assert float(found.detach()) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("distance", ["l2", "trace_norm"])
def test_penalty_of_copies_has_a_gradient(distance):
    module = soft(distance)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter[:1].expand_as(parameter).clone())
    module.penalty(torch.zeros(1, TASKS), None).backward()
    for parameter in module.parameters():
        assert torch.isfinite(parameter.grad).all()
        if distance == "l2":
            assert parameter.grad.abs().max() < 1e-6


@pytest.mark.parametrize("distance", ["l2", "trace_norm"])
def test_one_task_has_nothing_to_share(distance):
    assert soft(distance, n_tasks=1).penalty(torch.zeros(2, 1), None) == 0


def test_parameters():
    assert count(soft()) == TASKS * ((WIDTH * 6 + 6) + (6 * 4 + 4))
