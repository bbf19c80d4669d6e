"""How torch computes: devices, defaults, random numbers, threads, blocks of rows.

Results are bit-identical for any number of threads. So the number can be chosen by
measuring, and changed while training runs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from threading import Lock, RLock
from time import perf_counter
from typing import Any, NamedTuple

import joblib
import numpy as np
import numpy.typing as npt
import torch
from skorch import NeuralNet
from torch import Tensor

from skmtl._memory import free_memory
from skmtl._messages import shown
from skmtl.encoding import EncodedTable
from skmtl.modules import Bags, MultiTaskModule, Ragged
from skmtl.modules.composition import BLOCK
from skmtl.modules.ragged import Inputs

# A little less than the largest block whose release raises glibc's bound (32 MiB).
_LARGEST_KEPT = 2**25 - 2**14
# In steps with fewer multiplications and additions, threads cost more than they gain.
_SMALL_STEP = 2e7
# Number of steps that are timed on one thread and on all, and steps until next time.
_TRIAL, _UNTIL_NEXT = 4, 400
# Threads must shorten a step at least to this part, since they occupy other cores.
_GAIN = 0.9
# A way that takes so many times as long as another is given up.
_HOPELESS = 4.0
# Up to this many rows are predicted on one thread.
_FEW_ROWS = 4096

# Whether this process was forked from one that had imported this file.
_forked = False
# Number of threads of the caller's torch, while a fit has set another number.
_CALLERS_THREADS: ContextVar[int | None] = ContextVar("callers_threads", default=None)
_GENERATORS = RLock()


def without_index(device: str) -> str:
    """Turn "cpu:0" into "cpu": torch cannot load pickled tensors of the former."""
    return "cpu" if device.partition(":")[0] == "cpu" else device


def check_device(device: str) -> None:
    """Raise for a device that torch does not know or cannot use.

    Raises
    ------
    ValueError
        The message says what to do.
    """
    try:
        torch.zeros(1, device=device).item()  # "meta" has tensors without numbers
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise ValueError(
            f"device={shown(device)} cannot be used here: {first}. Use device='cpu', "
            "or install a torch that is built for the device."
        ) from error


class _Float32:
    """Keeps the default dtype at float32 as long as some thread computes.

    All threads of a process share it: the first one that computes sets it, and the last
    one restores it.
    """

    def __init__(self) -> None:
        self.lock, self.n_threads, self.found = Lock(), 0, torch.float32

    def __enter__(self) -> None:
        with self.lock:
            if not self.n_threads:
                self.found = torch.get_default_dtype()
                self._set(torch.float32)
            self.n_threads += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.n_threads -= 1
            if not self.n_threads:
                self._set(self.found)

    def _set(self, dtype: torch.dtype) -> None:
        if self.found != torch.float32:
            torch.set_default_dtype(dtype)


_FLOAT32 = _Float32()


@contextmanager
def own_defaults(device: str) -> Iterator[None]:
    """Compute in float32, without the caller's autocast or device context.

    Parameters
    ----------
    device : str
        Device of the computation.

    Notes
    -----
    All threads of a process share the default dtype, so other threads that make tensors
    meanwhile also get float32.
    """
    with ExitStack() as stack:
        stack.enter_context(_FLOAT32)
        # Tensors without a device are made on the CPU, whatever the caller's default.
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in {"cpu", torch.device(device).type}:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Seed torch within the context, and restore its generators afterwards.

    All threads share the generators, and so wait for each other here. Code in another
    thread that draws from them without this context changes what is drawn here, and
    later continues from the restored state.
    """
    kind = torch.device(device).type
    # `torch.manual_seed` seeds every GPU.
    gpus = range(torch.cuda.device_count()) if kind == "cuda" else ()
    with _GENERATORS, torch.random.fork_rng(devices=gpus):
        if kind == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        yield


def send(parts: Any, device: str | torch.device, *, pin: bool = False) -> Any:
    """Move tensors, in dicts and tuples, to a device.

    Parameters
    ----------
    parts : Tensor, None, dict or tuple of such
        What to move. Anything with a method ``to`` counts as a tensor.
    device : str or torch.device
        Where to.
    pin : bool, default=False
        Whether to go through pinned memory, from which a GPU takes the tensors while
        the processor prepares the next ones.

    Returns
    -------
    Tensor, None, dict or tuple of such
        The same, moved.
    """
    if parts is None:
        return None
    if isinstance(parts, dict):
        return {name: send(part, device, pin=pin) for name, part in parts.items()}
    if isinstance(parts, tuple):
        return tuple(send(part, device, pin=pin) for part in parts)
    if pin and torch.device(device).type == "cuda":
        return parts.pin_memory().to(device, non_blocking=True)
    return parts.to(device)


