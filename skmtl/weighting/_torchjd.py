"""Strategies that TorchJD solves."""

from __future__ import annotations

import copy
import importlib
import io
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from skmtl.weighting._base import LossWeighting
from skmtl.weighting._checks import Preference
from skmtl.weighting._gradient import GradientWeighting

# These compare gradients coordinate by coordinate, or with those of other batches.
_COORDINATES = {"ExcessMTLWeighting", "MoDoWeighting", "SDMGradWeighting"}
# Base classes of TorchJD's weightings of matrices; it exports neither.
_OF_MATRICES = {"_MatrixWeighting", "_Composition"}
# These have a number for each task that is not a tensor, or need a number of tasks.
_OF_ALL_TASKS = {"KrumWeighting"}
# Attributes of every module; any others are a solver's own state.
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_PLAIN = (Tensor, bool, int, float, str, type(None), torch.dtype, torch.device)


def aggregation() -> ModuleType:
    """``torchjd.aggregation``, which is an extra."""
    return importlib.import_module("torchjd.aggregation")


class TorchJDWeighting(GradientWeighting):
    """Let a weighting of TorchJD weigh the tasks.

    It gets the Gramian of the tasks' gradients, by default at the representation, in
    float64 and scaled to a mean of 1 on the diagonal. Its weights are applied
    unchanged. Rankers accept instances of TorchJD's weightings and aggregators
    directly; this class adds `preference` and `at`.

    Parameters
    ----------
    solver : torchjd.aggregation.Weighting or torchjd.aggregation.Aggregator
        What finds the weights. An aggregator is replaced by the weighting that it
        contains. A weighting of matrices gets a square root of the Gramian, whose rows
        have the same lengths and angles as the gradients. The solver is copied.
    preference : array-like of shape (n_tasks,), mapping, Series or None, default=None
        Positive numbers that multiply the losses before the solver sees their
        gradients.
    at : str, default="representation"
        Where gradients are taken: "representation", "last_shared_layer" or
        "shared_parameters".

    Notes
    -----
    These need only inner products, and work: ``AlignedMTL``, ``CAGrad``,
    ``CRMOGM``, ``Constant``, ``DualProj``, ``FairGrad``, ``GradVac``, ``IMTLG``,
    ``Krum``, ``MGDA``, ``Mean``, ``NashMTL``, ``PCD``, ``PCGrad``, ``Random``, ``Sum``
    and ``UPGrad``, as weightings and as aggregators where TorchJD has both. These are
    refused: ``ExcessMTL``, ``MoDo`` and ``SDMGrad``, which need more than inner
    products, and ``ConFIG``, ``GradDrop`` and ``TrimmedMean``, which have no weights
    for the tasks.

    A task without a gradient in the batch is left out. But a solver that remembers all
    tasks (``torchjd.Stateful``), or has a number for each, gets for such a task a
    gradient of mean length at right angles to all others, which does not change how it
    weighs them. If a solver fails in a step, a warning says so, and the weights of the
    previous step stay in force.

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

    # Whether multiplying a loss changes nothing, so that the preference must multiply
    # the weights instead.
    scale_free: ClassVar[bool] = False
    draws_globally: ClassVar[bool] = True  # TorchJD does
    inner: _Solver | None = None

    def __init__(
        self,
        solver: nn.Module | None,
        *,
        preference: Preference | None = None,
        at: str = "representation",
    ) -> None:
        super().__init__(preference=preference, at=at)
        self.solver = solver

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        try:
            self.inner = _Solver(self._make(len(self.tasks)))
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} needs TorchJD and its solvers. Install them: "
                'pip install "skmtl[jd]"'
            ) from error
        if self.solver is not None:  # a user's own, about which nothing is known
            self.inner.try_on(len(self.tasks))
        return self

    def _make(self, n_tasks: int) -> nn.Module:
        """Make the solver for `n_tasks` tasks; subclasses override this."""
        if self.solver is None:
            raise ValueError("solver must be a weighting of TorchJD; found None.")
        return self.solver

    def weigh(self, gramian: Tensor, losses: Tensor) -> Tensor:
        assert self.inner is not None
        if not self.inner.sees_all or not gramian.isfinite().all():
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
        # The solver weighs losses that the preference has multiplied already, unless
        # it is free of their scale.
        return preference * self._run(gramian)

    def _run(self, gramian: Tensor) -> Tensor:
        if len(gramian) == 1:
            return torch.ones_like(gramian[0])
        assert self.inner is not None
        # TorchJD's tolerances are absolute, and gradients of mean losses are short.
        gramian = gramian / gramian.diagonal().mean()
        try:
            return self.inner.weights(gramian)
        except Exception as error:
            if not _is_of_numbers(error):
                raise
            warnings.warn(
                f"{type(self.inner.weighting).__name__} of TorchJD found no weights in "
                f"a step ({type(error).__name__}: {error}). Those of the previous step "
                "stay in force.",
                RuntimeWarning,
                stacklevel=2,
            )
            return torch.full_like(gramian[0], torch.nan)

    def get_extra_state(self) -> Tensor:
        """Return what the solver remembers from step to step.

        Returns
        -------
        Tensor of shape (n_bytes,), dtype uint8
            Bytes that load without running code; empty if there is nothing.
        """
        return _nothing() if self.inner is None else self.inner.memory()

    def set_extra_state(self, state: Tensor) -> None:
        """Restore what the solver remembered.

        Parameters
        ----------
        state : Tensor of shape (n_bytes,), dtype uint8
            From `get_extra_state`.
        """
        if state.numel():
            assert self.inner is not None
            self.inner.remember(state, len(self.tasks))


class TorchJDScalarizer(LossWeighting):
    """Let a scalarizer of TorchJD combine the losses of the tasks.

    Rankers accept instances of scalarizers directly.

    Parameters
    ----------
    scalarizer : torchjd.scalarization.Scalarizer
        From losses to a scalar. Its parameters, if any, are trained with the network,
        and the ``step()`` of ``DWA`` is called after every epoch. All scalarizers but
        ``FAMO`` work; use `skmtl.weighting.FAMO` instead of that one.

    Notes
    -----
    For a task without a label in the batch, it gets the last loss of that task, without
    a gradient.

    Examples
    --------
    >>> from torchjd.scalarization import GeometricMean
    >>> from skmtl import MMoE
    >>> ranker = MMoE(loss_weight=GeometricMean())
    """

    last: Tensor
    has_memory = False

    def __init__(self, scalarizer: nn.Module) -> None:
        super().__init__()
        self.scalarizer: Any = scalarizer

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        jd = importlib.import_module("torchjd.scalarization")
        if not isinstance(self.scalarizer, jd.Scalarizer):
            raise TypeError(
                "scalarizer must be a scalarizer of TorchJD, found "
                f"{self.scalarizer!r}."
            )
        if isinstance(self.scalarizer, jd.FAMO):
            raise ValueError(
                f"{self.scalarizer!r} needs the losses again after every step. Pass "
                "loss_weight='famo', or an instance of skmtl.weighting.FAMO."
            )
        _try(self.scalarizer, torch.full((len(self.tasks),), 0.5))
        self.steps_by_epoch = isinstance(self.scalarizer, jd.DWA)
        self.has_memory = bool(_stateful(self.scalarizer))
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
        if self.steps_by_epoch:
            self.scalarizer.step()

    def get_extra_state(self) -> Tensor:
        """Return what the scalarizer remembers besides its parameters.

        Returns
        -------
        Tensor of shape (n_bytes,), dtype uint8
            Bytes that load without running code; empty if there is nothing.
        """
        return _memory(self.scalarizer) if self.has_memory else _nothing()

    def set_extra_state(self, state: Tensor) -> None:
        """Restore what the scalarizer remembered.

        Parameters
        ----------
        state : Tensor of shape (n_bytes,), dtype uint8
            From `get_extra_state`.
        """
        if state.numel():
            self.scalarizer.reset()
            _remember(self.scalarizer, state)


def adapt(instance: nn.Module) -> LossWeighting | None:
    """Wrap an instance of TorchJD as a weighting; return None for anything else."""
    if not type(instance).__module__.startswith("torchjd."):
        return None
    if isinstance(
        instance, importlib.import_module("torchjd.scalarization").Scalarizer
    ):
        return TorchJDScalarizer(instance)
    return TorchJDWeighting(instance)


class _Solver:
    """A copy of a solver of TorchJD, kept out of the tree of modules.

    Its buffers come and go, which ``load_state_dict`` does not allow.
    """

    def __init__(self, solver: nn.Module) -> None:
        jd = aggregation()
        weighting, of_matrix = solver, False
        if isinstance(solver, jd.WeightedAggregator):
            weighting, of_matrix = solver.weighting, True
        kinds = _kinds(weighting)
        for refused in sorted(_COORDINATES & kinds):
            raise ValueError(
                f"{refused} of TorchJD looks at the coordinates of the gradients, not "
                "only at their inner products. Use another solver."
            )
        if not isinstance(weighting, jd.Weighting):
            raise ValueError(
                "solver must be a weighting of TorchJD, or an aggregator that has "
                f"weights for the tasks; found {solver!r}."
            )
        self.weighting: Any = copy.deepcopy(weighting)
        self.takes_matrix = of_matrix or _takes_matrix(weighting)
        self.has_memory = bool(_stateful(weighting))
        self.sees_all = (
            self.has_memory or bool(_OF_ALL_TASKS & kinds) or _has_vector(weighting)
        )

    def weights(self, gramian: Tensor) -> Tensor:
        if self.has_memory:
            self.weighting.to(gramian.device)
        with warnings.catch_warnings():
            # cvxpy warns about how TorchJD states its programs.
            warnings.filterwarnings("ignore", module="cvxpy|torchjd")
            found = self.weighting(_root(gramian) if self.takes_matrix else gramian)
        weights: Tensor = found.to(gramian)
        return weights

    def try_on(self, n_tasks: int) -> None:
        """Raise if a solver was made for another number of tasks."""
        if n_tasks > 1:
            matrix = torch.eye(n_tasks, dtype=torch.float64)
            _try(self.weighting, matrix)

    def memory(self) -> Tensor:
        return _memory(self.weighting) if self.has_memory else _nothing()

    def remember(self, state: Tensor, n_tasks: int) -> None:
        for part in _stateful(self.weighting):
            part.reset()
        if n_tasks > 1:  # a single task is never weighed, and some solvers fail on it
            with torch.random.fork_rng(devices=[]):
                # Some solvers create their program, which holds state, at first use.
                self.weights(torch.eye(n_tasks, dtype=torch.float64))
        _remember(self.weighting, state)


def _kinds(module: nn.Module) -> set[str]:
    """Names of the classes of a module, its parts, and their bases."""
    if not isinstance(module, nn.Module):
        return set()
    return {one.__name__ for part in module.modules() for one in type(part).__mro__}


def _takes_matrix(weighting: nn.Module) -> bool:
    """Whether a weighting takes gradients rather than their Gramian."""
    names = {one.__name__ for one in type(weighting).__mro__}
    if "CRMOGMWeighting" in names:  # it passes its argument on to another weighting
        return _takes_matrix(weighting.get_submodule("weighting"))
    return bool(_OF_MATRICES & names)


def _stateful(module: nn.Module) -> list[Any]:
    """Return the parts that remember; an aggregator wraps one that does."""
    stateful: type = importlib.import_module("torchjd").Stateful
    return [part for part in module.modules() if isinstance(part, stateful)]


def _has_vector(module: nn.Module) -> bool:
    """Whether a solver holds a tensor, which then has a number for each task."""
    values = (value for part in module.modules() for value in vars(part).values())
    return any(isinstance(value, Tensor) and value.ndim > 0 for value in values)


def _try(module: nn.Module, argument: Tensor) -> None:
    """Raise if a module of TorchJD fails on easy numbers."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # A copy, since a solver may remember the trial.
            copy.deepcopy(module)(argument)
        except Exception as error:
            if not _is_of_numbers(error):
                raise
            raise ValueError(
                f"{module!r} cannot be used for {len(argument)} tasks: {error}"
            ) from error


