"""One step of training, cut where the towers begin."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from skmtl.modules import MultiTaskModule


class Step:
    """Losses of one batch, and the two halves of their backward pass.

    The graph is cut between what is shared and the towers. The backward pass through
    the towers gives every task's gradient at its representation; then a single pass
    below the cut serves any combination of them.

    Parameters
    ----------
    module : MultiTaskModule
        The network.
    representation : Tensor of shape (n_tasks or 1, batch, width)
        What the towers read, with the graph below it; 1 if all read the same.
    mixture : Tensor of shape (batch or 1, n_tasks, n_shared)
        Weights by which each task's representation mixes the tensors that the tasks
        share.
    record : bool, default=False
        Whether every task's gradient is wanted, even if the weighting does not need it.
    apart : bool, default=True
        Whether the weighting may ask for the separate gradients of the tasks at the
        cut. If it never does, and all tasks read one representation, only the gradient
        of the sum is computed.

    Attributes
    ----------
    cut : Tensor of shape (n_tasks or 1, batch, width)
        `representation` without the graph below it; the towers read this one.
    losses : Tensor of shape (n_tasks,)
        Losses of the batch, set once the towers have been evaluated on `cut`.

    Examples
    --------
    The trainer creates one for each batch and uses it as follows:

    >>> import torch
    >>> from skmtl.modules import ParallelTowers, SharedBottom
    >>> from skmtl.modules import MultiTaskModule, TableEmbedding
    >>> from skmtl.weighting import Step
    >>> module = MultiTaskModule(
    ...     embedding=TableEmbedding(
    ...         vocabulary_sizes=[9], bin_sizes=[], n_numeric=0, embedding_dim=3,
    ...         bin_dim=1, sparse=True,
    ...     ),
    ...     sharing=SharedBottom(n_tasks=2, width=3, units=[4], dropout=0.0),
    ...     towers=ParallelTowers(n_tasks=2, width=4, units=[], dropout=0.0),
    ... )
    >>> ids, none = torch.tensor([[1], [2], [1], [8], [0]]), torch.ones(5, 0)
    >>> step = Step(module, *module.split(ids, none, none))
    >>> step.losses = module.towers(step.cut).square().mean(dim=0)
    >>> step.through_towers(torch.ones(2), apart=True)
    >>> step.gramian().shape
    torch.Size([2, 2])
    >>> step.descend(torch.tensor([0.5, 1.5]))
    """

    losses: Tensor
    # Set by the trainer for a weighting that looks back.
    again: Callable[[], Tensor] | None = None

    def __init__(
        self,
        module: MultiTaskModule,
        representation: Tensor,
        mixture: Tensor,
        record: bool = False,
        apart: bool = True,
    ) -> None:
        self.module, self.record = module, record
        self.mixture = mixture
        n_tasks = mixture.shape[1]
        once = len(representation) == 1 < n_tasks
        # One gradient, of the summed losses, at the one tensor that all towers read.
        self.joint = once and module.towers.broadcasts and not (apart or record)
        if once and not self.joint:
            representation = representation.expand(n_tasks, -1, -1)
        self.representation = representation
        # A leaf, so that the backward pass stops here and leaves its gradient.
        self.cut = representation.detach().requires_grad_()
        self.extra: Tensor | None = None

    def add(self, penalty: Tensor) -> None:
        """Go back through the towers from a penalty that is added to the losses.

        `descend` adds its gradient to those of the tasks, whatever their weights.

        Parameters
        ----------
        penalty : Tensor of shape ()
            A function of logits or parameters.
        """
        if not penalty.requires_grad:  # the penalty is the constant 0
            return
        # The losses go back through the same graph afterwards.
        torch.autograd.backward(penalty, retain_graph=True)
        self.keep_extra()

    def keep_extra(self) -> None:
        """Keep a penalty's gradient at the cut, if it has one, for `descend`."""
        # A penalty of parameters alone has none.
        if self.cut.grad is not None:
            own = self._take()
            self.extra = own if self.extra is None else self.extra + own

    def through_towers(self, weights: Tensor, *, apart: bool = False) -> None:
        """Go back through the towers; their parameters get ``sum_t w_t dL_t``.

        Parameters
        ----------
        weights : Tensor of shape (n_tasks,)
            Weight of each loss above the cut.
        apart : bool, default=False
            Whether the separate gradients of the tasks at the cut are needed. They cost
            nothing if each tower belongs to one task, and a pass for every task if
            towers are connected.
        """
        self.weights = weights
        if apart:
            self._check_apart()
        if self.module.towers.independent or not (apart or self.record):
            torch.autograd.backward(self.losses, weights)
            # With independent towers slice t depends on loss t only.
            self.rows = self.total = self._take()
            return
        rows = []
        for loss, weight in zip(self.losses, weights, strict=True):
            torch.autograd.backward(loss, weight, retain_graph=True)
            rows.append(self._take())
        self.rows = torch.stack(rows)  # (n_tasks, n_tasks, batch, width)
        self.total = self.rows.sum(dim=0)

    def descend(self, weights: Tensor | None = None) -> None:
        """Go back below the cut.

        Parameters
        ----------
        weights : Tensor of shape (n_tasks,), default=None
            Factor of each task's gradient below the cut, in addition to its weight
            above it.
        """
        # There is nothing to train below the cut if all of it is frozen.
        if not self.representation.requires_grad:
            return
        total = self.total
        if weights is not None:
            self._check_apart()
            if self.rows.ndim == 3:
                total = weights[:, None, None] * self.rows
            else:
                total = torch.tensordot(weights, self.rows, dims=1)
        torch.autograd.backward(
            self.representation, total if self.extra is None else total + self.extra
        )

    def gramian(self, at: str = "representation") -> Tensor:
        """Compute the inner products of the gradients of the unweighted losses.

        Call it after `through_towers(..., apart=True)` and before `descend`; for
        "representation" it may also be called later.

        Parameters
        ----------
        at : str, default="representation"
            Where gradients are taken: at the tensors that the tasks share (the
            bottom's output, the experts' outputs), or by parameters.

        Returns
        -------
        Tensor of shape (n_tasks, n_tasks)
            0 in the row of a task whose weight was 0, since its gradient is unknown.
        """
        self._check_apart()
        if at == "representation":
            weighted = self._at_representation()
        else:
            taken = {
                "last_shared_layer": self.module.last_shared_layer,
                "shared_parameters": self.module.shared_parameters,
            }
            weighted = self._by_parameters(taken[at]())
        # The gradients at the cut are those of the weighted losses.
        inverse = torch.where(self.weights == 0, 0.0, 1.0 / self.weights)
        return weighted * torch.outer(inverse, inverse)

    def losses_after(self) -> Tensor:
        """Compute the losses of the same batch with the current parameters.

        Call it in `LossWeighting.after_step`. The rows are the same, including known
        ids that were replaced by the unknown one, and dropout drops the same units. So
        the difference from `losses` is due to the optimisers' step alone. Every call
        costs a forward pass.

        Returns
        -------
        Tensor of shape (n_tasks,)
            The losses, without a graph.

        Raises
        ------
        RuntimeError
            If the weighting does not set ``looks_back = True``.
        """
        if self.again is None:
            raise RuntimeError(
                "This step cannot compute its losses again. Set the class attribute "
                "looks_back = True on the weighting."
            )
        return self.again()

    def _check_apart(self) -> None:
        if self.joint:
            raise RuntimeError(
                "This step has only the gradient of the sum of the losses, since its "
                "weighting has apart=False. Set the class attribute apart = True on "
                "the weighting."
            )

    def _take(self) -> Tensor:
        gradient, self.cut.grad = self.cut.grad, None
        assert gradient is not None
        return gradient

    def _at_representation(self) -> Tensor:
        """Compute the Gramian at the shared tensors S.

        Representation t is ``sum_e a_te S_e``, so the gradient of loss t at S_e is
        ``sum_i a_ie g_ti``, with g_ti its gradient at representation i. The gradients
        at the single S_e are never formed.
        """
        # What two representations have in common, (batch or 1, n_tasks, n_tasks).
        overlap = self.mixture @ self.mixture.transpose(1, 2)
        if self.rows.ndim == 3:
            by_row = self.rows.transpose(0, 1)
            return (overlap * (by_row @ by_row.transpose(1, 2))).sum(dim=0)
        n_tasks, _, n_rows, _ = self.rows.shape
        by_row = self.rows.permute(2, 1, 0, 3).reshape(n_rows, n_tasks, -1)
        mixed = overlap @ by_row
        mixed = mixed.view(n_rows, n_tasks, n_tasks, -1).permute(2, 1, 0, 3)
        return self.rows.flatten(1) @ mixed.reshape(n_tasks, -1).t()

    def _task_gradients(
        self, parameters: list[Tensor]
    ) -> list[tuple[Tensor | None, ...]]:
        """Gradients of the losses of each task."""
        return [
            torch.autograd.grad(
                self.representation,
                parameters,
                self._row(task),
                retain_graph=True,
                allow_unused=True,
            )
            for task in range(len(self.losses))
        ]

    def _by_parameters(self, parameters: list[Tensor]) -> Tensor:
        per_task = self._task_gradients(parameters)
        gramian = self.losses.new_zeros(len(per_task), len(per_task))
        for gradients in zip(*per_task, strict=True):
            known = next((g for g in gradients if g is not None), None)
            if known is not None:  # a parameter may serve only some of the tasks
                none = torch.zeros_like(known)
                rows = [_flat(none if g is None else g) for g in gradients]
                gramian += torch.stack(rows) @ torch.stack(rows).t()
        return gramian

    def _row(self, task: int) -> Tensor:
        if self.rows.ndim == 4:
            return self.rows[task]
        # With independent towers, loss t has a gradient at representation t only.
        alone = torch.zeros_like(self.rows)
        alone[task] = self.rows[task]
        return alone


