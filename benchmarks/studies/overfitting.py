"""Does the rare task overfit while the common one still learns, and what helps?

    python benchmarks/studies/overfitting.py

MMoE for five epochs at a step size that does not fall, with equal loss weights and with
each strategy, on a common and a rare task. `unknown_rate` is 0, since the default
prevents the memorisation of ids that is studied here. A row is an epoch and a task:
loss and AUC on the training rows, taken before the step on each batch, and on
validation rows. The table has, by task, the epoch of the least validation loss, the
best validation AUC of all epochs, that AUC less the one at the end, the gap of the AUC
between training and validation rows at the end, and the AUC lost by stopping all tasks
at the best epoch of the common one.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from _former import FORMER
from _study import TABLES, run, show

from skmtl import MMoE

TASKS = {"funnel": ("click", "order")}
STRATEGIES = {
    "equal": {},
    "inverse_ratio": {"loss_weight": "inverse_ratio"},
    "uncertainty": {"loss_weight": "uncertainty"},
    "gradnorm": {"loss_weight": "gradnorm"},
    "mgda": {"loss_weight": "mgda"},
}
EPOCHS = 5


def one(table: str, seed: int) -> list[dict]:
    split = TABLES[table](seed)
    tasks = list(TASKS[table])
    rows = []
    for name, params in STRATEGIES.items():
        ranker = MMoE(
            **FORMER
            | {
                "max_iter": EPOCHS,
                "learning_rate_schedule": "constant",
                "unknown_rate": 0.0,
                "random_state": seed,
            }
            | params
        )
        held = {"X_val": split.val.X, "y_val": split.val.y[tasks]}
        ranker.fit(split.train.X, split.train.y[tasks], **held)
        for epoch in ranker.net_.history:
            rows += [
                {
                    "epoch": epoch["epoch"],
                    "task": task,
                    "model": name,
                    **{
                        f"{part}_{what}": epoch[f"{part}_task_{what}"][t]
                        for part in ("train", "valid")
                        for what in ("loss", "auc")
                    },
                    "loss_weight": epoch["loss_weight"][t],
                }
                for t, task in enumerate(tasks)
            ]
    return rows


def best_epochs(fits: pd.DataFrame) -> pd.DataFrame:
    """A row for each table, seed, model and task: where it was best, and the gaps."""
    found = []
    for keys, run_ in fits.groupby(["table", "seed", "model"], sort=False):
        common = TASKS[keys[0]][0]
        by_task = {t: p.set_index("epoch") for t, p in run_.groupby("task", sort=False)}
        stop = by_task[common]["valid_loss"].idxmin()
        for task, part in by_task.items():
            gap = part["train_auc"] - part["valid_auc"]
            best = part["valid_loss"].idxmin()
            found.append(
                {
                    **dict(zip(("table", "seed", "model"), keys, strict=True)),
                    "task": task,
                    "best_epoch": best,
                    "best_auc": part["valid_auc"].max(),
                    "lost_at_stop": part["valid_auc"].max() - part["valid_auc"][stop],
                    "lost_at_end": part["valid_auc"].max() - part["valid_auc"].iloc[-1],
                    "gap_at_end": gap.iloc[-1],
                }
            )
    return pd.DataFrame(found)


def main() -> None:
    fits, path = run(one, list(TASKS), n_seeds=5, doc=__doc__)
    best = best_epochs(fits)
    numbers = best.columns[4:]
    means = best.groupby(["table", "task", "model"], sort=False)[list(numbers)].mean()
    show(means.reset_index())
    draw(fits, path)


def draw(fits: pd.DataFrame, path: Path) -> None:
    """Validation AUC by epoch, less that of equal weights after the first epoch."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tables = list(fits["table"].unique())
    figure, panels = plt.subplots(
        2,
        len(tables),
        figsize=(3.6 * len(tables), 6),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    styles = dict(zip(STRATEGIES, ("o-", "s--", "^:", "D-.", "v--"), strict=True))
    for column, table in enumerate(tables):
        for line, task in enumerate(TASKS[table]):
            axes = panels[line, column]
            here = fits[(fits["table"] == table) & (fits["task"] == task)]
            for model, style in styles.items():
                part = here[here["model"] == model]
                curve = part.groupby("epoch")["valid_auc"]
                axes.plot(curve.mean(), style, ms=4, label=model)
            axes.set(title=f"{table}: {task}", xlabel="epoch", ylabel="validation AUC")
            axes.grid(alpha=0.4)
    panels[0, 0].legend(fontsize="x-small")
    figure.savefig(path.with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
