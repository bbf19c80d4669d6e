"""Poolings with parameters against numpy, on lists of any length, ragged and padded."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.autograd import gradcheck

from skmtl.modules import (
    BagColumn,
    Pooling,
    Ragged,
    TableEmbedding,
    TargetAttention,
    TaskEmbedding,
    TransformerPooling,
)
from tests.modules.reference import values
from tests.modules.test_bags import ragged

WIDTH, LENGTHS = 6, [3, 0, 1, 9, 5, 0, 2]


def lists_and_targets(seed):
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(n, WIDTH)) for n in LENGTHS]
    return x, rng.normal(size=(len(x), WIDTH))


def lists_of(x):
    offsets = torch.tensor(np.cumsum([0, *map(len, x)]))
    return Ragged(torch.arange(int(offsets[-1])), offsets)


def filled(x, longest=11):
    """Lists filled up with numbers that must not matter."""
    mask = np.arange(longest) < np.array(LENGTHS)[:, None]
    cells = np.full((len(x), longest, WIDTH), 1e3)
    cells[mask] = np.concatenate(x)
    return torch.from_numpy(cells), torch.from_numpy(mask)


def attended(p, x, q):
    scale = 5 * WIDTH**0.5
    hidden = np.hstack([scale * x, scale * x * (scale * q)]) @ p["of_entries.weight"]
    hidden += scale * q @ p["of_target.weight"] + p["of_target.bias"]
    weight = np.maximum(hidden, 0) @ p["output.weight"] + p["output.bias"]
    return (weight * x).sum(axis=0)


def normalized(x):
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def transformed(p, x, q, length, n_heads=2):
    if not len(x):
        return np.zeros(WIDTH)
    x = x[-length:]
    places = np.arange(len(x), 0, -1)
    if q is not None:
        x, places = np.vstack([x, q]), np.append(places, 0)
    x = WIDTH**0.5 * x + p["positions"][places]
    parts = np.split(x @ p["attention.weight"], 3, axis=1)
    query, key, value = (np.split(part, n_heads, axis=1) for part in parts)
    mixed = [
        softmax(a @ b.T / np.sqrt(a.shape[1])) @ c
        for a, b, c in zip(query, key, value, strict=True)
    ]
    x = normalized(x + np.hstack(mixed) @ p["mixed.weight"] + p["mixed.bias"])
    inner = np.maximum(x @ p["inner.weight"] + p["inner.bias"], 0)
    x = normalized(x + inner @ p["outer.weight"] + p["outer.bias"])
    return 0.2 * WIDTH**-0.5 * x.mean(axis=0)


def made(name, length=5):
    if name == "din":
        return TargetAttention(width=WIDTH, units=7).double()
    return TransformerPooling(width=WIDTH, length=length).double()


CASES = ["din", "transformer", "transformer without target"]


@pytest.mark.parametrize("name", CASES)
def test_against_numpy(name):
    torch.manual_seed(len(name))
    pooling = made(name)
    x, q = lists_and_targets(len(name))
    queries = [None] * len(x) if "without" in name else q
    if name == "din":
        expected = [attended(values(pooling), *pair) for pair in zip(x, q, strict=True)]
    else:
        expected = [
            transformed(values(pooling), *pair, length=5)
            for pair in zip(x, queries, strict=True)
        ]
    query = None if "without" in name else torch.from_numpy(q)
    entries = torch.from_numpy(np.concatenate(x))
    found = pooling(entries, lists_of(x), query).detach()
    assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert not found[[1, 5]].any()  # of empty lists
    assert_allclose(pooling.padded(*filled(x), query).detach(), found, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    torch.manual_seed(0)
    pooling = made(name)
    x, q = lists_and_targets(0)
    named, lists = dict(pooling.named_parameters()), lists_of(x)
    inputs = [torch.from_numpy(np.concatenate(x)).requires_grad_()]
    if "without" not in name:
        inputs.append(torch.from_numpy(q).requires_grad_())

    def called(x, *more):
        query = more[0] if len(inputs) > 1 else None
        given = dict(zip(named, more[len(inputs) - 1 :], strict=True))
        return torch.func.functional_call(pooling, given, (x, lists, query))

    assert gradcheck(called, (*inputs, *named.values()), fast_mode=True)


@pytest.mark.parametrize("name", ["din", "transformer"])
def test_order_counts_for_a_transformer_alone(name):
    torch.manual_seed(1)
    pooling = made(name, length=20)
    x, q = lists_and_targets(1)
    one, other = (
        pooling(
            torch.from_numpy(np.concatenate(lists)), lists_of(x), torch.from_numpy(q)
        )
        for lists in (x, [own[::-1] for own in x])
    )
    same = torch.isclose(one, other).all(dim=1).numpy()
    assert same.tolist() == [name == "din" or n < 2 for n in LENGTHS]


def test_memory_grows_with_the_lists_and_not_with_max_length():
    pooling, sizes = TransformerPooling(width=2, length=4000), []
    pooling.attention.register_forward_hook(
        lambda _, x, out: sizes.append(tuple(x[0].shape[:2]))
    )
    lengths = [3, 5, 100, 520, 520]
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    lists = Ragged(torch.arange(int(offsets[-1])), offsets)
    pooled = pooling(torch.rand(int(offsets[-1]), 2), lists, None)
    assert pooled.any(dim=1).all()
    assert sizes == [(1, 4), (1, 8), (1, 128), (2, 520)]
    none = Ragged(torch.arange(0), torch.zeros(1, dtype=torch.int64))
    assert pooling(torch.rand(0, 2), none, None).shape == (0, 2)


def test_each_set_has_a_pooling_of_its_own():
    sizes = {"bin_sizes": [], "n_numeric": 0, "bin_dim": 1, "sparse": False}
    sizes |= {"vocabulary_sizes": [9], "embedding_dim": 4}
    bags = [BagColumn(0, "din", 0), BagColumn(0, "transformer")]
    several = TaskEmbedding(n_sets=2, bags=bags, **sizes)
    alone = TableEmbedding(bags=bags, **sizes)
    for k in (0, 1):
        assert [type(one) for one in several.poolings_of(k)] == 2 * [
            type(alone.poolings_of(k)[0])
        ]
    ids, none = torch.tensor([[1], [2]]), torch.empty(2, 0)
    lists = ragged([[3, 4], [5]])
    found = several(ids, none.long(), none, [lists, lists])
    assert found.shape == (2, 2, 3 * 4)
    (found[0] * torch.randn(2, 12)).sum().backward()
    for k in (0, 1):
        own, other = several.poolings_of(k)
        assert all(p.grad.any() for p in own.parameters())
        assert all(p.grad is None or not p.grad.any() for p in other.parameters())


@pytest.mark.parametrize("name", ["din", "transformer"])
def test_gradients_are_the_same_on_any_number_of_threads(name, set_threads):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    lists = Ragged(torch.arange(8000), torch.arange(0, 8001, 20))
    x = torch.from_numpy(rng.normal(size=(8000, 16)).astype(np.float32))
    query, direction = torch.randn(2, 400, 16)
    kind = TargetAttention if name == "din" else TransformerPooling
    pooling, found = kind(width=16), []
    for n_threads in (1, 2):
        set_threads(n_threads)
        entries = x.clone().requires_grad_()
        (pooling(entries, lists, query) * direction).sum().backward()
        found.append([entries.grad, *(p.grad.clone() for p in pooling.parameters())])
        pooling.zero_grad()
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_own_poolings_say_what_they_lack():
    with pytest.raises(NotImplementedError):
        Pooling()(torch.ones(2, 3), ragged([[0, 1]]), None)


def test_target_attention_without_a_target():
    pooling, x = TargetAttention(width=2), torch.ones(2, 2)
    with pytest.raises(ValueError, match="query is None"):
        pooling(x, ragged([[0], [1]]), None)
    with pytest.raises(ValueError, match="query is None"):
        pooling.padded(x[None], torch.ones(1, 2, dtype=torch.bool), None)
