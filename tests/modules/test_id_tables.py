"""Tables of ids: further hashes are summed, and rows are added."""

import pytest
import torch

from skmtl.modules.id_tables import IdTables


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
    rows, places = tables.grow(sizes, start)
    for new, old in enumerate(start.tolist()):
        assert torch.equal(_read(tables, new, sizes), before[old])
    assert sorted(torch.cat(places).tolist()) == list(range(10))
    assert [len(r) for r in rows] == [len(t) for t in tables.tables]
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
