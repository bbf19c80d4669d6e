"""Strategies that TorchJD solves."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from skmtl.weighting._base import LossWeighting
from skmtl.weighting._gradient import GradientWeighting

# They compare gradients coordinate by coordinate, or with those of other batches.
_COORDINATES = {"ExcessMTL", "ExcessMTLWeighting", "MoDoWeighting", "SDMGradWeighting"}


def aggregation() -> Any:
    """``torchjd.aggregation``, which is an extra."""
    return importlib.import_module("torchjd.aggregation")


class TorchJDWeighting(GradientWeighting):
    """Let a weighting of TorchJD weigh the tasks.

    It sees the Gramian of the tasks' gradients at the representation, in float64 and
    scaled to a mean of 1 on the diagonal, and its weights are applied as they are.
    Rankers take instances of TorchJD's weightings and aggregators directly; this class
    adds a preference and a place.

    Parameters
    ----------
    solver : torchjd.aggregation.Weighting or torchjd.aggregation.Aggregator
        What finds the weights. An aggregator is taken for the weighting that it holds.
        A weighting of matrices gets a square root of the Gramian, which has the same
        lengths and angles as the gradients.
    preference : array-like of shape (n_tasks,), mapping or None, default=None
        Positive numbers that multiply the losses before the solver sees their
        gradients.
    at : str, default="representation"
        Where gradients are taken: "representation", "last_shared_layer" or
        "shared_parameters".

    Notes
    -----
    A task without a gradient in the batch is left out. A solver with a memory of all
    tasks (``torchjd.Stateful``) gets for it a gradient of mean length at right angles
    to all others instead, which does not change how it weighs the others.

    References
    ----------
    P. Quinton, V. Rey, "Jacobian Descent for Multi-Objective Optimization", 2024.

    Examples
    --------
    >>> from torchjd.aggregation import CAGradWeighting
    >>> from skmtl import MMoE
    >>> from skmtl.weighting import TorchJDWeighting
    >>> ranker = MMoE(loss_weight=CAGradWeighting(c=0.2))
    >>> prefers = TorchJDWeighting(CAGradWeighting(c=0.2), preference=[1, 3])
    >>> ranker = MMoE(loss_weight=prefers)
    """

    # Whether multiplying a loss changes nothing, so that preference comes afterwards.
    scale_free: ClassVar[bool] = False

    def __init__(
        self, solver: Any, *, preference: Any = None, at: str = "representation"
    ) -> None:
        super().__init__(preference=preference, at=at)
        self.solver = solver

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        try:
            solver = self._make(len(self.tasks))
            self.inner, self.takes_matrix = _weights_of(solver)
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} needs TorchJD and what it solves with. Install "
                'them: pip install "skmtl[jd]"'
            ) from error
        stateful = importlib.import_module("torchjd").Stateful
        self.has_memory = isinstance(solver, stateful)
        return self

    def _make(self, n_tasks: int) -> Any:
        """The solver for so many tasks."""
        return self.solver

    def weigh(self, gramian: Tensor, losses: Tensor) -> Tensor:
        if not self.has_memory or not gramian.isfinite().all():
            return super().weigh(gramian, losses)
        diagonal = gramian.diagonal()
        active = diagonal > 0
        if not active.any():
            return torch.ones_like(losses)
        mean = diagonal[active].mean()
        filled = gramian + torch.diag(torch.where(active, 0.0, mean))
        return self.solve(filled, losses, torch.ones_like(active))

    def solve(self, gramian: Tensor, losses: Tensor, active: Tensor) -> Tensor:
        preference = self.preference_[active].to(gramian)
        if not self.scale_free:
            gramian = gramian * torch.outer(preference, preference)
        return preference * self._run(gramian)

    def _run(self, gramian: Tensor) -> Tensor:
        if len(gramian) == 1:
            return torch.ones_like(gramian[0])
        # TorchJD's tolerances are absolute, and gradients of mean losses are short.
        gramian = gramian / gramian.diagonal().mean()
        with warnings.catch_warnings():
            # cvxpy remarks on how TorchJD states its programs.
            warnings.filterwarnings("ignore", module="cvxpy|torchjd")
            found = self.inner(_root(gramian) if self.takes_matrix else gramian)
        return found.to(gramian)


class TorchJDScalarizer(LossWeighting):
    """Let a scalarizer of TorchJD make one loss of those of the tasks.

    Rankers take its instances directly.

    Parameters
    ----------
    scalarizer : torchjd.scalarization.Scalarizer
        From losses to a scalar. Its parameters, if any, are trained with the network,
        and its ``step()``, if it has one, is called after every epoch.

    Notes
    -----
    In place of the loss of a task without a label in the batch, it sees the last loss
    of that task, without a gradient.

    Examples
    --------
    >>> from torchjd.scalarization import GeometricMean
    >>> from skmtl import MMoE
    >>> ranker = MMoE(loss_weight=GeometricMean())
    """

    last: Tensor

    def __init__(self, scalarizer: Any) -> None:
        super().__init__()
        self.scalarizer = scalarizer

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        if hasattr(self.scalarizer, "update"):
            raise ValueError(
                f"{self.scalarizer!r} needs the losses again after every step, which "
                "training does not give. Take another scalarizer."
            )
        self.register_buffer("last", torch.ones(len(self.tasks)))
        return self

    def begin(self, measure: Callable[[], Tensor]) -> None:
        losses = measure()
        self.last = torch.where(losses > 0, losses, self.last)

    def forward(self, losses: Tensor) -> Tensor:
        seen = losses.detach() > 0
        self.last = torch.where(seen, losses.detach(), self.last)
        loss: Tensor = self.scalarizer(torch.where(seen, losses, self.last))
        return loss

    def after_epoch(self, losses: Tensor) -> None:
        if hasattr(self.scalarizer, "step"):
            self.scalarizer.step()


def adapt(instance: nn.Module) -> LossWeighting | None:
    """Make a weighting of an instance of TorchJD; None for anything else."""
    if not type(instance).__module__.startswith("torchjd."):
        return None
    if isinstance(
        instance, importlib.import_module("torchjd.scalarization").Scalarizer
    ):
        return TorchJDScalarizer(instance)
    return TorchJDWeighting(instance)


def _weights_of(solver: Any) -> tuple[Any, bool]:
    """What gives weights, and whether it takes a matrix in place of its Gramian."""
    jd = aggregation()
    if type(solver).__name__ in _COORDINATES:
        raise ValueError(
            f"{type(solver).__name__} looks at the coordinates of the gradients, not "
            "at their inner products alone. Take another solver."
        )
    if isinstance(solver, jd.Weighting):
        return solver, False
    if isinstance(solver, jd.WeightedAggregator):
        return solver.weighting, True
    raise ValueError(
        "solver must be a weighting of TorchJD, or an aggregator that has weights for "
        f"the tasks; found {solver!r}."
    )


def _root(gramian: Tensor) -> Tensor:
    """A matrix whose rows have these inner products."""
    values, vectors = torch.linalg.eigh(gramian)
    return vectors * values.clamp(min=0).sqrt()
