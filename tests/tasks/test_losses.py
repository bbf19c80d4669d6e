"""Masked, weighted cross-entropy against a float64 formula."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from skmtl.rankers._bottoms import PooledLosses
from skmtl.tasks import binary_kinds
from skmtl.training.criterion import TaskLosses


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("label_weight", [[1.0, 1.0, 1.0], [1.0, 10.0, 300.0]])
def test_equals_the_formula(seed, label_weight):
    rng = np.random.default_rng(seed)
    z, y = rng.normal(size=(50, 3)), rng.integers(0, 2, (50, 3)).astype(float)
    weight = rng.random((50, 3)) * rng.integers(0, 2, (50, 3))
    w = np.array(label_weight)
    q = expit(z + np.log(w))
    expected = -(weight * (w * y * np.log(q) + (1 - y) * np.log(1 - q))).mean(axis=0)
    losses = TaskLosses(binary_kinds(len(label_weight)), label_weight).double()
    by_label = losses.by_label[0]
    by_label.weight, by_label.shift = torch.tensor(w), torch.tensor(np.log(w))
    found = losses(*map(torch.from_numpy, (z, y, weight)))
    assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_batch_without_a_label_gives_zero_and_no_gradient():
    z = torch.randn(8, 2, requires_grad=True)
    weight = torch.ones(8, 2)
    weight[:, 1] = 0
    losses = TaskLosses(binary_kinds(2), [1.0, 5.0])(z, torch.zeros(8, 2), weight)
    losses.sum().backward()
    assert losses[1] == 0
    assert losses[0] > 0
    assert (z.grad[:, 1] == 0).all()
    assert (z.grad[:, 0] != 0).all()


@pytest.mark.parametrize("label_weight", [1.0, 10.0, 100.0])
def test_the_minimiser_is_the_true_rate(label_weight):
    y = torch.zeros(1000, 1, dtype=torch.float64)
    y[:7] = 1
    losses = TaskLosses(binary_kinds(1), [label_weight]).double()

    def loss(z):
        return float(losses(torch.full((1000, 1), z, dtype=torch.float64), y, None))

    best = minimize_scalar(loss, bounds=(-10, 0), method="bounded")
    assert best.x == pytest.approx(logit(0.007), abs=1e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_pooled_losses_equal_the_formula(masked):
    rng = np.random.default_rng(0)
    w = np.array([1.0, 5.0, 20.0])
    z = np.repeat(rng.normal(size=(60, 1)), 3, axis=1)
    y = (rng.random((60, 3)) < 0.2).astype(float)
    seen = rng.random(y.shape) < 0.7 if masked else np.ones(y.shape, bool)
    weight = 1.5 * seen
    expected = 0.0
    for i in range(60):
        q = expit(z[i, 0] + np.log(w.mean()))
        for t in range(3):
            expected -= weight[i, t] * w[t] * y[i, t] * np.log(q)
        if not (y[i] * seen[i]).any():
            expected -= weight[i].mean() * np.log(1 - q)
    losses = PooledLosses(binary_kinds(len(w)), w.tolist()).double()
    losses.weight = torch.tensor(w)
    losses.shift = torch.tensor(np.log(w.mean()))
    found = losses(*map(torch.from_numpy, (z, y, weight)))
    assert found.shape == (3,)
    assert float(found.sum()) == pytest.approx(expected / 60, rel=1e-12)


def test_pooled_losses_without_weights_are_those_of_weight_one():
    z, y = torch.randn(20, 1).expand(-1, 2), (torch.rand(20, 2) < 0.3).float()
    losses = PooledLosses(binary_kinds(2), [1.0, 3.0])
    assert torch.equal(losses(z, y, None), losses(z, y, torch.ones(20, 2)))
