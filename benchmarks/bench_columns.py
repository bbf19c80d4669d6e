"""Time of fitting and encoding as columns and equal hashes grow.

Fitting and encoding are linear in both, but for full passes of Python's garbage
collector, which looks through all objects of the process when they have grown by a
quarter: fits of 10,000 columns have one or none.

python benchmarks/bench_columns.py
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from skmtl import TableEncoder


def numbers(n_columns: int) -> pd.DataFrame:
    """Ten rows of numbers."""
    cells = np.random.default_rng(0).normal(size=(10, n_columns))
    return pd.DataFrame(cells, columns=[f"x{k}" for k in range(n_columns)])


def ids(n_columns: int) -> pd.DataFrame:
    """Ten rows of integer ids."""
    cells = np.random.default_rng(0).integers(0, 3, (10, n_columns))
    return pd.DataFrame(cells, columns=[f"c{k}" for k in range(n_columns)])


def equal_hashes(n: int) -> pd.DataFrame:
    """One column of Python integers that all have the same hash."""
    cells = [2**64 + k * (2**61 - 1) for k in range(n)]
    return pd.DataFrame({"id": pd.Series(cells, dtype=object)})


def seconds(work: Callable[[], object]) -> float:
    """The shortest of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")
    print(f"{'table':<14}{'size':>8}{'fit':>10}{'encode':>10}{'one row':>10}  seconds")
    for name, make in (("numbers", numbers), ("ids", ids), ("hashes", equal_hashes)):
        for size in (1_000, 10_000):
            X = make(size)
            features = list(X) if name != "numbers" else None
            encoder = TableEncoder(features)
            fit = seconds(lambda e=encoder, X=X: e.fit(X))
            encode = seconds(lambda e=encoder, X=X: e.encode(X))
            one = seconds(lambda e=encoder, X=X: e.encode(X.iloc[:1]))
            print(f"{name:<14}{size:>8,}{fit:>10.4f}{encode:>10.4f}{one:>10.4f}")


if __name__ == "__main__":
    main()
