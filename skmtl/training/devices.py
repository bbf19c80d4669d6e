"""What a fit needs of torch and its devices, whatever the caller has set."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Any

import numpy as np
import torch

# The largest block whose release changes what glibc keeps, a little less.
_LARGEST_KEPT = 2**25 - 2**14

_GENERATORS = RLock()


def _renew_lock() -> None:
    """Forget a lock that another thread of the parent held when it was forked."""
    global _GENERATORS
    _GENERATORS = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def keep_freed_memory() -> None:
    """Let the C library keep memory for the next step of training.

    glibc gives the top of the heap back to the system where more is free than twice
    the largest block that was ever mapped and released, and fetches it anew, page by
    page, at the next step: 6 to 9 % of a fit with batches of 8192. This block is
    released without being touched, and raises the bound to 64 MiB (``mallopt``,
    M_MMAP_THRESHOLD). Other C libraries take no notice.
    """
    np.empty(_LARGEST_KEPT, dtype=np.int8)


def check_device(device: str) -> None:
    """Refuse a device that torch does not know or cannot use.

    Raises
    ------
    ValueError
        With what to do.
    """
    try:
        torch.zeros(1, device=device).item()  # "meta" has tensors without numbers
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise ValueError(
            f"device={device!r} cannot be used here: {first}. Use device='cpu', or "
            "install a torch that is built for the device."
        ) from error


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Seed torch within, and leave its generators as they were found.

    All threads share the generators, and so wait for each other here.
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


def draws_from_here(device: str) -> Callable[[], AbstractContextManager[None]]:
    """Note where torch's generators are; within the contexts given they draw again.

    After such a context they are where they were before it.
    """
    gpus = [device] if torch.device(device).type == "cuda" else []
    state = torch.get_rng_state()
    states = [torch.cuda.get_rng_state(gpu) for gpu in gpus]

    @contextmanager
    def again() -> Iterator[None]:
        with torch.random.fork_rng(devices=gpus):
            torch.set_rng_state(state)
            for gpu, known in zip(gpus, states, strict=True):
                torch.cuda.set_rng_state(known, gpu)
            yield

    return again


def send(parts: Any, device: Any, *, pin: bool = False) -> Any:
    """Move tensors, in dicts and tuples, to a device.

    Parameters
    ----------
    parts : Tensor, None, dict or tuple of such
        What to move. Anything with a method ``to`` counts as a tensor.
    device : str or torch.device
        Where to.
    pin : bool, default=False
        Whether to go through pinned memory, from which a GPU takes the tensors while
        the processor goes on with the next ones.

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


def fits(n_bytes: int, device: str) -> bool:
    """Whether so much memory is free, as far as it is known."""
    free = free_bytes(device)
    return free is None or n_bytes <= free


def free_bytes(device: str) -> int | None:
    """Memory that may be taken, or None where nobody says."""
    kind = torch.device(device).type
    if kind == "cuda":
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    if kind != "cpu":
        return None
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return None
