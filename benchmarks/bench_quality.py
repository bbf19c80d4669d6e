"""Quality of defaults: skmtl, boosted trees and other networks on the same rows.

    python benchmarks/bench_quality.py --tables adult census --csv quality.csv
    python benchmarks/bench_quality.py --report quality.csv

Every model gets the same training rows and is judged on the same test rows. Validation
rows choose what "lightgbm-tuned" takes and the epoch of the peers; skmtl, LightGBM with
its defaults and "histgb" do not see them. For each table, model and task the mean over
seeds of ROC AUC, log loss, and predicted over observed rate is printed, and the seconds
of CPU of the whole fit, a search included. "ahead" is the mean over seeds of skmtl's
AUC less that of the model, with the standard error of this paired difference. The seed
is that of the model; that of the split too for Adult and ``make_funnel``, whose
published or natural split leaves something to draw.

``--csv`` keeps every fit, and a second run with the same file adds those that it does
not hold yet. ``--report`` fits nothing, and reads such files: the peers need packages
that may not go with those of other models, so that they may be fitted in an environment
of their own::

    python -m venv peers
    peers/bin/pip install -c constraints.txt -e ".[bench]" "pytabkit[models]"
    peers/bin/python benchmarks/bench_quality.py --models deepctr rechub --csv peers.csv
    python benchmarks/bench_quality.py --report quality.csv peers.csv

Models:

skmtl
    ``MMoE`` with its defaults.
former
    ``MMoE`` as before its defaults were chosen on these tables: the last weights of
    four epochs, and 64 constant bins that start wide, for flags too.
stacked
    A pipeline of ``OutOfFoldScores("lightgbm")`` and ``MMoE``.
blended, blended-two
    ``BlendedRanker(MMoE(), estimator="lightgbm")``, with one ranker and with two.
lightgbm
    One ``LGBMClassifier`` with its defaults for each task.
lightgbm-tuned
    For each task, the best of ``--trials`` drawn at random (leaves, rows of a leaf,
    share of columns and rows, L2, smoothing of categories), each at a learning rate of
    .05 with up to 2000 trees and early stopping, by log loss on the validation rows.
histgb
    One ``HistGradientBoostingClassifier`` with its defaults for each task. Ids beyond
    the 254 most frequent of a column count as missing.
deepctr, rechub, realmlp, tabm
    See ``quality/peers.py``. They are fitted only where ``--models`` names them, since
    they need packages of their own: deepctr-torch, torch-rechub and pytabkit.

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
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightgbm import LGBMClassifier, early_stopping
from quality.peers import PEERS, Encoded
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from studies._former import FORMER

from skmtl import MMoE
from skmtl.datasets import fetch_census_income, load_adult, make_funnel
from skmtl.stacking import BlendedRanker, OutOfFoldScores

Part = tuple[pd.DataFrame, pd.DataFrame]
# Tasks, and columns that are not inputs.
PARQUET: dict[str, tuple[list[str], list[str]]] = {
    "movielens_small": (["liked", "loved"], ["timestamp"]),
    "nyc_flights": (["dep_late", "arr_late", "cancelled"], ["date"]),
    "hotel_bookings": (
        ["canceled", "special_request", "booking_changed", "parking"],
        ["arrival_date"],
    ),
    "diabetes130": (["readmit_any", "readmit_30", "med_change", "diabetes_med"], []),
}


def adult(seed: int) -> list[Part]:
    """Adult's own test part, halved at random for validation and test.

    The third task is a degree, with education left out of the columns.
    """
    table = load_adult()
    degrees = ["Bachelors", "Masters", "Doctorate", "Prof-school", "Assoc-acdm"]
    degree = table.data["education"].isin([*degrees, "Assoc-voc"]).astype(int)
    X = table.data.drop(columns=["education", "education_num"])
    y = table.target.assign(degree=degree)
    is_test = (table.split == "test").to_numpy()
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(is_test))
    half = len(rows) // 2
    parts = np.flatnonzero(~is_test), np.sort(rows[:half]), np.sort(rows[half:])
    return [(X.iloc[at], y.iloc[at]) for at in parts]


def census(seed: int) -> list[Part]:
    """Census income, with the split of ``fetch_census_income``."""
    table = fetch_census_income(return_splits=True)
    found = table.train, table.validation, table.test
    return [(one.data, one.target) for one in found]


def funnel(seed: int) -> list[Part]:
    """Five days of ``make_funnel`` to train on, then one each."""
    log = make_funnel(
        200_000, n_users=5000, n_items=3000, order_rate=0.003, random_state=seed
    )
    day = (log.timestamp - log.timestamp.min().normalize()).dt.days
    masks = day < 5, day == 5, day == 6
    return [(log.data[mask], log.target[mask]) for mask in masks]


def parquet(name: str, split: str = "split") -> list[Part]:
    """A table of the data folder."""
    path = Path(os.environ["SKMTL_DATA_HOME"]) / name / f"{name}.parquet"
    tasks, dropped = PARQUET[name]
    table = pd.read_parquet(path)
    splits = [name for name in table if name.startswith("split")]
    X = table.drop(columns=[*tasks, *dropped, *splits])
    masks = [table[split] == part for part in range(3)]
    return [(X[mask], table.loc[mask, tasks]) for mask in masks]


def taobao(seed: int) -> list[Part]:
    """The views of the Taobao sample in the order of time: 70, 15 and 15 %."""
    path = Path(os.environ["SKMTL_DATA_HOME"]) / "taobao_ub_sample/UserBehavior.csv"
    names = ["user_id", "item_id", "category_id", "behavior", "t"]
    log = pd.read_csv(path, header=None, names=names).iloc[:-1]  # the last line is cut
    log["t"] = log.t.astype(int)
    pair = ["user_id", "item_id"]
    views = log[log.behavior == "pv"].groupby(pair, as_index=False)
    X = views.agg(category_id=("category_id", "first"), t=("t", "min"))
    for task in ("cart", "fav", "buy"):
        done = log[log.behavior == task][pair].drop_duplicates().assign(**{task: 1})
        X = X.merge(done, how="left", on=pair)
    X = X.sort_values("t", kind="stable", ignore_index=True)
    tasks = ["cart", "fav", "buy"]
    y = X[tasks].fillna(0).astype(int)
    times = pd.to_datetime(X.t + 8 * 3600, unit="s")
    X["hour"], X["weekday"] = times.dt.hour, times.dt.weekday
    for name in ("user", "item", "category"):
        X[f"{name}_seen"] = X.groupby(f"{name}_id").cumcount()
    X["user_category_seen"] = X.groupby(["user_id", "category_id"]).cumcount()
    X["since_last"] = X.groupby("user_id").t.diff()
    ids = ["user_id", "item_id", "category_id", "hour", "weekday"]
    X = X.drop(columns=["t", *tasks]).astype(dict.fromkeys(ids, "category"))
    first, second = int(0.7 * len(X)), int(0.85 * len(X))
    parts = slice(first), slice(first, second), slice(second, None)
    return [(X.iloc[at], y.iloc[at]) for at in parts]


TABLES: dict[str, Callable[[int], list[Part]]] = {
    "adult": adult,
    "census": census,
    "funnel": funnel,
    "taobao": taobao,
    "movielens_users": lambda seed: parquet("movielens_small", "split_warm"),
    **{name: (lambda seed, name=name: parquet(name)) for name in PARQUET},
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


def stacked(parts: Sequence[Part], seed: int, trials: int) -> np.ndarray:
    (X, y), _, (X_test, _) = parts
    scores = OutOfFoldScores("lightgbm", random_state=seed)
    model = make_pipeline(scores, MMoE(random_state=seed)).fit(X, y)
    return np.column_stack([p[:, 1] for p in model.predict_proba(X_test)])


def blended(n_rankers: int) -> Callable[..., np.ndarray]:
    def fit(parts: Sequence[Part], seed: int, trials: int) -> np.ndarray:
        (X, y), _, (X_test, _) = parts
        blend = BlendedRanker(
            MMoE(), estimator="lightgbm", n_rankers=n_rankers, random_state=seed
        )
        return blend.fit(X, y).predict_task_proba(X_test)

    return fit


def peer(name: str) -> Callable[..., np.ndarray]:
    def fit(parts: Sequence[Part], seed: int, trials: int) -> np.ndarray:
        data = Encoded.of(for_trees(parts, None), [y for _, y in parts])
        return PEERS[name](data, seed)

    return fit


MODELS: dict[str, Callable[..., np.ndarray]] = {
    "skmtl": skmtl({}),
    "former": skmtl(FORMER),
    "lightgbm": lightgbm,
    "lightgbm-tuned": lightgbm_tuned,
    "histgb": histgb,
    "stacked": stacked,
    "blended": blended(1),
    "blended-two": blended(2),
    **{name: peer(name) for name in PEERS},
}
WITHOUT_PEERS = [name for name in MODELS if name not in PEERS]


def ahead(fits: pd.DataFrame) -> pd.DataFrame:
    """skmtl's AUC less that of each model: mean, and standard error, over seeds."""
    auc = fits.pivot_table(index="seed", columns=["task", "model"], values="auc")
    rows = {}
    for task, model in auc.columns:
        if (task, "skmtl") in auc:
            difference = (auc[task, "skmtl"] - auc[task, model]).dropna()
            rows[task, model] = {"ahead": difference.mean(), "se": difference.sem()}
    index = pd.MultiIndex.from_tuples(list(rows), names=["task", "model"])
    return pd.DataFrame(list(rows.values()), index=index)


