"""Are searched output weights better on new rows than equal weights and single tasks?

    python benchmarks/studies/output_weights.py

MMoE is fitted on the training rows; a grid of 11 points for each task is searched on
the validation rows, for the AUC of the rarest task and for the mean AUC of all tasks;
all are evaluated on the test rows. The grid is compared with equal weights, the inverse
of the tasks' rates, and each task alone. "auc" is on test rows, "auc_val" on the
validation rows.
"""

from __future__ import annotations

import numpy as np
from _study import TABLES, budget, compare, draw, run, show

from skmtl import MMoE, OutputWeightSearchCV, fuse
from skmtl.metrics import roc_auc

RARE = {"funnel": "order", "taobao": "fav", "adult": "income", "census": "income"}


def one(table: str, seed: int) -> list[dict]:
    split = TABLES[table](seed)
    ranker = MMoE(**budget(table, seed)).fit(split.train.X, split.train.y)
    proba = {
        "auc_val": ranker.predict_task_proba(split.val.X),
        "auc": ranker.predict_task_proba(split.test.X),
    }
    labels = {"auc_val": split.val.y.to_numpy(), "auc": split.test.y.to_numpy()}
    tasks = list(split.train.y.columns)
    rates = split.train.y.mean().to_numpy()
    rows = []
    for objective in (f"auc:{RARE[table]}", "auc"):
        search = OutputWeightSearchCV(ranker, scoring=objective, cv="prefit")
        search.fit(split.val.X, split.val.y)
        contenders = {
            "grid": search.best_weights_,
            "equal": np.ones(len(tasks)),
            "inverse rates": rates.min() / rates,
            **{f"{task} alone": np.eye(len(tasks))[t] for t, task in enumerate(tasks)},
        }
        judged = [tasks.index(RARE[table])] if ":" in objective else slice(None)
        for name, weights in contenders.items():
            row = {"task": objective, "model": name}
            row |= {f"weight_{t}": w for t, w in enumerate(weights)}
            for part, p in proba.items():
                found = roc_auc(labels[part], fuse(p, weights))
                row[part] = found[judged].mean()
            rows.append(row)
    return rows


def main() -> None:
    fits, path = run(one, list(RARE), doc=__doc__)
    # The rarest task alone, or the mean over all: what is best differs by table.
    compared = compare(fits.dropna(axis=1), "grid")
    chosen = fits.groupby(["table", "task", "model"], sort=False)["auc_val"].mean()
    show(compared.merge(chosen.reset_index()))
    draw(compared, path, base="the grid")


if __name__ == "__main__":
    main()
