"""One pooled, weighted task compared with multi-task learning.

    python benchmarks/studies/pooled_task.py

PooledTask has one score; the weight of the rare task's positives, 1 to 1000, moves it
between the two tasks. MMoE and SingleTask have a probability for each ("heads"), and
one score too, ``fuse([p, q], [1, v r])``, where r is the common task's rate over that
of the rare one, and v goes from 0 to infinity. A row is the AUC of both tasks.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from _study import TABLES, Part, aucs, budget, paired, run, show

from skmtl import MMoE, PooledTask, SingleTask, fuse
from skmtl.metrics import roc_auc

TASKS = {"funnel": ("click", "order"), "taobao": ("cart", "buy")}
WEIGHTS = (1, 10, 100, 1000)
OUTPUT = (0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, np.inf)


def one(table: str, seed: int) -> list[dict]:
    split = TABLES[table](seed)
    tasks = list(TASKS[table])
    y = split.train.y[tasks]
    test = Part(split.test.X, split.test.y[tasks])
    params = budget(table, seed)
    rows = []
    for weight in WEIGHTS:
        pooled = PooledTask(label_weight=[1, weight], **params).fit(split.train.X, y)
        found = aucs(pooled, test)
        rows.append(row("PooledTask", weight, *found.values()))
    for kind in (MMoE, SingleTask):
        ranker = kind(**params).fit(split.train.X, y)
        rows.append(row(f"{kind.__name__} heads", np.nan, *aucs(ranker, test).values()))
        proba = ranker.predict_task_proba(test.X)
        ratio = float(y[tasks[0]].mean() / y[tasks[1]].mean())
        for v in OUTPUT:
            score = fuse(proba, [1, v * ratio] if np.isfinite(v) else [0, 1])
            found = roc_auc(test.y.to_numpy(), score)
            rows.append(row(f"{kind.__name__} fused", v, *found))
    return rows


def row(model: str, weight: float, common: float, rare: float) -> dict:
    return {"model": model, "weight": weight, "common": common, "rare": rare}


def main() -> None:
    fits, path = run(one, list(TASKS), n_seeds=5, doc=__doc__)
    keys = ["table", "model", "weight"]
    means = fits.groupby(keys, sort=False, dropna=False)[["common", "rare"]]
    show(means.mean().reset_index())
    show(against_heads(fits))
    draw(fits, path)


def against_heads(fits: pd.DataFrame) -> pd.DataFrame:
    """How far PooledTask and single networks lie from MMoE's heads, paired by seed."""
    found = []
    for table, here in fits.groupby("table", sort=False):
        base = here[here["model"] == "MMoE heads"].set_index("seed")
        others = here[here["model"].isin(["PooledTask", "SingleTask heads"])]
        keys = ["model", "weight"]
        for (model, weight), part in others.groupby(keys, sort=False, dropna=False):
            part = part.set_index("seed")
            for task in ("common", "rare"):
                difference = paired(part[task] - base[task])
                about = {"table": table, "model": model, "weight": weight, "task": task}
                found.append({**about, **difference})
    return pd.DataFrame(found)


def draw(fits: pd.DataFrame, path: Path) -> None:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tables = fits["table"].unique()
    figure, panels = plt.subplots(
        1, len(tables), figsize=(4.8 * len(tables), 4), layout="constrained"
    )
    styles = {"PooledTask": "o-", "MMoE fused": "s--", "SingleTask fused": "^:"}
    for axes, table in zip(np.atleast_1d(panels), tables, strict=True):
        here = fits[fits["table"] == table]
        for model, style in styles.items():
            part = here[here["model"] == model].groupby("weight", sort=False)
            mean = part[["common", "rare"]].mean()
            axes.plot(mean["common"], mean["rare"], style, ms=4, label=model)
        heads = here[here["model"] == "MMoE heads"][["common", "rare"]].mean()
        axes.plot(*heads, "k*", ms=10, label="MMoE, a score for each task")
        common, rare = TASKS[table]
        axes.set(title=table, xlabel=f"AUC of {common}", ylabel=f"AUC of {rare}")
        axes.grid(alpha=0.4)
        axes.legend(fontsize="small")
    figure.savefig(path.with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    main()
