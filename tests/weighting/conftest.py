"""Small networks, and Gramians of gradients as they come."""

import numpy as np
import pytest
import torch

from skmtl.modules import (
    ChainedTowers,
    ExpertMixture,
    MultiTaskModule,
    ParallelTowers,
    SharedBottom,
    TableEmbedding,
)
from skmtl.tasks import binary_kinds
from skmtl.training.criterion import TaskLosses
from skmtl.weighting import Step

TASKS = ["click", "cart", "order"]


def make_module(kind, n_tasks=3, seed=0):
    torch.manual_seed(seed)
    embedding = TableEmbedding(
        vocabulary_sizes=[20, 5],
        bin_sizes=[4],
        n_numeric=2,
        embedding_dim=3,
        bin_dim=2,
        sparse=True,
    )
    if kind == "bottom":
        sharing = SharedBottom(
            n_tasks=n_tasks, width=embedding.width, units=[8, 6], dropout=0.0
        )
    else:
        sharing = ExpertMixture(
            n_tasks=n_tasks,
            n_experts=4,
            width=embedding.width,
            bottom_units=[],
            expert_units=[7, 6],
            gate_dropout=0.0,
            dropout=0.0,
        )
    if kind == "chained":
        towers = ChainedTowers(
            parents=[[], [0], [0, 1]][:n_tasks],
            width=6,
            units=[5],
            dropout=0.0,
            chain_probability=True,
        )
    else:
        towers = ParallelTowers(n_tasks=n_tasks, width=6, units=[5], dropout=0.0)
    # Double precision, so that two ways of computing the same thing agree closely.
    return MultiTaskModule(embedding=embedding, sharing=sharing, towers=towers).double()


def make_batch(n_tasks=3, n=16, seed=1):
    generator = torch.Generator().manual_seed(seed)
    X = {
        "ids": torch.stack(
            [
                torch.randint(0, 20, (n,), generator=generator),
                20 + torch.randint(0, 5, (n,), generator=generator),
            ],
            dim=1,
        ),
        "bins": torch.randint(0, 4, (n, 1), generator=generator),
        "numeric": torch.randn(n, 2, generator=generator, dtype=torch.float64),
    }
    y = (torch.rand(n, n_tasks, generator=generator) < 0.4).double()
    return X, y


def task_losses(logits, y, weight=None):
    return TaskLosses(binary_kinds(y.shape[1]), [1.0] * y.shape[1]).double()(
        logits, y, weight
    )


def make_step(module, X, y, weight=None, record=False, apart=True):
    representation, mixture = module.split(**X)
    step = Step(module, representation, mixture, record, apart)
    step.losses = task_losses(module.towers(step.cut), y, weight)
    return step


def dense(gradient):
    return gradient.to_dense() if gradient.is_sparse else gradient


def gramians(n_tasks, seed):
    """Conflicting, parallel, opposed, short and ordinary gradients."""
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(n_tasks, 12))
    yield g @ g.T
    conflicting = g - 1.5 * g.mean(axis=0)
    yield conflicting @ conflicting.T
    parallel = rng.uniform(0.5, 2.0, (n_tasks, 1)) * g[:1] + 0.05 * g
    yield parallel @ parallel.T
    unequal = 10.0 ** rng.uniform(-3, 1, (n_tasks, 1)) * g
    yield unequal @ unequal.T


@pytest.fixture(params=["bottom", "experts", "chained"])
def module(request):
    return make_module(request.param)


def take_step(module, weighting, X, y, weight=None, lr=0.05):
    """What the trainer does with a batch, by plain gradient descent."""
    step = make_step(module, X, y, weight, apart=weighting.apart)
    module.zero_grad()
    weighting.zero_grad()
    weighting.backward(step)
    with torch.no_grad():
        for p in [*module.parameters(), *weighting.parameters()]:
            if p.grad is not None:
                p -= lr * dense(p.grad)
    if weighting.looks_back:
        step.again = lambda: task_losses(module(**X), y, weight).detach()
    weighting.after_step(step)
    return step
