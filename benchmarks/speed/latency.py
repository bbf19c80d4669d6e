"""Milliseconds of one prediction for 1 and for 500 rows; prints one line of JSON.

skmtl gets DataFrames of strings and numbers, and gives probabilities. ``bare`` calls
the network of such a ranker on tensors that are ready. Peers get what their `predict`
takes: arrays of integers, encoded before.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
import time
from statistics import median

import torch
from workload import make_workload

SIZES = (1, 500)


def median_ms(call) -> float:
    """Of as many calls as a second holds, at least 20."""
    for _ in range(5):
        call()
    times, until = [], time.perf_counter() + 1
    while len(times) < 20 or time.perf_counter() < until:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * median(times)


def calls_of(name: str, options: argparse.Namespace) -> dict[int, object]:
    """A call without arguments for each size."""
    work = make_workload(options.rows, options.largest)
    module = importlib.import_module("with_skmtl" if name == "bare" else f"with_{name}")
    if name in ("skmtl", "bare"):
        data = {"train": work.frame(test=False, strings=True)}
        ranker = module.fit(data, options)
        if name == "skmtl":
            return {n: _frame_call(ranker, work, n) for n in SIZES}
        return {n: _bare_call(ranker, work, n) for n in SIZES}
    model = module.fit(module.prepare(work), options)
    rows = {n: module.prepare(work.repeated(n)) for n in SIZES}
    return {n: lambda n=n: module.predict(model, rows[n], options) for n in SIZES}


def _frame_call(ranker, work, n):
    X, _ = work.repeated(n).frame(test=True, strings=True)
    return lambda: ranker.predict_task_proba(X)


def _bare_call(ranker, work, n):
    X, _ = work.repeated(n).frame(test=True, strings=True)
    encoded = ranker.encoder_.encode(X)
    parts = (encoded.ids, encoded.bins, encoded.numeric)
    tensors, module = [torch.from_numpy(part) for part in parts], ranker.net_.module_

    def call():
        with torch.inference_mode():
            return module(*tensors).sigmoid()

    return call


def main() -> None:
    """Fit a few rows, then predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("competitor")
    parser.add_argument("--model", default="mmoe")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--largest", type=int, default=200_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.batch_size, options.predict_batch_size, options.epochs = 1024, 1024, 1
    options.adam, options.precision = False, "float32"
    with contextlib.redirect_stdout(sys.stderr):
        calls = calls_of(options.competitor, options)
        found = {f"ms_{n}": median_ms(call) for n, call in calls.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
