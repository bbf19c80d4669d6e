"""``python -m skmtl``: fit the rankers on the embedded table, and compare them."""

from __future__ import annotations

import argparse
import time

import pandas as pd
from sklearn.callback import ProgressBar
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from skmtl import ChainedMMoE, MMoE, MultiTaskRanker, ShareBottom
from skmtl.datasets import load_adult

RANKERS: tuple[type[MultiTaskRanker], ...] = (ShareBottom, MMoE, ChainedMMoE)


def compare(max_iter: int, *, progress: bool) -> pd.DataFrame:
    """Test AUC per task and seconds of fitting, one row per ranker."""
    X, y = load_adult(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    rows = {}
    for kind in RANKERS:
        ranker = kind(max_iter=max_iter, random_state=0)
        if progress:
            ranker.set_callbacks(ProgressBar())
        start = time.perf_counter()
        ranker.fit(X_train, y_train)
        seconds = time.perf_counter() - start
        proba = ranker.predict_task_proba(X_test)
        rows[kind.__name__] = {
            f"AUC {task}": roc_auc_score(y_test[task], proba[:, t])
            for t, task in enumerate(y_test)
        } | {"seconds": seconds}
    return pd.DataFrame(rows).T


def main(arguments: list[str] | None = None) -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(prog="python -m skmtl", description=__doc__)
    parser.add_argument("--max-iter", type=int, default=4, help="epochs of each fit")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    print("UCI Adult: two tasks (income above 50,000; never married), test AUC")
    table = compare(options.max_iter, progress=not options.quiet)
    formats = {"seconds": "{:.1f}".format}
    print(table.to_string(float_format="{:.4f}".format, formatters=formats))


if __name__ == "__main__":
    main()
