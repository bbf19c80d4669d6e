"""Time of encoding, compared with an epoch and with scikit-learn's OrdinalEncoder.

All are measured in turn in one run, on one thread, and medians of processor time are
printed:

    python benchmarks/bench_encoding.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from sklearn.preprocessing import OrdinalEncoder

from skmtl import MMoE, TableEncoder


def table(n_rows: int, n_ids: int = 20, n_numbers: int = 10) -> pd.DataFrame:
    """Zipf ids, every other column as strings, and log-normal numbers."""
    rng = np.random.default_rng(0)
    sizes = np.geomspace(10, 200_000, n_ids).astype(int)
    columns: dict[str, object] = {}
    for k, size in enumerate(sizes):
        ids = rng.zipf(1.2, n_rows) % size
        columns[f"id{k}"] = [f"value-{i}" for i in ids] if k % 2 else ids
    for k in range(n_numbers):
        columns[f"number{k}"] = rng.lognormal(size=n_rows)
    return pd.DataFrame(columns)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def medians(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median processor time of each, interleaved."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds(work))
    return {name: statistics.median(values) for name, values in times.items()}


def by_kind(n_rows: int, repeats: int) -> dict[str, tuple[float, float]]:
    """Seconds of 20 columns of ids as strings, objects, categories and integers."""
    integers = table(n_rows, n_numbers=0)
    integers = integers.apply(lambda column: pd.factorize(column)[0])
    strings = integers.astype(str).add("-id")
    found = {}
    for kind, X in {
        "str": strings,
        "object": strings.astype(object),
        "category": strings.astype("category"),
        "int64": integers,
    }.items():
        encoder = TableEncoder(list(X))
        times = medians(
            {
                "once": lambda encoder=encoder, X=X: encoder.fit_encode(X),
                "twice": lambda encoder=encoder, X=X: encoder.fit(X).encode(X),
            },
            repeats,
        )
        found[kind] = (times["once"], times["twice"])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)

    X = table(options.rows)
    ids = [name for name in X if name.startswith("id")]
    y = (np.random.default_rng(1).random((len(X), 3)) < [0.1, 0.015, 0.0015]).astype(
        int
    )
    encoder = TableEncoder(ids)
    ranker = MMoE(max_iter=1, batch_size=1024, categorical_features=ids, random_state=0)
    whole = medians(
        {
            "fit_encode": lambda: encoder.fit_encode(X),
            "fit and encode": lambda: encoder.fit(X).encode(X),
            "MMoE.fit, one epoch": lambda: ranker.fit(X, y),
        },
        options.repeats,
    )
    epoch = ranker.net_.history[-1, "dur"]
    print(f"{len(X):,} rows, {X.shape[1]} columns")
    print(f"TableEncoder, fit and encode   {whole['fit and encode']:8.2f} s")
    print(f"TableEncoder, fit_encode       {whole['fit_encode']:8.2f} s")
    print(f"MMoE, one epoch of training    {epoch:8.2f} s")
    print(f"encoding / epoch               {whole['fit_encode'] / epoch:8.3f}")
    kinds = by_kind(options.rows, options.repeats)
    print("20 columns of ids   fit_encode  fit and encode")
    for kind, (once, twice) in kinds.items():
        print(f"{kind:<18} {once:10.3f} s {twice:13.3f} s")

    strings = X[[name for name in ids if int(name[2:]) % 2]]
    ours = TableEncoder(min_frequency=1)
    theirs = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    served = TableEncoder(min_frequency=1).fit(strings)
    one = strings.iloc[:1]
    served.encode(one)  # the first short table makes the look-up by single ids
    found = medians(
        {
            "fit ours": lambda: ours.fit(strings),
            "fit theirs": lambda: theirs.fit(strings),
            "transform ours": lambda: ours.encode(strings),
            "transform theirs": lambda: theirs.transform(strings),
            "one row ours": lambda: served.encode(one),
            "one row theirs": lambda: theirs.transform(one),
        },
        options.repeats,
    )
    print(f"{strings.shape[1]} string columns   TableEncoder  OrdinalEncoder  ratio")
    for what in ("fit", "transform", "one row"):
        a, b = found[f"{what} ours"], found[f"{what} theirs"]
        print(f"{what:<18} {a:12.4f} s {b:13.4f} s  {b / a:5.1f}")


if __name__ == "__main__":
    main()
