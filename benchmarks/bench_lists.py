"""Cost of columns of lists: encoding, taking batches, and training.

Encodings of the same lists in four forms, batches taken at once against row by row, and
steps with each pooling against steps without lists are measured in turn in one run, on
one thread, and medians are printed:

    python benchmarks/bench_lists.py
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import torch
from bench_encoding import medians

from skmtl import ShareBottom, TableEncoder
from skmtl.encoding import RaggedArray
from skmtl.modules import Ragged

BATCH = 1024


def table(n_rows: int, longest: int) -> pd.DataFrame:
    """Zipf items and histories of up to `longest` of them."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, longest + 1, n_rows)
    entries = rng.zipf(1.2, lengths.sum()) % 200_000
    history = np.split(entries, np.cumsum(lengths)[:-1])
    return pd.DataFrame(
        {
            "item": rng.zipf(1.2, n_rows) % 200_000,
            "history": pd.Series([h.tolist() for h in history], dtype=object),
        }
    )


def encodings(X: pd.DataFrame, repeats: int) -> RaggedArray:
    """Print the time of encoding, and give the lists."""
    encoder = TableEncoder(["item", "history"]).fit(X)
    polars = pl.DataFrame({"item": X["item"], "history": X["history"].to_list()})
    forms = {
        "lists": X,
        "arrays": X.assign(history=pd.Series([np.array(h, int) for h in X["history"]])),
        "polars": polars,
    }
    works = {name: (lambda X=X: encoder.encode(X)) for name, X in forms.items()}
    (bag,) = encoder.encode(X).bags
    for name, seconds in medians(works, repeats).items():
        rate = len(bag.values) / seconds / 1e6
        print(
            f"encode {name:<10} {seconds:6.2f} s {rate:6.1f} million entries a second"
        )
    return bag


def batches(bag: RaggedArray, repeats: int) -> None:
    """Print the time of one shuffled pass."""
    ragged = Ragged(torch.from_numpy(bag.values), torch.from_numpy(bag.offsets))
    order = torch.randperm(len(bag)).split(BATCH)[:50]
    rows = [ragged.values[a:b] for a, b in pairwise(bag.offsets)]

    def at_once() -> None:
        for at in order:
            ragged[at]

    def row_by_row() -> None:
        for at in order:
            torch.cat([rows[i] for i in at.tolist()])

    found = medians({"at once": at_once, "row by row": row_by_row}, repeats)
    for name, seconds in found.items():
        print(f"take {name:<12} {1e3 * seconds / len(order):6.2f} ms a batch")


def steps(X: pd.DataFrame, repeats: int) -> None:
    """Print the time of an epoch with each pooling against none."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (len(X), 2))
    works = {}
    poolings = (None, "mean", "sum", "max", "attention", "din", "transformer")
    for pooling in poolings:
        ranker = ShareBottom(
            categorical_features=["item"] if pooling is None else ["item", "history"],
            share_embedding=None if pooling is None else {"history": "item"},
            pooling=pooling or "mean",
            batch_size=BATCH,
            max_iter=1,
        )
        rows = X[["item"]] if pooling is None else X
        works[str(pooling)] = lambda ranker=ranker, rows=rows: ranker.fit(rows, y)
    found = medians(works, repeats)
    for name, seconds in found.items():
        print(f"fit {name:<22} {seconds:6.2f} s  x{seconds / found['None']:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--longest", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)

    X = table(options.rows, options.longest)
    bag = encodings(X, options.repeats)
    batches(bag, options.repeats)
    steps(X, options.repeats)


if __name__ == "__main__":
    main()
