"""Probabilities multiplied along the funnel."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from skmtl.modules import ProductTowers, TaskBottoms
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
)

GRAPHS = [[[], [0], [1]], [[], [0], [0, 1]], [[2], [], []]]


def esmm(parents):
    sharing = TaskBottoms(n_tasks=TASKS, width=WIDTH, units=[5], dropout=0.0)
    towers = ProductTowers(parents=parents, width=5, units=[3], dropout=0.0)
    return compose(sharing, towers)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("parents", GRAPHS)
def test_forward_and_gradient(seed, parents):
    torch.manual_seed(seed)
    data = batch(seed)
    net = esmm(parents)

    def reference(p):
        p = {k.replace("towers.given_parents", "towers"): v for k, v in p.items()}
        x = embed(p, *data)
        given = expit(
            parallel(p, [stack(p, "sharing.layers", t, x, 1) for t in range(TASKS)])
        )
        proba = {}
        for t in net.towers.order:
            before = [proba[s] for s in parents[t]]
            proba[t] = given[:, t] * (np.min(before, axis=0) if before else 1.0)
        return logit(np.column_stack([proba[t] for t in range(TASKS)]))

    check_gradient(net, data, reference, seed)


def test_starts_at_the_rates():
    towers = ProductTowers(parents=[[], [0], [1]], width=5, units=[], dropout=0.0)
    rates = torch.tensor([0.3, 0.06, 0.06])
    towers.start_at(rates)
    found = towers(torch.zeros(TASKS, 1, 5)).sigmoid()[0].detach()
    assert_allclose(found[:2].numpy(), rates[:2].numpy(), rtol=1e-5)
    assert float(found[2]) == pytest.approx(0.06, rel=2e-3)  # kept away from 1


def test_parameters():
    towers = TASKS * ((5 * 3 + 3) + (3 + 1))
    assert count(esmm(GRAPHS[0]).sharing) == TASKS * (WIDTH * 5 + 5)
    assert count(esmm(GRAPHS[0]).towers) == towers
