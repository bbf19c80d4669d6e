"""Time of one request: a fitted ranker, its ONNX file, and DeepCTR-Torch, in turn.

    python benchmarks/bench_serving.py
    python benchmarks/bench_serving.py --deepctr PATH/bin/python --table funnel

Every round asks each way for each number of rows once, so that what else the machine
does hits all of them. ``ranker`` takes a DataFrame and ``onnx`` ready arrays;
``request`` starts from the rows of a JSON body, as the apps of docs/serving do.
DeepCTR-Torch runs in a process of its own, of an interpreter that has it, and takes ids
that are integers already. One thread. Prints the median and the 99th percentile of the
calls in microseconds, and the ratio of medians to that of the file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
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

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "docs" / "serving"))

from onnx_app import Model  # noqa: E402

ROWS = (1, 100, 500)
WAYS = ("ranker", "onnx", "ranker request", "onnx request", "deepctr")
TASKS = ["click", "cart"]


def main() -> None:
    """Fit, export, and take the times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--model", default="MMoE")
    parser.add_argument("--fit-rows", type=int, default=60_000)
    parser.add_argument("--table", choices=sorted(TABLES), default="plain")
    parser.add_argument("--dtype", default="str", help="of ids: str or object")
    parser.add_argument("--deepctr", help="an interpreter that has it")
    parser.add_argument("--threads", type=int, default=1, help="of the ONNX session")
    options = parser.parse_args()
    torch.set_num_threads(1)
    X, y = TABLES[options.table](options.fit_rows)
    ids = [name for name in X if X[name].dtype.kind not in "if"]
    X = X.astype(dict.fromkeys(ids, options.dtype))
    ranker = getattr(skmtl, options.model)(max_iter=1, random_state=0).fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ranker.onnx"
        to_onnx(ranker, path)
        size = path.stat().st_size / 1e6
        model = Model(str(path))
        if options.threads > 1:
            session_options = onnxruntime.SessionOptions()
            session_options.intra_op_num_threads = options.threads
            model.session = onnxruntime.InferenceSession(path, session_options)
        peer = None if options.deepctr is None else Peer(options.deepctr, folder, X, y)
        times = measure(ranker, model, X, options.rounds, peer)
        if peer is not None:
            peer.process.kill()
    print(
        f"{options.model}, {len(ids)} ids and {X.shape[1] - len(ids)} numbers, "
        f"{ranker.n_parameters_:,} parameters, file of {size:.1f} MB; torch "
        f"{torch.__version__}, onnxruntime {onnxruntime.__version__}, "
        f"{options.threads} threads of the session, {options.rounds} rounds"
    )
    show(times)


def plain(n_rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Five ids that are strings, three numbers, two tasks."""
    rng = np.random.default_rng(0)
    sizes = (5000, 8000, 300, 40, 5)
    X = pd.DataFrame(
        {
            f"id{k}": [f"u{value}" for value in rng.zipf(1.3, size=n_rows) % size]
            for k, size in enumerate(sizes)
        }
    )
    for k in range(3):
        X[f"number{k}"] = rng.lognormal(size=n_rows)
    click = rng.random(n_rows) < 0.2 + 0.3 * (X["number0"] > 1)
    cart = click & (rng.random(n_rows) < 0.3)
    return X, pd.DataFrame({"click": click, "cart": cart}).astype(int)


def funnel(n_rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four ids and four numbers of `make_funnel`, two tasks."""
    log = make_funnel(n_rows, random_state=0)
    ids = ["user_id", "item_id", "category_id", "device"]
    return log.data.astype(dict.fromkeys(ids, str)), log.target[TASKS]


TABLES = {"plain": plain, "funnel": funnel}


class Peer:
    """DeepCTR-Torch in another process."""

    def __init__(self, python: str, folder: str, X: pd.DataFrame, y: Any) -> None:
        ids = [name for name in X if X[name].dtype.kind not in "if"]
        codes = np.column_stack([pd.factorize(X[name])[0] for name in ids])
        numbers = X.drop(columns=ids).fillna(0).to_numpy(np.float32)
        path = Path(folder) / "table.npz"
        np.savez(path, ids=codes, numbers=numbers, y=y.to_numpy(np.float32))
        script = HERE / "speed" / "serve_deepctr.py"
        self.process = subprocess.Popen(
            [python, script, path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if self._line() != "ready":
            raise RuntimeError(f"{python} cannot run {script}.")

    def microseconds(self, n_rows: int, first: int) -> float:
        """Time of one prediction."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{n_rows} {first}\n")
        self.process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def measure(
    ranker: Any, model: Model, X: pd.DataFrame, rounds: int, peer: Peer | None
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
        for n in ROWS if peer is not None else ():
            took = peer.microseconds(n, k % 50 * n)
            if k >= 0:
                times["deepctr", n].append(took)
    return times


def show(times: dict[tuple[str, int], list[float]]) -> None:
    """Print a line for each number of rows and way."""
    print(f"{'rows':>5}  {'way':<16}{'p50':>8}{'p99':>8}{'ratio':>8}")
    for n in ROWS:
        for way in WAYS:
            if (way, n) not in times:
                continue
            median, high = np.percentile(times[way, n], [50, 99])
            same = "onnx request" if way == "ranker request" else "onnx"
            ratio = median / np.median(times[same, n])
            print(f"{n:>5}  {way:<16}{median:>8.0f}{high:>8.0f}{ratio:>8.1f}")


if __name__ == "__main__":
    main()
