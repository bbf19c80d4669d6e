"""What losses of the order within groups gain, and what they do to calibration.

    SKMTL_DATA_HOME=... python benchmarks/studies/ranking.py

MMoE with the cross-entropy alone, and with each loss of the order for all tasks. The
weight of a loss is the one of `WEIGHTS` with the best ROC AUC within groups on
validation rows, for seed 0 and the mean of the tasks. "in lists" is the cross-entropy
on batches of lists, which the other losses have too. A row has the metrics of one task
on the test rows of one fit. Groups are sessions in the funnel, and users elsewhere.

``SKMTL_DATA_HOME`` holds ``movielens_small`` and ``taobao_ub_sample``, as the data's
README describes them.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from _study import HERE, compare, draw, show

from skmtl import BinaryTask, MMoE
from skmtl.datasets import make_funnel
from skmtl.metrics import (
    expected_calibration_error,
    group_roc_auc,
    log_loss,
    ndcg,
    predicted_to_observed,
    roc_auc,
)

HOME = Path(os.environ.get("SKMTL_DATA_HOME", "."))
RANKINGS = ("pairwise", "listwise", "jrc", "lambdarank")
WEIGHTS = (0.3, 1.0, 3.0)


class Log(NamedTuple):
    """A table, and whether its rows train (0), validate (1) or test (2)."""

    X: pd.DataFrame
    y: pd.DataFrame
    group: pd.Series
    split: np.ndarray


def funnel() -> Log:
    """Sessions of ten rows by time: 30,000 rows to train, then 10,000 and 20,000."""
    log = make_funnel(60_000, order_rate=0.002, random_state=0)
    split = np.digitize(np.arange(60_000), [30_000, 40_000])
    return Log(log.data, log.target[["click", "cart"]], pd.Series(log.session), split)


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


TABLES = {
    "funnel": funnel,
    "taobao": taobao,
    "new users": new_users,
    "known users": known_users,
}


def fit(log: Log, kind: BinaryTask | None, seed: int) -> MMoE:
    train, valid = log.split == 0, log.split == 1
    kinds = None if kind is None else dict.fromkeys(log.y, kind)
    return MMoE(task_kinds=kinds, n_threads=1, random_state=seed).fit(
        log.X[train],
        log.y[train],
        X_val=log.X[valid],
        y_val=log.y[valid],
        groups=log.group[train],
    )


def metrics(ranker: MMoE, log: Log, part: int) -> pd.DataFrame:
    """Metrics of every task on the rows of a part, with a row for each task."""
    rows = log.split == part
    y, group = log.y[rows], log.group[rows]
    proba = ranker.predict_task_proba(log.X[rows])
    return pd.DataFrame(
        {
            "task": list(y),
            "gauc": group_roc_auc(y, proba, group),
            "ndcg10": ndcg(y, proba, group, k=10),
            "auc": roc_auc(y, proba),
            "log_loss": log_loss(y, proba),
            "ece": expected_calibration_error(y, proba),
            "predicted_to_observed": predicted_to_observed(y, proba),
        }
    )


def chosen(log: Log) -> dict[str, BinaryTask | None]:
    """The kinds to compare, each loss with the best of the weights."""
    kinds = {
        "cross-entropy": None,
        "in lists": BinaryTask("pairwise", ranking_weight=1e-9),
    }
    for ranking in RANKINGS:
        candidates = [BinaryTask(ranking, ranking_weight=weight) for weight in WEIGHTS]
        found = [
            metrics(fit(log, kind, 0), log, 1)["gauc"].mean() for kind in candidates
        ]
        kinds[ranking] = candidates[int(np.argmax(found))]
    return kinds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    parts = []
    for table in options.tables:
        log = TABLES[table]()
        for model, kind in chosen(log).items():
            weight = np.nan if kind is None else kind.ranking_weight
            print(table, model, weight, flush=True)
            for seed in range(options.seeds):
                found = metrics(fit(log, kind, seed), log, 2)
                own = {"table": table, "seed": seed, "model": model, "weight": weight}
                parts.append(found.assign(**own))
        path = options.out / "ranking.csv"
        fits = pd.concat(parts, ignore_index=True)
        with path.open("w") as file:
            command = " ".join(["python benchmarks/studies/ranking.py", *sys.argv[1:]])
            file.write(f"# {command}\n")
            fits.to_csv(file, index=False, float_format="%.6g", lineterminator="\n")
    for metric in ("gauc", "ndcg10", "auc", "log_loss", "ece", "predicted_to_observed"):
        show(compare(fits, "cross-entropy", metric))
    draw(
        compare(fits, "cross-entropy", "gauc"),
        path,
        base="cross-entropy",
        metric="GAUC",
    )


if __name__ == "__main__":
    main()
