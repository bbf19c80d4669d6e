"""Do label weights help rare tasks? None, 1:2 and 1:1, tasks of 1:10 to 1:1000.

    python benchmarks/studies/label_weights.py

MMoE with the label weights off, with the positives at half the weight of the negatives
("1:2"), and at the same ("balanced"). The metrics are the AUC, and the recall among the
1 % and 10 % of the rows with the highest scores, which need no threshold. `recall_half`
is the recall of the rule "score above one half" on the scale of the network, which
label weights shift: the recall that is observed without correcting the probabilities.
"""

from __future__ import annotations

import numpy as np
from _study import TABLES, Part, aucs, budget, compare, draw, run, show

from skmtl import MMoE

WEIGHTS = {"off": None, "1:2": "1:2", "1:1": "balanced"}
TASKS = {"funnel": ["click", "order"]}


def one(table: str, seed: int) -> list[dict]:
    split = TABLES[table](seed)
    tasks = TASKS.get(table, list(split.train.y.columns))
    rows = []
    for name, weight in WEIGHTS.items():
        ranker = MMoE(label_weight=weight, **budget(table, seed))
        ranker.fit(split.train.X, split.train.y[tasks])
        test = Part(split.test.X, split.test.y[tasks])
        found = aucs(ranker, test)
        proba = ranker.predict_task_proba(test.X)
        for t, task in enumerate(tasks):
            positive = test.y[task].to_numpy() == 1
            heavy = ranker.label_weight_[t]
            rows.append(
                {
                    "task": task,
                    "model": name,
                    "label_weight": heavy,
                    "auc": found[task],
                    "recall_1": recall(positive, proba[:, t], 0.01),
                    "recall_10": recall(positive, proba[:, t], 0.1),
                    # p / (1 - p) times the weight, above 1.
                    "recall_half": recall_above(positive, proba[:, t], 1 / (1 + heavy)),
                }
            )
    return rows


def recall(positive: np.ndarray, score: np.ndarray, share: float) -> float:
    """Share of the positives among the highest `share` of the rows.

    Rows whose scores tie there have equal chances of being among them: a rare task
    may give one and the same score to many rows.
    """
    n = round(share * len(score))
    threshold = np.partition(score, -n)[-n]
    above, tie = score > threshold, score == threshold
    chance = (n - above.sum()) / tie.sum()
    return float((above[positive] + chance * tie[positive]).mean())


def recall_above(positive: np.ndarray, score: np.ndarray, threshold: float) -> float:
    return float((score[positive] > threshold).mean())


def main() -> None:
    fits, path = run(one, ["funnel", "taobao", "census"], doc=__doc__)
    for metric in ("auc", "recall_1", "recall_10"):
        show(compare(fits, "off", metric))
    shown = fits.groupby(["table", "task", "model"], sort=False)
    show(shown[["label_weight", "recall_half"]].mean().reset_index(), 3)
    draw(compare(fits, "off"), path, base="no label weight")


if __name__ == "__main__":
    main()