class StepTaken(Step):
    """A step whose backward pass was made in blocks, with weights known in advance.

    Parameters
    ----------
    losses : Tensor of shape (n_tasks,)
        Losses of the whole batch, without a graph.
    weights : Tensor of shape (n_tasks,)
        Weights of the losses in that pass.
    gramian : Tensor of shape (n_tasks, n_tasks) or None
        Sum over the blocks of the inner products at the representation.
    """

    def __init__(
        self, losses: Tensor, weights: Tensor, gramian: Tensor | None = None
    ) -> None:
        self.losses, self.weights, self.inner = losses, weights, gramian

    def add(self, penalty: Tensor) -> None:
        raise RuntimeError(
            "This step was made in blocks of rows, and cannot take a penalty after "
            "them. Let the weighting's ahead() return None to get whole batches."
        )

    def through_towers(self, weights: Tensor, *, apart: bool = False) -> None:
        # The weight of a loss of 0 does not matter.
        found, known = weights * self.losses, self.weights * self.losses
        if not torch.allclose(found, known, rtol=0, atol=0, equal_nan=True):
            raise RuntimeError(
                f"The weights of this step are {weights.tolist()}, but the weighting's "
                f"ahead() gave {self.weights.tolist()}. Let ahead() return None if the "
                "weights depend on the losses of the step."
            )
        if apart:
            self._check_apart()

    def descend(self, weights: Tensor | None = None) -> None:
        if weights is not None:
            self._check_apart()

    def gramian(self, at: str = "representation") -> Tensor:
        if self.inner is None or at != "representation":
            self._check_apart()
        assert self.inner is not None
        return self.inner

    def _check_apart(self) -> None:
        raise RuntimeError(
            "This step was made in blocks of rows, and kept no separate gradients of "
            "the tasks. Let the weighting's ahead() return None to get whole batches."
        )


def _flat(gradient: Tensor) -> Tensor:
    # The rows of the table that a batch touches are the same for every task.
    if gradient.is_sparse:
        gradient = gradient.coalesce().values()
    return gradient.flatten()
