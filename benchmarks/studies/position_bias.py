"""What a tower over the position gains, where the truth is known.

Positions of `make_funnel` are examined with probability 1 / position. Pages are in
random order, sorted by a preference for items, by relevance, or by both. Rankers learn
from the clicks and are judged on later rows by the rank correlation with the relevance,
the probability of a click of a row that is examined. Writes a row for each fit and
task.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from skmtl import ShareBottom
from skmtl.datasets import make_funnel

WAYS = ("ignored", "a feature, fixed at 1", "1 / examination", "bias tower")


PAGES = {
    "random": {},
    "preferred items": {"page_order": 1.5},
    "relevance": {"page_relevance": 1.5},
    "both": {"page_order": 1.5, "page_relevance": 1.5},
}


def fits(pages: str, seed: int) -> Iterator[dict[str, Any]]:
    """Rank correlation of each way to treat the position."""
    log = make_funnel(
        40_000,
        n_users=2000,
        n_items=500,
        tasks=["click", "cart"],
        position_bias=1.0,
        **PAGES[pages],
        random_state=seed,
    )
    X, y = log.data, log.target
    train, valid, test = slice(24_000), slice(24_000, 30_000), slice(30_000, None)
    without = X.drop(columns="position")
    for way in WAYS:
        known = X if way in WAYS[1::2] else without
        weight = np.ones(len(X))
        if way == "1 / examination":
            # Of clicks; a row without one may have been examined or not.
            weight = np.where(y["click"] == 1, 1 / log.examination, 1.0)
        ranker = ShareBottom(
            bias_features=["position"] if way == "bias tower" else None,
            random_state=seed,
        )
        ranker.fit(
            known[train],
            y[train],
            weight[train],
            X_val=known[valid],
            y_val=y[valid],
            sample_weight_val=weight[valid],
        )
        asked = without if way != "a feature, fixed at 1" else X.assign(position=1)
        proba = ranker.predict_task_proba(asked[test])
        for k, task in enumerate(y):
            rho = spearmanr(proba[:, k], log.relevance[task][test]).statistic
            yield {
                "pages": pages,
                "seed": seed,
                "position": way,
                "task": task,
                "correlation": rho,
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    rows = []
    for seed in seeds:
        for pages in PAGES:
            rows += fits(pages, seed)
            print(pages, seed, flush=True)
    table = pd.DataFrame(rows)
    path = Path(__file__).with_suffix(".csv")
    table.to_csv(path, index=False, float_format="%.4f")
    by = table.groupby(["pages", "task", "position"], sort=False)["correlation"]
    print(by.agg(["mean", "sem"]).round(4).to_string())


if __name__ == "__main__":
    main()
