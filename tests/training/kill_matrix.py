"""Kill fits by SIGKILL at random moments, resume them, and compare the bits.

    python -m tests.training.kill_matrix --points 20 --csv kills.csv

Every strategy of loss weights, with every pair of optimisers, with and without early
stopping. This process imports torch once, with one thread, and forks a child for each
fit. A child that is about to be killed counts its steps and saves in memory that it
shares with this process, so that we know where it died:

before a save   no save had come to its end: the second fit starts from the beginning
in training     a save had, and none was being made
in a save       while the state was collected, or after its file was whole
in the write    between the first byte of a temporary file and its new name
at the end      while a fit that is complete removes its files, or after that

Three of ten kills wait until a write begins and strike within its usual time; the
others wait for a step drawn from all steps and strike within the time of a step. A
second child then fits with the same folder. It must resume exactly at the last whole
save (or start again, if the first had removed its files), and leave the predictions,
history, loss weights and states of optimisers of a fit that was never interrupted, to
the last bit.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
import mmap
import os
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from skorch.callbacks import Callback

from skmtl import Checkpoint, MMoE
from skmtl.training import checkpoint
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
    "n_threads": 1,
    "max_iter": 3,
    "n_iter_no_change": 1,
}
OPTIMIZERS = list(itertools.product(["adam", "sgd"], ["lazy_adam", "adagrad", "adam"]))
EVERY = {"epoch": 0.4, "0.03s": 0.4, "0.000001s": 0.2}  # and how often
AIMED = 0.3
PLACES = ["before a save", "in training", "in a save", "in the write", "at the end"]
COUNTS = [*PLACES, "resumed", "differ", "stopped early"]
_TRAINING, _SAVING, _WRITING, _ENDING = range(4)


class Board:
    """Numbers that a child writes and this process reads, also after its death."""

    names = (
        "phase",
        "steps",
        "saves",
        "writes",
        "saved_at",
        "saving_at",
        "resumed",
        "epochs",
    )

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 8 * len(self.names))

    def __getitem__(self, name: str) -> int:
        return struct.unpack_from("q", self.memory, 8 * self.names.index(name))[0]

    def __setitem__(self, name: str, value: int) -> None:
        struct.pack_into("q", self.memory, 8 * self.names.index(name), value)

    def clear(self) -> None:
        for name in self.names:
            self[name] = 0


class Steps(Callback):
    """Counts the steps of this process."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def on_grad_computed(self, net, **_):
        self.board["steps"] += 1
        self.board["epochs"] = len(net.history)


class Watched(Checkpoint):
    """Tells the board what it does."""

    def watch(self, board: Board) -> Watched:
        self.board = board
        return self

    def resume(self, net, table, valid):
        done = super().resume(net, table, valid)
        self.board["resumed"] = done > 0 or self.within is not None
        return done

    def _save(self, net):
        board = self.board
        board["saving_at"] = board["steps"]
        board["phase"] = _SAVING
        super()._save(net)
        board["saved_at"] = board["saving_at"]
        board["saves"] += 1
        board["phase"] = _TRAINING

    def remove(self):
        self.board["phase"] = _ENDING
        super().remove()


def watch_writes(board: Board) -> None:
    """Have writes of this process told to the board."""
    write, replace = checkpoint.write_whole, os.replace

    def write_whole(path, *parts):
        board["writes"] += 1
        board["phase"] = _WRITING
        write(path, *parts)

    def rename(source, target):
        replace(source, target)
        if board["phase"] == _WRITING:  # the file has its name
            board["saved_at"] = board["saving_at"]
            board["phase"] = _SAVING

    checkpoint.write_whole, os.replace = write_whole, rename


def settings() -> Iterator[dict[str, object]]:
    """What distinguishes the fits of the matrix."""
    for name in ["fixed", *get_strategy_names()]:
        for dense, tables in OPTIMIZERS:
            for early in (False, True):
                yield {
                    "loss_weight": None if name == "fixed" else name,
                    "optimizer": dense,
                    "embedding_optimizer": tables,
                    "early_stopping": early,
                    "tol": 0.002 if tables == "adagrad" else 0.0,  # some do stop
                }


def digest(ranker, X) -> bytes:
    """A hash of all that a fit leaves."""
    found = [ranker.predict_task_proba(X), ranker.loss_weight_, ranker.intercept_]
    found.append(ranker.history_.drop(columns="task").to_numpy(float))
    for state in ranker.net_.optimizer_.state.values():
        found += [value.numpy() for _, value in sorted(state.items())]
    whole = b"".join(np.ascontiguousarray(one).tobytes() for one in found)
    return hashlib.sha256(whole).digest()


