"""What losses of the order within users gain, and what they cost.

Prints, for each table and loss, means and standard errors over seeds: ROC AUC within
users, over all rows, log loss, and predicted over observed. ``SKMTL_DATA_HOME`` holds
``movielens_small`` and ``taobao_ub_sample``, as the data's README describes them.
"""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from skmtl import BinaryTask, MMoE
from skmtl.metrics import group_roc_auc, log_loss, predicted_to_observed, roc_auc

HOME = Path(os.environ.get("SKMTL_DATA_HOME", "."))
LOSSES = {
    "cross-entropy": None,
    # The same on batches of lists, which the others have.
    "in lists": BinaryTask("pairwise", ranking_weight=1e-9),
    "pairwise": BinaryTask("pairwise"),
    "pairwise, 3": BinaryTask("pairwise", ranking_weight=3.0),
    "listwise": BinaryTask("listwise"),
}


class Log(NamedTuple):
    """A table, and whether its rows train (0), validate (1) or test (2)."""

    X: pd.DataFrame
    y: pd.DataFrame
    user: pd.Series
    split: np.ndarray


def known_users() -> Log:
    """MovieLens, each user's ratings by time."""
    table = pd.read_parquet(HOME / "movielens_small" / "movielens_small.parquet")
    apart = ["liked", "loved", "timestamp", "split", "split_warm"]
    X = table.drop(columns=apart)
    X = X.astype(dict.fromkeys(["user_id", "movie_id"], "category"))
    split = table["split_warm"].to_numpy()
    return Log(X, table[["liked", "loved"]], table["user_id"], split)


def new_users() -> Log:
    """MovieLens by time, most of whose later users are new; no column of users."""
    table = pd.read_parquet(HOME / "movielens_small" / "movielens_small.parquet")
    log = known_users()
    return log._replace(
        X=log.X.drop(columns="user_id"), split=table["split"].to_numpy()
    )


def taobao() -> Log:
    """Viewed items of Taobao by time."""
    events = pd.read_csv(
        HOME / "taobao_ub_sample" / "UserBehavior.csv",
        names=["user", "item", "category", "behavior", "time"],
    ).iloc[:-1]
    events["time"] = events["time"].astype(int)
    pair = ["user", "item"]
    seen = events[events["behavior"] == "pv"].drop_duplicates(pair)
    for behavior in ("cart", "fav", "buy"):
        own = events.loc[events["behavior"] == behavior, pair].drop_duplicates()
        seen = seen.merge(own.assign(**{behavior: 1}), how="left", on=pair)
    seen = seen.sort_values("time", kind="stable").reset_index(drop=True)
    X = seen[[*pair, "category"]].astype(str).astype("category")
    X["hour"] = seen["time"] // 3600 % 24
    y = seen[["cart", "fav", "buy"]].fillna(0).astype(int)
    return Log(X, y, seen["user"], np.digitize(np.arange(len(X)) / len(X), [0.7, 0.8]))


TABLES = {"new users": new_users, "known users": known_users, "taobao": taobao}


def judge(log: Log, kind: BinaryTask | None, seed: int) -> np.ndarray:
    """Metrics by task, ``(4, n_tasks)``, of one fit on the test rows."""
    train, valid, test = (log.split == part for part in range(3))
    kinds = None if kind is None else dict.fromkeys(log.y, kind)
    ranker = MMoE(task_kinds=kinds, random_state=seed)
    ranker.fit(
        log.X[train],
        log.y[train],
        X_val=log.X[valid],
        y_val=log.y[valid],
        groups=log.user[train],
    )
    y, proba = log.y[test], ranker.predict_task_proba(log.X[test])
    return np.array(
        [
            group_roc_auc(y, proba, log.user[test]),
            roc_auc(y, proba),
            log_loss(y, proba),
            predicted_to_observed(y, proba),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=list(TABLES))
    options = parser.parse_args()
    names = ["auc within users", "auc", "log loss", "predicted / observed"]
    for table in options.tables:
        log = TABLES[table]()
        for loss, kind in LOSSES.items():
            runs = np.array([judge(log, kind, seed) for seed in range(options.seeds)])
            error = runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
            for t, task in enumerate(log.y):
                found = "  ".join(
                    f"{name} {mean:.4f} ± {reach:.4f}"
                    for name, mean, reach in zip(
                        names, runs.mean(axis=0)[:, t], error[:, t], strict=True
                    )
                )
                print(f"{table:12s}{loss:15s}{task:7s}{found}", flush=True)


if __name__ == "__main__":
    main()
