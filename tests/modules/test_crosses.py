"""Crosses of columns against numpy, and the embedding that holds them."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.autograd import gradcheck

from skmtl.modules import (
    ColumnSlices,
    Cross,
    CrossedEmbedding,
    CrossNetwork,
    FactorizationMachine,
    ModuleCross,
    TaskEmbedding,
)
from tests.modules.reference import batch, embedding, tensors, values

# Two columns of ids of one width and one of another, two numbers with bins and without.
COLUMNS = ColumnSlices(
    {
        "user": (slice(0, 8),),
        "item": (slice(8, 16),),
        "city": (slice(16, 19),),
        "price": (slice(19, 21), slice(22, 23)),
        "age": (slice(21, 22),),
        "shop": (slice(23, 31),),
    }
)
WIDTH = 31


def inputs(seed, n=6):
    return np.random.default_rng(seed).normal(size=(n, WIDTH))


@pytest.mark.parametrize("columns", [COLUMNS, ColumnSlices({})], ids=["all", "none"])
def test_cross_network(columns):
    torch.manual_seed(len(columns))
    cross = CrossNetwork(width=WIDTH, columns=columns, n_layers=3, rank=4).double()
    p, x = values(cross), inputs(0)
    scale = np.ones(WIDTH, dtype=np.float32)  # as the module has it
    if columns:
        scale[[*range(16), *range(23, 31)]] = 8**0.5
        scale[16:19], scale[19:21] = 3**0.5, 2**0.5
    expected = x
    for k in range(3):
        low = expected @ p[f"down.{k}.weight"]
        assert low.shape[1] == 4
        mapped = low @ p[f"up.{k}.weight"] + p[f"up.{k}.bias"]
        expected = scale * x * mapped + expected
    assert_allclose(cross(torch.from_numpy(x)).detach(), expected, rtol=1e-12)
    assert cross.columns is columns


def vectors(p, x, dim):
    """The vector of each column, written out."""
    found = {name: x[:, one[0]] for name, one in COLUMNS.items() if name != "age"}
    by_width = {w: p.get(f"maps.{w}.weight", np.eye(dim)) for w in (2, 3, 8)}
    found = {name: e @ by_width[e.shape[1]] for name, e in found.items()}
    # The one vector of a number for each form of columns, in their order.
    own = [value for name, value in p.items() if ".own." in name]
    found["price"] = found["price"] + x[:, 22:23] * own[0][0]
    found["age"] = x[:, 21:22] * own[1][0]
    return found


@pytest.mark.parametrize("dim", [None, 5])
def test_factorization_machine(dim):
    torch.manual_seed(1)
    cross = FactorizationMachine(width=WIDTH, columns=COLUMNS, dim=dim).double()
    x, k = inputs(1), dim or 8
    found = cross(torch.from_numpy(x)).detach().numpy()
    e = vectors(values(cross), x, k)
    names = ["user", "item", "shop", "city", "price", "age"]  # by their widths
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    assert cross.pairs == pairs
    expected = [k**0.5 * (e[a] * e[b]).sum(axis=1) for a, b in pairs]
    assert_allclose(found[:, WIDTH:], np.column_stack(expected), rtol=1e-10)
    assert_allclose(found[:, :WIDTH], x)
    assert cross.width == found.shape[1]
    # Their sum is the second-order term of a factorization machine, by Rendle's lemma.
    total = sum(e.values())
    lemma = (total**2 - sum(one**2 for one in e.values())).sum(axis=1) / 2
    assert_allclose(found[:, WIDTH:].sum(axis=1), k**0.5 * lemma, rtol=1e-10)


def test_some_columns():
    cross = FactorizationMachine(
        width=WIDTH, columns=COLUMNS, between=["item", "user", "item"]
    )
    assert cross.pairs == [("item", "user")]
    assert not list(cross.parameters())


@pytest.mark.parametrize("kind", [CrossNetwork, FactorizationMachine])
def test_gradients(kind):
    cross = kind(width=WIDTH, columns=COLUMNS).double()
    x = torch.from_numpy(inputs(2, n=3)).requires_grad_()
    named = dict(cross.named_parameters())

    def called(x, *parameters):
        given = dict(zip(named, parameters, strict=True))
        return torch.func.functional_call(cross, given, x)

    assert gradcheck(called, (x, *named.values()), fast_mode=True)


def test_crossed_embedding_is_the_cross_of_the_inner_one():
    inner = embedding()
    cross = CrossNetwork(width=inner.width, n_layers=1)
    crossed, data = CrossedEmbedding(inner, [cross]).double(), tensors(batch(3))
    torch.testing.assert_close(crossed(*data), cross(inner(*data)))
    assert crossed.id_tables() == inner.id_tables()
    assert crossed.sparse is inner.sparse is False
    start = torch.tensor([0, 1, 2, 3, 4, 4, 5, 6, 7])
    (grown,) = crossed.grow([6, 3], start, start == torch.arange(1, 10).roll(4))
    assert len(grown.after) == 9


def test_each_set_has_a_cross_of_its_own():
    sizes = {"vocabulary_sizes": [5], "bin_sizes": [], "n_numeric": 1, "bin_dim": 1}
    inner = TaskEmbedding(n_sets=2, embedding_dim=3, sparse=False, **sizes)
    crosses = [CrossNetwork(width=4, n_layers=1) for _ in range(2)]
    crossed = CrossedEmbedding(inner, crosses)
    ids, numeric = torch.tensor([[1], [4]]), torch.randn(2, 1)
    found = crossed(ids, ids[:, :0], numeric)
    x = inner(ids, ids[:, :0], numeric)
    torch.testing.assert_close(found[1], crosses[1](x[1]))
    found[0].sum().backward()
    assert not any(p.grad.any() for p in crosses[1].parameters())
    assert all(p.grad.any() for p in crosses[0].parameters())


def test_plain_modules():
    cross = ModuleCross(module=nn.Linear(WIDTH, 7), width=WIDTH)
    assert cross.width == 7
    assert isinstance(cross, Cross)
    for module, message in [
        (nn.Flatten(0), r"crosses: Flatten is .* crosses columns.*gave \(62,\)"),
        (nn.LSTM(WIDTH, 3), r"gave a tuple of \(2, 3\), a tuple of \(1, 3\), \(1, 3\)"),
        (nn.Linear(7, 3), r"crosses: Linear .*\(batch, 31\).*it raised RuntimeError"),
    ]:
        with pytest.raises(ValueError, match=message):
            ModuleCross(module=module, width=WIDTH)
        assert module.training


def test_refusals():
    with pytest.raises(
        ValueError, match="crosses__rank must be an integer of at least 1, found 0"
    ):
        CrossNetwork(width=4, rank=0)
    with pytest.raises(ValueError, match="crosses__n_layers must be an integer"):
        CrossNetwork(width=4, n_layers=1.5)
    for size in ("rank", "n_layers"):
        with pytest.raises(ValueError, match=f"crosses__{size} must be .* found True"):
            CrossNetwork(width=4, **{size: True})
    for dim in (0, True):
        with pytest.raises(ValueError, match="crosses__dim must be"):
            FactorizationMachine(width=WIDTH, columns=COLUMNS, dim=dim)
    for between, message in [
        (["user", "shoe"], "crosses__between names 'shoe'.* Did you mean 'shop'"),
        ("user", "crosses__between must be a list of names.* found 'user'"),
        (3, "crosses__between must be a list of names.* found 3"),
        ({"user", "item"}, "crosses__between must be a list .* order counts"),
        ([["user"], ["item"]], r"crosses__between .* cannot hold \['user'\]"),
        (["age", "age"], "crosses__between must name two columns or more"),
        ([], "crosses__between must name two columns or more"),
    ]:
        with pytest.raises(ValueError, match=message):
            FactorizationMachine(width=WIDTH, columns=COLUMNS, between=between)
    alone = ColumnSlices({"user": (slice(0, 8),)})
    with pytest.raises(ValueError, match=r"needs two of them; found 1 feature\(s\)"):
        FactorizationMachine(width=8, columns=alone)
    with pytest.raises(KeyError, match=r"no column 'user'.*must set `columns`"):
        Cross.columns["user"]
    many = ColumnSlices({k: (slice(k, k + 1),) for k in range(257)})
    with pytest.raises(ValueError, match="257 columns have 32,896 pairs"):
        FactorizationMachine(width=257, columns=many)
