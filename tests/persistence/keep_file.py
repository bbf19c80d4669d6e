"""Write the file of a new version of the format, which stays in the tests for ever.

python tests/persistence/keep_file.py

It refuses to write the file of a version that is there: what was released is read, not
written again. Add what it prints to CHECKSUMS of test_files.py.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import skmtl
from skmtl.persistence._container import VERSION


def _cells(column):
    return [None if cell != cell else cell for cell in column.tolist()]


def make():
    """An estimator of many kinds of state, and rows to predict."""
    rng = np.random.default_rng(0)
    n = 300
    X = pd.DataFrame(
        {
            "item": [f"i{k}" for k in rng.integers(8, size=n)],
            "shop": rng.integers(5, size=n),
            "price": rng.lognormal(size=n),
            "history": [[f"i{k}" for k in rng.integers(8, size=3)] for _ in range(n)],
        }
    )
    click = X["price"] + rng.normal(size=n) > 1
    y = pd.DataFrame({"click": click, "order": click & (rng.random(n) < 0.4)})
    ranker = skmtl.ChainedMMoE(
        chain_probability=True, n_experts=2, expert_units=(4,), tower_units=(3,),
        embedding_dim={"item": 3, "shop": 2}, bin_dim=2, n_bins=4, max_iter=1,
        categorical_features=["item", "shop", "history"],
        share_embedding={"history": "item"}, fallback={"item": "shop"},
        loss_weight="gradnorm", random_state=0,
    ).fit(X, y.astype(int))  # fmt: skip
    fixed = skmtl.FixedOutputWeights(ranker, {"click": 1, "order": 4}, "product")
    rows = X.iloc[:8].copy()
    rows.loc[0, "item"], rows.loc[1, "shop"], rows.loc[2, "price"] = "new", 99, None
    return fixed, rows


def main():
    fixed, rows = make()
    path = Path(__file__).parent / "kept" / f"format_{VERSION}.safetensors"
    if path.exists():
        sys.exit(f"{path.name} is there; a change of the format is a new version.")
    path.parent.mkdir(exist_ok=True)
    fixed.save(path)
    expected = {
        "X": {name: _cells(column) for name, column in rows.items()},
        "score": fixed.decision_function(rows).tolist(),
        "proba": fixed.predict_task_proba(rows).tolist(),
    }
    path.with_suffix(".json").write_text(json.dumps(expected))
    for one in (path, path.with_suffix(".json")):
        print(one.name, hashlib.sha256(one.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
