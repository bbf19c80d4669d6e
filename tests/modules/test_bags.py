"""Lists of ids: rows taken together, and pooling against references in numpy."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skmtl.modules import (
    BagColumn,
    Bags,
    EmbeddingExperts,
    ParallelTowers,
    Ragged,
    SharedBottom,
    TableEmbedding,
    TaskBottoms,
    TaskEmbedding,
)
from tests.modules.reference import (
    BIN_DIM,
    BINS,
    TASKS,
    check_gradient,
    compose,
    dense,
    parallel,
    stack,
    values,
)

# Three vocabularies; columns read the first and the second, lists all three.
SIZES, DIM = [6, 4, 5], 4
COLUMNS = [0, 1]
FIRST = np.cumsum([0, *SIZES])
BAGS = [
    BagColumn(0, "attention", 0),
    BagColumn(1, "mean"),
    BagColumn(2, "sum"),
    BagColumn(2, "max"),
    BagColumn(0, "attention", 1),
]
POOLED_WIDTH = 7 * DIM + BIN_DIM + 1


@pytest.mark.parametrize(
    ("pooling", "query", "message"),
    [
        ("median", None, "must be one of"),
        ("mean", 0, "'mean' does not read a query, found query=0"),
        ("attention", None, "'attention' needs a query"),
        ("din", None, "'din' needs a query"),
    ],
)
def test_a_pooling_and_its_query(pooling, query, message):
    with pytest.raises(ValueError, match=message):
        BagColumn(0, pooling, query)
    assert BagColumn(0, "transformer").query is None
    assert BagColumn(0, "transformer", 0).query == 0


def ragged(lists):
    lengths = [len(one) for one in lists]
    flat = np.array([v for one in lists for v in one], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Ragged(torch.from_numpy(flat), torch.from_numpy(offsets))


def lists_of(bag):
    ends = bag.offsets.tolist()
    return [bag.values[a:b].tolist() for a, b in pairwise(ends)]


@given(st.lists(st.lists(st.integers(0, 9)), max_size=9), st.data())
@settings(max_examples=100, deadline=None)
def test_rows_are_taken_together(lists, data):
    n = len(lists)
    bags = Bags([ragged(lists), ragged(lists[::-1])])
    start, stop = data.draw(st.integers(0, n)), data.draw(st.integers(0, n + 3))
    at = data.draw(st.lists(st.integers(0, n - 1), max_size=12) if n else st.just([]))
    for rows, expected in (
        (slice(start, stop), lists[start:stop]),
        (slice(None), lists),
        (slice(0, n, 2), lists[::2]),
        (torch.tensor(at, dtype=torch.int64), [lists[i] for i in at]),
    ):
        one, other = bags[rows]
        assert lists_of(one) == expected
        assert one.lengths.tolist() == list(map(len, expected))
        assert one.row.tolist() == [i for i, v in enumerate(expected) for _ in v]
        assert len(one) == len(other) == len(expected)


def batch(seed, n=9):
    """Ids, bins, numbers and lists, some of them empty."""
    rng = np.random.default_rng(seed)
    ids = np.column_stack([FIRST[v] + rng.integers(0, SIZES[v], n) for v in COLUMNS])
    lists = []
    for column in BAGS:
        v = column.vocabulary
        lengths = rng.integers(0, 6, n) * (rng.random(n) < 0.7)
        lists.append([FIRST[v] + rng.integers(0, SIZES[v], k) for k in lengths])
    return ids, rng.integers(0, 4, (n, 1)), rng.normal(size=(n, 1)), lists


def tensors(data):
    *arrays, lists = data
    return [*map(torch.from_numpy, arrays), Bags(map(ragged, lists))]


def pooled(rows, column, query):
    """One list, written out."""
    if not len(rows):
        return np.zeros(DIM)
    if column.pooling == "mean":
        return rows.mean(axis=0)
    if column.pooling == "sum":
        return rows.sum(axis=0)
    if column.pooling == "max":
        return rows.max(axis=0)

    def soft_length(x):
        return np.sqrt(x @ x + 0.1**2)

    return sum(
        q * row
        for q, row in zip(
            [row @ query / soft_length(row) / soft_length(query) for row in rows],
            rows,
            strict=True,
        )
    )


def embed(table, bins, data, bags=BAGS):
    ids, bin_of, numeric, lists = data
    columns = [table[ids[:, k]] for k in range(ids.shape[1])]
    pools = [
        np.array(
            [
                pooled(table[one], column, columns[column.query or 0][i])
                for i, one in enumerate(cells)
            ]
        )
        for column, cells in zip(bags, lists, strict=True)
    ]
    return np.hstack([*columns, *pools, bins[bin_of[:, 0]], numeric])


def sizes(**more):
    return {
        "vocabulary_sizes": SIZES,
        "bin_sizes": BINS,
        "n_numeric": 1,
        "embedding_dim": DIM,
        "bin_dim": BIN_DIM,
        "sparse": False,
        "vocabularies": COLUMNS,
        "bags": BAGS,
        **more,
    }


def longer(net):
    """Rows as long as trained ones, where a cosine is not mostly its softening."""
    for table in net.embedding.ids.tables:
        table.data.mul_(5)
    return net


@pytest.mark.parametrize("seed", range(4))
def test_shared_bottom_forward_and_gradient(seed):
    torch.manual_seed(seed)
    embedding = TableEmbedding(**sizes())
    assert embedding.width == POOLED_WIDTH
    sharing = SharedBottom(n_tasks=TASKS, width=POOLED_WIDTH, units=[6], dropout=0.0)
    towers = ParallelTowers(n_tasks=TASKS, width=6, units=[3], dropout=0.0)
    data = batch(seed)

    def reference(p):
        x = embed(p["embedding.ids.tables.0"], p["embedding.bins"], data)
        return parallel(p, [dense(p, "sharing.layers.0", x)] * TASKS)

    net = longer(compose(sharing, towers, embedding))
    check(net, data, reference, seed)


def check(net, data, reference, seed):
    """As `check_gradient`, with lists among the arguments."""
    arguments = tensors(data)

    class Fixed:
        def __call__(self, *_):
            return net(*arguments)

        state_dict = net.state_dict
        named_parameters = net.named_parameters

    check_gradient(Fixed(), [], reference, seed)


@pytest.mark.parametrize("seed", range(4))
def test_sets_pool_and_attend_by_themselves(seed):
    torch.manual_seed(seed)
    more = sizes(n_sets=TASKS)
    embedding = TaskEmbedding(**more)
    assert embedding.width == POOLED_WIDTH
    sharing = TaskBottoms(n_tasks=TASKS, width=POOLED_WIDTH, units=[5], dropout=0.0)
    towers = ParallelTowers(n_tasks=TASKS, width=5, units=[3], dropout=0.0)
    data = batch(seed)

    def reference(p):
        table, bins = p["embedding.ids.tables.0"], p["embedding.bins"]
        mixed = []
        for t in range(TASKS):
            own = table[:, t * DIM : (t + 1) * DIM]
            x = embed(own, bins[:, t * BIN_DIM : (t + 1) * BIN_DIM], data)
            mixed.append(stack(p, "sharing.layers", t, x, 1))
        return parallel(p, mixed)

    check(longer(compose(sharing, towers, embedding)), data, reference, seed)


def test_stem_keeps_gradients_of_lists_apart():
    torch.manual_seed(0)
    embedding = TaskEmbedding(**sizes(n_sets=TASKS + 1))
    sharing = EmbeddingExperts(
        n_tasks=TASKS,
        n_task_experts=1,
        n_shared_experts=1,
        width=embedding.width,
        expert_units=[5],
        dropout=0.0,
    )
    towers = ParallelTowers(n_tasks=TASKS, width=5, units=[3], dropout=0.0)
    net = longer(compose(sharing, towers, embedding))
    net(*tensors(batch(0)))[:, 1].sum().backward()
    gradient = embedding.ids.tables[0].grad
    # The rows of the last vocabulary are in lists only.
    by_set = gradient[FIRST[2] :].unflatten(1, (TASKS + 1, DIM)).abs().sum((0, 2))
    assert (by_set > 0).tolist() == [t in (1, TASKS) for t in range(TASKS + 1)]


def test_widths_of_their_own():
    torch.manual_seed(0)
    dims = [4, 2, 4]
    embedding = TableEmbedding(**sizes(embedding_dim=dims)).double()
    same = TableEmbedding(**sizes(embedding_dim=4, bags=BAGS[:4])).double()
    with pytest.raises(RuntimeError):
        embedding(*tensors(batch(0)))  # the last column compares widths 4 and 2
    embedding = TableEmbedding(**sizes(embedding_dim=dims, bags=BAGS[:4])).double()
    wide, narrow = (table.detach() for table in embedding.ids.tables)
    # The same numbers in one table: narrow rows end in zeros.
    table = same.ids.tables[0].data
    table[:6], table[10:] = wide[:6], wide[6:]
    table[6:10] = torch.nn.functional.pad(narrow, (0, 2))
    same.bins.data = embedding.bins.data
    data = batch(0)
    found = embedding(*tensors(data)[:3], list(tensors(data)[3])[:4])
    expected = same(*tensors(data)[:3], list(tensors(data)[3])[:4])
    assert embedding.width == found.shape[1] == expected.shape[1] - 4
    total = expected.sum(dim=1)
    assert_allclose(found.sum(dim=1).detach(), total.detach(), rtol=1e-12)


@pytest.mark.parametrize("n_sets", [1, 3])
def test_sparse_gradients_add_up_over_columns(n_sets):
    make = TableEmbedding if n_sets == 1 else TaskEmbedding
    grads = []
    for sparse in (False, True):
        torch.manual_seed(0)
        more = {} if n_sets == 1 else {"n_sets": n_sets}
        embedding = make(**sizes(sparse=sparse, **more)).double()
        out = embedding(*tensors(batch(3)))
        (out * torch.sin(torch.arange(out.numel())).view(out.shape)).sum().backward()
        (table,) = embedding.ids.tables
        assert table.grad.is_sparse == sparse
        grads.append(table.grad.to_dense())
    assert_allclose(*grads, rtol=1e-12, atol=1e-15)


def test_unknown_items_have_a_finite_slope():
    torch.manual_seed(0)
    embedding = TableEmbedding(**sizes())  # rows 0 start at zero
    data = list(batch(0))
    data[0][:, 0] = 0
    data[3][0] = [np.zeros(3, dtype=np.int64)] * 9
    out = embedding(*tensors([*data[:2], data[2].astype(np.float32), data[3]]))
    out.square().sum().backward()
    assert torch.isfinite(embedding.ids.tables[0].grad).all()
    assert embedding.ids.tables[0].grad.abs().max() < 100


@pytest.mark.parametrize("bags", [BAGS[:2], BAGS[2:]])
def test_empty_batches_of_lists(bags):
    embedding = TableEmbedding(**sizes(bags=bags))
    ids, bins, numeric, _ = batch(0)
    empty = Bags([ragged([[]] * len(ids))] * len(bags))
    arrays = [torch.from_numpy(a) for a in (ids, bins, numeric.astype(np.float32))]
    out = embedding(*arrays, empty)
    assert (out[:, 2 * DIM : (2 + len(bags)) * DIM] == 0).all()
    out.sum().backward()
    assert values(embedding)["ids.tables.0"].shape == (sum(SIZES), DIM)
