"""Do gates collapse on one expert, and does gate dropout help?

    python benchmarks/studies/gate_dropout.py

MMoE with 8 experts and `gate_dropout` 0 and 0.3, with the default step size, and with a
constant one that is eight times as large, which provokes collapses. A row has the AUC
on test rows and, on 10,000 of them, the gate's entropy in units of the largest
possible, the share of rows in which one expert has more than .9 of the weight ("one
expert"), whether the gate has collapsed (one expert has a mean weight above .95), the
number of experts that no gate gives .01, and the mean similarity (linear CKA) of two
experts.
"""

from __future__ import annotations

import numpy as np
from _study import TABLES, aucs, budget, compare, draw, run, show

from skmtl import MMoE
from skmtl.inspection import expert_similarity, gate_report

RATES = (0.0, 0.3)
STEPS = {
    "default step": {},
    "large step": {"learning_rate": 4e-2, "learning_rate_schedule": "constant"},
}


def one(table: str, seed: int) -> list[dict]:
    split = TABLES[table](seed)
    rows = []
    for step, params in STEPS.items():
        for rate in RATES:
            ranker = MMoE(gate_dropout=rate, **params, **budget(table, seed))
            ranker.fit(split.train.X, split.train.y)
            found = aucs(ranker, split.test)
            gates = of_gates(ranker, split.test.X.head(10_000))
            name = f"{step}, {rate:g}"
            rows += [
                {"task": task, "model": name, "auc": found[task], **gates[task]}
                for task in found
            ]
    return rows


def of_gates(ranker: MMoE, X) -> dict[str, dict[str, float]]:
    report = gate_report(ranker, X)
    alike = expert_similarity(ranker, X).to_numpy()
    alike = alike[np.triu_indices(len(alike), k=1)].mean()
    dead = int((report.groupby("expert")["weight"].max() < 0.01).sum())
    top = ranker.gate_weights(X).max(axis=2)
    found = {}
    for t, task in enumerate(ranker.task_names_):
        gate = report[report["task"] == task]
        found[task] = {
            "entropy": gate["entropy"].iloc[0],
            "one_expert": float((top[:, t] > 0.9).mean()),
            "collapsed": float(gate["weight"].max() > 0.95),
            "n_dead": dead,
            "similarity": alike,
        }
    return found


def main() -> None:
    fits, path = run(one, ["taobao"], n_seeds=5, doc=__doc__)
    compared = compare(fits, "default step, 0")
    show(compared)
    numbers = ["entropy", "one_expert", "collapsed", "n_dead", "similarity"]
    means = fits.groupby(["table", "task", "model"], sort=False)[numbers].mean()
    show(means.reset_index(), 3)
    default = compared[compared["model"].str.startswith("default")]
    draw(default, path, base="no gate dropout")


if __name__ == "__main__":
    main()
