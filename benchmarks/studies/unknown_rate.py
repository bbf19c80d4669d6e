"""How `unknown_rate` prevents the memorisation of ids: AUC and level on new rows.

    python benchmarks/studies/unknown_rate.py

MMoE with its defaults but for `unknown_rate` and the number of epochs, on
`make_funnel`: trained on the first 200,000 rows, judged on the 100,000 after them, with
label weights of 1, 10 and 100. Each seed draws new data. Writes unknown_rate.csv, a row
for each fit and task, and unknown_rate.png beside this file, and prints the means: ROC
AUC, and the mean prediction over the mean true probability.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from _former import FORMER
from scipy import stats

from skmtl import MMoE
from skmtl.datasets import make_funnel
from skmtl.metrics import roc_auc

HERE = Path(__file__).parent
RATES = (0.0, 10.0, 30.0)
N_TRAIN, N_TEST = 200_000, 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 4])
    arguments = parser.parse_args()
    found = pd.DataFrame(
        row
        for seed in range(arguments.seeds)
        for row in one_table(seed, arguments.epochs)
    )
    found.to_csv(HERE / "unknown_rate.csv", index=False, float_format="%.6f")
    table = found.groupby(["epochs", "unknown_rate", "task"], sort=False)
    columns = ["roc_auc", "predicted_to_true"]
    print(table[columns].agg(["mean", "min", "max"]).round(4).to_string())
    draw(found)


def one_table(seed: int, epochs: list[int]) -> list[dict]:
    log = make_funnel(N_TRAIN + N_TEST, random_state=seed)
    X, y, true = log.data, log.target, log.true_proba
    found = []
    for n_epochs in epochs:
        for rate in RATES:
            ranker = MMoE(
                **FORMER
                | {
                    "max_iter": n_epochs,
                    "unknown_rate": rate,
                    "label_weight": [1, 10, 100],
                    "random_state": seed,
                }
            )
            ranker.fit(X[:N_TRAIN], y[:N_TRAIN])
            proba = ranker.predict_task_proba(X[N_TRAIN:])
            level = proba.mean(axis=0) / true[N_TRAIN:].mean(axis=0)
            auc = roc_auc(y[N_TRAIN:], proba)
            found += [
                {
                    "seed": seed,
                    "epochs": n_epochs,
                    "unknown_rate": rate,
                    "task": task,
                    "roc_auc": auc[t],
                    "predicted_to_true": level.iloc[t],
                }
                for t, task in enumerate(y)
            ]
            print(seed, n_epochs, rate, auc.round(4), level.round(3).tolist())
    return found


def draw(found: pd.DataFrame) -> None:
    """A row for what is measured, a column for the epochs; intervals over seeds."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    measured = {
        "roc_auc": "ROC AUC above that of rate 0",
        "predicted_to_true": "prediction / truth",
    }
    epochs = list(dict.fromkeys(found["epochs"]))
    figure, panels = plt.subplots(
        2, len(epochs), figsize=(8, 6), sharex=True, sharey="row", layout="constrained"
    )
    for (what, label), row in zip(measured.items(), panels, strict=True):
        for n_epochs, ax in zip(epochs, row, strict=True):
            here = found[found["epochs"] == n_epochs]
            for k, (task, part) in enumerate(here.groupby("task", sort=False)):
                table = part.pivot(index="seed", columns="unknown_rate", values=what)
                if what == "roc_auc":
                    table = table.sub(table[0.0], axis=0)
                reach = stats.t.ppf(0.975, len(table) - 1) * table.sem()
                x = np.arange(len(table.columns)) + 0.12 * (k - 1)
                ax.errorbar(x, table.mean(), reach, fmt="os^"[k], label=task)
            ax.axhline(what != "roc_auc", color="0.4", lw=1)
            ax.set_xticks(range(len(RATES)), [f"{rate:g}" for rate in RATES])
            ax.grid(axis="y", alpha=0.4)
        row[0].set_ylabel(label)
    for n_epochs, ax in zip(epochs, panels[0], strict=True):
        ax.set_title(f"epochs: {n_epochs}")
    for ax in panels[1]:
        ax.set_xlabel("unknown_rate")
    panels[0, 0].legend(fontsize="small")
    figure.savefig(HERE / "unknown_rate.png", dpi=110)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
