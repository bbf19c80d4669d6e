"""Shared and task experts in levels."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import softmax

from skmtl.modules import ParallelTowers, ProgressiveExtraction
from tests.modules.reference import (
    TASKS,
    WIDTH,
    batch,
    check_gradient,
    compose,
    count,
    embed,
    parallel,
    tensors,
)

OWN, SHARED = 2, 3
TOTAL = TASKS * OWN + SHARED


def extraction(n_levels, units):
    return ProgressiveExtraction(
        n_tasks=TASKS,
        n_task_experts=OWN,
        n_shared_experts=SHARED,
        n_levels=n_levels,
        width=WIDTH,
        expert_units=units,
        dropout=0.0,
    )


def first_layer(p, level, e, one_input):
    """Weight and bias of the first layer of expert e."""
    name = f"sharing.levels.{level}.experts"
    if one_input:
        weight, bias = p[f"{name}.first.0.weight"], p[f"{name}.first.0.bias"]
        width = len(bias) // TOTAL
    elif e < TASKS * OWN:
        weight = p[f"{name}.of_tasks.0.weight"][e // OWN]
        bias = p[f"{name}.of_tasks.0.bias"][e // OWN, 0]
        width, e = len(bias) // OWN, e % OWN
    else:
        weight, bias = p[f"{name}.shared.0.weight"], p[f"{name}.shared.0.bias"]
        width, e = len(bias) // SHARED, e - TASKS * OWN
    columns = slice(e * width, (e + 1) * width)
    return weight[:, columns], bias[columns]


def level(p, j, x, one_input, n_rest, last):
    """One level, an expert at a time; x holds the tasks' inputs and the shared one."""
    experts = []
    for e in range(TOTAL):
        owner = e // OWN if e < TASKS * OWN else TASKS
        weight, bias = first_layer(p, j, e, one_input)
        h = np.maximum(x[owner] @ weight + bias, 0)
        for k in range(n_rest):
            rest = f"sharing.levels.{j}.experts.rest.{k}"
            h = np.maximum(h @ p[f"{rest}.weight"][e] + p[f"{rest}.bias"][e], 0)
        experts.append(h)
    out = []
    for t in range(TASKS):
        read = [*range(t * OWN, (t + 1) * OWN), *range(TASKS * OWN, TOTAL)]
        weight = p[f"sharing.levels.{j}.gates.weight"][t]
        gate = softmax(x[t] @ weight + p[f"sharing.levels.{j}.gates.bias"][t], axis=1)
        out.append(sum(gate[:, [i]] * experts[e] for i, e in enumerate(read)))
    if not last:
        name = f"sharing.levels.{j}.shared_gate"
        gate = softmax(x[-1] @ p[f"{name}.weight"] + p[f"{name}.bias"], axis=1)
        out.append(sum(gate[:, [e]] * experts[e] for e in range(TOTAL)))
    return out


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("n_levels", [1, 2, 3])
@pytest.mark.parametrize("units", [[5], [6, 4]])
def test_forward_and_gradient(seed, n_levels, units):
    torch.manual_seed(seed)
    data = batch(seed)
    sharing = extraction(n_levels, units)
    towers = ParallelTowers(n_tasks=TASKS, width=sharing.width, units=[3], dropout=0.0)

    def reference(p):
        x = [embed(p, *data)] * (TASKS + 1)
        for j in range(n_levels):
            x = level(p, j, x, j == 0, len(units) - 1, j == n_levels - 1)
        return parallel(p, x)

    check_gradient(compose(sharing, towers), data, reference, seed)


@pytest.mark.parametrize("n_levels", [1, 2])
def test_gates_weigh_own_and_shared_experts(n_levels):
    torch.manual_seed(0)
    sharing = extraction(n_levels, [5]).double()
    (x,) = tensors([np.random.default_rng(0).normal(size=(6, WIDTH))])
    weights, experts = sharing.mixture(x)
    assert weights.shape == (6, TASKS, TOTAL)
    assert_allclose(weights.sum(dim=2).detach().numpy(), 1, rtol=1e-12)
    for t in range(TASKS):
        foreign = [e for e in range(TASKS * OWN) if e // OWN != t]
        assert (weights[:, t, foreign] == 0).all()
        assert (weights[:, t] > 0).sum() == 6 * (OWN + SHARED)
    mixed = torch.einsum("bte,bew->tbw", weights, experts)
    assert_allclose(mixed.detach().numpy(), sharing(x).detach().numpy(), rtol=1e-10)


def test_parameters_as_the_paper_counts_them():
    d, u = WIDTH, 5
    first = TOTAL * (d * u + u) + TASKS * (d + 1) * (OWN + SHARED)
    assert count(extraction(1, [u])) == first
    shared_gate = (d + 1) * TOTAL
    second = TOTAL * (u * u + u) + TASKS * (u + 1) * (OWN + SHARED)
    assert count(extraction(2, [u])) == first + shared_gate + second
