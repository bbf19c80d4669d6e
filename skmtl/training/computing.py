"""How torch computes steps and predictions: defaults, threads and blocks of rows.

Results do not depend on the number of threads, to the last bit. So it may be chosen by
the clock, and chosen again while training runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import torch

from skmtl.encoding import EncodedTable
from skmtl.modules import Bags, MultiTaskModule, Ragged
from skmtl.modules.composition import BLOCK

# Multiplications and additions of a step below which threads cost more than they gain.
_SMALL_STEP = 2e7


# Up to so many rows are predicted on one thread.
_FEW_ROWS = 4096


# Steps that are timed on one thread and on all, and steps until the next trial.
_TRIAL, _UNTIL_NEXT = 4, 400
# Whether this process was forked from one that had imported this file.
_forked = False
# Threads have to make a step this much shorter: they keep cores from other work.
_GAIN = 0.9


@contextmanager
def own_defaults(device: str) -> Iterator[None]:
    """Compute in float32, without the caller's autocast or device context.

    Parameters
    ----------
    device : str
        Where it is computed.

    Notes
    -----
    The default dtype is one for all threads of a process: another thread that makes
    tensors meanwhile finds float32.
    """
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        if dtype != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, dtype)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in {"cpu", torch.device(device).type}:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def available_threads() -> int:
    """Give the threads that torch would use, but no more than there are processors.

    joblib counts the processors that this process may use; unlike ``os.cpu_count`` it
    heeds affinity and the quota of a container.
    """
    n_processors: int = joblib.cpu_count()
    return max(1, min(torch.get_num_threads(), n_processors))


@contextmanager
def on_threads(n_threads: int | None) -> Iterator[None]:
    """Compute on so many threads, and leave the number as it was found.

    Parameters
    ----------
    n_threads : int or None
        None for the number that is set. A forked process has one.
    """
    found = torch.get_num_threads()
    if n_threads is not None and _forked:
        n_threads = 1
    if n_threads is None or n_threads == found:
        yield
        return
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(found)


class StepThreads:
    """Choose the number of threads of steps that are alike.

    A few steps are timed on one thread and a few on all; the shortest of each are
    compared. Where other processes keep the processors busy, threads wait for each
    other and lose, and one is chosen.

    Parameters
    ----------
    n_threads : "auto", int or None
        "auto" to choose, a number to keep to it, None for the number that is set.
    operations : float
        Multiplications and additions of one step, about.
    """

    def __init__(self, n_threads: int | str | None, operations: float) -> None:
        self.fixed = n_threads if n_threads is None else 1
        self.candidates = [1]
        if isinstance(n_threads, int):
            self.fixed = n_threads
        elif n_threads == "auto" and operations >= _SMALL_STEP:
            self.candidates = [1, available_threads()]
        self.times: dict[int, list[float]] = {}
        self.until_next = 0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Run one step on the number of threads that is best so far, or on trial."""
        if len(set(self.candidates)) == 1:
            with on_threads(self.fixed):
                yield
            return
        trial = self._on_trial()
        start = perf_counter()
        with on_threads(self.fixed if trial is None else trial):
            yield
        if trial is not None:
            self.times.setdefault(trial, []).append(perf_counter() - start)

    def _on_trial(self) -> int | None:
        """The number that is to be timed now; None once one is chosen."""
        if self.until_next > 0:
            self.until_next -= 1
            return None
        for n in self.candidates:
            if len(self.times.get(n, ())) < _TRIAL:
                return n
        one, many = (min(self.times[n]) for n in self.candidates)
        self.fixed = self.candidates[1] if many < _GAIN * one else 1
        self.times, self.until_next = {}, _UNTIL_NEXT
        return None


def operations_by_row(module: MultiTaskModule) -> float:
    """Multiplications and additions of a forward pass, about, for each row."""
    tables = {id(table) for table, _ in module.id_tables()}
    dense = [p for p in module.parameters() if id(p) not in tables]
    return 2.0 * sum(p.numel() for p in dense)


def as_tensors(table: EncodedTable) -> dict[str, Any]:
    """Arguments of the module for all rows of a table, on the memory of its arrays."""
    arrays = table.as_dict()
    bags = arrays.pop("bags", ())
    tensors: dict[str, Any] = {k: torch.from_numpy(x) for k, x in arrays.items()}
    if bags:
        tensors["bags"] = Bags(
            Ragged(torch.from_numpy(bag.values), torch.from_numpy(bag.offsets))
            for bag in bags
        )
    return tensors


def logits(
    net: Any,
    table: EncodedTable,
    rows: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.float32]:
    """Outputs for all rows, or for some, in blocks that fit the cache."""
    n_rows = len(table) if rows is None else len(rows)
    with predicting(net, n_rows) as threads:
        found = []
        for block in blocks(table, net.device, rows):
            with threads.step():
                found.append(net.module_(**block))
        out: npt.NDArray[np.float32] = torch.cat(found).cpu().numpy()
    return out


@contextmanager
def predicting(net: Any, n_rows: int) -> Iterator[StepThreads]:
    """Set torch and a net up for prediction, and leave both as they were found."""
    module = net.module_
    was_training = module.training
    if was_training:
        module.eval()
    # The threads of a few rows would cost more than they gain, on any machine.
    few = net.n_threads == "auto" and n_rows <= _FEW_ROWS
    operations = 0.0 if few else operations_by_row(module) * BLOCK
    threads = StepThreads(net.n_threads, operations)
    with torch.inference_mode(), own_defaults(net.device), on_threads(threads.fixed):
        yield threads
    if was_training:
        module.train()


def blocks(
    table: EncodedTable, device: str, rows: npt.NDArray[np.int64] | None = None
) -> Iterator[dict[str, Any]]:
    """Arguments of the module, some rows at a time."""
    tensors = as_tensors(table)
    if rows is None and len(table) <= BLOCK:
        yield {name: x.to(device) for name, x in tensors.items()}
        return
    chosen = None if rows is None else torch.from_numpy(rows)
    for start in range(0, len(table) if rows is None else len(rows), BLOCK):
        at: Any = slice(start, start + BLOCK)
        if chosen is not None:
            at = chosen[at]
        yield {name: x[at].to(device) for name, x in tensors.items()}


def _after_fork() -> None:
    """Keep to one thread in a child process.

    OpenMP's threads do not survive a fork: a child that asks for them waits for ever.
    """
    global _forked
    _forked = True
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
