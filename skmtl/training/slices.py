"""Batches that are computed in slices, whose results are added in a fixed order.

The bits of a product depend on its number of rows, and those of a sum on its order.
So every slice is computed by itself, in whichever process, and sums are trees of
neighbours: one process with several slices is bit-identical to several processes with
one each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import NoReturn, TypeVar

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn

from skmtl.modules import MultiTaskModule
from skmtl.modules.draws import RowsHere, drawn_for, draws_from_here, elsewhere
from skmtl.modules.ragged import Inputs
from skmtl.training.batches import (
    Batch,
    Forward,
    Outputs,
    OwnRows,
    Processes,
    Rows,
    RowTable,
    TensorTable,
    WholeBatch,
)
from skmtl.training.layers import check_draws, check_layers
from skmtl.training.optimizers import join_rows, sum_by_row
from skmtl.training.threads import Alone, Crew, works_on_threads
from skmtl.weighting import Step
from skmtl.weighting._step import StepTaken

T = TypeVar("T")
Gradients = list[Tensor | None]


def tree_sum(values: Sequence[Tensor]) -> Tensor:
    """Sum of neighbours, then of neighbours among the sums, and so on.

    Any process can compute a branch.
    """
    if len(values) == 1:
        return values[0]
    half = len(values) // 2
    return tree_sum(values[:half]) + tree_sum(values[half:])


class SharedRows(OwnRows):
    """A slice of a batch, padded by rows of weight 0 where it does not divide.

    Parameters
    ----------
    table : TensorTable
        The whole batch.
    at, n : int
        Which slice, and the number of slices.
    draws : bool
        Whether the network draws random numbers.
    module : MultiTaskModule
        The network that computes the slice.
    """

    def __init__(
        self,
        table: TensorTable,
        at: int,
        n: int,
        *,
        draws: bool,
        module: MultiTaskModule,
    ) -> None:
        self.n_rows, self.module = len(table), module
        count = -(-self.n_rows // n)
        self.here = RowsHere(at * count, count, self.n_rows)
        self.share = count / self.n_rows
        self.table = _padded_part(table, self.here)
        self.draws = draws

    def whole(self, forward: Forward[T]) -> T:
        with drawn_for(self.here if self.draws else None):
            return super().whole(forward)

    def blocks(self, size: int, forward: Forward[object]) -> Iterator[Batch]:
        if not self.draws:
            yield from super().blocks(size, forward)
            return
        for at, rows in self.here.blocks(size):
            if at.start < at.stop:
                with drawn_for(rows):
                    yield self.table.rows(at)
            else:
                # No row of this block is here, but its numbers must be drawn, so that
                # the next block has those that it has in one process.
                X, target = self.table.rows(slice(0, 1))
                with elsewhere(rows):
                    forward(X, *target)


def _padded_part(table: TensorTable, here: RowsHere) -> TensorTable:
    stop = here.first + here.count
    if stop <= here.n:
        return table.take(slice(here.first, stop))
    at = torch.arange(here.first, stop, device=table.y.device)
    part = table.take(at.clamp(max=here.n - 1))
    weight = torch.ones_like(part.y) if part.weight is None else part.weight
    part.weight = weight * (at < here.n)[:, None]
    return part


class Slices(Processes):
    """One process that computes every batch in slices.

    Parameters
    ----------
    n_slices : int
        How many.
    """

    def __init__(self, n_slices: int) -> None:
        self.n_slices, self.draws = n_slices, False
        self.crew: Crew | None = None

    def __getstate__(self) -> dict[str, object]:
        # Threads cannot be pickled, and belong to one training.
        return self.__dict__ | {"crew": None}

    @property
    def own(self) -> range:
        return range(self.n_slices)

    def begin(
        self, net: NeuralNet, table: RowTable, valid: RowTable | None, seed: int
    ) -> None:
        if self.n_slices > net.batch_size:
            raise ValueError(
                f"Batches of {net.batch_size} rows cannot be computed in "
                f"{self.n_slices} parts, by n_microbatches or as many processes. "
                "Use fewer parts, or a larger batch_size."
            )
        check_layers(net.module_)
        self.draws = check_draws(net, table)
        if self.draws and net.module_.compile_sharing:
            raise ValueError(
                "compile=True with dropout draws other numbers in every part of a "
                "batch. Set compile=False, or dropout and gate_dropout to 0, in a fit "
                "in several processes or with n_microbatches."
            )

    def most_at_once(self, net: NeuralNet) -> int:
        together = len(self.own) > 1 and works_on_threads(net, draws=self.draws)
        return len(self.own) if together else 1

    def begin_pass(self, net: NeuralNet | None) -> None:
        # What callbacks have changed meanwhile is in the networks of a new crew.
        if self.crew is not None:
            self.crew.end()
        self.crew = None
        self.at_once = 1 if net is None else self.most_at_once(net)

    def batch(self, table: TensorTable, net: NeuralNet) -> WholeBatch:
        n = min(self.at_once, net.threads_[True].at_once)
        if n == 1:
            return SlicedBatch(table, self, Alone(net.module_), net.device)
        if self.crew is None:
            self.crew = Crew(net.module_, n)
        self.crew.refresh()
        return SlicedBatch(table, self, self.crew, net.device)

    def total(self, values: list[Tensor]) -> Tensor:
        if values[0].is_sparse:
            own = join_rows([sum_by_row(one) for one in values])
            return self._sparse([own])[0].coalesce()
        return self._summed(tree_sum([one.detach().clone() for one in values]))

    def gradients(self, of_slices: list[Gradients]) -> Gradients:
        """Sums over all slices of the gradients of parameters."""
        found: Gradients = []
        for every in zip(*of_slices, strict=True):
            known = [g for g in every if g is not None]
            if not known:
                found.append(None)
            elif known[0].is_sparse:
                # Summed by row first, so that each slice has a row only once.
                found.append(join_rows([sum_by_row(g) for g in known]))
            else:
                found.append(tree_sum(known))
        for is_sparse, add in ((False, self._dense), (True, self._sparse)):
            at = [
                k
                for k, g in enumerate(found)
                if g is not None and g.is_sparse == is_sparse
            ]
            if at:
                sums = add([g for k in at if (g := found[k]) is not None])
                for k, total in zip(at, sums, strict=True):
                    found[k] = total
        return found

    def outputs(self, module: MultiTaskModule, X: Inputs, n_rows: int) -> Tensor:
        # The last row stands in where rows do not divide: gathering needs equal shapes.
        parts = [torch.from_numpy(at) for at in self._places(n_rows)]
        own = [module(**{name: x[at] for name, x in X.items()}) for at in parts]
        return self._gathered(torch.stack(own)).flatten(0, 2)[:n_rows]

    def outputs_of(
        self, outputs: Callable[[Rows | None], Outputs], rows: Rows | None, n_rows: int
    ) -> Outputs:
        every = np.arange(n_rows) if rows is None else rows
        own = np.stack([outputs(every[at]) for at in self._places(len(every))])
        found = self._gathered(torch.from_numpy(own)).flatten(0, 2)[: len(every)]
        return found.numpy()

    def _places(self, n_rows: int) -> list[Rows]:
        """Rows of each slice in this process."""
        count = -(-n_rows // self.n_slices)
        return [
            np.arange(s * count, (s + 1) * count).clip(max=n_rows - 1) for s in self.own
        ]

    def _summed(self, x: Tensor) -> Tensor:
        """Sum over the processes."""
        return x

    def _dense(self, gradients: list[Tensor]) -> list[Tensor]:
        """Sums of several tensors over the processes."""
        return gradients

    def _sparse(self, own: list[Tensor]) -> list[Tensor]:
        """Sparse gradients with the rows of all processes, in the order of ranks."""
        return own

    def _gathered(self, x: Tensor) -> Tensor:
        """Tensors of one shape of all processes, in the order of ranks."""
        return x[None]


class SlicedBatch(WholeBatch):
    """A batch in slices, with the gradients of each slice apart.

    Parameters
    ----------
    table : TensorTable
        The whole batch.
    group : Slices
        Which slices are computed here, and what sums over the others.
    crew : Alone
        Who computes them.
    device : str
        Where.
    """

    def __init__(
        self, table: TensorTable, group: Slices, crew: Alone, device: str
    ) -> None:
        self.n_rows, self.group = len(table), group
        self.crew, self.device = crew, device
        self.parts = [
            SharedRows(
                table,
                at,
                group.n_slices,
                draws=group.draws,
                module=crew.module_of(place),
            )
            for place, at in enumerate(group.own)
        ]
        self.parameters = crew.parameters_of(0)
        nothing: Gradients = [None] * len(self.parameters)
        self.gradients = [nothing for _ in self.parts]
        self.of_penalties = nothing

    def each(self, compute: Callable[[OwnRows], T]) -> list[T]:
        # Every slice draws for the whole batch, so all of them draw the same numbers.
        several = self.group.draws and len(self.parts) > 1
        same_draws = draws_from_here(self.device) if several else nullcontext

        def one(at: int) -> T:
            with same_draws() if at else nullcontext():
                return compute(self.parts[at])

        return self.every(one)

    def every(self, work: Callable[[int], T]) -> list[T]:
        """Do something for every slice here; gradients are those of the slice."""

        def one(at: int) -> T:
            with _in_place(self.crew.parameters_of(at), self.gradients[at]) as after:
                found = work(at)
            self.gradients[at] = after
            return found

        return self.crew.every(len(self.parts), one)

    def penalize(self, penalty: Tensor) -> None:
        """Go back from a penalty, which is the same in every process."""
        with _in_place(self.parameters, self.of_penalties) as after:
            # The losses go back through the same graph afterwards.
            torch.autograd.backward(penalty, retain_graph=True)
        self.of_penalties = after

    def join(self, found: list[tuple[Step, Tensor]]) -> tuple[Step, Tensor]:
        steps, outputs = [step for step, _ in found], [z for _, z in found]
        # Losses and outputs in one message.
        own = [
            torch.cat([part.share * step.losses.detach(), z.detach().reshape(-1)])
            for part, step, z in zip(self.parts, steps, outputs, strict=True)
        ]
        every = self.group._gathered(torch.stack(own)).flatten(0, 1)
        n_tasks, n_outputs = len(steps[0].losses), outputs[0].shape[1]
        losses = tree_sum(every[:, :n_tasks].unbind())
        rows = every[:, n_tasks:].reshape(-1, n_outputs)[: self.n_rows]
        first = steps[0]
        if isinstance(first, StepTaken):
            inner = [s.inner for s in steps if isinstance(s, StepTaken)]
            known = [one for one in inner if one is not None]
            gramian = self.total(known) if known else None
            return StepTaken(losses, first.weights, gramian), rows
        for of_batch in (rows, losses):
            of_batch.requires_grad_()  # for a penalty
        return SlicedStep(self, steps, losses, outputs, rows), rows

    def total(self, values: list[Tensor]) -> Tensor:
        return self.group.total(values)

    def reduce(self) -> None:
        sums = self.group.gradients(self.gradients)
        for p, g, own in zip(self.parameters, sums, self.of_penalties, strict=True):
            p.grad = g if own is None else own if g is None else g + own


@contextmanager
def _in_place(
    parameters: Sequence[nn.Parameter], gradients: Gradients
) -> Iterator[Gradients]:
    """Context in which parameters have these gradients; gives those at its end."""
    before, after = [p.grad for p in parameters], list(gradients)
    _set_gradients(parameters, gradients)
    yield after
    after[:] = [p.grad for p in parameters]
    _set_gradients(parameters, before)


def _set_gradients(parameters: Sequence[nn.Parameter], gradients: Gradients) -> None:
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = g


class SlicedStep(Step):
    """The step of a batch whose slices have steps of their own.

    Parameters
    ----------
    batch : SlicedBatch
        The batch.
    steps : list of Step
        Steps of the slices that are computed here.
    losses : Tensor of shape (n_tasks,)
        Losses of the whole batch, without their graph.
    outputs : list of Tensor
        Logits of these slices, with the graph below.
    rows : Tensor of shape (batch, n_outputs)
        Logits of the whole batch, without it.
    """

    def __init__(
        self,
        batch: SlicedBatch,
        steps: list[Step],
        losses: Tensor,
        outputs: list[Tensor],
        rows: Tensor,
    ) -> None:
        self.batch, self.steps, self.losses = batch, steps, losses
        self.outputs, self.of_all = outputs, rows
        self.module, self.joint = steps[0].module, steps[0].joint

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"This step has no {name!r}: its batch is computed in parts, in several "
            "processes or by n_microbatches. Its losses and methods are those of the "
            "whole batch."
        )

    def add(self, penalty: Tensor) -> None:
        if not penalty.requires_grad:
            return
        self.batch.penalize(penalty)
        at_rows, self.of_all.grad = self.of_all.grad, None
        at_losses, self.losses.grad = self.losses.grad, None

        def go_back(at: int) -> None:
            step = self.steps[at]
            if at_rows is not None:
                self._from_rows(at, at_rows)
            if at_losses is not None:
                share = self.batch.parts[at].share
                torch.autograd.backward(
                    step.losses, share * at_losses, retain_graph=True
                )
            step.keep_extra()

        self.batch.every(go_back)

    def _from_rows(self, at: int, gradient: Tensor) -> None:
        """Go back from the logits of a slice, of which padding has no gradient."""
        z = self.outputs[at]
        first = self.batch.group.own[at] * len(z)
        of_slice = torch.zeros_like(z)
        own = gradient[first : first + len(z)]
        of_slice[: len(own)] = own
        torch.autograd.backward(z, of_slice, retain_graph=True)

    def through_towers(self, weights: Tensor, *, apart: bool = False) -> None:
        self.weights = weights
        parts, steps = self.batch.parts, self.steps
        self.batch.every(
            lambda at: steps[at].through_towers(parts[at].share * weights, apart=apart)
        )

    def descend(self, weights: Tensor | None = None) -> None:
        self.batch.every(lambda at: self.steps[at].descend(weights))

    def _at_representation(self) -> Tensor:
        return self.batch.total([step._at_representation() for step in self.steps])

    def _task_gradients(
        self, parameters: list[Tensor]
    ) -> list[tuple[Tensor | None, ...]]:
        """Summed over the slices, before they are multiplied with each other."""
        of_slices = [step._task_gradients(parameters) for step in self.steps]
        return [
            tuple(self._sum(list(every)) for every in zip(*of_task, strict=True))
            for of_task in zip(*of_slices, strict=True)
        ]

    def _sum(self, gradients: list[Tensor | None]) -> Tensor | None:
        known = [g for g in gradients if g is not None]
        return self.batch.total(known) if known else None
