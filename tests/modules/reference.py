"""Parts of networks written in numpy, and what the references have in common."""

import numpy as np
import torch
from numpy.testing import assert_allclose

from skmtl.modules import MultiTaskModule, TableEmbedding

SIZES, BINS, N_NUMERIC, TASKS = [5, 3], [4], 1, 3
DIM, BIN_DIM, WIDTH = 4, 2, 2 * 4 + 2 + 1


def embedding():
    return TableEmbedding(
        vocabulary_sizes=SIZES,
        bin_sizes=BINS,
        n_numeric=N_NUMERIC,
        embedding_dim=DIM,
        bin_dim=BIN_DIM,
        sparse=False,
    )


def batch(seed, n=7):
    rng = np.random.default_rng(seed)
    ids = np.column_stack([rng.integers(0, 5, n), 5 + rng.integers(0, 3, n)])
    return ids, rng.integers(0, 4, (n, 1)), rng.normal(size=(n, 1))


def tensors(arrays):
    return [torch.from_numpy(np.asarray(a)) for a in arrays]


def values(module):
    return {k: v.detach().numpy() for k, v in module.state_dict().items()}


def dense(p, name, x):
    return np.maximum(x @ p[f"{name}.weight"] + p[f"{name}.bias"], 0)


def embed(p, ids, bins, numeric):
    parts = [p["embedding.ids.tables.0"][ids[:, k]] for k in range(ids.shape[1])]
    return np.hstack([*parts, p["embedding.bins"][bins[:, 0]], numeric])


def parallel(p, mixed):
    out = []
    for t in range(TASKS):
        weight, bias = p["towers.hidden.0.weight"][t], p["towers.hidden.0.bias"][t]
        h = np.maximum(mixed[t] @ weight + bias, 0)
        out.append(h @ p["towers.output.weight"][t] + p["towers.output.bias"][t])
    return np.hstack(out)


def stack(p, name, t, x, n_layers):
    """Dense layers of task t out of batched ones."""
    for layer in range(n_layers):
        weight, bias = (p[f"{name}.{layer}.{k}"][t] for k in ("weight", "bias"))
        x = np.maximum(x @ weight + bias, 0)
    return x


def compose(sharing, towers, embed=None):
    return MultiTaskModule(
        embedding=embed or embedding(), sharing=sharing, towers=towers
    ).double()


def count(module):
    return sum(p.numel() for p in module.parameters())


def check_gradient(net, data, reference, seed):
    """Forward equals the reference; the gradient its derivative."""
    p = values(net)
    logits = net(*tensors(data))
    expected = reference(p)
    assert_allclose(logits.detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=expected.shape)
    (logits * torch.from_numpy(direction)).sum().backward()
    for name, parameter in net.named_parameters():
        # The derivative along a random direction, by central differences.
        step = rng.normal(size=parameter.shape)
        step /= np.linalg.norm(step)
        up, down = (
            (direction * reference({**p, name: p[name] + sign * 1e-6 * step})).sum()
            for sign in (1, -1)
        )
        gradient = (parameter.grad.numpy() * step).sum()
        slope = (up - down) / 2e-6
        assert abs(gradient - slope) <= 1e-6 + 1e-4 * abs(slope), name
