"""Two, three and five layers in MMoE, and a shared bottom of two and three.

    python benchmarks/studies/depth.py

Counted are the dense layers from the input to a task's logit: two is the experts' layer
and the output; three adds a hidden layer in each tower, which is the default; five has
two layers in each expert and two in each tower. "bottom" is ShareBottom with one layer
and a tower, which is as deep as the default MMoE, and its own default, one deeper.
"""

from __future__ import annotations

import time

from _study import TABLES, aucs, budget, compare, draw, run, show

from skmtl import MMoE, ShareBottom

MODELS = {
    "two": (MMoE, {"expert_units": (128,), "tower_units": ()}),
    "three": (MMoE, {"expert_units": (128,), "tower_units": (64,)}),
    "five": (MMoE, {"expert_units": (128, 128), "tower_units": (64, 64)}),
    "bottom, three": (ShareBottom, {"bottom_units": (256,)}),
    "bottom, four": (ShareBottom, {"bottom_units": (256, 128)}),
}


def one(table: str, seed: int) -> list[dict]:
    split = TABLES[table](seed)
    rows = []
    for name, (kind, units) in MODELS.items():
        ranker = kind(**units, **budget(table, seed))
        start = time.process_time()
        ranker.fit(split.train.X, split.train.y)
        seconds = time.process_time() - start
        for task, auc in aucs(ranker, split.test).items():
            rows.append({"task": task, "model": name, "auc": auc, "seconds": seconds})
    return rows


def main() -> None:
    fits, path = run(one, ["taobao"], n_seeds=5, doc=__doc__)
    compared = compare(fits, "three")
    show(compared)
    draw(compared, path, base="MMoE of three layers")


if __name__ == "__main__":
    main()