def size_in_bytes(parts: Any) -> int:
    """Bytes of tensors in dicts and tuples."""
    if isinstance(parts, dict):
        parts = tuple(parts.values())
    if isinstance(parts, tuple):
        return sum(size_in_bytes(part) for part in parts)
    return 0 if parts is None else int(parts.nbytes)


def free_bytes(device: str) -> int | None:
    """Bytes of free memory of a device; None if unknown."""
    kind = torch.device(device).type
    if kind == "cuda":
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    return free_memory() if kind == "cpu" else None


def fits(n_bytes: int, device: str) -> bool:
    """Whether so much memory is free, as far as it is known."""
    free = free_bytes(device)
    return free is None or n_bytes <= free


def keep_freed_memory() -> None:
    """Let the C library keep memory for the next step of training.

    glibc returns the top of the heap to the system if more is free than twice the
    largest block that was ever mapped and released, and requests it again, page by
    page, in the next step. That takes 6 to 9 % of a fit with batches of 8192. The block
    here is released without being touched, and raises the bound to 64 MiB (``mallopt``,
    M_MMAP_THRESHOLD). It has no effect on other C libraries.
    """
    np.empty(_LARGEST_KEPT, dtype=np.int8)


def available_threads() -> int:
    """Return the number of threads that torch would use, at most that of processors.

    joblib counts the processors that this process may use; unlike ``os.cpu_count`` it
    respects affinity and the quota of a container.
    """
    n_processors: int = joblib.cpu_count()
    callers = _CALLERS_THREADS.get() or torch.get_num_threads()
    return max(1, min(callers, n_processors))


@contextmanager
def on_threads(n_threads: int | None) -> Iterator[None]:
    """Compute on `n_threads` threads, and restore the number afterwards.

    Parameters
    ----------
    n_threads : int or None
        None for the current number. A forked process always has one.
    """
    found = torch.get_num_threads()
    if n_threads is not None and _forked:
        n_threads = 1
    if n_threads is None or n_threads == found:
        yield
        return
    # Within another such context, only the outermost one found the caller's number.
    callers = _CALLERS_THREADS.get()
    token = _CALLERS_THREADS.set(found if callers is None else callers)
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(found)
        _CALLERS_THREADS.reset(token)


class Way(NamedTuple):
    """How a step is computed.

    Attributes
    ----------
    n_threads : int or None
        Threads of each of torch's functions; None for the current number.
    at_once : int, default=1
        Parts of a batch that are computed at the same time.
    """

    n_threads: int | None
    at_once: int = 1


class StepThreads:
    """Choose the number of threads for steps of equal size.

    A few steps are timed on one thread and a few on all; the shortest of each are
    compared. If other processes keep the processors busy, threads wait for each other,
    so one thread is chosen. Where batches have parts, several threads may share the
    work of each function, or compute parts at the same time.

    Parameters
    ----------
    n_threads : "auto", int or None
        "auto" to choose, a fixed number, or None for the current one.
    operations : float
        Approximate number of multiplications and additions of one step.
    n_parts : int, default=1
        Parts of a batch that may be computed at the same time.

    Attributes
    ----------
    candidates : list of Way
        What is timed.
    at_once : int
        Parts to compute at the same time now.
    """

    def __init__(
        self, n_threads: int | str | None, operations: float, n_parts: int = 1
    ) -> None:
        self.fixed = Way(1 if isinstance(n_threads, str) else n_threads)
        self.candidates, most = [self.fixed], n_threads or torch.get_num_threads()
        if operations < _SMALL_STEP:
            most = 1
        elif isinstance(most, str):
            most = available_threads()
            self.candidates.append(Way(most))
        if most > 1 and n_parts > 1 and not _forked:
            self.candidates.append(Way(1, min(most, n_parts)))
        self.times: dict[Way, list[float]] = {}
        self.until_next, self.at_once = 0, 1

    def step(self) -> AbstractContextManager[None]:
        """Run one step on the number of threads that is best so far, or on trial."""
        if len(set(self.candidates)) == 1:
            return on_threads(self.fixed.n_threads)
        return self._timed()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        trial = self._on_trial()
        way = self.fixed if trial is None else trial
        self.at_once = way.at_once
        start = perf_counter()
        with on_threads(way.n_threads):
            yield
        if trial is not None:
            self.times.setdefault(trial, []).append(perf_counter() - start)

    def _on_trial(self) -> Way | None:
        """Return the way to time now; None once one is chosen."""
        if self.until_next > 0:
            self.until_next -= 1
            return None
        best = min((t for times in self.times.values() for t in times), default=0.0)
        for way in self.candidates:
            found = self.times.get(way, ())
            # A way that is hopeless, as threads are that wait for a busy processor, is
            # not tried as often.
            if len(found) < _TRIAL and not (found and min(found) > _HOPELESS * best):
                return way
        # The shortest, since other processes only make a step longer.
        shortest = {way: min(self.times[way]) for way in self.candidates}
        one = shortest.pop(Way(1), math.inf)
        chosen = min(shortest, key=lambda way: shortest[way], default=Way(1))
        self.fixed = chosen if shortest.get(chosen, math.inf) < _GAIN * one else Way(1)
        self.times, self.until_next = {}, _UNTIL_NEXT
        return None


