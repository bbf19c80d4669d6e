"""Time of an epoch of every architecture, relative to ShareBottom, on one thread.

    python benchmarks/bench_architectures.py

Prints the median time of a fit of one epoch with the defaults, its ratio to that of
ShareBottom and the number of parameters. Then it compares SingleTask, which trains all
networks in one pass, with separate fits.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from skmtl import (
    AITM,
    ESMM,
    PLE,
    STEM,
    ChainedMMoE,
    CrossStitch,
    MMoE,
    PooledTask,
    ShareBottom,
    SingleTask,
    SoftSharing,
)
from skmtl.datasets import make_funnel

KINDS = [
    ShareBottom,
    PooledTask,
    SoftSharing,
    CrossStitch,
    MMoE,
    PLE,
    STEM,
    ChainedMMoE,
    ESMM,
    AITM,
    SingleTask,
]


def seconds(work: Callable[[], object]) -> float:
    """CPU time of one call, without other processes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    log = make_funnel(options.rows, random_state=0)
    X, y = log.data, log.target
    rankers = {kind.__name__: kind(max_iter=1, random_state=0) for kind in KINDS}
    works = {name: lambda r=r: r.fit(X, y) for name, r in rankers.items()}
    alone = SingleTask(max_iter=1, random_state=0)
    works["one after the other"] = lambda: [alone.fit(X, y[task]) for task in y]
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.repeats):
        for name, work in works.items():
            times[name].append(seconds(work))
    found = {name: statistics.median(values) for name, values in times.items()}
    print(f"{len(X):,} rows, {y.shape[1]} tasks, {X.shape[1]} columns, one epoch")
    for name, value in found.items():
        size = f"{rankers[name].n_parameters_:>10,}" if name in rankers else " " * 10
        ratio = value / found["ShareBottom"]
        print(f"{name:<20}{value:8.2f} s{ratio:8.2f} x ShareBottom{size} parameters")
    ratio = found["one after the other"] / found["SingleTask"]
    print(f"SingleTask in one pass is {ratio:.2f} x as fast as one after the other")


if __name__ == "__main__":
    main()
