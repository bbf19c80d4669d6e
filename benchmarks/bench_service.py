"""Memory and time of a service that predicts one row at a time, for a long time.

python benchmarks/bench_service.py              # 1,000,000 predictions
python benchmarks/bench_service.py --n 100000

The first table shows the memory of the process as it predicts. The second shows
the time of a prediction after a ranker has been trained on more and more tables, each
with new ids, beside that of a ranker fitted on all of these tables at once.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from skmtl import ShareBottom


def table(n_rows: int, first_id: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Users, items, numbers, and labels of two tasks."""
    rng = np.random.default_rng(first_id)
    ids = rng.integers(first_id, first_id + 1000, (n_rows, 2))
    X = pd.DataFrame(
        {
            "user": [f"u{i}" for i in ids[:, 0]],
            "item": [f"i{i}" for i in ids[:, 1]],
            "price": rng.normal(size=n_rows),
            "age": rng.normal(size=n_rows),
        }
    )
    y = pd.DataFrame(rng.random((n_rows, 2)) < 0.3, columns=["click", "order"])
    return X, y.astype(int)


def resident() -> float:
    """Memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def seconds(ranker: ShareBottom, rows: list[dict[str, object]], n: int) -> float:
    """Time of one prediction and of making its table, the mean of n."""
    start = time.perf_counter()
    for k in range(n):
        ranker.predict_task_proba(pd.DataFrame([rows[k % len(rows)]]))
    return (time.perf_counter() - start) / n


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    n = parser.parse_args().n
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    X, y = table(20_000)
    ranker = ShareBottom(max_iter=1, random_state=0).fit(X, y)
    rows = X[:1000].to_dict("records")
    seconds(ranker, rows, 1000)
    print(f"{'predictions':>12}{'MiB':>9}{'µs each':>9}")
    print(f"{0:>12,}{resident():>9.2f}")
    for done in range(n // 10, n + 1, n // 10):
        each = seconds(ranker, rows, n // 10)
        print(f"{done:>12,}{resident():>9.2f}{1e6 * each:>9.0f}", flush=True)
    print(f"\n{'tables':>12}{'ids':>9}{'µs each':>9}{'µs fitted at once':>19}")
    given = [(X, y)]
    for tables in range(0, 101):
        if tables:
            given.append(table(2000, 1000 * tables))
            ranker.partial_fit(*given[-1])
        if tables in (0, 1, 10, 100):
            at_once = ShareBottom(max_iter=1, random_state=0)
            at_once.fit(*(pd.concat(part) for part in zip(*given, strict=True)))
            n_ids = sum(ranker.encoder_.vocabulary_sizes_)
            times = [
                [seconds(one, rows, 500) for one in (ranker, at_once)] for _ in range(7)
            ]
            each, fresh = 1e6 * np.median(times, axis=0)
            print(f"{tables:>12}{n_ids:>9,}{each:>9.0f}{fresh:>19.0f}", flush=True)


if __name__ == "__main__":
    main()
