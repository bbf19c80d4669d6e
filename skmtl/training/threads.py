"""Parts of a batch that threads of one process compute at the same time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

import torch
from skorch import NeuralNet
from skorch.callbacks import ParamMapper
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from skmtl.modules import MultiTaskModule
from skmtl.modules.draws import generator_of
from skmtl.weighting import LossWeighting, StaticWeighting

T = TypeVar("T")

# Those that ask a step for nothing but gradients of weighted sums.
_BACKWARD = (LossWeighting.backward, StaticWeighting.backward)


class Alone:
    """The calling thread, which computes one part after the other.

    Parameters
    ----------
    module : MultiTaskModule
        The network.
    """

    def __init__(self, module: MultiTaskModule) -> None:
        self.modules = [module]
        self.parameters = [list(module.parameters())]

    def module_of(self, at: int) -> MultiTaskModule:
        """The network that computes a part."""
        return self.modules[at % len(self.modules)]

    def parameters_of(self, at: int) -> list[nn.Parameter]:
        """Parameters of this network, which get the gradients."""
        return self.parameters[at % len(self.modules)]

    def every(self, n: int, work: Callable[[int], T]) -> list[T]:
        """Call a function with the number of each of `n` parts."""
        return [work(at) for at in range(n)]


class Crew(Alone):
    """The calling thread and others, each with a network of its own.

    A backward pass adds to the gradients of parameters, so threads cannot share these.
    Those of the other networks share the memory of their numbers with the first one's.

    Parameters
    ----------
    module : MultiTaskModule
        The network, which the calling thread uses.
    n : int
        Number of threads, with the calling one.
    """

    def __init__(self, module: MultiTaskModule, n: int) -> None:
        self.modules = [module, *(_replica(module) for _ in range(n - 1))]
        self.parameters = [list(one.parameters()) for one in self.modules]
        self.pool = ThreadPoolExecutor(n - 1, thread_name_prefix="skmtl")

    def refresh(self) -> None:
        """Follow the first network to other memory, where an average is swapped in."""
        first, *others = self.parameters
        for other in others:
            for p, own in zip(first, other, strict=True):
                if own.data_ptr() != p.data_ptr():
                    own.data = p.data

    def every(self, n: int, work: Callable[[int], T]) -> list[T]:
        """Call a function with the number of each of `n` parts.

        Every thread has ended when this returns or raises.
        """
        n_threads = len(self.modules)

        def of_thread(thread: int) -> list[T]:
            return [work(at) for at in range(thread, n, n_threads)]

        # A context of its own, in which generators and rows are those of the part.
        others = [
            self.pool.submit(copy_context().run, of_thread, thread)
            for thread in range(1, n_threads)
        ]
        try:
            own = of_thread(0)
        finally:
            wait(others)
        found = [own, *(other.result() for other in others)]
        return [found[at % n_threads][at // n_threads] for at in range(n)]

    def end(self) -> None:
        """End the threads."""
        self.pool.shutdown()


def _replica(module: MultiTaskModule) -> MultiTaskModule:
    """A network with the same numbers in the same memory, but other gradients."""
    same: dict[int, Tensor] = {id(buffer): buffer for buffer in module.buffers()}
    for p in module.parameters():
        same[id(p)] = nn.Parameter(p.detach(), p.requires_grad)
    return copy.deepcopy(module, same)


def works_on_threads(net: NeuralNet, *, draws: bool) -> bool:
    """Whether nothing can tell several threads from one.

    Code that is not known may keep what it saw last, change a layer while training
    runs, or look at the gradients of the one network.

    Parameters
    ----------
    net : MultiTaskNet
        About to train.
    draws : bool
        Whether its network draws random numbers.
    """
    module: MultiTaskModule = net.module_
    weighting: LossWeighting = net.criterion_.weighting
    layers = [*module.modules(), *net.criterion_.task_losses.modules()]
    return (
        torch.device(net.device).type == "cpu"
        and not module.compile_sharing
        and not module.has_penalty
        and type(weighting).backward in _BACKWARD
        and not weighting.looks_back
        and not (draws and generator_of("cpu") is None)
        and not _has_any_global_hook()
        and all(_is_known(one) for one in layers)
        and all(_is_plain(p) for p in module.parameters())
        and all(_leaves_alone(one) for _, one in net.callbacks_)
    )


def _is_known(layer: nn.Module) -> bool:
    """Whether a layer is one of this package or of torch, as it was made."""
    hooks = (
        layer._forward_pre_hooks,
        layer._forward_hooks,
        layer._backward_pre_hooks,
        layer._backward_hooks,
    )
    return (
        type(layer).__module__.startswith(("skmtl.", "torch.nn.modules."))
        and "forward" not in vars(layer)
        and not any(hooks)
    )


def _is_plain(p: nn.Parameter) -> bool:
    """Whether nothing is called with the gradient of a parameter."""
    hooks = (p._backward_hooks, p._post_accumulate_grad_hooks)
    return type(p) is nn.Parameter and not any(hooks)


def _leaves_alone(callback: object) -> bool:
    """Whether a callback is one of those that do not change layers."""
    known = type(callback).__module__.startswith(("skmtl.", "skorch."))
    return known and not isinstance(callback, ParamMapper)
