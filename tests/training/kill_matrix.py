"""Kill fits at random points, resume them, and compare with fits that ran through.

    python tests/training/kill_matrix.py --points 20 --kills 100

Every strategy of loss weights, with every pair of optimisers, with and without early
stopping: a fit is ended by an exception at so many random points, between the steps of
an epoch and within them, and resumed after each. Before that, some fits are ended by
SIGKILL while they save after every step, so that many die while they write. In the end
predictions, history, loss weights and optimisers must be equal to the last bit.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import Callback

from skmtl import Checkpoint, MMoE
from skmtl.weighting import get_strategy_names
from tests.rankers.conftest import make_impressions

SMALL = {
    "random_state": 0,
    "categorical_features": ["user", "item"],
    "expert_units": (8,),
    "n_experts": 2,
    "tower_units": (4,),
    "embedding_dim": 4,
    "batch_size": 64,
    "dropout": 0.1,
}
OPTIMIZERS = list(itertools.product(["adam", "sgd"], ["lazy_adam", "adagrad", "adam"]))
EVENTS = ("on_batch_begin", "on_grad_computed", "on_batch_end", "on_epoch_end")


class KilledError(Exception):
    """Stands for the end of a process."""


class KillAt(Callback):
    """End a fit at an event of one of its steps, counted from the start."""

    def __init__(self, step: int, event: str) -> None:
        self.step, self.event = step, event
        self.n_epochs = self.n_batches = 0

    def notify(self, event, net):
        done = net.pass_.n_batches if net.pass_ is not None else 0
        steps = (len(net.history) - 1) * self.of_epoch + done
        if event == self.event and steps >= self.step:
            raise KilledError

    def on_train_begin(self, net, X=None, **_):
        self.of_epoch = -(-len(X) // net.batch_size)

    def on_batch_begin(self, net, training=False, **_):
        if training:
            self.notify("on_batch_begin", net)

    def on_grad_computed(self, net, **_):
        self.notify("on_grad_computed", net)

    def on_batch_end(self, net, training=False, **_):
        if training:
            self.notify("on_batch_end", net)

    def on_epoch_end(self, net, **_):
        self.notify("on_epoch_end", net)


def outcome(ranker, X) -> list[np.ndarray]:
    """All that a fit leaves, as arrays."""
    found = [ranker.predict_task_proba(X), ranker.loss_weight_, ranker.intercept_]
    found.append(ranker.history_.drop(columns="task").to_numpy(float))
    for state in ranker.net_.optimizer_.state.values():
        found += [value.numpy() for _, value in sorted(state.items())]
    return [np.asarray(one) for one in found]


def same(one, other) -> bool:
    """Whether two outcomes are equal to the last bit."""
    pairs = zip(one, other, strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


def settings():
    """Hyperparameters of all fits of the matrix."""
    for name in [None, *get_strategy_names()]:
        for dense, tables in OPTIMIZERS:
            for early in (False, True):
                yield {
                    **SMALL,
                    "loss_weight": name,
                    "optimizer": dense,
                    "embedding_optimizer": tables,
                    "early_stopping": early,
                    "n_iter_no_change": 2,
                    "max_iter": 4,
                }


def matrix(n_points: int, X, y) -> tuple[int, int]:
    """Points tried, and settings whose outcome differed."""
    rng = np.random.default_rng(0)
    n_tried = n_wrong = 0
    for params in settings():
        counted = KillAt(2**40, "on_batch_begin")
        expected = outcome(MMoE(**params, callbacks=[counted]).fit(X, y), X)
        n_steps = counted.of_epoch * params["max_iter"]
        steps = np.sort(rng.integers(n_steps, size=n_points))
        with tempfile.TemporaryDirectory() as folder:
            for step in steps:
                kill = KillAt(int(step), str(rng.choice(EVENTS)))
                try:
                    fit(params, folder, X, y, kill)
                    break  # it stopped early, before that step
                except KilledError:
                    n_tried += 1
            found = outcome(fit(params, folder, X, y), X)
        if not same(found, expected):
            n_wrong += 1
            print("differs:", params, flush=True)
    return n_tried, n_wrong


def fit(params, folder, X, y, *callbacks, every="0.02s"):
    """Fit, and save several times in an epoch."""
    checkpoint = Checkpoint(folder, every=every)
    return MMoE(**params, callbacks=[*callbacks, checkpoint]).fit(X, y)


def kill_9(n_kills: int, X, y) -> tuple[int, int]:
    """Processes killed, and how many of them died while they wrote."""
    rng = np.random.default_rng(1)
    n_writing = n_killed = 0
    some = [p for k, p in enumerate(settings()) if k % 17 == 0]
    for params in itertools.cycle(some):
        if n_killed >= n_kills:
            return n_killed, n_writing
        start = time.perf_counter()
        expected = outcome(MMoE(**params).fit(X, y), X)
        longest = 3 * (time.perf_counter() - start)
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(12):
                child = os.fork()
                if child == 0:
                    fit(params, folder, X, y, every="0.0001s")
                    os._exit(0)
                time.sleep(rng.uniform(0.0, longest))
                os.kill(child, signal.SIGKILL)
                status = os.waitpid(child, 0)[1]
                n_killed += os.WIFSIGNALED(status)
                n_writing += bool(list(Path(folder).glob(".*.part")))
            found = outcome(fit(params, folder, X, y), X)
            left = list(Path(folder).iterdir())
        assert same(found, expected), params
        assert not left, left
    raise AssertionError


def main() -> None:
    """Run both, and print what was tried."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--kills", type=int, default=100)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    X, y = make_impressions(1200)
    start = time.perf_counter()
    killed, writing = kill_9(options.kills, X, y)
    print(f"SIGKILL: {killed} killed, {writing} while writing, all equal", flush=True)
    tried, wrong = matrix(options.points, X, y)
    print(
        f"matrix: {sum(1 for _ in settings())} settings, {tried} points, {wrong} "
        f"settings differ; {time.perf_counter() - start:.0f} s"
    )
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
