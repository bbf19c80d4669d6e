"""The contract of loss weightings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from skmtl.weighting._step import Step


class LossWeighting(nn.Module):
    """Weigh the losses of the tasks in training.

    A subclass defines `forward`, from losses to a scalar; one that needs the tasks'
    gradients derives from `GradientWeighting` instead. A constructor only assigns its
    hyperparameters, as a scikit-learn estimator's does; state comes with `start`. A
    ranker copies the weighting that it is given, so that an instance is never changed.

    Attributes
    ----------
    name : str or None
        Name by which rankers know the strategy; None for none.
    learning_rate : float or None
        Step size of the strategy's own parameters; None for the network's.
    apart : bool
        Whether `backward` asks for the tasks' gradients at the cut one by one.

    Examples
    --------
    A strategy in full: each task's loss counts by its square root.

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
    apart: ClassVar[bool] = False
    in_force: Tensor

    def __init__(self) -> None:
        super().__init__()

    def start(self, tasks: Sequence[str]) -> Self:
        """Make the state for these tasks; called once, before training.

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
            For hyperparameters that do not fit the tasks.
        """
        self.tasks = [str(task) for task in tasks]
        self.register_buffer("in_force", torch.ones(len(self.tasks)))
        return self

    def begin(self, measure: Callable[[], Tensor]) -> None:
        """Look at the losses before the first step, where the strategy needs them.

        Parameters
        ----------
        measure : callable
            Gives the mean loss of each task on the training table, ``(n_tasks,)``.
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
            What to descend.
        """
        raise NotImplementedError

    def ahead(self) -> Tensor | None:
        """Give the weights of the next step, if they do not depend on its losses.

        Then large batches are trained on in blocks of rows, in less memory: the
        gradients are there before `backward` is called, whose step has no cut, and
        losses without a graph. A subclass that overrides `forward` or `backward`, and
        not this one, gets whole batches.

        Returns
        -------
        Tensor of shape (n_tasks,) or None
            The derivatives of `forward` by the losses; None, the default, where they
            are not known before.
        """
        return None

    def backward(self, step: Step) -> None:
        """Put the gradient of one batch into every parameter.

        The weight of a task is the derivative of the scalar by its loss.

        Parameters
        ----------
        step : Step
            Losses of the batch, and ways to go back from them.
        """
        losses = step.losses.detach().requires_grad_()
        self(losses).backward()
        assert losses.grad is not None
        self.in_force = losses.grad
        step.through_towers(losses.grad)
        step.descend()

    def take(self, other: LossWeighting) -> None:
        """Go on where this weighting is, with what is given anew by another like it.

        Parameters
        ----------
        other : LossWeighting
            The same strategy, started for the same tasks.
        """

    def after_step(self) -> None:
        """Bring the strategy's own parameters back to their range."""

    def after_epoch(self, losses: Tensor) -> None:
        """Look back on an epoch.

        Parameters
        ----------
        losses : Tensor of shape (n_tasks,)
            Mean training losses of the epoch.
        """

    def current(self) -> Tensor:
        """Give the weights in force.

        Returns
        -------
        Tensor of shape (n_tasks,)
            Those of the last step, or of the next where they are known.
        """
        return self.in_force

    def reference(self) -> Tensor:
        """Give weights that never change, for losses to be compared over epochs.

        Returns
        -------
        Tensor of shape (n_tasks,)
            1 for every task, unless the strategy has fixed weights or a preference.
        """
        return torch.ones_like(self.in_force)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Give the hyperparameters by name, as scikit-learn reads them.

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

    def set_params(self, **params: Any) -> Self:
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


def known_ahead(weighting: LossWeighting) -> Tensor | None:
    """What `ahead` says, unless a subclass has changed what it speaks of."""
    if weighting.apart:
        return None
    for one in type(weighting).__mro__:
        if "ahead" in vars(one):
            break
        if "forward" in vars(one) or "backward" in vars(one):
            return None
    return weighting.ahead()
