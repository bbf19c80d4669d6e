"""Every loss weight on three tables: mean and worst-task AUC over five seeds.

The best of 25 static weights is chosen by the mean AUC on validation rows, over all
seeds, and judged on test rows like all others. The rankers are MMoE with 4 experts of
64 units, and defaults elsewhere. It writes ``loss_weights.csv`` and ``.png`` beside
this file:

    SKMTL_DATA_HOME=... python benchmarks/studies/loss_weights.py --jobs 1

``mgda_normalization.csv`` has some of them, "equal" always among them:

    ... loss_weights.py --csv mgda_normalization.csv --only equal famo mgda \\
        "mgda, none" "mgda, loss" "mgda, loss+"
"""

from __future__ import annotations

import argparse
import warnings
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _former import FORMER
from _study import draw
from joblib import Parallel, delayed
from scipy import stats
from sklearn.model_selection import train_test_split

from skmtl import MMoE
from skmtl.datasets import fetch_census_income, load_adult, make_correlated_tasks
from skmtl.metrics import roc_auc
from skmtl.weighting import MGDA, get_strategy_names

SEEDS = range(5)
STATIC = np.geomspace(0.02, 50, 25)  # weight of the second task over that of the first
RECIPE = {"loss_weight": "inverse_ratio", "label_weight": "1:2"}


def correlated(seed: int) -> tuple[Any, Any]:
    """Two tasks of correlation 0.5, one common and one rare."""
    X, y = make_correlated_tasks(
        16_000, 20, correlation=0.5, positive_rate=[0.3, 0.02], random_state=seed
    )
    return pd.DataFrame(X), pd.DataFrame(y, columns=["common", "rare"])


def adult(seed: int) -> tuple[Any, Any]:
    """A part of Adult."""
    X, y = load_adult(return_X_y=True)
    rows = np.random.default_rng(seed).choice(len(X), 20_000, replace=False)
    return X.iloc[rows], y.iloc[rows]


def census(seed: int) -> tuple[Any, Any]:
    """A part of the training file of Census-Income (KDD)."""
    train = fetch_census_income(return_splits=True, download_if_missing=False).train
    rows = np.random.default_rng(seed).choice(len(train.data), 24_000, replace=False)
    return train.data.iloc[rows], train.target.iloc[rows]


TABLES = {"correlated": correlated, "adult": adult, "census": census}


def contenders() -> dict[str, dict[str, Any]]:
    """Hyperparameters to compare."""
    found: dict[str, dict[str, Any]] = {"equal": {}, "recipe": RECIPE}
    found["inverse_ratio"] = {"loss_weight": "inverse_ratio"}
    found |= {name: {"loss_weight": name} for name in get_strategy_names()}
    for normalization in ("none", "loss", "loss+"):
        weighting = MGDA(normalization=normalization)
        found[f"mgda, {normalization}"] = {"loss_weight": weighting}
    for ratio in STATIC:
        weights = [2 / (1 + ratio), 2 * ratio / (1 + ratio)]
        found[f"static {ratio:.3g}"] = {"loss_weight": weights}
    return found


def run(table: str, seed: int, only: list[str] | None = None) -> list[dict[str, Any]]:
    """AUC of every contender on validation and test rows of one seed."""
    X, y = TABLES[table](seed)
    X_train, X_rest, y_train, y_rest = train_test_split(
        X, y, test_size=0.5, random_state=seed
    )
    X_val, X_test, y_val, y_test = train_test_split(
        X_rest, y_rest, test_size=0.6, random_state=seed
    )
    found = []
    for name, params in contenders().items():
        if only and name not in only:
            continue
        size = {"n_experts": 4, "expert_units": (64,)}
        ranker = MMoE(**{**FORMER, **size, **params}, random_state=seed)
        ranker.fit(X_train, y_train)
        val = roc_auc(y_val.to_numpy(), ranker.predict_task_proba(X_val))
        test = roc_auc(y_test.to_numpy(), ranker.predict_task_proba(X_test))
        found.append(
            {
                "table": table,
                "seed": seed,
                "loss_weight": name,
                "validation": val.mean(),
            }
            | {"mean": test.mean(), "worst": test.min()}
            | {f"task {t}": auc for t, auc in enumerate(test)}
        )
    return found


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over the seeds, and how far each lies above equal weights."""
    keys = ["table", "loss_weight"]
    numbers = runs.drop(columns="seed")
    means = numbers.groupby(keys, sort=False).mean().reset_index()
    static = means["loss_weight"].str.startswith("static")
    best = means[static].loc[means[static].groupby("table")["validation"].idxmax()]
    best = best.assign(loss_weight="best " + best["loss_weight"])
    shown = pd.concat([means[~static], best])
    # Differences from equal weights seed by seed, and their standard error.
    wide = runs.pivot(index=["table", "seed"], columns="loss_weight", values="mean")
    gain = wide.sub(wide["equal"], axis=0).groupby("table")
    gains, errors = gain.mean().stack(), gain.sem().stack()
    at = pd.MultiIndex.from_arrays(
        [shown["table"], shown["loss_weight"].str.removeprefix("best ")]
    )
    shown = shown.assign(gain=gains[at].to_numpy(), gain_se=errors[at].to_numpy())
    shown = shown.drop(columns="validation")
    return shown.sort_values(["table", "mean"], ascending=[True, False]).round(4)


def picture(table: pd.DataFrame, path: Path) -> None:
    """Gain over equal weights, with the t interval of 95 %."""
    reach = stats.t.ppf(0.975, len(SEEDS) - 1) * table["gain_se"]
    rows = table[table["loss_weight"] != "equal"].assign(
        task="mean AUC",
        model=table["loss_weight"].str.replace(
            r"best static.*", "best static", regex=True
        ),
        difference=table["gain"],
        high=table["gain"] + reach,
    )
    draw(rows, path, base="equal weights")


def main() -> None:
    """Run, print, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--only", nargs="+", help="names of loss weights")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    jobs = [
        delayed(run)(table, seed, options.only)
        for table in options.tables
        for seed in SEEDS
    ]
    found = Parallel(options.jobs, verbose=1, batch_size=1)(jobs)
    runs = pd.DataFrame(chain.from_iterable(found))
    table = summary(runs)
    print(table.to_string(index=False))
    table.to_csv(options.csv, index=False)
    if not options.only:
        picture(table, options.csv)


if __name__ == "__main__":
    main()
