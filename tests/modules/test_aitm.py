"""Information passed along the chain, and the calibrator."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from skmtl.modules import TaskBottoms, TransferTowers
from tests.modules.reference import (
    TASKS,
    WIDTH,
    batch,
    check_gradient,
    compose,
    count,
    dense,
    embed,
    stack,
)

GRAPHS = [[[], [0], [1]], [[], [0], [0, 1]], [[2], [], []]]
K = 4


def towers(parents):
    return TransferTowers(
        parents=parents, width=5, units=[6, K], calibrator_weight=0.6, dropout=0.0
    )


def transfer(p, t, own, before):
    """Equations of section 4.2, a vector at a time."""
    u = [own]
    for i, z in enumerate(before):
        u.append(dense(p, f"towers.transfer.{t}.hand_on.{i}", z))
    h1, h2, h3 = np.split(p[f"towers.transfer.{t}.attention.weight"], 3, axis=1)
    score = [((v @ h2) * (v @ h3)).sum(axis=1) / np.sqrt(K) for v in u]
    attention = softmax(np.stack(score), axis=0)
    return sum(a[:, None] * (v @ h1) for a, v in zip(attention, u, strict=True))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("parents", GRAPHS)
def test_forward_and_gradient(seed, parents):
    torch.manual_seed(seed)
    data = batch(seed)
    sharing = TaskBottoms(n_tasks=TASKS, width=WIDTH, units=[5], dropout=0.0)
    net = compose(sharing, towers(parents))

    def reference(p):
        x, z = embed(p, *data), {}
        for t in net.towers.order:
            bottom = stack(p, "sharing.layers", t, x, 1)
            own = stack(p, "towers.hidden", t, bottom, 2)
            before = [z[s] for s in parents[t]]
            z[t] = transfer(p, t, own, before) if before else own
        weight, bias = p["towers.output.weight"], p["towers.output.bias"]
        return np.hstack([z[t] @ weight[t] + bias[t] for t in range(TASKS)])

    check_gradient(net, data, reference, seed)


@pytest.mark.parametrize("parents", GRAPHS)
@pytest.mark.parametrize("weighted", [False, True])
def test_calibrator(parents, weighted):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(9, TASKS))
    w = rng.integers(0, 3, size=z.shape).astype(float) if weighted else np.ones_like(z)
    p, expected = expit(z), 0.0
    for t, before in enumerate(parents):
        for s in before:
            excess = np.maximum(p[:, t] - p[:, s], 0) * (w[:, t] + w[:, s]) / 2
            expected += 0.6 * excess.mean()
    given = torch.from_numpy(w) if weighted else None
    found = towers(parents).penalty(torch.from_numpy(z), given)
    assert found.shape == ()
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_calibrator_of_one_task_is_zero():
    assert towers([[]]).penalty(torch.ones(3, 1), None) == 0


def test_parameters_as_the_paper_counts_them():
    own = TASKS * ((5 * 6 + 6) + (6 * K + K) + (K + 1))
    step = (K * K + K) + 3 * K * K  # what is handed on; h1, h2 and h3
    assert count(towers([[], [0], [1]])) == own + 2 * step
