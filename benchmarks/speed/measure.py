"""One competitor's fit in a process of its own; prints one line of JSON.

Run by ``bench_speed.py``. Seconds are those of `fit` alone, from the table in memory to
the fitted model; memory is the peak over what the data took.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import resource
import sys
import time

from workload import TASKS, make_workload


def auc(y, score):
    """Exact area under the ROC curve, ties counting half."""
    from scipy.stats import rankdata

    positives = y.sum()
    ranks = rankdata(score)[y == 1].sum() - positives * (positives + 1) / 2
    return float(ranks / (positives * (len(y) - positives)))


def peak_mib():
    """Peak memory of the process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def current_mib():
    """Memory of the process now, MiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("competitor", help="module in this folder")
    parser.add_argument("--model", default="mmoe")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--largest", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)

    work = make_workload(options.rows, options.largest)
    with contextlib.redirect_stdout(sys.stderr):
        competitor = importlib.import_module(competitor_module(options.competitor))
        data = competitor.prepare(work)
        before = current_mib()
        start = time.perf_counter()
        model = competitor.fit(data, options)
        seconds = time.perf_counter() - start
        peak = peak_mib() - before
        start = time.perf_counter()
        proba = competitor.predict(model, data)
        predict_seconds = time.perf_counter() - start
    y = work.part(test=True)[2]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "rows_per_s": options.rows * options.epochs / seconds,
                "predict_rows_per_s": len(y) / predict_seconds,
                "peak_mib": peak,
                "auc": {t: auc(y[:, i], proba[:, i]) for i, t in enumerate(TASKS)},
            }
        )
    )


def competitor_module(name):
    """Name of the module beside this file that drives a competitor."""
    return f"with_{name}"


if __name__ == "__main__":
    main()