class Matrix:
    """Fits of one setting, each in a child of this process."""

    def __init__(self, params: dict[str, object], X, y, seed: int) -> None:
        self.params, self.X, self.y = {**SMALL, **params}, X, y
        self.board = Board()
        self.rng = np.random.default_rng(seed)
        self.tally: Counter[str] = Counter()
        self.tally.update(dict.fromkeys(COUNTS, 0))

    def fork(self, folder: str | None, every: str = "epoch") -> tuple[int, int]:
        """A child that fits, and the end of a pipe that gives its digest."""
        reading, writing = os.pipe()
        self.board.clear()
        child = os.fork()
        if child:
            os.close(writing)
            return child, reading
        status = 1
        try:
            os.close(reading)
            callbacks: list[Callback] = [Steps(self.board)]
            if folder is not None:
                watch_writes(self.board)
                callbacks.append(Watched(folder, every=every).watch(self.board))
            ranker = MMoE(**self.params, callbacks=callbacks).fit(self.X, self.y)
            os.write(writing, digest(ranker, self.X))
            status = 0
        except BaseException as error:  # nothing of a child may run on as its parent
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)

    def finish(self, folder: str | None, every: str = "epoch") -> tuple[bytes, float]:
        """The digest of a fit that runs through, and its seconds."""
        start = time.perf_counter()
        child, pipe = self.fork(folder, every)
        with os.fdopen(pipe, "rb") as file:
            found = file.read()
        if os.waitpid(child, 0)[1] != 0:
            raise RuntimeError(f"A fit of {self.params} failed.")
        return found, time.perf_counter() - start

    def run(self, n_points: int) -> Counter[str]:
        """Kill that many fits, and count what came of them."""
        self.expected, seconds = self.finish(None)
        self.n_steps = self.board["steps"]
        self.step = seconds / self.n_steps
        self.tally["stopped early"] = self.board["epochs"] < int(SMALL["max_iter"])
        for _ in range(n_points):
            every = str(self.rng.choice(list(EVERY), p=list(EVERY.values())))
            with tempfile.TemporaryDirectory() as folder:
                while not self.kill(folder, every):
                    pass  # it had come to its end: another moment
                self.resume(folder, every)
        return self.tally

    def kill(self, folder: str, every: str) -> bool:
        """End a fit by SIGKILL; False where it had ended by itself."""
        aimed = self.rng.random() < AIMED
        if aimed:
            # At least two saves, and then perhaps early stopping.
            most = 2 if every == "epoch" else self.n_steps // 2
            name, least, wait = "writes", int(self.rng.integers(1, most + 1)), 0.001
        else:
            name, least = "steps", int(self.rng.integers(self.n_steps + 1))
            wait = self.step
        wait *= self.rng.random()
        child, pipe = self.fork(folder, every)
        ended = 0
        while self.board[name] < least and not ended:
            time.sleep(2e-5 if aimed else 2e-4)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            time.sleep(wait)
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
        os.close(pipe)
        if not os.WIFSIGNALED(status):
            if status != 0:
                raise RuntimeError(f"A fit of {self.params} failed.")
            return False
        self.tally[self.place()] += 1
        return True

    def place(self) -> str:
        """Where the child was when it died."""
        phase = self.board["phase"]
        self.possible = {self.board["saved_at"]}
        if phase in (_SAVING, _WRITING):  # its file may be whole
            self.possible.add(self.board["saving_at"])
        if phase == _WRITING:
            return "in the write"
        if phase == _ENDING:  # its files may be there
            self.possible.add(0)
            return "at the end"
        if self.board["saves"] == 0 and self.board["saved_at"] == 0:
            return "before a save"
        return "in a save" if phase == _SAVING else "in training"

    def resume(self, folder: str, every: str) -> None:
        """Fit again, and compare."""
        found, _ = self.finish(folder, every)
        left_out = self.n_steps - self.board["steps"]
        self.tally["resumed"] += self.board["resumed"]
        wrong = []
        if found != self.expected:
            wrong.append("other bits")
        if left_out not in self.possible:
            wrong.append(f"resumed at step {left_out}, not {self.possible}")
        if bool(self.board["resumed"]) != (left_out > 0):
            wrong.append(f"{left_out} steps less, resumed={self.board['resumed']}")
        if list(Path(folder).iterdir()):
            wrong.append("files are left")
        if wrong:
            self.tally["differ"] += 1
            print(self.params, every, wrong, flush=True)


def main() -> None:
    """Run the settings, and print and write their tallies."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--settings", type=int, default=None, help="only so many")
    parser.add_argument("--strategies", nargs="+", default=None, help="only these")
    parser.add_argument("--csv", type=Path, default=None)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    X, y = make_impressions(500)
    for name in [None, *get_strategy_names()]:  # imports what they need
        MMoE(**{**SMALL, "max_iter": 1}, loss_weight=name).fit(X, y)
    gc.collect()
    gc.freeze()  # or each child copies the pages
    start, rows = time.perf_counter(), []
    chosen = list(settings())
    if options.strategies is not None:
        names = options.strategies
        chosen = [one for one in chosen if (one["loss_weight"] or "fixed") in names]
    if options.settings is not None:
        order = np.random.default_rng(0).permutation(len(chosen))
        chosen = [chosen[k] for k in sorted(order[: options.settings])]
    for seed, params in enumerate(chosen):
        tally = Matrix(params, X, y, seed).run(options.points)
        name = params["loss_weight"] or "fixed"
        rows.append({**params, "loss_weight": name, **tally})
        if options.csv is not None:
            pd.DataFrame(rows).to_csv(options.csv, index=False)
    table = pd.DataFrame(rows)
    for by in ("loss_weight", ["optimizer", "embedding_optimizer"], "early_stopping"):
        print(table.groupby(by, sort=False)[COUNTS].sum().to_string(), "\n")
    print(table[COUNTS].sum().to_string())
    print(f"{len(table)} settings, {time.perf_counter() - start:.0f} s")
    sys.exit(bool(table["differ"].any()))


if __name__ == "__main__":
    main()
