"""The same network and optimisers in a plain loop, without skorch and checks."""

import torch
from torch.nn import functional as F
from workload import N_IDS, N_NUMBERS, TASKS

from skmtl.modules import (
    ExpertMixture,
    MultiTaskModule,
    ParallelTowers,
    SharedBottom,
    TableEmbedding,
)
from skmtl.training.computing import keep_freed_memory
from skmtl.training.optimizers import LazyAdam


def prepare(work):
    ids, numbers, y = map(torch.from_numpy, work.part(test=False))
    first = torch.tensor([0, *work.vocabulary]).cumsum(0)[:-1].int()
    test_ids, test_numbers, _ = map(torch.from_numpy, work.part(test=True))
    return {
        "vocabulary": work.vocabulary,
        "train": (ids + first, numbers, y),
        "test": (test_ids + first, test_numbers),
    }


def network(data, options):
    """The network of the rankers, without an encoder."""
    embedding = TableEmbedding(
        vocabulary_sizes=data["vocabulary"],
        bin_sizes=(),
        n_numeric=N_NUMBERS,
        embedding_dim=16,
        bin_dim=1,
        sparse=True,
    )
    shared = {"n_tasks": len(TASKS), "dropout": 0.0}
    if options.model == "mmoe":
        sharing = ExpertMixture(
            n_experts=8,
            width=N_IDS * 16 + N_NUMBERS,
            bottom_units=(),
            expert_units=(128,),
            gate_dropout=0.0,
            **shared,
        )
    else:
        sharing = SharedBottom(width=N_IDS * 16 + N_NUMBERS, units=(256, 128), **shared)
    towers = ParallelTowers(width=sharing.width, units=(64,), **shared)
    return MultiTaskModule(embedding=embedding, sharing=sharing, towers=towers)


def fit(data, options):
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    torch.manual_seed(options.seed)
    net = network(data, options)
    optimizer = LazyAdam([p for p in net.parameters() if p.numel()], 1e-3)
    ids, numbers, y = data["train"]
    bins = torch.empty(len(y), 0, dtype=torch.int32)
    for _ in range(options.epochs):
        order = torch.randperm(len(y))
        for at in order.split(options.batch_size):
            optimizer.zero_grad()
            # Towers read what tasks share once, as in a step of skmtl.
            x = net.embedding(ids[at], bins[at], numbers[at])
            logits = net.towers(net.sharing.mix(x)[0])
            losses = F.binary_cross_entropy_with_logits(
                logits, y[at], reduction="none"
            ).mean(dim=0)
            losses.sum().backward()
            optimizer.step()
    return net.eval()


def predict(net, data, options):
    ids, numbers = data["test"]
    bins = torch.empty(len(ids), 0, dtype=torch.int32)
    with torch.inference_mode():
        blocks = [
            net(ids=i, bins=b, numeric=n)
            for i, b, n in zip(
                ids.split(1024), bins.split(1024), numbers.split(1024), strict=True
            )
        ]
    return torch.cat(blocks).numpy()