def operations_by_row(module: MultiTaskModule) -> float:
    """Approximate multiplications and additions of a forward pass for each row."""
    tables = {id(table) for table, _ in module.id_tables()}
    dense = [p for p in module.parameters() if id(p) not in tables]
    return 2.0 * sum(p.numel() for p in dense)


def as_tensors(table: EncodedTable) -> Inputs:
    """Convert a table to arguments of the module, sharing the memory of its arrays."""
    arrays = table.as_dict()
    bags = arrays.pop("bags", ())
    tensors: Inputs = {k: torch.from_numpy(x) for k, x in arrays.items()}
    if bags:
        tensors["bags"] = Bags(
            Ragged(torch.from_numpy(bag.values), torch.from_numpy(bag.offsets))
            for bag in bags
        )
    return tensors


def logits(
    net: NeuralNet,
    table: EncodedTable,
    rows: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.float32]:
    """Compute outputs for all or some rows, in blocks that fit the cache."""
    n_rows = len(table) if rows is None else len(rows)
    with predicting(net, n_rows) as threads:
        found = []
        for block in blocks(table, net.device, rows):
            with threads.step():
                found.append(net.module_(**block))
        out: npt.NDArray[np.float32] = torch.cat(found).cpu().numpy()
    return out


@contextmanager
def predicting(net: NeuralNet, n_rows: int) -> Iterator[StepThreads]:
    """Set torch and a net up for prediction, and restore both afterwards."""
    module = net.module_
    was_training = module.training
    if was_training:
        module.eval()
    # For a few rows, threads would cost more than they gain on any machine.
    few = net.n_threads == "auto" and n_rows <= _FEW_ROWS
    operations = 0.0 if few else operations_by_row(module) * BLOCK
    threads = StepThreads(net.n_threads, operations)
    with (
        torch.inference_mode(),
        own_defaults(net.device),
        on_threads(threads.fixed.n_threads),
    ):
        yield threads
    if was_training:
        module.train()


def blocks(
    table: EncodedTable, device: str, rows: npt.NDArray[np.int64] | None = None
) -> Iterator[Inputs]:
    """Arguments of the module, some rows at a time."""
    tensors = as_tensors(table)
    # Slices would take a good part of the time of a single row.
    if rows is None and len(table) <= BLOCK:
        yield {name: x.to(device) for name, x in tensors.items()}
        return
    chosen = None if rows is None else torch.from_numpy(rows)
    for start in range(0, len(table) if rows is None else len(rows), BLOCK):
        at: slice | Tensor = slice(start, start + BLOCK)
        if chosen is not None:
            at = chosen[start : start + BLOCK]
        yield {name: x[at].to(device) for name, x in tensors.items()}


def _after_fork() -> None:
    """Use one thread and new locks in a forked process.

    OpenMP's threads do not survive a fork: a child that uses them waits forever, as it
    does for a lock that another thread of its parent held.
    """
    global _forked, _GENERATORS
    _forked, _GENERATORS, _FLOAT32.lock = True, RLock(), Lock()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
