"""Networks against references written in numpy, in float64."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import expit, softmax

from skmtl.modules import (
    ChainedTowers,
    ExpertMixture,
    ParallelTowers,
    SharedBottom,
    composition,
)
from skmtl.modules.graph import multiply_along
from tests.modules.reference import (
    TASKS,
    WIDTH,
    batch,
    check_gradient,
    compose,
    count,
    dense,
    embed,
    embedding,
    parallel,
    tensors,
    values,
)


def mixture(p, x, n_experts, n_rest, bottom):
    """One small network at a time, as the paper writes it."""
    if bottom:
        x = dense(p, "sharing.bottom.0", x)
    first = p["sharing.first.0.weight"]
    width = first.shape[1] // n_experts
    experts = []
    for e in range(n_experts):
        rows = slice(e * width, (e + 1) * width)
        h = np.maximum(x @ first[:, rows] + p["sharing.first.0.bias"][rows], 0)
        for layer in range(n_rest):
            weight = p[f"sharing.rest.{layer}.weight"][e]
            h = np.maximum(h @ weight + p[f"sharing.rest.{layer}.bias"][e], 0)
        experts.append(h)
    gate_weight = p["sharing.gates.weight"].reshape(-1, TASKS, n_experts)
    gate_bias = p["sharing.gates.bias"].reshape(TASKS, n_experts)
    mixed = []
    for t in range(TASKS):
        gate = softmax(x @ gate_weight[:, t] + gate_bias[t], axis=1)
        mixed.append(sum(gate[:, [e]] * experts[e] for e in range(n_experts)))
    return mixed


def mmoe(seed, bottom, expert_units):
    torch.manual_seed(seed)
    sharing = ExpertMixture(
        n_tasks=TASKS,
        n_experts=4,
        width=WIDTH,
        bottom_units=bottom,
        expert_units=expert_units,
        gate_dropout=0.0,
        dropout=0.0,
    )
    towers = ParallelTowers(n_tasks=TASKS, width=sharing.width, units=[3], dropout=0.0)
    return compose(sharing, towers)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bottom", [[], [6]])
@pytest.mark.parametrize("expert_units", [[5], [5, 4]])
def test_mmoe_forward_and_gradient(seed, bottom, expert_units):
    data = batch(seed)

    def reference(p):
        mixed = mixture(p, embed(p, *data), 4, len(expert_units) - 1, bottom)
        return parallel(p, mixed)

    check_gradient(mmoe(seed, bottom, expert_units), data, reference, seed)


@pytest.mark.parametrize("seed", range(3))
def test_share_bottom_forward(seed):
    torch.manual_seed(seed)
    sharing = SharedBottom(n_tasks=TASKS, width=WIDTH, units=[6, 5], dropout=0.0)
    towers = ParallelTowers(n_tasks=TASKS, width=5, units=[3], dropout=0.0)
    net = compose(sharing, towers)
    p, data = values(net), batch(seed)
    shared = dense(p, "sharing.layers.1", dense(p, "sharing.layers.0", embed(p, *data)))
    expected = parallel(p, [shared] * TASKS)
    assert_allclose(net(*tensors(data)).detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("parents", [[[], [0], [1]], [[1, 2], [], [1]]])
@pytest.mark.parametrize("chained", [False, True])
def test_chained_towers_forward(parents, chained):
    torch.manual_seed(1)
    towers = ChainedTowers(
        parents=parents, width=4, units=[3], dropout=0.0, chain_probability=chained
    ).double()
    p = values(towers)
    x = np.random.default_rng(0).normal(size=(TASKS, 6, 4))
    embedded, logits, proba = {}, {}, {}
    for t in towers.order:
        read = np.hstack([x[t], *(embedded[s] for s in parents[t])])
        embedded[t] = dense(p, f"hidden.{t}.0", read)
        weight, bias = p[f"output.{t}.weight"], p[f"output.{t}.bias"]
        logits[t] = embedded[t] @ weight[:, 0] + bias
        before = [proba[s] for s in parents[t]]
        proba[t] = expit(logits[t]) * (np.min(before, axis=0) if before else 1.0)
    expected = proba if chained else {t: expit(z) for t, z in logits.items()}
    found = expit(towers(torch.from_numpy(x)).detach().numpy())
    assert_allclose(found, np.column_stack([expected[t] for t in range(3)]), rtol=1e-9)


def test_chained_probabilities_at_extreme_logits():
    towers = ChainedTowers(
        parents=[[], [0]], width=1, units=[1], dropout=0.0, chain_probability=True
    )
    for a in (-100.0, 0.0, 100.0):
        for b in (-100.0, 100.0):
            z = torch.tensor([a, b], requires_grad=True)
            columns = multiply_along([z[:1], z[1:]], towers.parents, towers.order)
            out = torch.cat(columns)
            out.sum().backward()
            assert torch.isfinite(out).all()
            assert torch.isfinite(z.grad).all()
            assert out[1] <= out[0]


def gates(rate, n_experts=4, n=20_000):
    torch.manual_seed(0)
    module = ExpertMixture(
        n_tasks=2,
        n_experts=n_experts,
        width=3,
        bottom_units=[],
        expert_units=[2],
        gate_dropout=rate,
        dropout=0.0,
    )
    return module, torch.ones(n, 3)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 0.999])
def test_gate_dropout_keeps_weights_that_sum_to_one(rate):
    module, x = gates(rate)
    weights = module.gate_weights(x)
    assert torch.isfinite(weights).all()
    assert_allclose(weights.sum(dim=2).detach().numpy(), 1.0, rtol=1e-5)
    assert (module.eval().gate_weights(x) > 0).all()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.001, 0.3])
def test_gate_dropout_has_its_rate_in_any_precision(rate, precision):
    module, x = gates(rate)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
        weights = module.gate_weights(x)
    error = (rate * (1 - rate) / weights.numel()) ** 0.5
    share = (weights == 0).float().mean().item()
    assert abs(share - (rate - rate**4)) < 5 * error  # where all would go, none does


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_gate_dropout_expectation(rate):
    module, x = gates(rate)
    with torch.no_grad():
        logits = module.gates(x[:1]).double().numpy().reshape(2, 4)
        found = module.gate_weights(x).double().numpy()
    expected = np.zeros((2, 4))
    for mask in range(16):  # every set of experts that may be dropped
        dropped = np.array([mask >> e & 1 for e in range(4)], dtype=bool)
        p = rate ** dropped.sum() * (1 - rate) ** (~dropped).sum()
        kept = np.ones(4, dtype=bool) if dropped.all() else ~dropped
        expected += p * softmax(np.where(kept, logits, -np.inf), axis=1)
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - expected) < 5 * error).all()


def test_every_expert_starts_differently():
    module, _ = gates(0.0)
    experts = module.first[0].weight.unflatten(1, (4, -1)).transpose(0, 1).flatten(1)
    distances = torch.cdist(experts, experts) + torch.eye(4)
    assert (distances > 1e-3).all()


def test_unknown_rows_start_at_zero():
    table = embedding().ids.tables[0].detach()
    assert (table[[0, 5]] == 0).all()
    assert (table[[1, 6]] != 0).all()


def test_parameters_as_the_papers_count_them():
    d, e, u, k = WIDTH, 4, 5, TASKS
    net = mmoe(0, [], [u])
    experts, gates = e * (d * u + u), k * (d * e + e)
    assert count(net.sharing) == experts + gates
    assert count(net.towers) == k * ((u * 3 + 3) + (3 + 1))
    bottom = SharedBottom(n_tasks=k, width=d, units=[6, u], dropout=0.0)
    assert count(bottom) == (d * 6 + 6) + (6 * u + u)


def test_shared_bottom_copies_nothing():
    sharing = SharedBottom(n_tasks=3, width=2, units=[4], dropout=0.0)
    out = sharing(torch.ones(5, 2))
    assert out.shape == (3, 5, 4)
    assert out[0].data_ptr() == out[2].data_ptr()


@pytest.mark.parametrize("rows", [1025, 2500])
@pytest.mark.parametrize("kind", ["mmoe", "bottom"])
def test_blocks_of_rows_change_nothing(kind, rows, monkeypatch):
    """A large batch goes through the sharing in blocks, of which gradients add up."""
    torch.manual_seed(0)
    if kind == "mmoe":
        net = mmoe(0, [], [5])
    else:
        bottom = SharedBottom(n_tasks=TASKS, width=WIDTH, units=[4], dropout=0.0)
        towers = ParallelTowers(n_tasks=TASKS, width=4, units=[3], dropout=0.0)
        net = compose(bottom, towers)
    ids, bins, numeric = tensors(batch(0, rows))
    found = []
    for block in (1024, 10_000):
        monkeypatch.setattr(composition, "BLOCK", block)
        net.zero_grad()
        representation, mixture = net.split(ids, bins, numeric)
        assert mixture.shape[0] in (1, rows)
        # Of the bottom all tasks read one, and it is not copied.
        assert len(representation) == (1 if kind == "bottom" else TASKS)
        net(ids, bins, numeric).square().sum().backward()
        gradients = [p.grad.to_dense() for p in net.parameters() if p.numel()]
        found.append([representation, mixture, *gradients])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
