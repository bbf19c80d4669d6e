"""Random numbers of a fit, from its own generators instead of torch's global ones.

Threads share the global generators. A fit with generators of its own gives the same
numbers whatever other threads draw, and leaves theirs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

# By the type of their device. A context variable has a value for each thread.
Generators = dict[str, torch.Generator]
_OWN: ContextVar[Generators | None] = ContextVar("_OWN", default=None)

T = TypeVar("T")


@dataclass(frozen=True)
class RowsHere:
    """Rows of a batch in this process, if several processes share the batch.

    Attributes
    ----------
    first, count : int
        The rows ``first, ..., first + count - 1``. Those from `n` on stand for the last
        one.
    n : int
        Rows of the whole batch.
    """

    first: int
    count: int
    n: int

    def take(self, x: Tensor, dim: int) -> Tensor:
        """Of a tensor with all rows along an axis, those that are here."""
        if self.first + self.count <= self.n:
            return x.narrow(dim, self.first, self.count)
        at = torch.arange(self.first, self.first + self.count, device=x.device)
        return x.index_select(dim, at.clamp_(max=self.n - 1))

    def blocks(self, size: int) -> Iterator[tuple[slice, RowsHere]]:
        """Blocks of the batch, each with which of the rows here are in it, if any."""
        for start in range(0, self.n, size):
            stop = min(start + size, self.n)
            a = self._place(start)
            b = self.count if stop == self.n else self._place(stop)
            yield slice(a, b), RowsHere(self.first + a - start, b - a, stop - start)

    def _place(self, row: int) -> int:
        return min(max(row - self.first, 0), self.count)


# None where all rows are here.
ROWS_HERE: ContextVar[RowsHere | None] = ContextVar("ROWS_HERE", default=None)


@contextmanager
def drawn_for(rows: RowsHere | None) -> Iterator[None]:
    """Context in which draws are for a whole batch, of which some rows are here.

    The numbers of a row are then the same however many processes share the batch.
    """
    token = ROWS_HERE.set(rows)
    try:
        yield
    finally:
        ROWS_HERE.reset(token)


def drawn(
    draw: Callable[[Sequence[int]], Tensor], shape: Sequence[int], dim: int
) -> Tensor:
    """Random numbers of the rows here, whose axis is `dim`."""
    here = ROWS_HERE.get()
    if here is None:
        return draw(shape)
    whole = list(shape)
    whole[dim] = here.n
    return here.take(draw(whole), dim)


def in_blocks(function: Callable[[Tensor], T], x: Tensor, size: int) -> list[T]:
    """Call a function on blocks of rows, along the second-last axis.

    If other processes have some of the rows, the blocks are those of the whole batch:
    numbers are drawn even for a block without a row in this process.
    """
    here = ROWS_HERE.get()
    if here is None:
        return [function(part) for part in x.split(size, dim=-2)]
    found = []
    for at, rows in here.blocks(size):
        if at.start < at.stop:
            with drawn_for(rows):
                found.append(function(x[..., at, :]))
        else:
            with elsewhere(rows):
                function(x[..., :1, :])
    return found


@contextmanager
def elsewhere(rows: RowsHere) -> Iterator[None]:
    """Context that draws the numbers of another process's block, for any one row."""
    # The result is not used; only the generator has to advance.
    with drawn_for(RowsHere(0, 1, rows.n)), torch.no_grad():
        yield


def generator_of(device: torch.device | str) -> torch.Generator | None:
    """The generator to draw from on a device; None for torch's global one."""
    own = _OWN.get()
    return None if own is None else own[torch.device(device).type]


@contextmanager
def own_generators(seed: int, device: str) -> Iterator[None]:
    """Context that draws from new generators, as after ``torch.manual_seed(seed)``.

    Only what asks `generator_of` does.
    """
    # The CPU's in any case, since orders of rows are drawn on the CPU.
    kinds = {"cpu": "cpu", torch.device(device).type: device}
    made = {kind: torch.Generator(one).manual_seed(seed) for kind, one in kinds.items()}
    with _drawing_from(made):
        yield


@contextmanager
def _drawing_from(generators: Generators) -> Iterator[None]:
    token = _OWN.set(generators)
    try:
        yield
    finally:
        _OWN.reset(token)


def _copied(
    own: Generators, device: str, states: tuple[Tensor, Tensor | None]
) -> Generators:
    """New generators for the same devices, with the states of `generator_states`."""
    of_kind = dict(zip(("cpu", torch.device(device).type), states, strict=True))
    of_kind["cpu"] = states[0]
    made = {}
    for kind, one in own.items():
        state = of_kind[kind]
        assert state is not None
        made[kind] = torch.Generator(one.device)
        made[kind].set_state(state)
    return made


