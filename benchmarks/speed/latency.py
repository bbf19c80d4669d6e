"""Milliseconds of one prediction for 1 and for 500 rows; prints one line of JSON.

skmtl gets DataFrames of strings and numbers, rows as dictionaries, and dictionaries of
columns, and gives probabilities. ``bare`` calls the network of such a ranker on tensors
that are ready. Peers get what their `predict` takes: encoded arrays of integers.
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
FORMS = {
    "frame": lambda X: X,
    "records": lambda X: X.to_dict("records"),
    "columns": lambda X: {name: X[name].to_numpy() for name in X},
}


def median_ms(call, clock) -> float:
    """Of as many calls as a second holds, at least 20."""
    for _ in range(5):
        call()
    times, until = [], time.perf_counter() + 1
    while len(times) < 20 or time.perf_counter() < until:
        start = clock()
        call()
        times.append(clock() - start)
    return 1e3 * median(times)


def calls_of(name: str, options: argparse.Namespace) -> dict[str, object]:
    """A call without arguments for each size, and for each form of a table."""
    work = make_workload(options.rows, options.largest)
    module = importlib.import_module("with_skmtl" if name == "bare" else f"with_{name}")
    if name in ("skmtl", "bare"):
        data = {"train": work.frame(test=False, strings=True)}
        ranker = module.fit(data, options)
        if name == "skmtl":
            return {
                f"{form}_{n}": _skmtl_call(ranker, work, n, make)
                for form, make in FORMS.items()
                for n in SIZES
            }
        return {f"frame_{n}": _bare_call(ranker, work, n) for n in SIZES}
    model = module.fit(module.prepare(work), options)
    rows = {n: module.prepare(work.repeated(n)) for n in SIZES}
    return {
        f"frame_{n}": lambda n=n: module.predict(model, rows[n], options) for n in SIZES
    }


def _skmtl_call(ranker, work, n, make):
    X = make(work.repeated(n).frame(test=True, strings=True)[0])
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
    parser.add_argument("--processor-time", action="store_true")
    options = parser.parse_args()
    options.batch_size, options.predict_batch_size, options.epochs = 1024, 1024, 1
    options.adam, options.precision = False, "float32"
    options.full_vocabulary = False
    with contextlib.redirect_stdout(sys.stderr):
        calls = calls_of(options.competitor, options)
        clock = time.thread_time if options.processor_time else time.perf_counter
        found = {name: median_ms(call, clock) for name, call in calls.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
