"""ShareBottom, MMoE and ChainedMMoE; experts on the input or behind a dense layer.

    python benchmarks/studies/sharing.py

MMoE reads the input directly, or behind a dense layer of 256 units ("behind 256"). A
row has the AUC of a task, the ranker's number of parameters, the processor time of its
fit, and what the task's gate does on the test rows: its entropy in units of the largest
possible, the mean weight of its heaviest expert, and how far the weights vary by row.
"""

from __future__ import annotations

import time

import pandas as pd
from _study import TABLES, aucs, budget, compare, draw, run, show

from skmtl import ChainedMMoE, MMoE, ShareBottom
from skmtl.inspection import gate_report

MODELS = {
    "ShareBottom": (ShareBottom, {}),
    "MMoE": (MMoE, {}),
    "MMoE behind 256": (MMoE, {"bottom_units": (256,)}),
    "ChainedMMoE": (ChainedMMoE, {}),
}


def one(table: str, seed: int) -> list[dict]:
    split = TABLES[table](seed)
    rows = []
    for name, (kind, params) in MODELS.items():
        ranker = kind(**params, **budget(table, seed))
        start = time.process_time()
        ranker.fit(split.train.X, split.train.y)
        seconds = time.process_time() - start
        gates = of_gates(ranker, split.test.X)
        for task, auc in aucs(ranker, split.test).items():
            row = {"task": task, "model": name, "auc": auc, "seconds": seconds}
            row |= {"n_parameters": ranker.n_parameters_, **gates.get(task, {})}
            rows.append(row)
    return rows


def of_gates(ranker, X: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By task: entropy, the largest mean weight, and how much weights vary by row."""
    if not hasattr(ranker, "gate_weights"):
        return {}
    by_task = gate_report(ranker, X).groupby("task")
    found = pd.DataFrame(
        {
            "entropy": by_task["entropy"].first(),
            "heaviest": by_task["weight"].max(),
            "spread": by_task["weight_std"].mean(),
        }
    )
    return found.to_dict("index")


def main() -> None:
    fits, path = run(one, list(TABLES), n_seeds=5, doc=__doc__)
    compared = compare(fits, "MMoE")
    show(compared)
    numbers = ["n_parameters", "seconds", "entropy", "heaviest", "spread"]
    show(fits.groupby(["table", "model"], sort=False)[numbers].mean().reset_index(), 3)
    draw(compared, path, base="MMoE on the input")


if __name__ == "__main__":
    main()
