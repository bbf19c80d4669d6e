"""The tower over biased columns, and embeddings of some columns, against numpy."""

import numpy as np
import torch
from numpy.testing import assert_allclose
from torch.autograd import gradcheck

from skmtl.modules import BagColumn, BiasTower, Ragged, SomeColumns, TableEmbedding

# Of a table: three columns of ids that read three vocabularies, a column of lists that
# reads the second, and three numbers of which the first and the last have bins.
SIZES, BIN_SIZES = [5, 4, 6], [3, 4]


def embedding(*, sizes, vocabularies, bins, n_numeric, binned, bags=()):
    return TableEmbedding(
        vocabulary_sizes=sizes,
        vocabularies=vocabularies,
        bin_sizes=bins,
        binned=binned,
        n_numeric=n_numeric,
        embedding_dim=2,
        bin_dim=2,
        sparse=True,
        bags=bags,
    )


def some_columns():
    """The third and first column of ids, the lists, the last number and its bins."""
    inner = embedding(
        sizes=SIZES,
        vocabularies=[2, 0],
        bins=BIN_SIZES[1:],
        n_numeric=1,
        binned=[0],
        bags=[BagColumn(1)],
    )
    return SomeColumns(
        inner,
        sizes=SIZES,
        ids=[(2, 2), (0, 0)],
        bags=[(0, 1)],
        bins=[(1, BIN_SIZES[0])],
        numeric=[2],
    )


def rows(n=7, seed=0):
    rng = np.random.default_rng(seed)
    first = np.cumsum([0, *SIZES])
    ids = np.stack([first[v] + rng.integers(0, SIZES[v], n) for v in range(3)], axis=1)
    bins = np.stack([rng.integers(0, 3, n), 3 + rng.integers(0, 4, n)], axis=1)
    lists = first[1] + rng.integers(0, SIZES[1], 2 * n)
    bag = Ragged(torch.from_numpy(lists), 2 * torch.arange(n + 1))
    return (
        torch.from_numpy(ids.astype(np.int32)),
        torch.from_numpy(bins.astype(np.int32)),
        torch.from_numpy(rng.normal(size=(n, 3)).astype(np.float32)),
        [bag],
    )


def test_some_columns_are_those_of_the_table():
    part, (ids, bins, numeric, bags) = some_columns(), rows()
    found = part(ids, bins, numeric, bags).detach().numpy()
    table = part.inner.ids.tables[0].detach().numpy()  # all three vocabularies
    of_bins = part.inner.bins.detach().numpy()
    lists = table[bags[0].values.numpy()].reshape(7, 2, 2).mean(axis=1)
    expected = [
        table[ids[:, 2].numpy()],
        table[ids[:, 0].numpy()],
        lists,
        of_bins[bins[:, 1].numpy() - BIN_SIZES[0]],
        numeric[:, 2:].numpy(),
    ]
    assert_allclose(found, np.hstack(expected), rtol=1e-6)
    assert part.width == found.shape[1]


def test_vocabularies_that_are_not_read_take_no_rows_and_grow_without():
    inner = embedding(
        sizes=[4, 6], vocabularies=[0, 1], bins=[], n_numeric=0, binned=[]
    )
    part = SomeColumns(
        inner, sizes=SIZES, ids=[(1, 1), (2, 2)], bags=[], bins=[], numeric=[]
    )
    ids, bins, numeric, _ = rows()
    before = part(ids, bins[:, :0], numeric).detach()
    assert len(part.inner.ids.tables[0]) == 10
    # One more row in each vocabulary, at its end.
    sizes = [n + 1 for n in SIZES]
    start, new, row = [], [], 0
    for n in SIZES:
        start += [*range(row, row + n), row]
        new += [False] * n + [True]
        row += n
    grown = part.grow(sizes, torch.tensor(start), torch.tensor(new))
    assert [len(one.after) for one in grown] == [12]
    moved = ids + torch.arange(3, dtype=torch.int32)
    assert_allclose(part(moved, bins[:, :0], numeric).detach(), before)


def test_tower_is_a_hidden_layer_and_a_number_for_each_task():
    tower = BiasTower(some_columns(), n_scores=[1, 1, 2], n_outputs=[1, 3, 2])
    assert not tower(*rows()).any()  # it starts at 0
    torch.nn.init.normal_(tower.output.weight)
    x = tower.embedding(*rows()).detach().numpy()
    hidden = np.maximum(
        x @ tower.hidden.weight.detach().numpy() + tower.hidden.bias.detach().numpy(), 0
    )
    scores = hidden @ tower.output.weight.detach().numpy()
    # The second task has one number and three ordered outputs.
    expected = scores[:, [0, 1, 1, 1, 2, 3]]
    assert_allclose(tower(*rows()).detach(), expected, rtol=1e-5, atol=1e-6)


def test_gradient_of_the_tower():
    tower = BiasTower(some_columns(), n_scores=[1, 1], n_outputs=[1, 1], units=3)
    torch.nn.init.normal_(tower.output.weight)
    tower = tower.double()
    ids, bins, numeric, bags = rows()
    assert gradcheck(
        lambda x: tower(ids, bins, x, bags), numeric.double().requires_grad_()
    )
