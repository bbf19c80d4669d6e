"""What crosses of columns and poolings that learn gain, and where they gain nothing.

    SKMTL_DATA_HOME=... python interactions.py

Generated tables, whose labels depend on what the names say, and 20,000 random training
rows of real tables with the original validation and test rows. A seed draws rows,
labels and initial weights. Writes a row for each fit and task, and prints the mean test
AUC and the mean paired difference to the first model (t, 95 %).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats

from skmtl import ShareBottom
from skmtl.metrics import roc_auc

sys.path.insert(0, str(Path(__file__).parent.parent))
import bench_quality

# Rows of a generated table: training, validation, test.
SIZES = (48_000, 6_000, 12_000)
N_IDS = 200
HISTORY = 20
Parts = list[tuple[pd.DataFrame, pd.DataFrame]]


def split(X: pd.DataFrame, logit: np.ndarray, rng: np.random.Generator) -> Parts:
    """Draw two tasks, and cut the rows."""
    noise = rng.logistic(size=(len(X), 2))
    y = pd.DataFrame(logit[:, None] - [0, 1] + noise > 0, columns=["click", "like"])
    pairs = pairwise(np.cumsum([0, *SIZES]))
    return [(X.iloc[a:b], y.iloc[a:b].astype(int)) for a, b in pairs]


def two_ids(seed: int, *, product: bool) -> Parts:
    """Effects of two ids, multiplied or added, beside two more ids and four numbers."""
    rng, n = np.random.default_rng(seed), sum(SIZES)
    factors = rng.normal(size=(2, N_IDS, 4))
    user, item = rng.integers(0, N_IDS, (2, n))
    x = rng.normal(size=(n, 4))
    city, hour = rng.integers(0, 30, n), rng.integers(0, 24, n)
    one, other = factors[0, user], factors[1, item]
    logit = (one * other if product else one + other).sum(axis=1)
    logit = logit + np.sin(city) + x[:, 0] / 2
    X = pd.DataFrame({"user": user, "item": item, "city": city, "hour": hour})
    X = pd.concat([X.astype("category"), pd.DataFrame(x).add_prefix("x")], axis=1)
    return split(X, logit, rng)


def histories(seed: int, *, goes: Callable[[np.ndarray, int], np.ndarray]) -> Parts:
    """Labels that depend on which entries of a history go with the item."""
    rng, n = np.random.default_rng(seed), sum(SIZES) // 2
    item = rng.integers(0, N_IDS, n)
    lists = [rng.integers(0, N_IDS, k) for k in rng.integers(0, HISTORY + 1, n)]
    logit = np.array([goes(h, i) for h, i in zip(lists, item, strict=True)])
    X = pd.DataFrame({"item": pd.Series(item).astype("category")})
    X["history"] = pd.Series([h.tolist() for h in lists], dtype=object)
    sizes = np.array(SIZES) // 2
    noise = rng.logistic(size=(n, 2))
    y = pd.DataFrame(logit[:, None] - [0, 1] + noise > 0, columns=["click", "like"])
    pairs = pairwise(np.cumsum([0, *sizes]))
    return [(X.iloc[a:b], y.iloc[a:b].astype(int)) for a, b in pairs]


def alike(history: np.ndarray, item: int) -> float:
    """Entries of the item's group."""
    return 2.0 * (history % 10 == item % 10).sum() - 2


def goes_with(history: np.ndarray, item: int) -> float:
    """Entries of the group that goes with the item's, which is another one."""
    return 2.0 * (history % 10 == (item % 10 + 3) % 10).sum() - 2


def most_recent(history: np.ndarray, item: int) -> float:
    """Whether one of the last two entries is of one of five groups like the item's."""
    return 3.0 * (history[-2:] % 5 == item % 5).any() - 1.5


def last_only(history: np.ndarray, item: int) -> float:
    """The effect of the last entry, whatever the item."""
    return 2.0 if len(history) and history[-1] * 7 % N_IDS < N_IDS / 2 else -2.0


def earlier(of: pd.Series, by: pd.Series) -> pd.Series:
    """The last values of the same user on earlier rows, in the order of rows."""
    seen: dict[Any, list[Any]] = {}
    found = []
    for user, value in zip(by, of, strict=True):
        before = seen.setdefault(user, [])
        found.append(before[-HISTORY:])
        before.append(value)
    return pd.Series(found, index=of.index, dtype=object)


def with_history(parts: Parts, of: str, by: str = "user_id") -> Parts:
    """Add the last ids of the user on earlier rows, of training rows and later ones."""
    X = pd.concat([X.astype({of: str, by: str}) for X, _ in parts])
    X["history"] = earlier(X[of], X[by])
    ends = np.cumsum([0, *(len(X) for X, _ in parts)])
    pairs = zip(ends[:-1], ends[1:], [y for _, y in parts], strict=True)
    return [
        (X.iloc[a:b].astype({of: "category", by: "category"}), y) for a, b, y in pairs
    ]