def judged(
    name: str, model: str, seed: int, parts: list[Part], trials: int
) -> list[dict[str, Any]]:
    """One row for each task of a fit."""
    start = time.process_time()
    proba = MODELS[model](parts, seed, trials)
    seconds = time.process_time() - start
    y = parts[2][1]
    return [
        {
            "table": name,
            "rows": len(parts[0][0]),
            "model": model,
            "task": task,
            "seed": seed,
            "auc": roc_auc_score(y[task], p),
            "log_loss": log_loss(y[task], p),
            "predicted_to_observed": p.mean() / y[task].mean(),
            "seconds": seconds,
        }
        for task, p in zip(y, proba.T, strict=True)
    ]


def with_rows(parts: list[Part], n: int | None, seed: int) -> list[Part]:
    """The parts with `n` of the training rows, at random."""
    (X, y), *rest = parts
    if n is None or n >= len(X):
        return parts
    at = np.sort(np.random.default_rng(seed).permutation(len(X))[:n])
    return [(X.iloc[at], y.iloc[at]), *rest]


def report(fits: pd.DataFrame) -> None:
    """Print the means of every table."""
    for (name, rows), found in fits.groupby(["table", "rows"], sort=False):
        paired = ahead(found)
        found = found.drop(columns=["table", "rows", "seed"])
        mean = found.groupby(["task", "model"], sort=False).mean()
        print(f"\n{name}, {rows} rows\n{mean.join(paired).round(4).to_string()}")


def main() -> None:
    """Fit, judge and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=WITHOUT_PEERS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--rows", type=int, help="take so many training rows at random")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--report", type=Path, nargs="+")
    options = parser.parse_args()
    if options.report:
        report(pd.concat([pd.read_csv(path) for path in options.report]))
        return
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    path = options.csv
    fits = pd.read_csv(path) if path and path.exists() else pd.DataFrame()
    rows: list[dict[str, Any]] = fits.to_dict("records")
    for seed, name in product(options.seeds, options.tables):
        parts = with_rows(TABLES[name](seed), options.rows, seed)
        key = name, len(parts[0][0]), seed
        done = {
            one["model"]
            for one in rows
            if (one["table"], one["rows"], one["seed"]) == key
        }
        for model in options.models:
            if model in done:
                continue
            rows += judged(name, model, seed, parts, options.trials)
            if path:
                pd.DataFrame(rows).to_csv(path, index=False)
    report(pd.DataFrame(rows))


if __name__ == "__main__":
    main()
