"""Tables of ids: further hashes are summed, and rows are added."""

import pytest
import torch

from skmtl.modules.embedding import IdTables, Pretrained


@pytest.mark.parametrize("dims", [[4, 4, 4], [4, 2, 4], [2, 4, 8]])
def test_the_rows_of_further_hashes_are_added_to_their_columns(dims):
    torch.manual_seed(0)
    sizes, more = [5, 7, 3], [0, 2, 0, 2]
    tables = IdTables(sizes=sizes, dims=dims, sparse=False, more=more)
    plain = IdTables(sizes=sizes, dims=dims, sparse=False)
    plain.load_state_dict(tables.state_dict())
    first = [0, 5, 12]
    places = [0, 1, 2, *more]
    ids = torch.stack(
        [first[k] + torch.randint(0, sizes[k], (20,)) for k in places], dim=1
    )
    expected = [rows.clone() for rows in plain(ids[:, :3])]
    for place, k in enumerate(more, start=3):
        other = ids[:, :3].clone()
        other[:, k] = ids[:, place]
        g = next(g for g, columns in enumerate(plain.columns) if k in columns)
        at = plain.columns[g].index(k)
        expected[g][:, at] += plain(other)[g][:, at]
    found = tables(ids)
    for rows, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(rows, reference)


@pytest.mark.parametrize("dims", [[4, 4, 4], [4, 2, 4]])
def test_grown_tables_hold_every_row_where_it_belongs(dims):
    torch.manual_seed(0)
    tables = IdTables(sizes=[2, 3, 2], dims=dims, sparse=True, more=[1])
    before = {row: _read(tables, row, [2, 3, 2]) for row in range(7)}
    start = torch.tensor([0, 1, 0, 2, 3, 4, 2, 2, 5, 6])
    sizes = [3, 5, 2]
    new = torch.tensor([False, False, True, *[False] * 3, True, True, False, False])
    found = tables.grow(sizes, start, new)
    for new, old in enumerate(start.tolist()):
        assert torch.equal(_read(tables, new, sizes), before[old])
    assert sum(int(one.fresh.sum()) for one in found) == 3
    assert [len(one.rows) for one in found] == [len(t) for t in tables.tables]
    assert all(table.requires_grad for table in tables.tables)


def _read(tables, row, sizes):
    """Embedding of a row of the fused space."""
    k, first = 0, 0
    while row >= first + sizes[k]:
        first += sizes[k]
        k += 1
    ids = torch.tensor([[0, sizes[0], sizes[0] + sizes[1], sizes[0]]])
    base = [rows.clone() for rows in tables(ids)]
    ids[0, k] = row
    g = next(g for g, columns in enumerate(tables.columns) if k in columns)
    at = tables.columns[g].index(k)
    found = tables(ids)[g][0, at].detach()
    # The further hash reads row 0 of the second column, which is added to it.
    return found - (base[g][0, at].detach() / 2 if k == 1 else 0)


@pytest.mark.parametrize("frozen", [True, False])
def test_rows_are_added_beside_pretrained_vectors(frozen):
    torch.manual_seed(0)
    vectors = torch.randn(2, 6)
    given = Pretrained(torch.tensor([1, 3]), vectors, frozen=frozen)
    tables = IdTables(sizes=[4, 2], dims=[4, 4], sparse=True, pretrained={0: given})
    before = [_entry(tables, row, 4) for row in range(6)]
    start = torch.tensor([0, 1, 2, 3, 0, 4, 5])
    new = torch.tensor([False] * 4 + [True] + [False] * 2)
    found = tables.grow([5, 2], start, new)
    for row, old in enumerate(start.tolist()):
        assert torch.equal(_entry(tables, row, 5), before[old])
    own = found[1]
    assert own.before.shape == (3, 4)  # row 0 of the table, and two ids without vectors
    assert own.after.shape == (4, 4)
    assert own.fresh.tolist() == [False, False, False, True]
    # The new row has numbers of its own.
    with torch.no_grad():
        tables.own_tables[0].own[3] += 1
    assert torch.equal(_entry(tables, 0, 5), before[0])
    torch.testing.assert_close(_entry(tables, 4, 5), before[0] + 1)


def _entry(tables, row, size):
    """Embedding of a row of two vocabularies, the first of this size."""
    return tables.entries(torch.tensor([row]), int(row >= size))[0].detach()
