"""Networks that exchange activations."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skmtl.modules import CrossStitchBottoms, ParallelTowers
from tests.modules.reference import (
    TASKS,
    WIDTH,
    batch,
    check_gradient,
    compose,
    count,
    embed,
    parallel,
)


def bottoms(n_tasks=TASKS, own_weight=0.9):
    return CrossStitchBottoms(
        n_tasks=n_tasks,
        width=WIDTH,
        units=[6, 4],
        own_weight=own_weight,
        dropout=0.0,
    )


@pytest.mark.parametrize("seed", range(3))
def test_forward_and_gradient(seed):
    torch.manual_seed(seed)
    data = batch(seed)
    sharing = bottoms()
    with torch.no_grad():
        for stitch in sharing.stitches:
            stitch.normal_()
    towers = ParallelTowers(n_tasks=TASKS, width=4, units=[3], dropout=0.0)

    def reference(p):
        x = [embed(p, *data)] * TASKS
        for layer in range(2):
            weight = p[f"sharing.layers.{layer}.weight"]
            bias = p[f"sharing.layers.{layer}.bias"]
            h = [np.maximum(x[t] @ weight[t] + bias[t], 0) for t in range(TASKS)]
            alpha = p[f"sharing.stitches.{layer}"]
            x = [sum(alpha[a, b] * h[b] for b in range(TASKS)) for a in range(TASKS)]
        return parallel(p, x)

    check_gradient(compose(sharing, towers), data, reference, seed)


@pytest.mark.parametrize(("n_tasks", "expected"), [(1, [1]), (3, [0.8, 0.1, 0.1])])
def test_start(n_tasks, expected):
    for stitch in bottoms(n_tasks, own_weight=0.8).stitches:
        assert_allclose(stitch[0].detach().numpy(), expected, rtol=1e-6)
        assert_allclose(stitch.sum(dim=1).detach().numpy(), 1, rtol=1e-6)


def test_parameters():
    layers = TASKS * ((WIDTH * 6 + 6) + (6 * 4 + 4))
    assert count(bottoms()) == layers + 2 * TASKS**2
