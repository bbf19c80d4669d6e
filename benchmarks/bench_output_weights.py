"""Speed of the output-weight search compared with the naive loop, in one run.

Each round times some points of the naive loop, the exact grid and the races, one after
another. The time of the naive loop is extrapolated from its points; the grid and the
races run completely. Then it compares the argmax over seeds, memory, and held-out
scores on five data sets.

    python benchmarks/bench_output_weights.py
"""

import argparse
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.multioutput import MultiOutputClassifier
from sklearn.preprocessing import OrdinalEncoder

from skmtl import OutputWeightSearchCV
from skmtl.datasets import (
    fetch_census_income,
    fetch_user_behavior,
    load_adult,
    make_correlated_tasks,
    make_funnel,
)
from skmtl.output_weights._candidates import make_candidates

NAMES = ["click", "cart", "order"]


class Known(ClassifierMixin, BaseEstimator):
    """Returns probabilities that were predicted before."""

    task_names_ = NAMES
    classes_ = (np.array([0, 1]),) * 3

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return X

    def __sklearn_is_fitted__(self):
        return True


def make_table(n, seed):
    """A funnel: orders follow carts, carts follow clicks."""
    rng = np.random.default_rng(seed)
    taste, need = rng.normal(size=(2, n))
    logit = np.column_stack([taste, 0.7 * taste + 0.7 * need, need]) - [1.7, 1.3, 1.6]
    steps = 1 / (1 + np.exp(-logit))
    y = np.cumprod(rng.random((n, 3)) < steps, axis=1)
    seen = logit + rng.normal(size=(n, 3)) * [0.6, 0.9, 1.2]
    return np.cumprod(1 / (1 + np.exp(-seen)), axis=1), y


def seconds(function):
    """Wall and processor seconds; a busy machine hardly affects the latter."""
    wall, cpu = perf_counter(), process_time()
    function()
    return perf_counter() - wall, process_time() - cpu


def searched(proba, y, **params):
    search = OutputWeightSearchCV(Known(), cv="prefit", n_jobs=2, **params)
    return search.fit(proba, y)


def naive(proba, y, tasks, point):
    score = point[0] * proba[:, 0] + point[1] * proba[:, 1] + point[2] * proba[:, 2]
    return [roc_auc_score(y[:, t], score) for t in tasks]


def speed(n, rounds):
    proba, y = make_table(n, 0)
    points = make_candidates(11, NAMES)
    rng = np.random.default_rng(0)
    print(f"{n} rows, positives {y.mean(axis=0).round(4)}, {len(points)} points")
    for scoring, tasks in ((None, [0, 1, 2]), ("auc:order", [2])):
        loop, ours = [], {"grid": [], "halving": []}
        for _ in range(rounds):
            some = points[rng.choice(len(points), 20 // rounds + 1)]
            loop += [seconds(partial(naive, proba, y, tasks, p)) for p in some]
            for name, times in ours.items():
                options = {"search": name, "scoring": scoring, "random_state": 0}
                times.append(seconds(partial(searched, proba, y, **options)))
        wall, cpu = len(points) * np.median(loop, axis=0)
        print("mean AUC of three tasks" if scoring is None else "AUC of order alone")
        print(f"  naive loop, from {len(loop)} points: {wall:.0f} s")
        for name, times in ours.items():
            took, used = np.median(times, axis=0)
            print(
                f"  {name:<8} {took:6.2f} s   {wall / took:6.0f} x   "
                f"(processor time of one core {cpu / used:.0f} x, of two "
                f"{2 * cpu / used:.0f} x)",
                flush=True,
            )


def agreement(n, n_seeds):
    for scoring in (None, "auc:order"):
        same = 0
        for seed in range(n_seeds):
            proba, y = make_table(n, seed)
            grid = searched(proba, y, scoring=scoring)
            race = searched(
                proba, y, scoring=scoring, search="halving", random_state=seed
            )
            same += grid.best_index_ == race.best_index_
        what = scoring or "mean AUC"
        print(f"halving, {what}: argmax of the grid in {same} of {n_seeds}")


MEMORY = """
import resource
from bench_output_weights import make_table, searched
proba, y = make_table({n}, 0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
searched(proba, y, scoring="auc:order", search="{search}", random_state=0)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"  {search:<8} {{after / 2**10:.0f}} MiB in all, {{before / 2**10:.0f}} before")
"""


def memory(n):
    print("Peak memory of the process, data and libraries included:", flush=True)
    for search in ("grid", "halving", "continuous"):
        code = MEMORY.format(n=n, search=search)
        subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, check=True
        )


def as_numbers(X):
    X = pd.DataFrame(X).copy()
    text = [c for c in X if X[c].dtype.kind not in "iufb"]
    X[text] = OrdinalEncoder().fit_transform(X[text].astype(str))
    return X.to_numpy(np.float64)


def data_sets():
    """Table, labels, and the time of each row where a log must be split by time."""
    yield "adult", *load_adult(return_X_y=True), None
    yield "census income", *fetch_census_income(return_X_y=True), None
    log = fetch_user_behavior()
    yield "user behaviour, by time", log.data, log.target, log.timestamp
    log = make_funnel(60_000, random_state=0)
    yield "funnel, by time", log.data, log.target, log.timestamp
    X, y = make_correlated_tasks(20_000, positive_rate=[0.2, 0.02], random_state=0)
    yield "correlated tasks", X, y, None


def halves(X, y, time):
    if time is None:
        return train_test_split(X, y, random_state=0, test_size=0.5)
    order = np.argsort(np.asarray(time), kind="stable")
    half = len(order) // 2
    return X[order[:half]], X[order[half:]], y[order[:half]], y[order[half:]]


def held_out():
    print("\nHeld-out AUC of the rarest task, half of the rows held out; five folds:")
    print(f"{'':<24}{'grid':>9}{'continuous':>12}{'difference':>12}{'single':>9}")
    for name, X, y, time in data_sets():
        labels = np.asarray(y, dtype=float)
        rare = int(labels.mean(axis=0).argmin())
        X_train, X_test, y_train, y_test = halves(as_numbers(X), labels, time)
        model = MultiOutputClassifier(
            HistGradientBoostingClassifier(max_iter=50, random_state=0)
        )
        scores = []
        for search in ("grid", "continuous"):
            one = OutputWeightSearchCV(
                model, scoring=f"auc:{rare}", search=search, n_jobs=2
            ).fit(X_train, y_train)
            scores.append(one.decision_function(X_test))
        scores.append(one.predict_proba(X_test)[rare][:, 1])
        grid, climbed, single = (roc_auc_score(y_test[:, rare], s) for s in scores)
        gain = climbed - grid
        print(
            f"{name:<24}{grid:>9.5f}{climbed:>12.5f}{gain:>+12.5f}{single:>9.5f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    speed(args.rows, args.rounds)
    agreement(args.rows, args.seeds)
    memory(args.rows)
    held_out()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
