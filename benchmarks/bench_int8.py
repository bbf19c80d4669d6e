"""What ``to_onnx(..., table_dtype="int8")`` costs, and what it saves.

    python benchmarks/bench_int8.py

The default MMoE on tables of ``bench_quality.py``: ROC AUC of each task on the test
rows with tables in float32 and in 8 bits, the largest difference of a probability,
and the size of the file.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
from bench_quality import TABLES

from skmtl import MMoE
from skmtl.export import onnx_inputs, to_onnx
from skmtl.metrics import roc_auc

NAMES = ["movielens_small", "nyc_flights", "hotel_bookings"]


def main() -> None:
    """Fit, export and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=NAMES)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    for name in options.tables:
        (X, y), _, (T, t) = TABLES[name](0)
        ranker = MMoE(random_state=0).fit(X, y)
        proba = {}
        for dtype in ("float32", "int8"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "ranker.onnx"
                to_onnx(ranker, path, X=X[:5000], table_dtype=dtype)
                session = onnxruntime.InferenceSession(path)
                proba[dtype] = session.run(None, onnx_inputs(session, T))[0]
                size = path.stat().st_size / 1e6
            print(name, dtype, roc_auc(t, proba[dtype]).round(4), f"{size:.2f} MB")
        largest = np.abs(proba["float32"] - proba["int8"]).max()
        print(f"{name}: a probability differs by {largest:.4f} at most", flush=True)


if __name__ == "__main__":
    main()
