"""Ten consecutive days: partial_fit compared with a full refit each day.

    python benchmarks/studies/daily.py

`make_funnel` over ten days, with 30 % of the items from the sixth day on only. After
each day, every model is updated and evaluated on the next day: MMoE by `partial_fit` on
the day alone, with the default schedule of the learning rate in each call and with a
constant one, and MMoE refitted on all days so far, with one epoch and with the default
four. Each seed draws new data. Writes daily.csv (a row for each seed, day, model and
task, with the seconds that the update took) and daily.png beside this file, and prints
means and differences.
"""

import argparse
from pathlib import Path
from time import perf_counter

import matplotlib
import numpy as np
import pandas as pd
from _former import FORMER
from scipy import stats

from skmtl import MMoE
from skmtl.datasets import make_funnel
from skmtl.metrics import roc_auc

HERE = Path(__file__).parent
REFIT = "refit, 1 epoch"
DAILY = {
    "partial_fit": FORMER,
    "partial_fit, constant": {**FORMER, "learning_rate_schedule": "constant"},
}
ANEW = {REFIT: {**FORMER, "max_iter": 1}, "refit, 4 epochs": FORMER}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000, help="of all ten days")
    arguments = parser.parse_args()
    found = pd.DataFrame(
        row for seed in range(arguments.seeds) for row in ten_days(seed, arguments.rows)
    )
    found.to_csv(HERE / "daily.csv", index=False, float_format="%.6f")
    by_model = found.groupby(["task", "model"], sort=False)
    print(by_model[["roc_auc", "predicted_to_true"]].mean().round(4).to_string())
    once = found[found["task"] == found["task"][0]]
    total = once.groupby(["seed", "model"], sort=False)["seconds"].sum()
    print(total.groupby("model", sort=False).mean().round(1).to_string())
    print(differences(found).round(4).to_string())
    draw(found)


def ten_days(seed: int, n_rows: int) -> list[dict]:
    log = make_funnel(
        n_rows, n_days=10, new_item_share=0.3, n_new_days=5, random_state=seed
    )
    day = (log.timestamp - pd.Timestamp("2024-01-01")).dt.days.to_numpy()
    X, y = log.data, log.target
    running = {n: MMoE(random_state=seed, **given) for n, given in DAILY.items()}
    rows = []
    for today in range(9):
        is_next = day == today + 1
        for name in (*DAILY, *ANEW):
            start = perf_counter()
            if name in DAILY:
                ranker = running[name]
                ranker.partial_fit(X[day == today], y[day == today])
            else:
                ranker = MMoE(random_state=seed, **ANEW[name])
                ranker.fit(X[day <= today], y[day <= today])
            seconds = perf_counter() - start
            proba = ranker.predict_task_proba(X[is_next])
            level = proba.mean(axis=0) / log.true_proba[is_next].mean(axis=0)
            auc = roc_auc(y[is_next], proba)
            rows += [
                {
                    "seed": seed,
                    "day": today + 2,
                    "model": name,
                    "task": task,
                    "roc_auc": auc[t],
                    "predicted_to_true": level.iloc[t],
                    "seconds": seconds,
                }
                for t, task in enumerate(y)
            ]
        print(seed, today, flush=True)
    return rows


def differences(found: pd.DataFrame) -> pd.DataFrame:
    """Mean AUC over the days less that of the refit, and its interval over seeds."""
    mean = found.groupby(["seed", "task", "model"], sort=False)["roc_auc"].mean()
    table = mean.unstack(["task", "model"])
    rows = []
    for task, model in table.columns:
        gain = table[task, model] - table[task, REFIT]
        if model != REFIT:
            reach = stats.t.ppf(0.975, len(gain) - 1) * gain.sem()
            rows.append((task, model, gain.mean(), reach))
    return pd.DataFrame(rows, columns=["task", "model", "difference", "reach"])


def draw(found: pd.DataFrame) -> None:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tasks = list(dict.fromkeys(found["task"]))
    figure, axes = plt.subplots(
        1, len(tasks) + 1, figsize=(13, 3.5), layout="constrained"
    )
    for model, rows in found.groupby("model", sort=False):
        for ax, task in zip(axes, tasks, strict=False):
            mean = rows[rows["task"] == task].groupby("day")["roc_auc"].mean()
            ax.plot(mean.index, mean, marker="o", ms=3, label=model)
        seconds = rows.groupby("day")["seconds"].mean()
        axes[-1].plot(seconds.index - 1, seconds, marker="o", ms=3, label=model)
    for ax, task in zip(axes, tasks, strict=False):
        ax.set(title=task, xlabel="day that is judged", ylabel="ROC AUC")
    axes[-1].set(title="time of the update", xlabel="day", ylabel="seconds")
    axes[-1].legend(fontsize="small")
    figure.savefig(HERE / "daily.png", dpi=120)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