def generator_states(device: torch.device | str) -> tuple[Tensor, Tensor | None]:
    """States of the generators of the CPU and, if `device` is one, of the GPU."""
    gpu = torch.device(device)
    on_cpu, on_gpu = generator_of("cpu"), None
    if gpu.type == "cuda":
        own = generator_of(gpu)
        on_gpu = torch.cuda.get_rng_state(gpu) if own is None else own.get_state()
    return torch.get_rng_state() if on_cpu is None else on_cpu.get_state(), on_gpu


def set_generator_states(
    device: torch.device | str, states: tuple[Tensor, Tensor | None]
) -> None:
    """Continue drawing from these states."""
    on_cpu, on_gpu = states
    own = generator_of("cpu")
    if own is None:
        torch.set_rng_state(on_cpu)
    else:
        own.set_state(on_cpu)
    if on_gpu is None:
        return
    own = generator_of(device)
    if own is None:
        torch.cuda.set_rng_state(on_gpu, device)
    else:
        own.set_state(on_gpu)


def draws_from_here(device: str) -> Callable[[], AbstractContextManager[None]]:
    """Record the state of the generators; the returned contexts repeat the draws.

    After such a context, the generators have the state that they had before it. Those
    of a fit are not touched: a thread may draw from them meanwhile.
    """
    states = generator_states(device)

    @contextmanager
    def again() -> Iterator[None]:
        own = _OWN.get()
        if own is not None:
            with _drawing_from(_copied(own, device, states)):
                yield
            return
        found = generator_states(device)
        set_generator_states(device, states)
        try:
            yield
        finally:
            set_generator_states(device, found)

    return again


def draw_lists(groups: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Draw lists of rows of one group, in a random order.

    Parameters
    ----------
    groups : Tensor of shape (n_samples,), dtype int64
        Number of the group of each row, at least 0.
    longest : int
        Rows of a list, at most. A longer group is cut at random into lists whose
        lengths differ by one at most.

    Returns
    -------
    order : Tensor of shape (n_samples,), dtype int64
        Rows, those of a list one after the other.
    lists : Tensor of shape (n_samples,), dtype int64
        Numbers of their lists, which rise.
    """
    generator = generator_of("cpu")
    shuffled = torch.randperm(len(groups), generator=generator)
    rows, lists, n_lists = cut_lists(groups, shuffled, longest)
    drawn = torch.randperm(n_lists, generator=generator)[lists]
    # Stable, so that the rows of a list keep the random order in which it was cut.
    order = drawn.argsort(stable=True)
    return rows[order], drawn[order]


def cut_lists(
    groups: Tensor, order: Tensor, longest: int
) -> tuple[Tensor, Tensor, int]:
    """Cut groups into lists, as `draw_lists` does, in a given order of the rows.

    Returns
    -------
    rows : Tensor of shape (n_samples,), dtype int64
        Rows, those of a list one after the other.
    lists : Tensor of shape (n_samples,), dtype int64
        Numbers of their lists, which rise from 0 and leave none out.
    n_lists : int
        How many there are.
    """
    rows = order[groups[order].argsort(stable=True)]
    counts = groups.bincount()
    own = groups[rows]
    # Place of each row in its group. By place * n_lists // count, the lengths of the
    # lists of a group differ by one at most.
    place = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[own]
    n_lists = (counts + longest - 1) // longest
    lists = (n_lists.cumsum(0) - n_lists)[own] + place * n_lists[own] // counts[own]
    return rows, lists, int(n_lists.sum())


class Dropout(nn.Dropout):
    """``torch.nn.Dropout``, whose numbers come from the generators of the fit.

    Parameters
    ----------
    p : float, default=0.5
        Share of the units that are dropped in training.
    inplace : bool, default=False
        Has no effect in a fit.

    Notes
    -----
    Shape: ``(..., batch, units)`` to the same. On the CPU the same seed gives the same
    numbers as ``torch.nn.Dropout``. Where several processes share a batch, a row has
    the numbers that it has in one process.

    Examples
    --------
    >>> from torch import nn
    >>> from skmtl.modules import Dropout
    >>> bottom = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), Dropout(0.1))
    """

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and self.p):
            return super().forward(input)
        generator, here = generator_of(input.device), ROWS_HERE.get()
        if generator is None and here is None:
            return super().forward(input)
        if here is None:
            kept = torch.empty_like(input)
        else:
            # Drawn for the whole batch, and cut to the rows here below.
            kept = input.new_empty(*input.shape[:-2], here.n, input.shape[-1])
        kept.bernoulli_(1 - self.p, generator=generator)
        if here is not None:
            kept = here.take(kept, -2)
        if self.p < 1:  # else all is dropped, and 0 / 0 would be NaN
            kept.div_(1 - self.p)
        return input * kept
