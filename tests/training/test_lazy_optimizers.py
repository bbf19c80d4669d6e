"""Lazy optimisers against torch's own and numpy."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch.nn import functional as F

from skmtl.training.optimizers import (
    LazyAdam,
    RowAdagrad,
    join_rows,
    put_rows,
    replace_parameter,
    sum_by_row,
    table_optimizer,
    touched_rows,
)


def run(optimizer, table, batches, sparse):
    for rows, target in batches:
        table.grad = None
        (F.embedding(rows, table, sparse=sparse) - target).square().sum().backward()
        optimizer.step()
    return table.detach()


def problem(seed, n_rows, touch_all=False):
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(n_rows, 3, generator=generator, dtype=torch.float64)
    batches = []
    for _ in range(20):
        rows = torch.randint(0, n_rows // 2, (16,), generator=generator)
        if touch_all:
            rows = torch.cat([rows, torch.arange(n_rows)])
        target = torch.randn(len(rows), 3, generator=generator, dtype=torch.float64)
        batches.append((rows, target))
    return start, batches


@pytest.mark.parametrize("seed", range(3))
def test_equals_sparse_adam(seed):
    start, batches = problem(seed, 40)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    # SparseAdam adds eps before it corrects the bias; without eps they are equal.
    reference = torch.optim.SparseAdam([theirs], lr=0.05, eps=1e-30)
    found = run(LazyAdam([ours], lr=0.05, eps=1e-30), ours, batches, True)
    expected = run(reference, theirs, batches, True)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert torch.equal(found[20:], start[20:])  # rows that no batch touches


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_equals_dense_adamw_where_every_row_is_touched(decay):
    start, batches = problem(0, 10, touch_all=True)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    found = run(LazyAdam([ours], lr=0.05, weight_decay=decay), ours, batches, True)
    reference = torch.optim.AdamW([theirs], lr=0.05, weight_decay=decay)
    expected = run(reference, theirs, batches, False)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_adagrad_equals_torch_where_rows_hold_one_number():
    start, batches = problem(1, 40)
    batches = [(rows, target[:, :1]) for rows, target in batches]
    ours, theirs = (torch.nn.Parameter(start[:, :1].clone()) for _ in range(2))
    found = run(RowAdagrad([ours], lr=0.05), ours, batches, True)
    expected = run(torch.optim.Adagrad([theirs], lr=0.05), theirs, batches, False)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adagrad_equals_numpy(decay):
    start, batches = problem(2, 40)
    table = torch.nn.Parameter(start.clone())
    optimizer = RowAdagrad([table], lr=0.05, eps=1e-3, weight_decay=decay)
    found = run(optimizer, table, batches, True)
    expected, total = start.numpy().copy(), np.zeros(40)
    for rows, target in batches:
        gradient = np.zeros((40, 3))
        np.add.at(gradient, rows, 2 * (expected[rows] - target.numpy()))
        seen = np.unique(rows)
        total[seen] += (gradient[seen] ** 2).mean(axis=1)
        expected[seen] *= 1 - 0.05 * decay
        expected[seen] -= 0.05 * gradient[seen] / (np.sqrt(total[seen]) + 1e-3)[:, None]
    assert_allclose(found, expected, rtol=1e-10)
    assert torch.equal(found[20:], start[20:])  # rows that no batch touches


@given(
    rows=st.lists(st.integers(0, 50), min_size=0, max_size=80),
    n_rows=st.sampled_from([51, 2**40, 2**58]),
)
def test_touched_rows(rows, n_rows):
    values = np.random.default_rng(len(rows)).normal(size=(len(rows), 4))
    # The last rows of the table, so that keys are as large as they get.
    indices = torch.tensor(rows, dtype=torch.int64) + (n_rows - 51)
    gradient = torch.sparse_coo_tensor(
        indices[None], torch.from_numpy(values), (n_rows, 4), check_invariants=False
    )
    found, sums = touched_rows(gradient)
    assert found.tolist() == sorted(set(indices.tolist()))
    expected = [values[(indices == row).numpy()].sum(axis=0) for row in found]
    assert_allclose(sums, np.reshape(expected, (-1, 4)), rtol=1e-12, atol=1e-12)


@given(
    blocks=st.lists(
        st.lists(st.integers(0, 9), min_size=1, max_size=30), min_size=1, max_size=5
    )
)
def test_blocks_of_a_gradient_add_up(blocks):
    rng = np.random.default_rng(len(blocks))
    expected, summed = np.zeros((10, 3)), []
    for rows in blocks:
        values = rng.normal(size=(len(rows), 3))
        np.add.at(expected, rows, values)
        whole = torch.sparse_coo_tensor(
            torch.tensor([rows]),
            torch.from_numpy(values),
            (10, 3),
            check_invariants=False,
        )
        summed.append(sum_by_row(whole))
        assert summed[-1]._nnz() == len(set(rows))
    joined = join_rows(summed)
    assert_allclose(joined.to_dense(), expected, atol=1e-12)
    rows, values = touched_rows(joined)
    assert rows.tolist() == sorted({row for block in blocks for row in block})
    assert_allclose(values, expected[rows.numpy()], atol=1e-12)


def test_moments_do_not_decay_to_numbers_that_are_slow():
    # The second number gets no gradient after the first steps, as of a silenced unit;
    # gradients of the third are small, and count.
    ours, theirs = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizers = (
        LazyAdam([ours], lr=1e-3),
        torch.optim.AdamW([theirs], weight_decay=0.0, fused=True),
    )
    for k in range(1100):
        for p, optimizer in zip((ours, theirs), optimizers, strict=True):
            p.grad = torch.tensor([1.0, float(k < 3), 1e-10])
            optimizer.step()
    ours_m, theirs_m = (
        optimizer.state[p]["exp_avg"]
        for p, optimizer in zip((ours, theirs), optimizers, strict=True)
    )
    assert 0 < theirs_m[1] < torch.finfo(torch.float32).tiny  # or nothing was tested
    assert ours_m[1] == 0
    assert torch.equal(ours, theirs)


def test_goes_on_from_the_state_of_torchs_own():
    ours, theirs = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    reference = torch.optim.AdamW([theirs], weight_decay=0.0, fused=True)
    for _ in range(5):
        theirs.grad = torch.tensor([1.0, -2.0])
        reference.step()
    ours.data.copy_(theirs)
    optimizer = LazyAdam([ours])
    optimizer.load_state_dict(copy.deepcopy(reference.state_dict()))
    for _ in range(130):
        ours.grad = theirs.grad = torch.tensor([0.5, 1.0])
        optimizer.step()
        reference.step()
    assert torch.equal(ours, theirs)


def test_gradients_of_two_look_ups_add_up():
    table = torch.nn.Parameter(torch.randn(9, 4))
    first, second = torch.tensor([1, 3, 3]), torch.tensor([3, 8])
    (F.embedding(first, table, sparse=True).sum()).backward()
    (2 * F.embedding(second, table, sparse=True).sum()).backward()
    rows, values = touched_rows(table.grad)
    assert rows.tolist() == [1, 3, 8]
    assert values[:, 0].tolist() == [1, 4, 2]


@pytest.mark.parametrize("name", ["lazy_adam", "adagrad", "adam"])
def test_a_table_that_grows_goes_on_as_if_it_always_had_the_rows(name):
    """Rows that were there before move as without growth, to the last bit."""
    start, batches = problem(1, 30)
    start = start.float()
    batches = [(rows, target.float()) for rows, target in batches]
    small = torch.nn.Parameter(start[:20].clone())
    optimizer = table_optimizer(name, [small], 0.05, 0.0)
    sparse = name != "adam"
    run(optimizer, small, batches[:10], sparse)
    # Old rows change places, and two new ones start from row 3.
    rows = torch.tensor([*range(10), 3, *range(10, 20), 3])
    fresh = torch.zeros(22, dtype=torch.bool)
    fresh[[10, 21]] = True
    place = torch.nonzero(~fresh).ravel()
    large = torch.nn.Parameter(small.detach()[rows])
    expected = torch.nn.Parameter(small.detach().clone())
    alone = copy.deepcopy(optimizer.state[small])
    replace_parameter(optimizer, small, large, rows, fresh)
    assert small not in optimizer.state
    kept = "sum" if name == "adagrad" else "exp_avg_sq"
    assert (optimizer.state[large][kept][fresh] == 0).all()
    reference = table_optimizer(name, [expected], 0.05, 0.0)
    reference.state[expected] = alone
    moved = [(place[rows], target) for rows, target in batches[10:]]
    found = run(optimizer, large, moved, sparse)
    assert torch.equal(found[place], run(reference, expected, batches[10:], sparse))
    assert torch.equal(found[fresh], small.detach()[[3, 3]])  # no batch had them


@pytest.mark.parametrize("width", [1, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("turned", [False, True])
def test_rows_are_put_where_they_belong(width, dtype, turned):
    table = torch.randn(30, width, dtype=dtype)
    table = torch.nn.Parameter(table.t().contiguous().t() if turned else table)
    rows, new = torch.tensor([29, 0, 7]), torch.randn(3, width, dtype=dtype)
    with torch.no_grad():
        expected = table.index_copy(0, rows, new)
        put_rows(table, rows, new)
    assert torch.equal(table, expected)