def _is_of_numbers(error: Exception) -> bool:
    """Whether an error may mean that a solver cannot work with its numbers.

    Solvers do not document which errors they raise for that.
    """
    return isinstance(error, ArithmeticError | RuntimeError | ValueError) or (
        type(error).__module__.startswith("cvxpy")
    )


def _memory(module: nn.Module) -> Tensor:
    """Return the plain attributes and buffers of a module of TorchJD as bytes.

    A tensor of bytes fits into every kind of checkpoint.
    """
    values, arrays = {}, {}
    for path, part in module.named_modules():
        own = {k: v for k, v in vars(part).items() if k not in _OF_EVERY_MODULE}
        own |= vars(part)["_buffers"]  # also those that are still None
        values[path] = {k: v for k, v in own.items() if _is_plain(v)}
        arrays[path] = {
            k: torch.from_numpy(v) for k, v in own.items() if isinstance(v, np.ndarray)
        }
    file = io.BytesIO()
    torch.save((values, arrays), file)
    return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)


def _remember(module: nn.Module, state: Tensor) -> None:
    file = io.BytesIO(state.cpu().numpy().tobytes())
    values, arrays = torch.load(file, map_location="cpu", weights_only=True)
    for path, part in module.named_modules():
        for name, value in values[path].items():
            setattr(part, name, value)
        for name, array in arrays[path].items():
            setattr(part, name, array.numpy())


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(one) for one in value)
    return isinstance(value, _PLAIN)


def _nothing() -> Tensor:
    return torch.empty(0, dtype=torch.uint8)


def _root(gramian: Tensor) -> Tensor:
    """Return a matrix whose rows have these inner products."""
    values, vectors = torch.linalg.eigh(gramian)
    # Rounding may make an eigenvalue of 0 negative.
    root: Tensor = vectors * values.clamp(min=0).sqrt()
    return root
