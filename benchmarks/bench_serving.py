"""Time of one request: a fitted ranker, and its ONNX file, in turn.

    python benchmarks/bench_serving.py

Every round asks each way for each number of rows once, so that what else the machine
does hits all of them. ``table`` is a DataFrame for the ranker and ready arrays for the
file; ``request`` starts from the rows of a JSON body, as the apps of docs/serving do.
One thread. Prints the median and the 99th percentile of the calls in microseconds, and
the ratio of medians.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnxruntime
import pandas as pd
import torch

import skmtl
from skmtl.datasets import make_funnel
from skmtl.export import onnx_inputs, to_onnx

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "serving"))
from onnx_app import Model

ROWS = (1, 100, 500)
WAYS = ("ranker", "onnx", "ranker request", "onnx request")


def main() -> None:
    """Fit, export, and take the times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--model", default="MMoE")
    parser.add_argument("--fit-rows", type=int, default=60_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    log = make_funnel(options.fit_rows, random_state=0)
    ids = ["user_id", "item_id", "category_id", "device"]
    # Strings, for which the ranker has a short way with few rows.
    X, y = log.data.astype(dict.fromkeys(ids, str)), log.target[["click", "cart"]]
    ranker = getattr(skmtl, options.model)(max_iter=1, random_state=0).fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ranker.onnx"
        to_onnx(ranker, path)
        size = path.stat().st_size / 1e6
        model = Model(str(path))
    times = measure(ranker, model, X, options.rounds)
    print(
        f"{options.model}, {X.shape[1]} columns, {ranker.n_parameters_:,} parameters, "
        f"file of {size:.1f} MB; torch {torch.__version__}, onnxruntime "
        f"{onnxruntime.__version__}, {options.rounds} rounds"
    )
    show(times)


def measure(
    ranker: Any, model: Model, X: pd.DataFrame, rounds: int
) -> dict[tuple[str, int], list[float]]:
    """Microseconds of each call, by way and number of rows."""
    calls: dict[tuple[str, int], list[Any]] = {}
    for n in ROWS:
        # Other rows in every call, as a service has them.
        frames = [X.iloc[k * n : (k + 1) * n].reset_index(drop=True) for k in range(50)]
        bodies = [frame.to_dict(orient="records") for frame in frames]
        feeds = [onnx_inputs(model.session, frame) for frame in frames]
        calls["ranker", n] = [ranker.predict_task_proba, frames]
        calls["onnx", n] = [lambda feed: model.session.run(None, feed), feeds]
        calls["ranker request", n] = [
            lambda rows: ranker.predict_task_proba(pd.DataFrame(rows)), bodies
        ]  # fmt: skip
        calls["onnx request", n] = [model.predict, bodies]
        a, b = (calls[way, n][0](calls[way, n][1][0]) for way in ("ranker", "onnx"))
        assert np.abs(a - b[0]).max() <= 1e-6
    times = defaultdict(list)
    for k in range(-20, rounds):
        for key, (call, given) in calls.items():
            one = given[k % len(given)]
            start = time.perf_counter()
            call(one)
            if k >= 0:  # the first calls warm up
                times[key].append(1e6 * (time.perf_counter() - start))
    return times


def show(times: dict[tuple[str, int], list[float]]) -> None:
    """Print a line for each number of rows."""
    head = "".join(f"{way + ' p50':>20}{'p99':>8}" for way in WAYS)
    print(f"{'rows':>5}{head}{'ratio':>8}{'ratio request':>15}")
    for n in ROWS:
        line, medians = f"{n:>5}", {}
        for way in WAYS:
            medians[way], high = np.percentile(times[way, n], [50, 99])
            line += f"{medians[way]:>20.0f}{high:>8.0f}"
        line += f"{medians['ranker'] / medians['onnx']:>8.1f}"
        print(line + f"{medians['ranker request'] / medians['onnx request']:>15.1f}")


if __name__ == "__main__":
    main()
