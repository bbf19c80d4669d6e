"""Embeddings and experts of each task, gradients kept apart."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import softmax

from skmtl.modules import EmbeddingExperts, ParallelTowers
from tests.modules.reference import (
    DIM,
    TASKS,
    WIDTH,
    batch,
    compose,
    count,
    embed,
    parallel,
    tensors,
    values,
)
from tests.modules.test_ple import OWN, SHARED, TOTAL
from tests.modules.test_single_task import columns_of, task_embedding

TABLE = "embedding.ids.tables.0"


def stem(units):
    sharing = EmbeddingExperts(
        n_tasks=TASKS,
        n_task_experts=OWN,
        n_shared_experts=SHARED,
        width=WIDTH,
        expert_units=units,
        dropout=0.0,
    )
    towers = ParallelTowers(n_tasks=TASKS, width=sharing.width, units=[3], dropout=0.0)
    return compose(sharing, towers, task_embedding(TASKS + 1))


def reference(p, data, units):
    x = [embed(columns_of(p, t), *data) for t in range(TASKS + 1)]
    u = units[0]
    experts = []
    for e in range(TOTAL):
        if e < TASKS * OWN:
            owner, columns = e // OWN, slice(e % OWN * u, (e % OWN + 1) * u)
            weight = p["sharing.experts.of_tasks.0.weight"][owner][:, columns]
            bias = p["sharing.experts.of_tasks.0.bias"][owner, 0, columns]
        else:
            owner = TASKS
            columns = slice((e - TASKS * OWN) * u, (e - TASKS * OWN + 1) * u)
            weight = p["sharing.experts.shared.0.weight"][:, columns]
            bias = p["sharing.experts.shared.0.bias"][columns]
        h = np.maximum(x[owner] @ weight + bias, 0)
        for k in range(len(units) - 1):
            rest = f"sharing.experts.rest.{k}"
            h = np.maximum(h @ p[f"{rest}.weight"][e] + p[f"{rest}.bias"][e], 0)
        experts.append(h)
    mixed = []
    for t in range(TASKS):
        weight, bias = p["sharing.gates.weight"][t], p["sharing.gates.bias"][t]
        gate = softmax((x[t] + x[-1]) @ weight + bias, axis=1)
        mixed.append(sum(gate[:, [e]] * experts[e] for e in range(TOTAL)))
    return parallel(p, mixed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("units", [[5], [6, 4]])
def test_forward(seed, units):
    torch.manual_seed(seed)
    net, data = stem(units), batch(seed)
    found = net(*tensors(data)).detach().numpy()
    assert_allclose(found, reference(values(net), data, units), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("task", range(TASKS))
def test_a_loss_changes_its_own_and_the_shared_embedding_only(task):
    torch.manual_seed(0)
    net, data = stem([5]), batch(0)
    net(*tensors(data))[:, task].sum().backward()
    gradient = net.embedding.ids.tables[0].grad
    gradient = gradient.unflatten(1, (TASKS + 1, DIM)).abs().sum((0, 2))
    assert (gradient > 0).tolist() == [t in (task, TASKS) for t in range(TASKS + 1)]
    experts = net.sharing.experts
    touched = experts.of_tasks[0].weight.grad.abs().sum((1, 2)) > 0
    assert touched.tolist() == [t == task for t in range(TASKS)]
    assert experts.shared[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("task", range(TASKS))
def test_what_has_a_gradient_has_the_derivative(task):
    torch.manual_seed(1)
    net, data = stem([5]), batch(1)
    p = values(net)
    net(*tensors(data))[:, task].sum().backward()
    table = net.embedding.ids.tables[0]
    own = slice(task * DIM, (task + 1) * DIM)
    # The gate reads the task's own embedding, whose derivative is therefore whole.
    step = np.zeros(table.shape)
    step[:, own] = np.random.default_rng(0).normal(size=(len(step), DIM))
    up, down = (
        reference({**p, TABLE: p[TABLE] + s * step}, data, [5]) for s in (1e-6, -1e-6)
    )
    slope = (up - down)[:, task].sum() / 2e-6
    assert (table.grad.numpy() * step).sum() == pytest.approx(slope, rel=1e-5)


def test_parameters():
    u, net = 5, stem([5])
    gates = TASKS * (WIDTH + 1) * TOTAL
    assert count(net.sharing) == TOTAL * (WIDTH * u + u) + gates
