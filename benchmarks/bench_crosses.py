"""Cost of crosses of columns: an epoch with them against one without.

Ten columns of ids and ten numbers. Epochs with each of the crosses are measured in turn
in one run, on one thread, and medians are printed:

    python benchmarks/bench_crosses.py
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import torch
from bench_encoding import medians

from skmtl import MMoE, ShareBottom


def table(n_rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Zipf ids and normal numbers, and labels of two tasks."""
    rng = np.random.default_rng(0)
    ids = pd.DataFrame(rng.zipf(1.2, (n_rows, 10)) % 50_000).add_prefix("id")
    numbers = pd.DataFrame(rng.normal(size=(n_rows, 10))).add_prefix("x")
    X = pd.concat([ids.astype("category"), numbers], axis=1)
    return X, pd.DataFrame(rng.integers(0, 2, (n_rows, 2)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[512, 4096])
    options = parser.parse_args()
    torch.set_num_threads(1)

    X, y = table(options.rows)
    for kind in (ShareBottom, MMoE):
        for batch_size in options.batches:
            rankers = {
                str(crosses): kind(
                    crosses=crosses,
                    batch_size=batch_size,
                    max_iter=1,
                    early_stopping=False,
                    n_threads=1,
                    random_state=0,
                )
                for crosses in (None, "dcn", "fm")
            }
            works = {
                name: (lambda ranker=ranker: ranker.fit(X, y))
                for name, ranker in rankers.items()
            }
            found = medians(works, options.repeats)
            for name, seconds in found.items():
                ratio = seconds / found["None"]
                print(
                    f"{kind.__name__:<12}{batch_size:>6} {name:<5} {seconds:6.2f} s "
                    f"x{ratio:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
