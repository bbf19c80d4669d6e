"""``python -m skmtl``: fit three rankers on a table of the package and compare them."""

from __future__ import annotations

import argparse
import textwrap
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.callback import ProgressBar
from sklearn.model_selection import train_test_split

from skmtl import ChainedMMoE, MMoE, MultiTaskRanker, ShareBottom
from skmtl.datasets import load_adult
from skmtl.metrics import roc_auc

Floats = npt.NDArray[np.float64]
RANKERS: tuple[type[MultiTaskRanker], ...] = (ShareBottom, MMoE, ChainedMMoE)
INTERVAL = [0.025, 0.975]

NEXT = """\
import pandas as pd
from skmtl import {ranker}
from skmtl.metrics import task_report

ids = {{"user_id": "category", "item_id": "category"}}
table = pd.read_csv("table.csv", dtype=ids).sort_values("time")
tasks = ["click", "order"]  # columns of 0 and 1; empty if not observed
X, y = table.drop(columns=["time", *tasks]), table[tasks]
n = len(X) * 4 // 5  # test on the most recent fifth
ranker = {ranker}(random_state=0).fit(X[:n], y[:n])
report = task_report(y[n:], ranker.predict_task_proba(X[n:]))
print(report[["positives", "roc_auc", "roc_auc_low", "roc_auc_high"]])
"""


def compare(
    max_iter: int, *, progress: bool
) -> tuple[pd.DataFrame, dict[str, Any], pd.Series]:
    """Labels of the test rows, and probabilities and seconds of fitting by ranker."""
    X, y = load_adult(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    proba, seconds = {}, {}
    for kind in RANKERS:
        ranker = kind(max_iter=max_iter, random_state=0)
        if progress:
            ranker.set_callbacks(ProgressBar())
        start = time.perf_counter()
        ranker.fit(X_train, y_train)
        seconds[kind.__name__] = time.perf_counter() - start
        proba[kind.__name__] = ranker.predict_task_proba(X_test)
    return y_test, proba, pd.Series(seconds)


def bootstrap(y: pd.DataFrame, proba: dict[str, Any]) -> Floats:
    """AUC ``(1 + 200, n_rankers, n_tasks)``; first on the rows themselves.

    All rankers are evaluated on the same resamples, so their differences are paired.
    """
    rng, n = np.random.default_rng(0), len(y)
    counts = [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(200)]
    labels = y.to_numpy()
    return np.array(
        [
            [roc_auc(labels, p, sample_weight=count) for p in proba.values()]
            for count in [None, *counts]
        ]
    )


def auc_table(tasks: list[str], auc: Floats, seconds: pd.Series) -> str:
    """AUC of every task with its interval, one line per ranker."""
    low, high = np.quantile(auc[1:], INTERVAL, axis=0)
    rows = {
        name: {
            f"AUC {task}": f"{auc[0, r, t]:.4f} [{low[r, t]:.4f}, {high[r, t]:.4f}]"
            for t, task in enumerate(tasks)
        }
        | {"seconds": f"{seconds[name]:.1f}"}
        for r, name in enumerate(seconds.index)
    }
    return pd.DataFrame(rows).T.to_string()


def choose(auc: Floats, seconds: pd.Series) -> tuple[str, str]:
    """The fastest ranker that is not significantly worse than the best, and why."""
    mean = auc.mean(axis=2)  # over the tasks
    best = int(mean[0].argmax())
    behind = mean - mean[:, [best]]
    low, high = np.quantile(behind[1:], INTERVAL, axis=0)
    lines = [f"Mean AUC minus that of {seconds.index[best]}:"]
    for r, name in enumerate(seconds.index):
        if r != best:
            value = f"{behind[0, r]:+.4f} [{low[r]:+.4f}, {high[r]:+.4f}]"
            lines.append(f"  {name:<12} {value}")
    equal = seconds[high >= 0]  # the interval of the best itself is [0, 0]
    choice = str(equal.idxmin())
    others = [name for name in equal.index if name != choice]
    if others:
        why = f"the fastest; {' and '.join(others)} not significantly better."
    else:
        why = "the others are significantly worse."
    return choice, "\n".join([*lines, f"Choose {choice}: {why}"])


def main(arguments: list[str] | None = None) -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(prog="python -m skmtl", description=__doc__)
    parser.add_argument("--max-iter", type=int, default=4, help="epochs of each fit")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    y, proba, seconds = compare(options.max_iter, progress=not options.quiet)
    auc = bootstrap(y, proba)
    choice, reasons = choose(auc, seconds)
    print(f"UCI Adult: AUC on {len(y):,} test rows, with 95 % bootstrap intervals\n")
    print(auc_table(list(y.columns), auc, seconds), reasons, sep="\n\n")
    print("\nThese are single fits on one split; transfer_report compares on several.")
    print('Next, with your own table (the guide\'s page "Your own CSV" explains it):\n')
    print(textwrap.indent(NEXT.format(ranker=choice), "    "))


if __name__ == "__main__":
    main()
