"""Speed of the metrics compared with scikit-learn and pandas, on one thread.

Each round times every contender once, so that a slow moment of the machine affects all
of them. A line shows the best times, their ratio, and the difference of the values.

    python benchmarks/bench_metrics.py --rows 1000000 --users 100000 --ids int
"""

import argparse
import tracemalloc
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from skmtl.metrics import group_roc_auc, roc_auc

RATES = {"click": 0.2, "cart": 0.05, "order": 0.01}


def seconds(function):
    start = perf_counter()
    value = function()
    return perf_counter() - start, value


def compare(title, ours, theirs, rounds):
    """Best of interleaved rounds; prints times, ratio and difference of values."""
    fast, slow = [], []
    for _ in range(rounds):
        fast.append(seconds(ours))
        slow.append(seconds(theirs))
    best, worst = min(t for t, _ in fast), min(t for t, _ in slow)
    gap = np.max(np.abs(np.subtract(fast[0][1], slow[0][1])))
    print(
        f"{title:<48}{best * 1e3:>10.1f} ms {worst * 1e3:>11.1f} ms "
        f"{worst / best:>8.1f} x   |difference| {gap:.1e}",
        flush=True,
    )


def pandas_gauc(y, score, users):
    """GAUC as people write it: a groupby of roc_auc_score, weighted by impressions."""
    total = weight = 0.0
    table = pd.DataFrame({"y": y, "s": score, "u": users})
    for _, part in table.groupby("u"):
        if part.y.nunique() == 2:
            total += len(part) * roc_auc_score(part.y, part.s)
            weight += len(part)
    return total / weight


def memory(title, function, *arrays):
    tracemalloc.start()
    function(*arrays)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    given = sum(a.nbytes for a in arrays)
    print(f"{title:<48}{peak / 2**20:>10.1f} MiB {peak / given:>8.2f} x its input")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ids", choices=["int", "str", "none"], default="int")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    n = args.rows
    y = (rng.random((n, 3)) < list(RATES.values())).astype(np.float64)
    base = rng.normal(size=n) + y @ [0.5, 0.5, 1.0] - 2
    proba = 1 / (1 + np.exp(-base))
    print(f"{n} rows, {args.users} users; labels float64; one thread\n")
    print(f"{'':<48}{'ours':>13} {'reference':>14} {'ratio':>10}")
    for dtype in (np.float32, np.float64):
        score, kind = proba.astype(dtype), np.dtype(dtype).name
        for task, name in enumerate(RATES):
            column = np.ascontiguousarray(y[:, task])
            compare(
                f"roc_auc {kind}, {name} ({RATES[name]:.0%})",
                lambda c=column, s=score: roc_auc(c, s),
                lambda c=column, s=score: roc_auc_score(c, s),
                args.rounds,
            )
        compare(
            f"roc_auc {kind}, three tasks of one score",
            lambda s=score: roc_auc(y, s),
            lambda s=score: [roc_auc_score(y[:, t], s) for t in range(3)],
            args.rounds,
        )
    score, weight = proba.astype(np.float32), rng.random(n)
    compare(
        "roc_auc float32, click, sample weights",
        lambda: roc_auc(y[:, 0], score, sample_weight=weight),
        lambda: roc_auc_score(y[:, 0], score, sample_weight=weight),
        args.rounds,
    )
    users = rng.integers(0, args.users, n)
    if args.ids != "none":  # the groupby takes minutes, so one round
        clicks = y[:, 0].copy()
        ids = users if args.ids == "int" else users.astype(str).astype(object)
        compare(
            f"group_roc_auc float32, {args.ids} users, click",
            lambda: group_roc_auc(clicks, score, ids),
            lambda: pandas_gauc(clicks, score, ids),
            1,
        )
    print("\nPeak of what Python allocates, without the input itself:")
    for kind in (np.float64, np.int8):
        labels, name = y[:, 0].astype(kind), np.dtype(kind).name
        for dtype in (np.float32, np.float64):
            score, of = proba.astype(dtype), np.dtype(dtype).name
            memory(f"roc_auc, {of} score, {name} label", roc_auc, labels, score)
            title = f"group_roc_auc, {of} score, {name} label"
            memory(title, group_roc_auc, labels, score, users)
    memory(
        "roc_auc, float32 score, three int8 tasks", roc_auc, y.astype(np.int8), score
    )


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
