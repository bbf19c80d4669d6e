"""Unseen ids: gain of training the unknown row and of falling back to categories.

    python benchmarks/studies/cold_start.py --table funnel --epochs 4
    python benchmarks/studies/cold_start.py --table taobao --epochs 4

MMoE with its defaults but for `unknown_rate` and `fallback`, on `make_funnel` where a
fifth of the items appear on the last day only, which is the test day (each seed draws
new data; labels of the test rows are drawn 10 times from their true probabilities, so
that the luck of few labels does not hide the rest), or on the Taobao log, trained until
1 December and tested on the two days after it (each seed draws the network). All models
of a seed see the same rows. Writes cold_start_<table>_<epochs>.csv, a row for each fit,
kind of item and task, and .png beside this file, and prints the differences from
`unknown_rate=0` of the same seed with their 95 % intervals over the seeds.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from _former import FORMER
from scipy import stats

from skmtl import MMoE
from skmtl.datasets import fetch_user_behavior, make_funnel
from skmtl.inspection import cold_start_report

HERE = Path(__file__).parent
REFERENCE = "rate 0"
N_DRAWS = 10
CATEGORY = {"item_id": "category_id"}
MODELS = {
    REFERENCE: {"unknown_rate": 0.0},
    "rate 10": {"unknown_rate": 10.0},
    "rate 10, fallback": {"unknown_rate": 10.0, "fallback": CATEGORY},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", choices=["funnel", "taobao"], default="funnel")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000, help="of make_funnel")
    arguments = parser.parse_args()
    fits = pd.concat(
        one_seed(arguments.table, arguments.epochs, seed, arguments.rows)
        for seed in range(arguments.seeds)
    )
    name = f"cold_start_{arguments.table}_{arguments.epochs}"
    fits.to_csv(HERE / f"{name}.csv", index=False, float_format="%.6f")
    gains = differences(fits)
    print(means(fits).to_string())
    print(gains.round(4).to_string())
    draw(gains, HERE / f"{name}.png", arguments)


def one_seed(table: str, epochs: int, seed: int, n_rows: int) -> pd.DataFrame:
    """A row for each model, kind of item and task."""
    train, test, rates = read(table, seed, n_rows)
    found = []
    for name, given in MODELS.items():
        budget = {**FORMER, "max_iter": epochs, "random_state": seed}
        ranker = MMoE(**budget | given)
        ranker.fit(*train)
        report = cold_start_report(ranker, *test, columns=["item_id"])
        level = ranker.predict_task_proba(test[0]).mean(axis=0) / rates
        report["predicted_to_true"] = report["task"].map(
            dict(zip(rates.index, level, strict=True))
        )
        found.append(report.assign(seed=seed, model=name))
        print(seed, name, flush=True)
    return pd.concat(found).drop(columns="column")


def read(table: str, seed: int, n_rows: int) -> tuple:
    """Training and test rows with labels, and the true rates of the test rows."""
    if table == "taobao":
        log = fetch_user_behavior()
        X, y = log.data, log.target
        test = (log.timestamp >= np.datetime64("2017-12-02")).to_numpy()
        return (X[~test], y[~test]), (X[test], y[test]), y[test].mean()
    log = make_funnel(n_rows, new_item_share=0.2, random_state=seed)
    X, y = log.data, log.target
    test = (log.timestamp >= np.datetime64("2024-01-07")).to_numpy()
    proba = pd.concat([log.true_proba[test]] * N_DRAWS, ignore_index=True)
    drawn = np.random.default_rng(seed).random(proba.shape) < proba
    X_test = pd.concat([X[test]] * N_DRAWS, ignore_index=True)
    return (X[~test], y[~test]), (X_test, drawn.astype(int)), proba.mean()


def means(fits: pd.DataFrame) -> pd.DataFrame:
    keys = ["seen", "task", "model"]
    columns = ["n_rows", "positives", "roc_auc", "predicted_to_true"]
    return fits.groupby(keys, sort=False)[columns].mean().round(4)


def differences(fits: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95 % interval over the seeds of the gain on the reference."""
    table = fits.pivot(index="seed", columns=["seen", "task", "model"])["roc_auc"]
    rows = []
    for seen, task, model in table.columns:
        if model == REFERENCE:
            continue
        gain = (table[seen, task, model] - table[seen, task, REFERENCE]).dropna()
        reach = stats.t.ppf(0.975, len(gain) - 1) * gain.sem()
        rows.append((seen, task, model, gain.mean(), reach, (gain > 0).sum()))
    columns = ["seen", "task", "model", "gain", "reach", "wins"]
    return pd.DataFrame(rows, columns=columns)


def draw(gains: pd.DataFrame, path: Path, arguments: argparse.Namespace) -> None:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tasks = list(dict.fromkeys(gains["task"]))
    kinds = ["often", "rarely", "never"]
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(10, 3.5), layout="constrained", sharey=True
    )
    for ax, task in zip(axes, tasks, strict=True):
        part = gains[gains["task"] == task]
        for k, (model, rows) in enumerate(part.groupby("model", sort=False)):
            rows = rows.set_index("seen").loc[kinds]
            x = np.arange(3) + 0.15 * (k - 0.5)
            ax.errorbar(x, rows["gain"], rows["reach"], fmt="o", label=model)
        ax.axhline(0, color="0.5", lw=1)
        ax.set(title=task, xticks=range(3), xticklabels=kinds, xlabel="item seen")
    axes[0].set_ylabel("ROC AUC above unknown_rate=0")
    axes[-1].legend(fontsize="small")
    figure.suptitle(
        f"{arguments.table}, {arguments.epochs} epochs, {arguments.seeds} seeds, "
        "95 % intervals"
    )
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
