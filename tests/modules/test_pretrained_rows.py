"""Pretrained vectors in the network's tables of ids."""

import numpy as np
import pytest
import torch

from skmtl.modules import Pretrained, TableEmbedding, TaskEmbedding
from skmtl.modules.embedding import IdTables

SIZES, DIMS = [5, 7, 4], [3, 3, 2]


def given(width=3, **how):
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(2, width, generator=generator)
    return Pretrained(rows=torch.tensor([4, 2]), vectors=vectors, **how)


def tables(pretrained, **how):
    torch.manual_seed(0)
    return IdTables(sizes=SIZES, dims=DIMS, pretrained={1: pretrained}, **how)


def everything(ids_tables):
    """The embedding of every row of vocabulary 1, through `forward`."""
    ids = torch.zeros(7, 3, dtype=torch.int64)
    ids[:, 1] = 5 + torch.arange(7)
    ids[:, 2] = 12
    parts = ids_tables(ids)
    return parts[0][:, 1] if not ids_tables.own_tables else parts[-1][:, 0]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    "how", [{}, {"frozen": True}, {"learning_rate_factor": 0.1}], ids=str
)
def test_vectors_lie_in_their_rows(how, sparse):
    pretrained = given(**how)
    found = everything(tables(pretrained, sparse=sparse))
    torch.testing.assert_close(found[[4, 2]], pretrained.vectors)
    assert not found[0].any()  # unknown ids start at zero
    others = found[[1, 3, 5, 6]]
    assert (others != 0).all()
    assert others.abs().max() < 1  # near zero, where the vectors have variance 1


@pytest.mark.parametrize("sparse", [False, True])
def test_frozen_vectors_have_no_gradient_and_other_rows_do(sparse):
    net = tables(given(frozen=True), sparse=sparse)
    everything(net).square().sum().backward()
    part = net.own_tables[0]
    assert [n for n, _ in part.named_parameters()] == ["own"]
    gradient = part.own.grad.to_dense() if sparse else part.own.grad
    assert not gradient[0].any()  # the zero that ids with a vector read
    assert (gradient[2:] != 0).all()


def test_padding_rows_stay_zero_in_training():
    net = tables(given(learning_rate_factor=0.5), sparse=False)
    optimizer = torch.optim.Adam(net.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (everything(net) - 1).square().sum().backward()
        optimizer.step()
    part = net.own_tables[0]
    assert not part.own[0].any()
    assert not part.vectors[0].any()
    assert not torch.equal(part.vectors[1:], given().vectors)


def test_a_projection_is_a_linear_map_of_the_vectors():
    pretrained = given(width=6)
    net = tables(pretrained, sparse=True)
    part = net.own_tables[0]
    expected = pretrained.vectors.numpy() @ part.projection.weight.detach().numpy().T
    np.testing.assert_allclose(
        everything(net)[[4, 2]].detach().numpy(), expected, rtol=1e-5
    )


def test_a_projection_keeps_the_size_of_vectors():
    torch.manual_seed(0)
    rows = torch.arange(1, 2001)
    vectors = torch.randn(2000, 64)
    net = IdTables(
        sizes=[2001], dims=[16], sparse=True, pretrained={0: Pretrained(rows, vectors)}
    )
    assert abs(float(net(rows[:, None])[0].detach().std()) - 1) < 0.1


def test_columns_beside_read_their_own_rows():
    """A table apart does not move what the others read."""
    ids = torch.tensor([[1, 5 + 3, 12 + 2]])
    net = tables(given(frozen=True), sparse=False)
    first, second, apart = net(ids)
    torch.testing.assert_close(first[0, 0], net.tables[0][1])
    torch.testing.assert_close(second[0, 0], net.tables[1][2])
    assert apart.shape == (1, 1, 3)


def test_every_trained_table_is_named_once_with_its_rate():
    net = tables(given(learning_rate_factor=0.1), sparse=True)
    found = net.trained()
    assert {id(t) for t, _ in found} == {id(p) for p in net.parameters()}
    assert [f for _, f in found] == [1.0, 1.0, 1.0, 0.1]


@pytest.mark.parametrize("how", [{}, {"frozen": True}], ids=str)
@pytest.mark.parametrize("width", [3, 5])
def test_every_task_starts_from_the_same_vectors(how, width):
    common = {
        "vocabulary_sizes": [7],
        "bin_sizes": [],
        "n_numeric": 0,
        "embedding_dim": 3,
        "bin_dim": 1,
        "sparse": True,
        "pretrained": {0: given(width, **how)},
    }
    ids = torch.tensor([[4], [2]])
    none = torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 0)
    together = TaskEmbedding(n_sets=2, **common)(ids, *none)
    assert together.shape == (2, 2, 3)
    if width == 3:
        alone = TableEmbedding(**common)(ids, *none)
        torch.testing.assert_close(together, alone.expand(2, -1, -1))
    else:  # each has a projection of its own
        assert not torch.allclose(together[0], together[1])
