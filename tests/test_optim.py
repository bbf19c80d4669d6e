"""LazyAdam against torch's own optimisers."""

import copy

import pytest
import torch
from torch.nn import functional as F

from skmtl._optim import (
    LazyAdam,
    dense_optimizer,
    replace_parameter,
    schedule,
    table_optimizer,
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


def test_dense_adam_is_fused():
    optimizer = dense_optimizer("adam", [torch.nn.Parameter(torch.ones(2))], 0.1, 0.0)
    assert optimizer.defaults["fused"]


@pytest.mark.parametrize(
    ("name", "middle", "end"),
    [("constant", 1, 1), ("linear", 0.5, 0), ("cosine", 0.5, 0), (lambda p: 2, 2, 2)],
)
def test_schedules(name, middle, end):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    plan = schedule(optimizer, name, steps=10)
    rates = []
    for _ in range(10):
        optimizer.step()
        plan.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[4] == pytest.approx(middle, abs=1e-6)
    assert rates[9] == pytest.approx(end, abs=1e-6)


@pytest.mark.parametrize("name", ["lazy_adam", "adam"])
def test_a_table_that_grows_goes_on_as_if_it_always_had_the_rows(name):
    """Rows that were there before move as without growth, to the last bit."""
    start, batches = problem(1, 30)
    start = start.float()
    batches = [(rows, target.float()) for rows, target in batches]
    small = torch.nn.Parameter(start[:20].clone())
    optimizer = table_optimizer(name, [small], 0.05, 0.0)
    sparse = name == "lazy_adam"
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
    assert (optimizer.state[large]["exp_avg_sq"][fresh] == 0).all()
    reference = table_optimizer(name, [expected], 0.05, 0.0)
    reference.state[expected] = alone
    moved = [(place[rows], target) for rows, target in batches[10:]]
    found = run(optimizer, large, moved, sparse)
    assert torch.equal(found[place], run(reference, expected, batches[10:], sparse))
    assert torch.equal(found[fresh], small.detach()[[3, 3]])  # no batch had them
