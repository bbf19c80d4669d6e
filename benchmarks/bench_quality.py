"""Quality of defaults: skmtl, LightGBM and scikit-learn's boosting on the same rows.

    python benchmarks/bench_quality.py --tables adult census --seeds 0 1 2

Every model gets the same training rows and is judged on the same test rows; validation
rows choose what "lightgbm-tuned" takes, and nothing else. For each table, model and
task the mean over seeds of ROC AUC, log loss, and predicted over observed rate is
printed, and the seconds of the whole fit, a search included; ``--csv`` keeps every fit.

Models:

skmtl
    ``MMoE`` with its defaults.
former
    ``MMoE`` with the last weights of four epochs, as before weights were averaged; its
    bins start as those of the defaults.
lightgbm
    One ``LGBMClassifier`` with its defaults for each task.
lightgbm-tuned
    For each task, the best of ``--trials`` drawn at random (leaves, rows of a leaf,
    share of columns and rows, L2, smoothing of categories), each at a learning rate of
    .05 with up to 2000 trees and early stopping, by log loss on the validation rows.
histgb
    One ``HistGradientBoostingClassifier`` with its defaults for each task. Ids beyond
    the 254 most frequent of a column count as missing.

Tables are Adult, census income and ``make_funnel``, and of the folder that
``SKMTL_DATA_HOME`` names those that lie there as ``<name>/<name>.parquet`` with a
column ``split`` (0 train, 1 validation, 2 test).
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightgbm import LGBMClassifier, early_stopping
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score

from skmtl import MMoE
from skmtl.datasets import fetch_census_income, load_adult, make_funnel

Part = tuple[pd.DataFrame, pd.DataFrame]
FORMER: dict[str, Any] = {
    "average_weights": False,
    "learning_rate_schedule": "cosine",
    "max_iter": 4,
    "early_stopping": False,
    "unknown_share": 0.0,
}
# Tasks, and columns that are no inputs.
PARQUET: dict[str, tuple[list[str], list[str]]] = {
    "movielens_small": (["liked", "loved"], ["timestamp", "split_warm"]),
    "nyc_flights": (["dep_late", "arr_late", "cancelled"], ["date"]),
    "hotel_bookings": (
        ["canceled", "special_request", "booking_changed", "parking"],
        ["arrival_date"],
    ),
    "diabetes130": (["readmit_any", "readmit_30", "med_change", "diabetes_med"], []),
}


def adult() -> list[Part]:
    """Adult's own test part, halved at random for validation and test."""
    table = load_adult()
    is_test = (table.split == "test").to_numpy()
    rows = np.random.default_rng(0).permutation(np.flatnonzero(is_test))
    half = len(rows) // 2
    parts = np.flatnonzero(~is_test), np.sort(rows[:half]), np.sort(rows[half:])
    return [(table.data.iloc[at], table.target.iloc[at]) for at in parts]


def census() -> list[Part]:
    """Census income, with the split of ``fetch_census_income``."""
    table = fetch_census_income(return_splits=True)
    found = table.train, table.validation, table.test
    return [(one.data, one.target) for one in found]


def funnel() -> list[Part]:
    """Five days of ``make_funnel`` to train on, then one each."""
    log = make_funnel(
        200_000, n_users=5000, n_items=3000, order_rate=0.003, random_state=0
    )
    day = (log.timestamp - log.timestamp.min().normalize()).dt.days
    masks = day < 5, day == 5, day == 6
    return [(log.data[mask], log.target[mask]) for mask in masks]


def parquet(name: str) -> list[Part]:
    """A table of the data folder."""
    path = Path(os.environ["SKMTL_DATA_HOME"]) / name / f"{name}.parquet"
    tasks, dropped = PARQUET[name]
    table = pd.read_parquet(path)
    X = table.drop(columns=[*tasks, *dropped, "split"])
    return [
        (X[table.split == part], table.loc[table.split == part, tasks])
        for part in range(3)
    ]


TABLES: dict[str, Callable[[], list[Part]]] = {
    "adult": adult,
    "census": census,
    "funnel": funnel,
    **{name: (lambda name=name: parquet(name)) for name in PARQUET},
}


