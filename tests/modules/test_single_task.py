"""Networks apart: embeddings side by side, and their bottoms."""

import numpy as np
import pytest
import torch

from skmtl.modules import (
    ParallelTowers,
    TableEmbedding,
    TaskBottoms,
    TaskEmbedding,
)
from tests.modules.reference import (
    BIN_DIM,
    BINS,
    DIM,
    N_NUMERIC,
    SIZES,
    TASKS,
    WIDTH,
    batch,
    check_gradient,
    compose,
    count,
    embed,
    parallel,
    stack,
)

TABLE = "embedding.ids.tables.0"


def task_embedding(n_sets):
    return TaskEmbedding(
        n_sets=n_sets,
        vocabulary_sizes=SIZES,
        bin_sizes=BINS,
        n_numeric=N_NUMERIC,
        embedding_dim=DIM,
        bin_dim=BIN_DIM,
        sparse=False,
    )


def columns_of(p, t):
    """The embedding tables of one task."""
    return {
        TABLE: p[TABLE][:, t * DIM : (t + 1) * DIM],
        "embedding.bins": p["embedding.bins"][:, t * BIN_DIM : (t + 1) * BIN_DIM],
    }


def single_task(units):
    embedding = task_embedding(TASKS)
    assert embedding.width == WIDTH
    sharing = TaskBottoms(n_tasks=TASKS, width=WIDTH, units=units, dropout=0.0)
    towers = ParallelTowers(n_tasks=TASKS, width=sharing.width, units=[3], dropout=0.0)
    return compose(sharing, towers, embedding)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("units", [[], [5], [6, 4]])
def test_forward_and_gradient(seed, units):
    torch.manual_seed(seed)
    data = batch(seed)

    def reference(p):
        return parallel(
            p,
            [
                stack(
                    p,
                    "sharing.layers",
                    t,
                    embed(columns_of(p, t), *data),
                    len(units),
                )
                for t in range(TASKS)
            ],
        )

    check_gradient(single_task(units), data, reference, seed)


def test_parameters_are_those_of_as_many_networks():
    rows, tower = sum(SIZES) * DIM + sum(BINS) * BIN_DIM, (5 * 3 + 3) + (3 + 1)
    one = rows + (WIDTH * 6 + 6) + (6 * 5 + 5) + tower
    assert count(single_task([6, 5])) == TASKS * one


def test_embeddings_start_as_wide_as_alone():
    torch.manual_seed(0)
    sizes = {
        "vocabulary_sizes": [4000],
        "bin_sizes": [4000],
        "n_numeric": 0,
        "embedding_dim": 16,
        "bin_dim": 8,
        "sparse": True,
    }
    together, alone = TaskEmbedding(n_sets=5, **sizes), TableEmbedding(**sizes)
    for of in (lambda module: module.ids.tables[0], lambda module: module.bins):
        found, expected = (float(of(m).detach().std()) for m in (together, alone))
        assert found == pytest.approx(expected, rel=0.02)
    assert not together.ids.tables[0][0].any()


def test_only_some_kinds_of_columns():
    ids, bins, numeric = (torch.from_numpy(np.asarray(a)) for a in batch(0))
    full = task_embedding(2).double()
    out = full(ids, bins, numeric)
    no_ids = full(ids[:, :0], bins, numeric)
    no_numbers = full(ids, bins[:, :0], numeric[:, :0])
    assert torch.equal(no_ids, out[:, :, 2 * DIM :])
    assert torch.equal(no_numbers, out[:, :, : 2 * DIM])
