"""Base class of loss weightings, and fixed weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor

from skmtl.modules.protocols import Part
from skmtl.tasks.arguments import by_task
from skmtl.weighting._checks import Preference
from skmtl.weighting._step import Step


class LossWeighting(Part):
    """Weigh the losses of the tasks in training.

    A subclass defines `forward`, from losses to a scalar; one that needs the tasks'
    gradients derives from `GradientWeighting` instead. A constructor only assigns its
    hyperparameters, as that of a scikit-learn estimator does; `start` checks them and
    creates the state. A ranker copies the weighting that it gets, so the instance is
    never changed.

    All state is in ``state_dict()``, as tensors: parameters, buffers, and for anything
    else ``get_extra_state``. Checkpoints hold nothing else, and nor does the copy that
    training returns to after a loss diverges.

    Attributes
    ----------
    name : str or None
        Name that rankers accept for the strategy; None if it has none.
    learning_rate : float or None
        Step size of the strategy's own parameters; None for the network's.
    apart : bool
        Whether `backward` asks for the gradient of each task at the cut.
    looks_back : bool
        Whether `after_step` asks for the losses of the batch after the optimiser's
        step, `Step.losses_after`, which costs one more forward pass.

    Examples
    --------
    A complete strategy, which adds the square roots of the losses:

    >>> from skmtl.weighting import LossWeighting
    >>> class RootLoss(LossWeighting):
    ...     def forward(self, losses):
    ...         return losses.clamp(min=1e-12).sqrt().sum()
    >>> import torch
    >>> RootLoss().start(["click", "order"])(torch.tensor([0.25, 0.01]))
    tensor(0.6000)
    """

    name: ClassVar[str | None] = None
    learning_rate: float | None = None
    # If a subclass overrides one of these but not `ahead`, its weights are unknown.
    describes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "ahead": ("forward", "backward", "apart")
    }
    apart: ClassVar[bool] = False
    # Whether it calls code that draws from torch's global generators.
    draws_globally: ClassVar[bool] = False
    looks_back: ClassVar[bool] = False
    in_force: Tensor

    def __init__(self) -> None:
        super().__init__()

    def start(self, tasks: Sequence[str]) -> Self:
        """Check the hyperparameters and create the state; called once before training.

        Parameters
        ----------
        tasks : sequence of str
            Names of the tasks.

        Returns
        -------
        self : LossWeighting
            Ready to train.

        Raises
        ------
        ValueError
            For hyperparameters that are out of range or do not fit the tasks.
        TypeError
            For hyperparameters of the wrong type.
        """
        self.tasks = [str(task) for task in tasks]
        self.register_buffer("in_force", torch.ones(len(self.tasks)))
        return self

    def begin(self, measure: Callable[[], Tensor]) -> None:
        """Look at the losses before the first step, if the strategy needs them.

        Parameters
        ----------
        measure : callable
            Returns the mean loss of each task on the training table, ``(n_tasks,)``.
        """

    def forward(self, losses: Tensor) -> Tensor:
        """Combine the losses.

        Parameters
        ----------
        losses : Tensor of shape (n_tasks,)
            Losses of one batch; 0 for a task without an observed label in it.

        Returns
        -------
        Tensor of shape ()
            The loss to descend.
        """
        raise NotImplementedError

    def ahead(self) -> Tensor | None:
        """Return the weights of the next step, if they do not depend on its losses.

        Large batches are then processed in blocks of rows, which takes less memory. The
        gradients exist before `backward` is called; its step has no cut, and losses
        without a graph. A subclass that overrides `forward` or `backward` but not this
        method gets whole batches, whatever its parent returns here.

        Returns
        -------
        Tensor of shape (n_tasks,) or None
            The derivatives of `forward` by the losses; None, the default, if they are
            not known before the step.
        """
        return None

    def backward(self, step: Step) -> None:
        """Compute the gradient of one batch for every parameter.

        The weight of a task is the derivative of the scalar with respect to its loss.

        Parameters
        ----------
        step : Step
            Losses of the batch, and methods that go back from them.
        """
        # A graph of the strategy alone: its weights are needed before the network's
        # graph, which is gone through only once.
        losses = step.losses.detach().requires_grad_()
        self(losses).backward()
        assert losses.grad is not None
        self.in_force = losses.grad
        step.through_towers(losses.grad)
        step.descend()

    def take(self, other: LossWeighting) -> None:
        """Adopt new fixed weights when training continues.

        Parameters
        ----------
        other : LossWeighting
            The same strategy, started for the same tasks.
        """

    def after_step(self, step: Step) -> None:
        """Update the strategy once the optimisers have changed the parameters.

        A strategy takes what it needs from the step and ignores the rest. It may
        change its own parameters here, in place. Gradients belong in `backward`;
        setting one here is an error, since no optimiser would apply it.

        Parameters
        ----------
        step : Step
            The step that was passed to `backward`: ``step.losses`` before the update
            and, if the class sets ``looks_back = True``, ``step.losses_after()``.
        """

    def after_epoch(self, losses: Tensor) -> None:
        """Update the strategy after an epoch.

        Parameters
        ----------
        losses : Tensor of shape (n_tasks,)
            Mean training losses of the epoch.
        """

    def current(self) -> Tensor:
        """Return the weights in force.

        Returns
        -------
        Tensor of shape (n_tasks,)
            Those of the last step, or of the next one if they are known.
        """
        return self.in_force

    def reference(self) -> Tensor:
        """Return weights that never change, to compare losses over epochs.

        Returns
        -------
        Tensor of shape (n_tasks,)
            1 for every task, unless the strategy has fixed weights or a preference.
        """
        return torch.ones_like(self.in_force)

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the hyperparameters by name, as scikit-learn reads them.

        Parameters
        ----------
        deep : bool, default=True
            Has no effect.

        Returns
        -------
        dict
            Arguments of the constructor.
        """
        return {p: getattr(self, p) for p in inspect.signature(type(self)).parameters}

    def set_params(self, **params: object) -> Self:
        """Set hyperparameters.

        Parameters
        ----------
        **params : dict
            Arguments of the constructor.

        Returns
        -------
        self : LossWeighting
            The weighting.

        Raises
        ------
        ValueError
            For a name that the constructor does not know.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}. It has "
                    f"{sorted(known)}."
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        params = ", ".join(f"{k}={v!r}" for k, v in self.get_params().items())
        return f"{type(self).__name__}({params})"


class InitialLosses(LossWeighting):
    """Base of strategies that compare losses with those before the first step.

    The loss of each task is measured on (at most 65,536) training rows and kept as
    `initial`. This happens only once, even if training continues by a warm start.

    Examples
    --------
    Half the sum of squares of what is left of each initial loss:

    >>> from skmtl.weighting import InitialLosses
    >>> class ShareLeft(InitialLosses):
    ...     def forward(self, losses):
    ...         return (losses / self.initial).square().sum() / 2
    >>> import torch
    >>> weighting = ShareLeft().start(["click", "order"])
    >>> weighting.begin(lambda: torch.tensor([0.5, 0.1]))
    >>> weighting(torch.tensor([0.5, 0.1]))
    tensor(1.)
    """

    initial: Tensor

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        self.register_buffer("initial", torch.full((len(self.tasks),), torch.nan))
        return self

    def begin(self, measure: Callable[[], Tensor]) -> None:
        # Not again in a warm start, where the network is trained already.
        if self.initial.isnan().all():
            self.initial = measure()
            self.first(self.initial)

    def first(self, losses: Tensor) -> None:
        """Start from the losses before the first step.

        Parameters
        ----------
        losses : Tensor of shape (n_tasks,)
            Those of the untrained network.
        """


class StaticWeighting(LossWeighting):
    """``L = sum_i w_i L_i`` with fixed weights.

    Parameters
    ----------
    weights : sequence of float, mapping or Series by task name
        One for each task, at least 0.

    Examples
    --------
    >>> import torch
    >>> from skmtl.weighting import StaticWeighting
    >>> weighting = StaticWeighting([1.0, 3.0]).start(["click", "order"])
    >>> weighting(torch.tensor([0.5, 0.1]))
    tensor(0.8000)
    """

    fixed: Tensor

    def __init__(self, weights: Preference) -> None:
        super().__init__()
        self.weights = weights

    def start(self, tasks: Sequence[str]) -> Self:
        super().start(tasks)
        given = by_task(self.weights, self.tasks, "weights")
        try:
            fixed = torch.as_tensor(given, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                "The weights of StaticWeighting must be numbers, one for each of the "
                f"tasks {self.tasks}, found {self.weights!r}."
            ) from error
        if fixed.shape != (len(self.tasks),):
            raise ValueError(
                f"StaticWeighting has weights of shape {tuple(fixed.shape)}, but there "
                f"are {len(self.tasks)} tasks: {self.tasks}. Give one number for each."
            )
        if not (fixed.isfinite().all() and (fixed >= 0).all()):
            raise ValueError(
                f"StaticWeighting has weights {fixed.tolist()}. They must be finite "
                "and at least 0."
            )
        self.register_buffer("fixed", fixed)
        return self

    def take(self, other: LossWeighting) -> None:
        self.fixed = other.current().to(self.fixed.device)

    def forward(self, losses: Tensor) -> Tensor:
        return torch.dot(self.fixed, losses)

    def backward(self, step: Step) -> None:
        # The derivatives are the weights; there is nothing to differentiate.
        step.through_towers(self.fixed)
        step.descend()

    def ahead(self) -> Tensor:
        return self.fixed

    def current(self) -> Tensor:
        return self.fixed

    def reference(self) -> Tensor:
        return self.fixed
