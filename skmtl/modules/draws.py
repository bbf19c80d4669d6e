"""Random numbers of a fit, from generators of its own instead of torch's global ones.

Threads share the global generators. A fit with generators of its own gives the same
numbers whatever other threads draw, and leaves theirs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

# By the type of their device. A context variable has a value for each thread.
Generators = dict[str, torch.Generator]
_OWN: ContextVar[Generators | None] = ContextVar("_OWN", default=None)


def generator_of(device: torch.device | str) -> torch.Generator | None:
    """The generator to draw from on a device; None for torch's global one."""
    own = _OWN.get()
    return None if own is None else own[torch.device(device).type]


@contextmanager
def own_generators(seed: int, device: str) -> Iterator[None]:
    """Draw from new generators within, as after ``torch.manual_seed(seed)``.

    Only what asks `generator_of` does.
    """
    kinds = {"cpu": "cpu", torch.device(device).type: device}
    made = {kind: torch.Generator(one).manual_seed(seed) for kind, one in kinds.items()}
    token = _OWN.set(made)
    try:
        yield
    finally:
        _OWN.reset(token)


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
    """Go on drawing from such states."""
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
    """Note where the generators are; within the contexts given they draw again.

    After such a context they are where they were before it.
    """
    states = generator_states(device)

    @contextmanager
    def again() -> Iterator[None]:
        found = generator_states(device)
        set_generator_states(device, states)
        try:
            yield
        finally:
            set_generator_states(device, found)

    return again


class Dropout(nn.Dropout):
    """``torch.nn.Dropout``, whose numbers come from the generators of the fit.

    On the CPU the same seed gives the same numbers.
    """

    def forward(self, input: Tensor) -> Tensor:
        generator = generator_of(input.device) if self.training and self.p else None
        if generator is None:
            return super().forward(input)
        kept = torch.empty_like(input).bernoulli_(1 - self.p, generator=generator)
        if self.p < 1:  # else all is dropped, and 0 / 0 would be NaN
            kept.div_(1 - self.p)
        return input * kept
