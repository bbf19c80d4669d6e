"""Code that the studies share: tables by seed, paired intervals, files and figures.

A study is a function ``one(table, seed)`` that gives a row for each fit and task. It is
called for every table and seed, the rows go to a CSV file whose first line is the
command that made it, and models are compared seed by seed: the interval is that of the
mean difference (t, 95 %).

In the funnel, Adult and census, a seed draws rows, splits and initial weights. Taobao
has one log and one split by time, so its seeds only cover the variation of training,
not that between weeks.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from _former import FORMER
from scipy import stats

from skmtl.datasets import (
    fetch_census_income,
    fetch_user_behavior,
    load_adult,
    make_funnel,
)
from skmtl.metrics import roc_auc

HERE = Path(__file__).parent
# The census tables are large enough for five seeds to tell.
SEEDS = {"funnel": 10, "taobao": 10, "adult": 5, "census": 5}
# Taobao and the funnel are mostly ids, which more epochs memorise if `unknown_rate` is
# 0, as it was when this was decided; on the census tables the default is right.
EPOCHS = {"funnel": 2, "taobao": 2, "adult": 4, "census": 4}


class Part(NamedTuple):
    X: pd.DataFrame
    y: pd.DataFrame


class Split(NamedTuple):
    train: Part
    val: Part
    test: Part


def funnel(seed: int) -> Split:
    """40,000 rows to train, then 20,000 and 40,000, in the order of time.

    Rates are 1:10, 1:67 and 1:1000.
    """
    log = make_funnel(100_000, random_state=seed)
    tasks = log.target[["click", "cart", "order"]]
    return _cut(log.data, tasks, np.arange(100_000), 40_000, 20_000, 40_000)


def taobao(seed: int) -> Split:
    """The sample's last day is the test and the day before it validates."""
    log = fetch_user_behavior(return_splits=True)
    parts = (log.train, log.validation, log.test)
    return Split(*(Part(part.data, part.target) for part in parts))


def adult(seed: int) -> Split:
    """16,000 rows of Adult to train, 8,000 and 20,000."""
    X, y = load_adult(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(X))
    return _cut(X, y, order, 16_000, 8_000, 20_000)


def census(seed: int) -> Split:
    """16,000 training rows of Census-Income (KDD), 8,000, and 20,000 of its test."""
    data = _census()
    rng = np.random.default_rng(seed)
    train, test = rng.permutation(len(data.train.data)), rng.permutation(49_000)
    learn = _cut(data.train.data, data.train.target, train, 16_000, 8_000, 0)
    judge = _cut(data.test.data, data.test.target, test, 20_000, 0, 0)
    return Split(learn.train, learn.val, judge.train)


@functools.cache
def _census() -> Any:
    return fetch_census_income(return_splits=True, download_if_missing=False)


def _cut(X: Any, y: Any, order: Any, *sizes: int) -> Split:
    ends = np.cumsum((0, *sizes))
    rows = [order[a:b] for a, b in itertools.pairwise(ends)]
    return Split(*(Part(X.iloc[r], y.iloc[r]) for r in rows))


TABLES = {"funnel": funnel, "taobao": taobao, "adult": adult, "census": census}


def budget(table: str, seed: int) -> dict[str, Any]:
    """The defaults that the studies were made with, and the epochs of the table."""
    return {**FORMER, "max_iter": EPOCHS[table], "random_state": seed}


def aucs(ranker: Any, part: Part) -> dict[str, float]:
    """AUC by task."""
    found = roc_auc(part.y.to_numpy(), ranker.predict_task_proba(part.X))
    return dict(zip(part.y.columns, found, strict=True))


