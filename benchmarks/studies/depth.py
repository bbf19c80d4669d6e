"""Two, three and five layers, with ShareBottom and MMoE.

    python benchmarks/studies/depth.py

Counted are the dense layers from the input to a task's logit: two is one shared layer
(or expert layer) and the output; three adds a hidden layer in each tower, which is the
default of MMoE; five has two shared layers and two in each tower.
"""

from __future__ import annotations

import time

from _study import TABLES, aucs, budget, compare, draw, run, show

from skmtl import MMoE, ShareBottom

# Widths of the shared layers or of each expert, and of each tower.
BOTTOMS = {2: ((256,), ()), 3: ((256,), (64,)), 5: ((256, 128), (64, 64))}
EXPERTS = {2: ((128,), ()), 3: ((128,), (64,)), 5: ((128, 128), (64, 64))}


def rankers(shared: dict) -> dict:
    found = {}
    for depth, (units, towers) in BOTTOMS.items():
        found[f"ShareBottom {depth}"] = ShareBottom(
            bottom_units=units, tower_units=towers, **shared
        )
    for depth, (units, towers) in EXPERTS.items():
        found[f"MMoE {depth}"] = MMoE(expert_units=units, tower_units=towers, **shared)
    return found


def one(table: str, seed: int) -> list[dict]:
    split = TABLES[table](seed)
    rows = []
    for name, ranker in rankers(budget(table, seed)).items():
        start = time.process_time()
        ranker.fit(split.train.X, split.train.y)
        seconds = time.process_time() - start
        for task, auc in aucs(ranker, split.test).items():
            rows.append({"task": task, "model": name, "auc": auc, "seconds": seconds})
    return rows


def main() -> None:
    fits, path = run(one, ["funnel", "taobao", "census"], n_seeds=5, doc=__doc__)
    compared = compare(fits, "MMoE 3")
    show(compared)
    draw(compared, path, base="MMoE with three layers")


if __name__ == "__main__":
    main()
