"""Fit of one competitor in its own process; prints one line of JSON.

Run by the ``bench_*.py`` scripts of this folder's parent. Every competitor first fits a
few rows, so that imports at the first call do not count. Seconds are those of `fit`
alone, from the table in memory to the fitted model; memory is the peak minus what was
in use before. Prediction runs over `--predict-rows` rows.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import ctypes
import importlib
import json
import os
import resource
import sys
import time

from workload import TASKS, make_workload

WARM_UP_ROWS = 2_000


def auc(y, score):
    """Exact area under the ROC curve, ties counting half."""
    from scipy.stats import rankdata

    positives = y.sum()
    ranks = rankdata(score)[y == 1].sum() - positives * (positives + 1) / 2
    return float(ranks / (positives * (len(y) - positives)))


def status_mib(field):
    """A size of this process in MiB, from the kernel."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) / 1024


def start_of_peak():
    """Forget the peak so far, give free memory back, and say what is in use."""
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return status_mib("VmRSS")


def timed(function, *arguments):
    """Result and seconds."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("competitor", help="module in this folder")
    parser.add_argument("--model", default="mmoe")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--predict-batch-size", type=int, default=8192)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--largest", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--predict-rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--adam", action="store_true", help="skmtl: dense Adam of ids")
    parser.add_argument("--full-vocabulary", action="store_true", help="skmtl: hash")
    parser.add_argument("--precision", default="float32", help="skmtl: float32 or bf16")
    return parser.parse_args()


def main():
    options = parse()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    work = make_workload(options.rows, options.largest)
    with contextlib.redirect_stdout(sys.stderr):
        competitor = importlib.import_module(f"with_{options.competitor}")
        few = copy.copy(options)
        few.rows, few.epochs = WARM_UP_ROWS, 1
        competitor.fit(competitor.prepare(work.head(WARM_UP_ROWS)), few)
        data = competitor.prepare(work)
        before = start_of_peak()
        model, seconds = timed(competitor.fit, data, options)
        peak = status_mib("VmHWM") - before
        rows = competitor.prepare(work.repeated(options.predict_rows))
        _, predict_seconds = timed(competitor.predict, model, rows, options)
        proba = competitor.predict(model, data, options)
    y = work.part(test=True)[2]
    result = {
        "seconds": seconds,
        "rows_per_s": options.rows * options.epochs / seconds,
        "predict_rows_per_s": options.predict_rows / predict_seconds,
        "peak_mib": peak,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "auc": {t: auc(y[:, i], proba[:, i]) for i, t in enumerate(TASKS)},
    }
    if hasattr(competitor, "more"):
        result |= competitor.more(model, data, options)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
