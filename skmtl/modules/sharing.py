"""What the tasks share: a bottom, or experts and gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skmtl.modules.draws import drawn, generator_of
from skmtl.modules.layers import (
    Dense,
    before_relu,
    column_sums,
    dense_stack,
    is_plain,
    last_parameters,
    linear,
    output_width,
    over_rows,
    product,
    refuse_second_derivatives,
    side_by_side,
    to_input,
    uses_onednn,
)
from skmtl.modules.protocols import Sharing


class SharedBottom(Sharing):
    """The same dense layers for all tasks.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    width : int
        Width of the input.
    units : sequence of int, default=(256, 128)
        Widths of the layers; empty to hand the input on.
    dropout : float, default=0.0
        Share of a layer's outputs that is dropped in training.

    Attributes
    ----------
    width : int
        Width of the representation.

    Notes
    -----
    Shape: ``(batch, width)`` to ``(n_tasks, batch, units[-1])``, the same tensor for
    every task (a view, not copies). A ReLU follows each layer.

    References
    ----------
    R. Caruana, "Multitask Learning", Machine Learning 28, 1997.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import SharedBottom
    >>> bottom = SharedBottom(n_tasks=2, width=8, units=(16, 4))
    >>> bottom(torch.ones(5, 8)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(
        self,
        *,
        n_tasks: int,
        width: int,
        units: Sequence[int] = (256, 128),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        self.layers = dense_stack(width, units, dropout)
        self.width = units[-1] if units else width

    def forward(self, x: Tensor) -> Tensor:
        shared: Tensor = self.layers(x)
        return shared.expand(self.n_tasks, *shared.shape)

    def mix(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """One representation for all tasks, and its weights ``(1, n_tasks, 1)``.

        The representation is ``(1, batch, width)``.
        """
        shared: Tensor = self.layers(x)
        return shared[None], x.new_ones(1, self.n_tasks, 1)

    def last_layer(self) -> list[Tensor]:
        """Parameters of the last dense layer; none without layers."""
        return last_parameters(self.layers)


class ModuleBottom(Sharing):
    """Any module as the bottom that all tasks share.

    Parameters
    ----------
    module : torch.nn.Module
        Maps ``(batch, width)`` to ``(batch, units)``, each row by itself.
    n_tasks : int
        Number of tasks.
    width : int
        Width of the input.

    Attributes
    ----------
    width : int
        Width of the representation, found by evaluating the module on two rows.

    Raises
    ------
    ValueError
        If the module gives something else for two rows.

    Notes
    -----
    Shape: ``(batch, width)`` to ``(n_tasks, batch, units)``, the same tensor for every
    task (a view, not copies).

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import ModuleBottom
    >>> body = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.GELU())
    >>> bottom = ModuleBottom(module=body, n_tasks=2, width=8)
    >>> bottom.width
    4
    >>> bottom(torch.ones(5, 8)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, *, module: nn.Module, n_tasks: int, width: int) -> None:
        super().__init__()
        self.module, self.n_tasks = module, n_tasks
        self.width = output_width(
            module,
            width,
            "sharing",
            "a plain torch.nn.Module, which all tasks share",
            "For a representation of each task, derive it from skmtl.modules.Sharing.",
        )

    def forward(self, x: Tensor) -> Tensor:
        shared: Tensor = self.module(x)
        return shared.expand(self.n_tasks, *shared.shape)

    def mix(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """One representation for all tasks, and its weights ``(1, n_tasks, 1)``."""
        shared: Tensor = self.module(x)
        return shared[None], x.new_ones(1, self.n_tasks, 1)

    def last_layer(self) -> list[Tensor]:
        """Parameters of the last part of the module that has any of its own."""
        for part in reversed(list(self.module.modules())):
            if found := list(part.parameters(recurse=False)):
                return list(found)
        return []


class TaskBottoms(Sharing):
    """Separate dense layers for each task.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    width : int
        Width of the input.
    units : sequence of int, default=(256, 128)
        Widths of the layers; empty to hand the input on.
    dropout : float, default=0.0
        Share of a layer's outputs that is dropped in training.

    Attributes
    ----------
    width : int
        Width of the representation.

    Notes
    -----
    Shape: ``(batch, width)``, one input for all tasks, or ``(n_tasks, batch, width)``,
    one for each, to ``(n_tasks, batch, units[-1])``. A ReLU follows each layer.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import TaskBottoms
    >>> bottoms = TaskBottoms(n_tasks=2, width=8, units=(16, 4))
    >>> bottoms(torch.ones(5, 8)).shape
    torch.Size([2, 5, 4])
    >>> bottoms(torch.ones(2, 5, 8)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(
        self,
        *,
        n_tasks: int,
        width: int,
        units: Sequence[int] = (256, 128),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        self.layers = side_by_side(n_tasks, width, units, dropout)
        self.width = units[-1] if units else width

    def forward(self, x: Tensor) -> Tensor:
        # This is a view: the batched product reads the same input for every task.
        each = x if x.dim() == 3 else x.expand(self.n_tasks, *x.shape)
        out: Tensor = self.layers(each)
        return out


class Mixture(Sharing):
    """Sharing whose representations are weighted sums of experts' outputs.

    A subclass defines `mixture` and sets `width`.

    Attributes
    ----------
    width : int
        Width of the representation, that of an expert's output.
    fuses : bool, default=False
        Whether the weighted sums may be computed in one step that does not call
        `mixture`. False for a subclass that overrides `mixture` or `experts`, unless
        it sets the attribute too.

    Notes
    -----
    Shape: the input of `mixture` to ``(n_tasks, batch, width)``.

    Examples
    --------
    Each task reads the mean of the two halves of the input:

    >>> import torch
    >>> from skmtl.modules import Mixture
    >>> class Halves(Mixture):
    ...     def __init__(self, *, n_tasks, width):
    ...         super().__init__()
    ...         self.n_tasks, self.width = n_tasks, width // 2
    ...
    ...     def mixture(self, x):
    ...         weights = x.new_full((len(x), self.n_tasks, 2), 0.5)
    ...         return weights, x.unflatten(1, (2, self.width))
    >>> Halves(n_tasks=2, width=4)(torch.tensor([[1.0, 2.0, 3.0, 6.0]]))
    tensor([[[2., 4.]],
    <BLANKLINE>
            [[2., 4.]]])
    """

    describes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **Sharing.describes,
        "fuses": ("mixture", "experts"),
    }
    fuses: bool = False

    def forward(self, x: Tensor) -> Tensor:
        return self._mixed(x)[0]

    def mix(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Representation, and the gates' weights, ``(batch, n_tasks, n_experts)``."""
        representation, weights = self._mixed(x)
        return representation, weights.detach()

    def _mixed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        weights, experts = self.mixture(x)
        return torch.bmm(weights, experts).transpose(0, 1), weights

    def mixture(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute gate weights and the experts' outputs.

        Parameters
        ----------
        x : Tensor of shape (batch, width)
            The input.

        Returns
        -------
        weights : Tensor of shape (batch, n_tasks, n_experts)
            Weights of the experts in each task's mixture.
        experts : Tensor of shape (batch, n_experts, width)
            The outputs that they weight.
        """
        raise NotImplementedError


class ExpertMixture(Mixture):
    r"""Experts, and a softmax gate per task that mixes them.

    .. math::

        f^k(x) = \sum_i g^k(x)_i f_i(x), \quad
        g^k(x) = \operatorname{softmax}(W_k x + c_k)

    Parameters
    ----------
    n_tasks : int
        Number of gates.
    n_experts : int, default=8
        Number of experts.
    width : int
        Width of the input.
    bottom_units : sequence of int, default=()
        Dense layers before experts and gates; empty for experts and gates directly on
        the input.
    expert_units : sequence of int, default=(128,)
        Widths of the layers of each expert, at least one.
    gate_dropout : float, default=0.0
        Probability that a gate leaves an expert out, drawn for every row, gate and
        expert in training. The softmax is taken over the experts that are left; if
        none would be left, all are kept.
    dropout : float, default=0.0
        Share of a layer's outputs that is dropped in training.

    Attributes
    ----------
    width : int
        Width of the representation.

    Notes
    -----
    Shape: ``(batch, width)`` to ``(n_tasks, batch, expert_units[-1])``. A ReLU follows
    each layer of an expert. The gates of the paper have no bias :math:`c_k`.

    References
    ----------
    J. Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", KDD 2018, section 4.2, equations 7 and 8.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import ExpertMixture
    >>> sharing = ExpertMixture(n_tasks=2, n_experts=3, width=8, expert_units=(4,))
    >>> x = torch.ones(5, 8)
    >>> sharing(x).shape
    torch.Size([2, 5, 4])
    >>> weights, experts = sharing.mixture(x)
    >>> weights.shape, experts.shape
    (torch.Size([5, 2, 3]), torch.Size([5, 3, 4]))
    """

    fuses = True

    def __init__(
        self,
        *,
        n_tasks: int,
        n_experts: int = 8,
        width: int,
        bottom_units: Sequence[int] = (),
        expert_units: Sequence[int] = (128,),
        gate_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.n_tasks, self.n_experts = n_tasks, n_experts
        self.gate_dropout = gate_dropout
        self.bottom = dense_stack(width, bottom_units, dropout)
        width = bottom_units[-1] if bottom_units else width
        # The first layers of all experts read the same input: one wide product.
        self.first = dense_stack(width, [n_experts * expert_units[0]], dropout)
        self.rest = side_by_side(n_experts, expert_units[0], expert_units[1:], dropout)
        self.gates = Dense(width, n_tasks * n_experts)
        self.width = expert_units[-1]

    def _mixed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        layer = self.first[0]
        one = len(self.first) == 1 and not len(self.rest)  # no dropout, no more layers
        if not (self.fuses and one and is_plain(layer, Dense)):
            return super()._mixed(x)
        x = self.bottom(x)
        weights = self.gate_weights(x)
        mixed = mixed_layer(x, layer.weight, layer.bias, weights)
        return mixed.transpose(0, 1), weights

    def mixture(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.bottom(x)
        experts = self.experts(x)
        return self.gate_weights(x), experts

    def last_layer(self) -> list[Tensor]:
        """Parameters of the experts' last layer."""
        return last_parameters(self.rest if len(self.rest) else self.first)

    def task_parameters(self) -> list[Tensor]:
        """Parameters that belong to one task each: the gates'."""
        return list(self.gates.parameters())

    def experts(self, x: Tensor) -> Tensor:
        """Compute the outputs of the experts.

        Parameters
        ----------
        x : Tensor of shape (batch, width)
            The input, after the bottom.

        Returns
        -------
        Tensor of shape (batch, n_experts, expert_units[-1])
            The outputs.
        """
        hidden: Tensor = self.first(x).unflatten(1, (self.n_experts, -1))
        if not len(self.rest):
            return hidden
        out: Tensor = self.rest(hidden.transpose(0, 1))
        return out.transpose(0, 1)

    def gate_weights(self, x: Tensor) -> Tensor:
        """Compute the weights of the experts for each task.

        Parameters
        ----------
        x : Tensor of shape (batch, width)
            The input, after the bottom.

        Returns
        -------
        Tensor of shape (batch, n_tasks, n_experts)
            Weights that sum to 1 over the experts.
        """
        logits: Tensor = self.gates(x).unflatten(1, (self.n_tasks, self.n_experts))
        if self.training and self.gate_dropout:
            # In float32 even under bf16, whose random numbers are multiples of 1/256.
            generator, device = generator_of(logits.device), logits.device
            draw = partial(torch.rand, generator=generator, device=device)
            chance = drawn(draw, logits.shape, 0)
            dropped = chance < self.gate_dropout
            # Without any expert, the softmax would be NaN.
            dropped &= ~dropped.all(dim=2, keepdim=True)
            logits = logits.masked_fill(dropped, -torch.inf)
        return softmax(logits)


def mixed_layer(x: Tensor, weight: Tensor, bias: Tensor, gates: Tensor) -> Tensor:
    """Mixtures of experts that are one dense layer with ReLU.

    The experts' outputs are the widest tensor of the network. Here they are written
    once, and their gradient once, which the ReLU then changes in place.

    Parameters
    ----------
    x : Tensor of shape (batch, width)
        The input.
    weight : Tensor of shape (width, n_experts * n_units)
        The experts' weights side by side.
    bias : Tensor of shape (n_experts * n_units,)
        Their biases.
    gates : Tensor of shape (batch, n_tasks, n_experts)
        Weights of the experts for each task.

    Returns
    -------
    Tensor of shape (batch, n_tasks, n_units)
        The weighted sums of the experts' outputs after ReLU.
    """
    if uses_onednn(x) and torch.is_grad_enabled():
        out: Tensor = _MixedLayer.apply(x, weight, bias, gates)  # type: ignore[no-untyped-call]
        return out
    return _weighted_sums(gates, linear(x, weight, bias, relu=True))


def _weighted_sums(gates: Tensor, out: Tensor) -> Tensor:
    return torch.bmm(gates, out.unflatten(1, (gates.shape[2], -1)))


class _MixedLayer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, gates: Tensor
    ) -> Tensor:
        out = product(x, weight, bias, relu=True)
        ctx.save_for_backward(x, weight, gates, out)
        return _weighted_sums(gates, out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        refuse_second_derivatives()
        x, weight, gates, out = ctx.saved_tensors
        need_x, need_weight, need_bias, need_gates = ctx.needs_input_grad
        of_gates = None
        if need_gates:
            experts = out.unflatten(1, (gates.shape[2], -1))
            of_gates = torch.bmm(gradients[0], experts.transpose(1, 2))
        # Nothing else refers to this gradient, so the ReLU may change it in place.
        g = torch.bmm(gates.transpose(1, 2), gradients[0]).flatten(1)
        g = before_relu(g, out, in_place=True)
        return (
            to_input(g, weight) if need_x else None,
            over_rows(x, g) if need_weight else None,
            column_sums(g) if need_bias else None,
            of_gates,
        )


def softmax(logits: Tensor) -> Tensor:
    """Softmax over the last axis, which is short.

    On the CPU, torch's own softmax does not vectorise such an axis, and takes three
    times as long for 8 experts. The result of a row is bit-identical at any place in a
    batch.

    Parameters
    ----------
    logits : Tensor of shape (..., n_experts)
        Logits; those of -inf get no weight.

    Returns
    -------
    Tensor of shape (..., n_experts)
        Weights that sum to 1.
    """
    if logits.device.type != "cpu" or torch.compiler.is_compiling():
        return logits.softmax(dim=-1)
    if logits.dtype is torch.bfloat16:
        logits = logits.float()  # its exponentials would be summed in bf16
    weights: Tensor = _Softmax.apply(logits)  # type: ignore[no-untyped-call]
    return weights


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        # The largest logit is subtracted, so that no exponential overflows.
        weights = (logits - logits.amax(dim=-1, keepdim=True)).exp_()
        weights /= weights.sum(dim=-1, keepdim=True)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (weights,) = ctx.saved_tensors
        g = gradients[0]
        mean = (g * weights).sum(dim=-1, keepdim=True)
        return (g - mean).mul_(weights)
