"""The layers that batches in parts refuse, which a trial finds."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

import torch
from skorch import NeuralNet
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from skmtl.modules import MultiTaskModule
from skmtl.modules.draws import (
    RowsHere,
    drawn_for,
    generator_states,
    set_generator_states,
)
from skmtl.training.batches import RowTable, TensorTable
from skmtl.training.fingerprint import digest_of

# Rows of the batch that is to show how a network draws, and of a part of it.
_TRIED, _PART = 4, 2


def check_layers(module: nn.Module) -> None:
    """Refuse what would make a fit depend on the number of parts of a batch.

    Raises
    ------
    ValueError
        For layers with statistics of a batch.
    """
    for name, one in module.named_modules():
        if isinstance(one, nn.modules.batchnorm._BatchNorm):
            raise ValueError(
                f"{name} is a {type(one).__name__}, whose statistics would be those of "
                "a part of the batch. Use LayerNorm in a fit in several processes or "
                "with n_microbatches."
            )


class _Draws(TorchDispatchMode):
    """Notes the random numbers that a network draws: by which layer, and how many.

    Parameters
    ----------
    module : Module
        The network, of which the innermost layer that is called is noted.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.module = module
        self.within = [""]
        self.found: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        self.hooks = []
        for name, one in self.module.named_modules():
            enter, leave = partial(self._enter, name), self._leave
            self.hooks.append(one.register_forward_pre_hook(enter))
            self.hooks.append(one.register_forward_hook(leave, always_call=True))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for hook in self.hooks:
            hook.remove()

    def _enter(self, name: str, *_: object) -> None:
        self.within.append(name)

    def _leave(self, *_: object) -> None:
        self.within.pop()

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        # torch's tag of operators that draw random numbers.
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **(kwargs or {}))
        generator = (kwargs or {}).get("generator")
        before = _all_states(generator)
        result = func(*args, **(kwargs or {}))
        # Attention may draw, and does not where its dropout is 0.
        if digest_of(before) != digest_of(_all_states(generator)):
            shapes = [tuple(x.shape) for x in tree_leaves(result)]
            self.found.append((self.within[-1], f"{func} {shapes}"))
        return result


def _all_states(generator: torch.Generator | None) -> list[Tensor]:
    """Where a generator is, or torch's global ones."""
    if generator is not None:
        return [generator.get_state()]
    there = torch.cuda.is_available() and torch.cuda.is_initialized()
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if there else [])]


def check_draws(net: NeuralNet, table: RowTable) -> bool:
    """Refuse layers that draw for the rows they see, not for those of the batch.

    Parameters
    ----------
    net : MultiTaskNet
        The net, about to train.
    table : RowTable
        Rows to try it on: some are drawn for once as a batch and once as a part of it.

    Returns
    -------
    bool
        Whether training draws random numbers in the network.

    Raises
    ------
    ValueError
        For a layer that draws other numbers for a part of the batch.
    """
    found = table.spread(_TRIED)
    # Rows are repeated if the table has fewer.
    at = torch.arange(_TRIED, device=found.y.device) % len(found)
    module: MultiTaskModule = net.module_
    kinds = dict(module.named_modules())
    whole, part = (_drawn_for(net, found.take(at[:n])) for n in (_TRIED, _PART))
    for name, draw in part:
        if (name, draw) not in whole:
            kind = type(kinds[name])
            raise ValueError(
                f"{name or 'the network'} is a {kind.__module__}.{kind.__qualname__}, "
                "which draws random numbers for the rows that it sees, so that other "
                "parts of a batch would draw the same for their rows. Use "
                "skmtl.modules.Dropout, or a layer that does not draw, in a fit in "
                "several processes or with n_microbatches."
            )
    return bool(whole)


def _drawn_for(net: NeuralNet, table: TensorTable) -> list[tuple[str, str]]:
    """Layers, and what they draw in training, for the first rows of those tried."""
    module: MultiTaskModule = net.module_
    # The trial leaves no trace in generators and buffers. It would see nothing within
    # compiled code.
    own, every = generator_states(net.device), _all_states(None)
    training, compiled = module.training, module.compile_sharing
    buffers = [(b, b.clone()) for b in module.buffers()]
    module.train()
    module.compile_sharing = False
    with torch.no_grad(), drawn_for(RowsHere(0, len(table), _TRIED)):
        with _Draws(module) as draws:
            module(**table.X)
        for buffer, value in buffers:
            buffer.copy_(value)
    module.train(training)
    module.compile_sharing = compiled
    torch.set_rng_state(every[0])
    if len(every) > 1:
        torch.cuda.set_rng_state_all(every[1:])
    set_generator_states(net.device, own)
    return draws.found
