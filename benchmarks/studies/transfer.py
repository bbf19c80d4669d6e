"""Every architecture compared with one network per task, on three tables.

    python benchmarks/studies/transfer.py census
    python benchmarks/studies/transfer.py taobao
    python benchmarks/studies/transfer.py funnel

- census: Census-Income (KDD) with the MMoE paper's protocol (education and marital
  status are not inputs); training rows of the published split, its test half.
- taobao: the head of Taobao UserBehavior; the last day is the test; AUC within users.
- funnel: `make_funnel`, click, cart and order, where an order needs a cart and a cart a
  click; 5 folds.

Five seeds each, and the same budget: the defaults of the package, four epochs. Nothing
was tuned. The first two tables have no funnel: never married is not a step towards an
income, and purchases on Taobao do not require a cart. There ESMM multiplies nothing
(``task_order={}``), and AITM passes information along without its calibrator. Needs the
data folder SKMTL_DATA_HOME; writes transfer_<table>.csv and .png beside this file.
"""

import argparse
import os
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from _former import FORMER
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.multioutput import MultiOutputClassifier

from skmtl import (
    AITM,
    ESMM,
    PLE,
    STEM,
    ChainedMMoE,
    CrossStitch,
    MMoE,
    PooledTask,
    ShareBottom,
    SingleTask,
    SoftSharing,
)
from skmtl.datasets import fetch_census_income, fetch_user_behavior, make_funnel
from skmtl.displays import TransferDisplay
from skmtl.inspection import transfer_report

HERE = Path(__file__).parent


def architectures(*, funnel: bool) -> dict:
    if funnel:
        along = {
            "ChainedMMoE": ChainedMMoE(chain_probability=True, **FORMER),
            "ESMM": ESMM(**FORMER),
            "AITM": AITM(**FORMER),
        }
    else:
        along = {
            "ChainedMMoE": ChainedMMoE(**FORMER),
            "ESMM, no funnel": ESMM(task_order={}, **FORMER),
            "AITM, no calibrator": AITM(calibrator_weight=0.0, **FORMER),
        }
    return {
        "SingleTask": SingleTask(**FORMER),
        "PooledTask": PooledTask(**FORMER),
        "ShareBottom": ShareBottom(**FORMER),
        "SoftSharing": SoftSharing(**FORMER),
        "CrossStitch": CrossStitch(**FORMER),
        "MMoE": MMoE(**FORMER),
        "PLE": PLE(**FORMER),
        "STEM": STEM(**FORMER),
        **along,
    }


def census(rows: int) -> dict:
    splits = fetch_census_income(return_splits=True, download_if_missing=False)
    train, test = splits.train, splits.test
    chosen = np.arange(len(train.data))
    if rows < len(chosen):
        chosen = np.sort(np.random.default_rng(0).permutation(len(chosen))[:rows])
    X = pd.concat([train.data.iloc[chosen], test.data], ignore_index=True)
    y = pd.concat([train.target.iloc[chosen], test.target], ignore_index=True)
    n = len(chosen)
    estimators = architectures(funnel=False)
    estimators["boosting, one per task"] = MultiOutputClassifier(
        HistGradientBoostingClassifier(categorical_features="from_dtype")
    )
    split = (np.arange(n), np.arange(n, len(X)))
    return {"estimators": estimators, "X": X, "y": y, "cv": [split]}


def taobao(rows: int) -> dict:
    table = fetch_user_behavior()
    late = table.timestamp >= np.datetime64("2017-12-03")
    split = (np.flatnonzero(~late), np.flatnonzero(late))
    return {
        "estimators": architectures(funnel=False),
        "X": table.data,
        "y": table.target,
        "cv": [split],
        "groups": table.data["user_id"].to_numpy(),
    }


def funnel(rows: int) -> dict:
    log = make_funnel(min(rows, 100_000), random_state=0)
    return {
        "estimators": architectures(funnel=True),
        "X": log.data,
        "y": log.target[["click", "cart", "order"]],
        "cv": 5,
        "groups": log.data["user_id"].to_numpy(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=("census", "taobao", "funnel"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=10**9, help="at most, to train on")
    arguments = parser.parse_args()
    table = {"census": census, "taobao": taobao, "funnel": funnel}[arguments.table]
    report = transfer_report(
        **table(arguments.rows), random_states=range(arguments.seeds)
    )
    name = f"transfer_{arguments.table}"
    report.to_csv(HERE / f"{name}.csv", index=False, float_format="%.6g")
    print(f"threads: {os.environ.get('OMP_NUM_THREADS', 'all')}")
    with pd.option_context("display.width", 200, "display.max_rows", 200):
        print(report.round(4).to_string(index=False))
    draw(report, name)


def draw(report: pd.DataFrame, name: str) -> None:
    """All but PooledTask, which is so far off that the others would fall together."""
    matplotlib.use("Agg")
    report = report[report["estimator"] != "PooledTask"]
    for metric in report["metric"].unique():
        display = TransferDisplay.from_report(report, metric=metric).plot()
        suffix = "" if metric == "roc_auc" else "_within_users"
        display.figure_.savefig(HERE / f"{name}{suffix}.png", dpi=110)


if __name__ == "__main__":
    main()
