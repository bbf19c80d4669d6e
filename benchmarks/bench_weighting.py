"""Time of a step with every loss weighting, relative to static weights.

The table has 20 id columns with Zipf ids, from 10 to 200,000 of them, and 10 numbers;
the network is MMoE of 8 experts of 128 units and towers of 64. Every round times some
steps of each contender in turn, on one thread, so that a slow moment of the machine
affects all of them; a ratio is the median over the rounds of the time divided by that
of static weights in the same round. Two static contenders show the noise.

    python benchmarks/bench_weighting.py --rows 400000 --tasks 3
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from itertools import chain, islice, repeat
from time import perf_counter
from typing import Any

import numpy as np
import torch

from skmtl import MMoE, TableEncoder
from skmtl.rankers._pretrained import PretrainedTables
from skmtl.tasks import binary_kinds
from skmtl.training.batches import Batches, TensorTable
from skmtl.training.criterion import TaskLosses
from skmtl.training.net import MultiTaskNet
from skmtl.weighting import (
    MGDA,
    GradNorm,
    LossWeighting,
    NashMTL,
    StaticWeighting,
    get_strategy,
    get_strategy_names,
)

RATES = [0.2, 0.05, 0.01, 0.1, 0.03, 0.3, 0.02, 0.15]


def make_table(n_rows: int, n_tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and numbers as one array, and labels that some of them explain."""
    rng = np.random.default_rng(0)
    sizes = np.geomspace(10, 200_000, 20).astype(int)
    ids = np.column_stack([rng.zipf(1.2, n_rows) % size for size in sizes])
    numbers = rng.lognormal(size=(n_rows, 10))
    score = np.sin(ids[:, :5]).sum(axis=1) + 0.3 * numbers[:, 0]
    noise = rng.logistic(size=(n_rows, n_tasks))
    latent = score[:, None] + noise
    cut = [np.quantile(latent[:, t], 1 - RATES[t]) for t in range(n_tasks)]
    return np.hstack([ids, numbers]), (latent > cut).astype(int)


def tensors(X: np.ndarray, y: np.ndarray) -> tuple[TableEncoder, TensorTable]:
    """The encoded table, as a ranker trains on it."""
    encoder = TableEncoder(list(range(20)), n_bins=64).fit(X)
    table = encoder.encode(X)
    rows = {name: torch.from_numpy(x) for name, x in table.as_dict().items()}
    return encoder, TensorTable(rows, torch.from_numpy(y).float(), None)


def make_net(
    encoder: TableEncoder, table: TensorTable, weighting: Any, record: bool
) -> MultiTaskNet:
    """A net ready to train, as a ranker makes it."""
    n_tasks = table.y.shape[1]
    torch.manual_seed(0)
    names = [str(t) for t in range(n_tasks)]
    module = MMoE()._make_net(encoder, names, PretrainedTables(None))
    module.start_at(table.y.mean(dim=0))
    weighting.start([str(t) for t in range(n_tasks)])
    net = MultiTaskNet(
        module,
        criterion__weighting=weighting,
        criterion__losses=TaskLosses(binary_kinds(n_tasks), [1.0] * n_tasks),
        lr=5e-3,
        batch_size=1024,
        record_gradients=record,
        train_split=None,
        verbose=0,
    ).initialize()
    net.on_train_begin(net, table)
    return net


def clock(net: MultiTaskNet, table: TensorTable, steps: int) -> Iterator[float]:
    """Mean seconds of some more steps, each time it is asked."""
    batches = chain.from_iterable(
        Batches(table, 1024, shuffle=True) for _ in repeat(None)
    )
    while True:
        start = perf_counter()
        for batch in islice(batches, steps):
            net.train_step(batch)
        yield (perf_counter() - start) / steps


def contenders(n_tasks: int) -> dict[str, tuple[LossWeighting, bool]]:
    """Weightings to compare, and whether gradients are recorded."""
    static = StaticWeighting([1.0] * n_tasks)
    found: dict[str, tuple[LossWeighting, bool]] = {
        "static": (static, False),
        "static, again": (get_strategy(static), False),
    }
    found |= {name: (get_strategy(name), False) for name in get_strategy_names()}
    found["nash_mtl, every step"] = (NashMTL(update_weights_every=1), False)
    found["static, gradients recorded"] = (get_strategy(static), True)
    found["gradnorm, last_shared_layer"] = (GradNorm(at="last_shared_layer"), False)
    found["mgda, shared_parameters"] = (MGDA(at="shared_parameters"), False)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    encoder, table = tensors(*make_table(options.rows, options.tasks))
    clocks = {
        name: clock(make_net(encoder, table, *how), table, options.steps)
        for name, how in contenders(options.tasks).items()
    }
    for one in clocks.values():
        next(one)  # the first steps make the state of optimisers and solvers
    times: dict[str, list[float]] = {name: [] for name in clocks}
    for _ in range(options.rounds):
        for name, one in clocks.items():
            times[name].append(next(one))
    print(f"{options.rows} rows, {options.tasks} tasks, batch 1024, one thread")
    base = times["static"]
    for name, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(found, base, strict=True))
        print(f"{name:<30}{1e3 * statistics.median(found):>8.1f} ms {ratio:>7.3f} x")


if __name__ == "__main__":
    main()