def for_trees(parts: Sequence[Part], limit: int | None) -> list[pd.DataFrame]:
    """Ids as categories of the training rows, lists of ids as flags."""
    train = parts[0][0]
    tables = [X.copy() for X, _ in parts]
    for name in train:
        column = train[name]
        if isinstance(column.iloc[0], list | np.ndarray):
            values = sorted({value for cell in column for value in cell})
            for table in tables:
                cells = [set(cell) for cell in table[name]]
                for value in values:
                    table[f"{name}_{value}"] = np.array(
                        [value in c for c in cells], float
                    )
                del table[name]
        elif not pd.api.types.is_numeric_dtype(column):
            values = column.astype(object).value_counts().index[:limit]
            for table in tables:
                table[name] = pd.Categorical(table[name].astype(object), values)
    return tables


def skmtl(params: dict[str, Any]) -> Callable[..., np.ndarray]:
    def fit(parts: Sequence[Part], seed: int, trials: int) -> np.ndarray:
        (X, y), _, (X_test, _) = parts
        ranker = MMoE(random_state=seed, **params).fit(X, y)
        return np.asarray(ranker.predict_task_proba(X_test))

    return fit


def by_task(
    parts: Sequence[Part], limit: int | None, fit: Callable[..., Any]
) -> np.ndarray:
    """Predictions of a model for each task."""
    X, X_valid, X_test = for_trees(parts, limit)
    y, y_valid = parts[0][1], parts[1][1]
    models = [fit(X, y[task], X_valid, y_valid[task]) for task in y]
    return np.column_stack([model.predict_proba(X_test)[:, 1] for model in models])


def lightgbm(parts: Sequence[Part], seed: int, trials: int) -> np.ndarray:
    model = LGBMClassifier(n_jobs=1, verbose=-1, random_state=seed)
    return by_task(parts, None, lambda X, y, *_: clone(model).fit(X, y))


def lightgbm_tuned(parts: Sequence[Part], seed: int, trials: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = [
        {
            "num_leaves": int(rng.choice([7, 15, 31, 63, 127])),
            "min_child_samples": int(rng.choice([10, 20, 60, 200])),
            "colsample_bytree": float(rng.uniform(0.3, 1.0)),
            "subsample": float(rng.uniform(0.5, 1.0)),
            "reg_lambda": float(10 ** rng.uniform(-2, 2)),
            "cat_smooth": float(10 ** rng.uniform(0, 3)),
        }
        for _ in range(trials)
    ]

    def best(X: Any, y: Any, X_valid: Any, y_valid: Any) -> Any:
        models = [
            LGBMClassifier(
                n_estimators=2000,
                learning_rate=0.05,
                subsample_freq=1,
                n_jobs=1,
                verbose=-1,
                random_state=seed,
                **params,
            ).fit(
                X,
                y,
                eval_set=[(X_valid, y_valid)],
                eval_metric="binary_logloss",
                callbacks=[early_stopping(50, verbose=False)],
            )
            for params in drawn
        ]
        return min(models, key=lambda m: m.best_score_["valid_0"]["binary_logloss"])

    return by_task(parts, None, best)


def histgb(parts: Sequence[Part], seed: int, trials: int) -> np.ndarray:
    def fit(X: Any, y: Any, *_: Any) -> Any:
        return HistGradientBoostingClassifier(random_state=seed).fit(X, y)

    return by_task(parts, 254, fit)


MODELS: dict[str, Callable[..., np.ndarray]] = {
    "skmtl": skmtl({}),
    "former": skmtl(FORMER),
    "lightgbm": lightgbm,
    "lightgbm-tuned": lightgbm_tuned,
    "histgb": histgb,
}


def judged(name: str, model: str, seed: int, parts: list[Part], trials: int) -> Any:
    """One row for each task of a fit."""
    start = time.process_time()
    proba = MODELS[model](parts, seed, trials)
    seconds = time.process_time() - start
    y = parts[2][1]
    for task, p in zip(y, proba.T, strict=True):
        yield {
            "table": name,
            "model": model,
            "task": task,
            "seed": seed,
            "auc": roc_auc_score(y[task], p),
            "log_loss": log_loss(y[task], p),
            "predicted_to_observed": p.mean() / y[task].mean(),
            "seconds": seconds,
        }


def main() -> None:
    """Fit, judge and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows: list[dict[str, Any]] = []
    for name in options.tables:
        parts = TABLES[name]()
        for seed in options.seeds:
            for model in options.models:
                rows += judged(name, model, seed, parts, options.trials)
                if options.csv:
                    pd.DataFrame(rows).to_csv(options.csv, index=False)
        found = pd.DataFrame(rows)
        found = found[found.table == name].drop(columns=["table", "seed"])
        mean = found.groupby(["task", "model"], sort=False).mean().round(4)
        print(f"\n{name}\n{mean.to_string()}", flush=True)


if __name__ == "__main__":
    main()
