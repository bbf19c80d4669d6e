"""How many threads a step takes: as many as make it faster, on the machine as it is.

Results do not depend on the number of threads, to the last bit. So it may be chosen by
the clock, and chosen again while training runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import joblib
import torch

# Multiplications and additions of a step below which threads cost more than they gain.
_SMALL_STEP = 2e7
# Steps that are timed on one thread and on all, and steps until the next trial.
_TRIAL, _UNTIL_NEXT = 4, 400
# Whether this process was forked from one that had imported this file.
_forked = False
# Threads have to make a step this much shorter: they keep cores from other work.
_GAIN = 0.9


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


def _after_fork() -> None:
    """Keep to one thread in a child process.

    OpenMP's threads do not survive a fork: a child that asks for them waits for ever.
    """
    global _forked
    _forked = True
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
