"""Cost of recording AUC and showing progress during a fit, on one thread.

Each round fits once with every contender, so that a slow moment of the machine affects
all of them. A line shows ratios to the fit that records and shows nothing: the median
over rounds of processor and of wall time, and the ratio of the best processor times.
For differences below the noise, the last lines show the share of processor time spent
in each callback.

    python benchmarks/bench_progress.py --rows 100000 --rounds 9
"""

import argparse
import io
from contextlib import contextmanager, redirect_stdout
from time import perf_counter, process_time

import numpy as np
import torch
from sklearn.callback import ProgressBar
from skorch.callbacks import Callback
from threadpoolctl import threadpool_limits

from skmtl import MMoE
from skmtl.datasets import make_funnel
from skmtl.training import fit
from skmtl.training.epochs import EpochLine, EpochScores


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Nothing(Callback):
    """Stands in for what records AUC."""

    def __init__(self, names, kinds, *, scalars):
        pass


@contextmanager
def without_auc():
    kept, fit.EpochScores = fit.EpochScores, Nothing
    try:
        yield
    finally:
        fit.EpochScores = kept


def seconds(ranker, data):
    train, valid = data
    start = perf_counter(), process_time()
    with redirect_stdout(Terminal()):
        ranker.fit(*train, X_val=valid[0], y_val=valid[1])
    return process_time() - start[1], perf_counter() - start[0]


def contenders(settings, data):
    def bare():
        with without_auc():
            return seconds(MMoE(**settings), data)

    return {
        "nothing": bare,
        "nothing, again": bare,
        "AUC recorded (the default)": lambda: seconds(MMoE(**settings), data),
        "and verbose=1, on a terminal": lambda: seconds(
            MMoE(verbose=1, **settings), data
        ),
        "and ProgressBar": lambda: seconds(
            MMoE(**settings).set_callbacks(ProgressBar()), data
        ),
    }


def shares(settings, data):
    """Share of a fit's processor time that each of our callbacks takes."""
    spent = {EpochScores: 0.0, EpochLine: 0.0}

    def timed(kind, method):
        def run(self, *args, **kwargs):
            start = process_time()
            method(self, *args, **kwargs)
            spent[kind] += process_time() - start

        return run

    for kind in spent:
        for name, method in list(vars(kind).items()):
            if name.startswith("on_"):
                setattr(kind, name, timed(kind, method))
    total = seconds(MMoE(verbose=1, **settings), data)[0]
    return {kind.__name__: time / total for kind, time in spent.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    log = make_funnel(args.rows, random_state=0)
    X, y = log.data, log.target
    cut = args.rows * 9 // 10
    data = (X[:cut], y[:cut]), (X[cut:], y[cut:])
    settings = {"max_iter": args.epochs, "random_state": 0}
    runs = contenders(settings, data)
    found = {name: [] for name in runs}
    for round_ in range(args.rounds + 1):
        for name, run in runs.items():
            times = run()
            if round_:  # the first warms up
                found[name].append(times)
    base = np.array(found["nothing"])
    print(f"{cut} rows, {y.shape[1]} tasks, {args.epochs} epochs, one thread")
    print(f"{'':<32}{'processor':>10}{'wall':>8}{'best':>8}   seconds (median)")
    for name, times in found.items():
        cpu, wall = np.median(np.array(times) / base, axis=0)
        best = np.min(times, axis=0)[0] / base.min(axis=0)[0]
        middle = np.median(times, axis=0)[0]
        print(f"{name:<32}{cpu:>10.3f}{wall:>8.3f}{best:>8.3f}   {middle:.2f}")
    for name, share in shares(settings, data).items():
        print(f"in {name:<29}{share:>10.2%}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with threadpool_limits(1):
        main()
