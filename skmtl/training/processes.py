"""The processes that share a fit: each takes its rows of every batch.

A fit in one process and one in several are the same steps on the same batches. What
looks at a whole batch asks the processes for it: losses, outputs, the gradients of
parameters, inner products of the tasks' gradients. The answer has the same bits in
every process, so that all of them take the same decisions and need not talk about them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from sklearn.base import BaseEstimator
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn

from skmtl.modules import MultiTaskModule
from skmtl.modules.draws import (
    RowsHere,
    drawn_for,
    elsewhere,
    generator_states,
)
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
)
from skmtl.training.callbacks import checkpoints_apart
from skmtl.training.fingerprint import digest_of, settings_of
from skmtl.training.layers import check_draws, check_layers
from skmtl.training.optimizers import join_rows, sum_by_row

T = TypeVar("T")

_SAME = (
    "Every process must call fit with equal hyperparameters and the same table, and "
    "takes its rows of each batch. To fit rankers separately, fit before the process "
    "group is initialised."
)
# Longer values are not part of a message.
_SHOWN = 60

# Numbers of 32 bits that the place of a row of a table takes.
_PLACE = 2


class SharedRows(OwnRows):
    """A slice of a batch, padded by rows of weight 0 where it does not divide.

    Parameters
    ----------
    table : TensorTable
        The whole batch.
    rank, n : int
        This process, and the number of processes.
    draws : bool
        Whether the network draws random numbers.
    """

    def __init__(self, table: TensorTable, rank: int, n: int, *, draws: bool) -> None:
        self.n_rows = len(table)
        count = -(-self.n_rows // n)
        self.here = RowsHere(rank * count, count, self.n_rows)
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


class ProcessGroup(Processes):
    """The processes of the default group of torch.distributed."""

    def __init__(self) -> None:
        self.n, self.rank = dist.get_world_size(), dist.get_rank()
        self.draws = False
        # gloo takes tensors of the CPU, and NCCL those of a GPU.
        devices = {"gloo": "cpu", "mpi": "cpu", "nccl": "cuda"}
        self.device = devices.get(dist.get_backend())

    def random_numbers(
        self, ranker: BaseEstimator, tasks: Sequence[str], kind: type
    ) -> tuple[np.random.RandomState, int]:
        self._check_settings(
            {
                **settings_of(ranker, strict=False),
                # Each process may have a GPU of its own.
                "device": torch.device(ranker.device).type,
                "checkpoints": str(len(checkpoints_apart(ranker.callbacks)[1])),
                "tasks": str(tasks),
                "fit": kind.__name__,
            }
        )
        rng, seed = super().random_numbers(ranker, tasks, kind)
        if ranker.random_state is None:
            # Without a random_state every process has drawn another seed.
            seed = self._of_all(seed)[0]
            rng = np.random.RandomState(seed)
            seed = int(rng.randint(2**31 - 1))
        return rng, seed

    def _check_settings(self, own: dict[str, str]) -> None:
        every = self._of_all(own)
        names = dict.fromkeys(name for one in every for name in one)
        values = {
            k: list(dict.fromkeys(one.get(k, "-") for one in every)) for k in names
        }
        differ = [_with_values(k, v) for k, v in values.items() if len(v) > 1]
        if differ:
            raise ValueError(
                f"The {self.n} processes of this fit differ in {', '.join(differ)}. "
                f"{_SAME}"
            )

    def callbacks(self) -> list[Callback]:
        return [SameReplicas(self)]

    def begin(
        self, net: NeuralNet, table: RowTable, valid: RowTable | None, seed: int
    ) -> None:
        module = net.module_
        self.check_same(
            {
                "the rows to train on": digest_of(table),
                "the rows for validation": digest_of(valid),
                "random_state": seed,
                "the first network": digest_of(module.state_dict()),
                "the loss weighting": digest_of(net.criterion_.state_dict()),
                "the settings of training": _settings(net),
            }
        )
        check_layers(module)
        self.draws = check_draws(net, table)
        if self.draws and module.compile_sharing:
            raise ValueError(
                "compile=True with dropout draws other numbers in every process. Set "
                "compile=False, or dropout and gate_dropout to 0, in a fit in several "
                "processes."
            )

    def check_same(self, what: Mapping[str, object], hint: str = _SAME) -> None:
        every = self._of_all(dict(what))
        # If they are not all alike, each of them differs from another.
        differ = [k for k in what if any(one.get(k) != what[k] for one in every)]
        if differ:
            raise ValueError(
                f"The {self.n} processes of this fit differ in {differ}. {hint}"
            )

    @contextmanager
    def errors_of_all(self) -> Iterator[None]:
        error: Exception | None = None
        try:
            yield
        except Exception as raised:
            error = raised
        self._raise_of_all(error)

    def any(self, flag: bool) -> bool:
        return any(self._of_all(flag))

    def leader(self, folder: str) -> int:
        with ExitStack() as stack:
            with self.errors_of_all():
                mark = stack.enter_context(
                    tempfile.NamedTemporaryFile(prefix="skmtl-", dir=folder)
                )
            marks = self._of_all((folder, mark.name))
            # Folders of one name may be on different machines.
            leader = next(
                rank
                for rank, (theirs, name) in enumerate(marks)
                if theirs == folder and os.path.exists(name)
            )
            self.wait()  # before a mark goes
        return leader

    def led(self, leader: int, work: Callable[[Callable[[], object]], T]) -> T:
        leaders = sorted(set(self._of_all(leader)))
        outcome: T | None = None
        error: Exception | None = None
        if self.rank in leaders:
            try:
                outcome = work(lambda: self._reduced(torch.ones(1)))
            except Exception as raised:
                error = raised
        # All of them tell each other whether they work, until no one does. A process
        # that only waited would run into the timeout of the group.
        while self._reduced(torch.zeros(1)).item():
            pass
        self._raise_of_all(error)
        found: list[T | None] = []
        for source in leaders:
            sent = [outcome if self.rank == source else None]
            self._talk(partial(dist.broadcast_object_list, sent, source))
            found += sent
        theirs = found[leaders.index(leader)]
        return cast(T, outcome if self.rank == leader else theirs)

    def wait(self) -> None:
        self._of_all(None)

    def _raise_of_all(self, own: Exception | None) -> None:
        """Raise in every process if one has an error."""
        every = self._of_all(None if own is None else (_kind_of(own), str(own)))
        if own is not None:
            raise own
        for rank, error in enumerate(every):
            if error is not None:
                kind, text = error
                raise kind(f"Process {rank} of {self.n}: {text}")

    def part(self, table: TensorTable) -> OwnRows:
        return SharedRows(table, self.rank, self.n, draws=self.draws)

    def join(
        self, part: OwnRows, losses: Tensor, outputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = _Join.apply(losses, outputs, part, self)  # type: ignore[no-untyped-call]
        return found

    def total(self, x: Tensor) -> Tensor:
        if x.is_sparse:
            return self._joined_rows([x])[0].coalesce()
        return self._reduced(x.detach().clone())

    def penalty(self, value: Tensor) -> Tensor:
        return value / self.n

    def reduce(self, parameters: Iterator[nn.Parameter]) -> None:
        trained = [(p, p.grad) for p in parameters if p.grad is not None]
        dense = [(p, g) for p, g in trained if not g.is_sparse]
        tables = [(p, g) for p, g in trained if g.is_sparse]
        if dense:
            # One message instead of one for each parameter.
            flat = torch.cat([g.reshape(-1) for _, g in dense])
            sums = self._reduced(flat).split([g.numel() for _, g in dense])
            for (p, _), total in zip(dense, sums, strict=True):
                p.grad = total.view(p.shape)
        if tables:
            found = self._joined_rows([g for _, g in tables])
            for (p, _), joined in zip(tables, found, strict=True):
                p.grad = joined

    def outputs(self, module: MultiTaskModule, X: Inputs, n_rows: int) -> Tensor:
        count = -(-n_rows // self.n)
        at = torch.arange(self.rank * count, (self.rank + 1) * count)
        # The last row stands in where rows do not divide: gathering needs equal shapes.
        at = at.clamp_(max=n_rows - 1)
        own = module(**{name: x[at] for name, x in X.items()})
        return self._gathered(own).flatten(0, 1)[:n_rows]

    def outputs_of(
        self, outputs: Callable[[Rows | None], Outputs], rows: Rows | None, n_rows: int
    ) -> Outputs:
        every = np.arange(n_rows) if rows is None else rows
        count = -(-len(every) // self.n)
        at = np.arange(self.rank * count, (self.rank + 1) * count)
        own = outputs(every[at.clip(max=len(every) - 1)])
        found = self._gathered(torch.from_numpy(own)).flatten(0, 1)[: len(every)]
        return found.numpy()

    def _joined_rows(self, gradients: list[Tensor]) -> list[Tensor]:
        """Sparse gradients with the rows of all processes, in the order of ranks."""
        # Summed by row first, so that each process sends a row only once.
        own = [sum_by_row(g) for g in gradients]
        lengths = self._gathered(torch.tensor([len(g._values()) for g in own]))
        widths = torch.tensor([_PLACE + g.shape[1] for g in own])
        longest = int((lengths * widths).sum(dim=1).max())
        # Places come first, and are integers of two floats each.
        # Of one length in all processes, and even, so that the next one's places can be
        # viewed as integers of 64 bits.
        buffer = own[0]._values().new_empty(longest + longest % _PLACE)
        places = [g._indices()[0].view(torch.float32) for g in own]
        parts = [*places, *(g._values().reshape(-1) for g in own)]
        torch.cat(parts, out=buffer[: sum(map(len, parts))])
        received = zip(self._gathered(buffer), lengths.tolist(), strict=True)
        every = [_unpacked(one, counts, own) for one, counts in received]
        return [join_rows(list(found)) for found in zip(*every, strict=True)]

    def _reduced(self, x: Tensor) -> Tensor:
        """Sum over the processes, in place where it can be."""
        there = x if self.device is None else x.to(self.device)
        self._talk(lambda: dist.all_reduce(there))
        return there.to(x.device)

    def _gathered(self, x: Tensor) -> Tensor:
        """Tensors of one shape of all processes, in the order of ranks."""
        there = (x if self.device is None else x.to(self.device)).contiguous()
        every = there.new_empty(self.n, *x.shape)
        self._talk(lambda: dist.all_gather(list(every.unbind()), there))
        return every.to(x.device)

    def _of_all(self, value: T) -> list[T]:
        found: list[Any] = [None] * self.n
        self._talk(lambda: dist.all_gather_object(found, value))
        return found

    def _talk(self, exchange: Callable[[], object]) -> None:
        try:
            exchange()
        except RuntimeError as error:
            raise RuntimeError(
                f"Process {self.rank} of {self.n} waits for others that have ended, "
                "that took longer than the timeout of the process group, or that do "
                "not fit a ranker. Look at their messages, and start all of them "
                f"again; a Checkpoint resumes the fit. ({error})"
            ) from error


def _kind_of(error: Exception) -> type[Exception]:
    """A class that every process knows."""
    kinds = (TypeError, ValueError, FileNotFoundError, OSError)
    return next((kind for kind in kinds if isinstance(error, kind)), RuntimeError)


def _with_values(name: str, values: list[str]) -> str:
    shown = max(map(len, values)) <= _SHOWN
    return f"{name} ({' and '.join(values)})" if shown else name


def _unpacked(buffer: Tensor, counts: list[int], like: list[Tensor]) -> list[Tensor]:
    """Sparse gradients out of the places and values of all tables."""
    sizes = [_PLACE * n for n in counts]
    sizes += [n * g.shape[1] for n, g in zip(counts, like, strict=True)]
    parts = buffer[: sum(sizes)].split(sizes)
    return [
        torch.sparse_coo_tensor(
            places.view(torch.int64)[None],
            values.view(-1, g.shape[1]),
            g.shape,
            check_invariants=False,
        )
        for g, places, values in zip(
            like, parts[: len(like)], parts[len(like) :], strict=True
        )
    ]


class _Join(torch.autograd.Function):
    """Sum of losses, and outputs one after the other; back to those of the part."""

    @staticmethod
    def forward(
        ctx: Any, losses: Tensor, outputs: Tensor, part: OwnRows, group: ProcessGroup
    ) -> tuple[Tensor, Tensor]:
        ctx.part, ctx.group, ctx.shape = part, group, outputs.shape
        ctx.set_materialize_grads(False)
        own = torch.cat([part.share * losses, outputs.reshape(-1)])
        every = group._gathered(own)
        of_losses, of_outputs = every.split([len(losses), outputs.numel()], dim=1)
        rows = of_outputs.reshape(-1, outputs.shape[1])[: part.n_rows]
        return of_losses.sum(dim=0), rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        of_losses, of_outputs = gradients
        part, n = ctx.part, ctx.group.n
        to_losses = None if of_losses is None else part.share * of_losses
        to_outputs = None
        if of_outputs is not None:
            # Only penalties read outputs. Each process goes back from an n-th of the
            # penalty of the whole batch, but no other one reaches the rows here.
            first = ctx.group.rank * ctx.shape[0]
            own = of_outputs[first : first + ctx.shape[0]]
            to_outputs = of_outputs.new_zeros(ctx.shape)
            to_outputs[: len(own)] = n * own
        return to_losses, to_outputs, None, None


class SameReplicas(Callback):
    """Make sure after each epoch that all processes have the same network."""

    def __init__(self, group: ProcessGroup) -> None:
        self.group = group

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        self.group.check_same(
            {
                "the parameters": digest_of(net.module_.state_dict()),
                "the loss weighting": digest_of(net.criterion_.state_dict()),
                "the random numbers": digest_of(list(generator_states("cpu"))[:1]),
            },
            "Parts and callbacks of your own must do the same in every process, and "
            "processors of different kinds round differently.",
        )


def _settings(net: NeuralNet) -> list[str]:
    """What says how the net trains, as text."""
    groups = [
        {k: v for k, v in group.items() if k != "params"}
        for group in net.optimizer_.param_groups
    ]
    own = [net.max_epochs, net.batch_size, net.average_weights, net.record_gradients]
    weighting = repr(net.criterion_.weighting)
    return [*map(repr, groups), *map(repr, own), weighting]
