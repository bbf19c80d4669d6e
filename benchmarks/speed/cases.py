"""Short measurements of one version of skmtl; prints one line of JSON.

Run by ``bench_all.py`` in a process of its own, with the version's folder first on the
path. A case gives seconds of processor time, the least of its repetitions, since other
processes can only add to it. Fits give the AUC of other rows too. Only interfaces that
every version has are used, and settings that a default might change are written out.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from skmtl import MMoE, OutputWeightSearchCV, ShareBottom, TableEncoder
from skmtl.datasets import make_funnel
from skmtl.metrics import roc_auc

TASKS = ["click", "cart", "order"]
# The same network and the same steps, whatever the defaults are.
FIXED = {
    "random_state": 0,
    "n_threads": 1,
    "max_iter": 1,
    "learning_rate": 0.005,
    "n_bins": 32,
    "interpolate_bins": False,
    "average_weights": False,
    "early_stopping": False,
    "unknown_rate": 0,
}


def ranker(kind: type, **params: object) -> MMoE | ShareBottom:
    """A ranker with those of the fixed settings that its version knows."""
    known = inspect.signature(kind).parameters
    return kind(**{k: v for k, v in FIXED.items() if k in known}, **params)


def seconds(function: Callable[[], object], repetitions: int) -> float:
    """The least processor time of a call."""
    found = []
    for _ in range(repetitions):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return min(found)


def fits(log: pd.DataFrame, y: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Fits of two rankers at two sizes of batches."""
    half = len(log) // 2
    cases = {}
    for kind, batch_size in ((MMoE, 512), (MMoE, 1024), (ShareBottom, 1024)):
        model = ranker(kind, batch_size=batch_size)
        model.fit(log[:2000], y[:2000])  # imports at the first call do not count
        took = seconds(lambda model=model: model.fit(log[:half], y[:half]), 1)
        auc = roc_auc(y[half:], model.predict_task_proba(log[half:]))
        name = f"fit {kind.__name__}, batches of {batch_size}"
        cases[name] = {"seconds": took, "auc": [round(float(a), 4) for a in auc]}
    return cases


def predictions(log: pd.DataFrame, y: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Requests of one row, of 500 rows, and a table."""
    model = ranker(MMoE, batch_size=1024).fit(log[:5000], y[:5000])
    cases = {}
    for rows, calls in ((1, 200), (500, 20), (len(log), 1)):
        part = log[:rows]

        def predict(part: pd.DataFrame = part, calls: int = calls) -> None:
            for _ in range(calls):
                model.predict_task_proba(part)

        predict()
        cases[f"predict {rows} row(s)"] = {"seconds": seconds(predict, 3) / calls}
    return cases


def others(log: pd.DataFrame, y: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Encoding, a metric and a search."""
    rng = np.random.default_rng(0)
    label = (rng.random(1_000_000) < 0.05).astype(float)
    score = rng.normal(size=len(label)) + label
    strings = log.astype(dict.fromkeys(("user_id", "item_id", "category_id"), str))
    strings = strings.astype({"hour": str})
    model = ranker(ShareBottom).fit(log[:5000], y[:5000])
    search = OutputWeightSearchCV(model, scoring="auc:cart", cv="prefit")
    return {
        "encode strings": {"seconds": seconds(lambda: TableEncoder().fit(strings), 2)},
        "roc_auc, 1000000 rows": {"seconds": seconds(lambda: roc_auc(label, score), 2)},
        "search of output weights": {"seconds": seconds(lambda: search.fit(log, y), 2)},
    }


def main(rows: int) -> None:
    """Print the cases."""
    log = make_funnel(rows, cart_rate=0.05, order_rate=0.02, random_state=0)
    X, y = log.data, log.target[TASKS]
    print(json.dumps({**fits(X, y), **predictions(X, y), **others(X, y)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
