"""The table that every competitor trains on: Zipf ids, numbers, three funnel tasks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

TASKS = {"click": 0.10, "cart": 0.015, "order": 0.0015}
N_IDS, N_NUMBERS = 20, 10


@dataclass(frozen=True)
class Workload:
    """Training and test rows; ids are integers from 0, below `vocabulary`."""

    ids: np.ndarray
    numbers: np.ndarray
    y: np.ndarray
    vocabulary: list[int]
    n_train: int

    def part(self, test: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids, numbers and labels of the training or of the test rows."""
        rows = slice(self.n_train, None) if test else slice(self.n_train)
        return self.ids[rows], self.numbers[rows], self.y[rows]

    def head(self, n: int) -> Workload:
        """The first `n` training rows, and as many for the test."""
        rows = np.r_[:n, self.n_train : self.n_train + n]
        return self._take(rows, min(n, self.n_train))

    def repeated(self, n: int) -> Workload:
        """One training row, and `n` for the test: those there are, over and over."""
        tests = len(self.y) - self.n_train
        return self._take(np.r_[0, self.n_train + np.arange(n) % tests], 1)

    def _take(self, rows: np.ndarray, n_train: int) -> Workload:
        parts = self.ids[rows], self.numbers[rows], self.y[rows]
        return Workload(*parts, self.vocabulary, n_train)

    def frame(
        self, test: bool, strings: bool = False
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The same as a user has it: DataFrames of the table and of the labels."""
        ids, numbers, y = self.part(test)
        X = pd.DataFrame(ids, columns=[f"id{i}" for i in range(N_IDS)])
        if strings:
            X = pd.DataFrame({name: "n" + X[name].astype(str) for name in X})
        X[[f"number{i}" for i in range(N_NUMBERS)]] = numbers
        return X, pd.DataFrame(y, columns=list(TASKS))


def make_workload(n_rows: int, largest: int = 200_000, seed: int = 0) -> Workload:
    """Generate `n_rows` training rows and a quarter as many for the test.

    Columns have 10 to `largest` ids of Zipf popularity. Logits of the tasks are sums
    of effects of ids and numbers, partly shared; each task happens only where the one
    before did.
    """
    rng = np.random.default_rng(seed)
    n = n_rows + n_rows // 4
    vocabulary = np.geomspace(10, largest, N_IDS).astype(int).tolist()
    ids = np.empty((n, N_IDS), dtype=np.int32)
    numbers = rng.normal(size=(n, N_NUMBERS)).astype(np.float32)
    logits = numbers @ rng.normal(scale=0.25, size=(N_NUMBERS, len(TASKS)))
    for column, size in enumerate(vocabulary):
        popularity = 1.0 / np.arange(1, size + 1)
        cumulative = np.cumsum(popularity) / popularity.sum()
        drawn = np.searchsorted(cumulative, rng.random(n))
        ids[:, column] = rng.permutation(size)[np.minimum(drawn, size - 1)]
        shared = rng.normal(scale=0.3, size=(size, 1))
        own = rng.normal(scale=0.15, size=(size, len(TASKS)))
        logits += (shared + own)[ids[:, column]]
    y = np.ones((n, len(TASKS)), dtype=np.float32)
    before, rate_before = np.ones(n, dtype=bool), 1.0
    for task, rate in enumerate(TASKS.values()):
        z = logits[:, task] - _shift(logits[before, task], rate / rate_before)
        before &= rng.random(n) < expit(z)
        y[:, task], rate_before = before, rate
    return Workload(ids, numbers, y, vocabulary, n_rows)


def _shift(logits: np.ndarray, rate: float) -> float:
    """What to subtract so that the mean probability is `rate`, by bisection."""
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        if expit(logits - middle).mean() > rate:
            low = middle
        else:
            high = middle
    return low