def run(
    one: Callable[[str, int], Iterable[dict[str, Any]]],
    tables: Iterable[str],
    *,
    n_seeds: int | None = None,
    doc: str | None = None,
) -> tuple[pd.DataFrame, Path]:
    """The rows of every table and seed, and where to put them (without a suffix)."""
    script = Path(sys.argv[0])
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", nargs="+", default=list(tables), choices=TABLES)
    parser.add_argument("--seeds", type=int, default=n_seeds)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    options = parser.parse_args()
    # That a gate has collapsed or a rare task has few labels is what is studied.
    warnings.simplefilter("ignore")
    rows: list[dict[str, Any]] = []
    for table in options.tables:
        start = time.perf_counter()
        for seed in range(options.seeds or SEEDS[table]):
            rows += [{"table": table, "seed": seed, **row} for row in one(table, seed)]
        print(f"{table}: {time.perf_counter() - start:.0f} s", flush=True)
    frame = pd.DataFrame(rows)
    path = options.out / script.stem
    command = " ".join([f"python benchmarks/studies/{script.name}", *sys.argv[1:]])
    with path.with_suffix(".csv").open("w") as file:
        file.write(f"# {command}\n")
        frame.to_csv(file, index=False, float_format="%.6g", lineterminator="\n")
    return frame, path


def compare(fits: pd.DataFrame, base: str, metric: str = "auc") -> pd.DataFrame:
    """Mean of each model by table and task, and how far it lies from `base`.

    Columns: the mean, the mean difference over seeds, the ends of its 95 % interval,
    and the share of seeds in which the model is above the base.
    """
    wide = fits.pivot(index=["table", "task", "seed"], columns="model", values=metric)
    found = []
    for model in fits["model"].unique():
        for (table, task), part in wide.groupby(["table", "task"], sort=False):
            row = {"table": table, "task": task, "model": model}
            row |= {metric: part[model].mean()}
            if model != base:
                row |= paired(part[model] - part[base])
            found.append(row)
    order = fits[["table", "task"]].drop_duplicates()
    return order.merge(pd.DataFrame(found))


def paired(difference: pd.Series) -> dict[str, float]:
    """Mean of paired differences with the t interval of 95 %."""
    mean = difference.mean()
    reach = stats.t.ppf(0.975, len(difference) - 1) * difference.sem()
    wins = float((difference > 0).mean())
    return {"difference": mean, "low": mean - reach, "high": mean + reach, "wins": wins}


def show(frame: pd.DataFrame, digits: int = 4) -> None:
    """Print a whole table."""
    with pd.option_context("display.width", 200, "display.max_rows", 500):
        print(frame.round(digits).to_string(index=False), flush=True)


def draw(compared: pd.DataFrame, path: Path, *, base: str, metric: str = "AUC") -> None:
    """A panel for each table: difference from the base by model, a marker by task."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = compared.dropna(subset="difference")
    tables, models = rows["table"].unique(), rows["model"].unique()
    figure, panels = plt.subplots(
        1,
        len(tables),
        figsize=(3.4 * len(tables) + 1, 0.5 * len(models) + 1.3),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, table in zip(panels[0], tables, strict=True):
        here = rows[rows["table"] == table]
        tasks = list(here["task"].unique())
        for t, task in enumerate(tasks):
            part = here[here["task"] == task].set_index("model").reindex(models)
            y = np.arange(len(models)) + 0.16 * (t - (len(tasks) - 1) / 2)
            reach = part["high"] - part["difference"]
            axes.errorbar(
                part["difference"], y, xerr=reach, fmt="os^D"[t], label=task, ms=5
            )
        axes.axvline(0, color="0.4", lw=1)
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        axes.locator_params(axis="x", nbins=5)
        axes.set_ylim(len(models) - 0.4, -0.6)
        axes.grid(axis="x", alpha=0.4)
        axes.legend(
            fontsize="small", ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.05)
        )
        axes.xaxis.set_ticks_position("top")
        axes.set_title(f"{table}: {metric} less that of {base}", fontsize="medium")
    panels[0, 0].set_yticks(range(len(models)), models)
    figure.savefig(path.with_suffix(".png"), dpi=100)