def movielens(seed: int) -> Parts:
    """Ratings in the order of time."""
    path = (
        Path(os.environ["SKMTL_DATA_HOME"]) / "movielens_small/movielens_small.parquet"
    )
    table = pd.read_parquet(path).sort_values("timestamp", kind="stable")
    X = table.drop(columns=["liked", "loved", "timestamp", "split", "split_warm"])
    y = table[["liked", "loved"]]
    masks = [table["split"] == part for part in range(3)]
    return [(X[mask], y[mask]) for mask in masks]


def real(name: str, seed: int) -> Parts:
    """A table of ``bench_quality.py`` with 20,000 training rows."""
    return bench_quality.with_rows(bench_quality.TABLES[name](seed), 20_000, seed)


def some(parts: Parts, seed: int) -> Parts:
    return bench_quality.with_rows(parts, 20_000, seed)


CROSSES = {name: {"crosses": name} for name in (None, "dcn", "fm")}
POOLINGS = {name: {"pooling": {"history": name}} for name in
            ("mean", "attention", "din", "transformer")}  # fmt: skip
# For each table its parts, the models, and the column whose table a history shares.
STUDIES: dict[str, tuple[Callable[[int], Parts], dict[Any, Any], str | None]] = {
    "product of two ids": (lambda s: two_ids(s, product=True), CROSSES, None),
    "sum of two ids": (lambda s: two_ids(s, product=False), CROSSES, None),
    **{
        name: (lambda s, name=name: real(name, s), CROSSES, None)
        for name in ("movielens_small", "hotel_bookings", "nyc_flights", "taobao")
    },
    "entries like the item": (lambda s: histories(s, goes=alike), POOLINGS, "item"),
    "entries that go with it": (
        lambda s: histories(s, goes=goes_with), POOLINGS, "item",
    ),
    "the last two entries": (
        lambda s: histories(s, goes=most_recent), POOLINGS, "item",
    ),
    "the last entry": (lambda s: histories(s, goes=last_only), POOLINGS, "item"),
    "movielens_small, movies": (
        lambda s: some(with_history(movielens(s), "movie_id"), s), POOLINGS, "movie_id",
    ),
    "taobao, categories": (
        lambda s: some(with_history(bench_quality.taobao(s), "category_id"), s),
        POOLINGS, "category_id",
    ),
}  # fmt: skip


def fits(name: str, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each model and task."""
    make, models, shared = STUDIES[name]
    (X, y), (X_val, y_val), (T, t) = make(seed)
    for model, params in models.items():
        ranker = ShareBottom(
            max_iter=8 if "ids" in name or "entries" in name else 5,
            share_embedding=None if shared is None else {"history": shared},
            random_state=seed,
            **params,
        )
        start = time.process_time()
        ranker.fit(X, y, X_val=X_val, y_val=y_val)
        seconds = (time.process_time() - start) / ranker.n_iter_
        auc = roc_auc(t, ranker.predict_task_proba(T))
        for task, value in zip(y, auc, strict=True):
            yield {
                "table": name, "seed": seed, "model": str(model), "task": task,
                "auc": value, "seconds_an_epoch": seconds,
            }  # fmt: skip


def report(table: pd.DataFrame) -> None:
    """Print means over seeds, and differences to the first model."""
    for (name, task), found in table.groupby(["table", "task"], sort=False):
        by = found.pivot(index="seed", columns="model", values="auc")
        models = list(dict.fromkeys(found["model"]))
        first = by[models[0]]
        parts = [f"{name:<26}{task:<16}{models[0]} {first.mean():.4f}"]
        for model in models[1:]:
            gain = by[model] - first
            half = stats.t.ppf(0.975, len(gain) - 1) * gain.sem()
            parts.append(f"{model} {gain.mean():+.4f} ± {half:.4f}")
        print("  ".join(parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    path = Path(__file__).with_suffix(".csv")
    # A study that was interrupted continues.
    rows: list[dict[str, Any]] = []
    if path.exists():
        rows = pd.read_csv(path, keep_default_na=False).to_dict("records")
    done = {(row["table"], row["seed"]) for row in rows}
    for seed in range(options.seeds):
        for name in options.tables:
            if (name, seed) in done:
                continue
            rows += fits(name, seed)
            pd.DataFrame(rows).to_csv(path, index=False, float_format="%.4f")
            print(seed, name, flush=True)
    report(pd.DataFrame(rows))


if __name__ == "__main__":
    main()
