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
from torch import Tensor

from skmtl.modules.draws import generator_states
from skmtl.training.batches import RowTable
from skmtl.training.callbacks import checkpoints_apart
from skmtl.training.fingerprint import digest_of, settings_of
from skmtl.training.optimizers import join_rows
from skmtl.training.slices import Slices, tree_sum

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


class ProcessGroup(Slices):
    """The processes of the default group of torch.distributed.

    Parameters
    ----------
    n_slices : int or None
        Parts in which a batch is computed; None for one in each process.
    """

    def __init__(self, n_slices: int | None) -> None:
        self.n, self.rank = dist.get_world_size(), dist.get_rank()
        super().__init__(self.n if n_slices is None else n_slices)
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
        self._check_slices()
        rng, seed = super().random_numbers(ranker, tasks, kind)
        if ranker.random_state is None:
            # Without a random_state every process has drawn another seed.
            seed = self._of_all(seed)[0]
            rng = np.random.RandomState(seed)
            seed = int(rng.randint(2**31 - 1))
        return rng, seed

    @property
    def own(self) -> range:
        count = self.n_slices // self.n
        return range(self.rank * count, (self.rank + 1) * count)

    def _check_slices(self) -> None:
        """Refuse parts that several numbers of processes would not sum alike."""
        count, rest = divmod(self.n_slices, self.n)
        if rest or not count or (count > 1 and self.n & (self.n - 1)):
            raise ValueError(
                f"n_microbatches={self.n_slices} cannot be divided among {self.n} "
                "processes. Set it to None, to the number of processes or, if this is "
                "a power of two, to a multiple of it."
            )

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
        self.check_same(
            {
                "the rows to train on": digest_of(table),
                "the rows for validation": digest_of(valid),
                "random_state": seed,
                "the first network": digest_of(net.module_.state_dict()),
                "the loss weighting": digest_of(net.criterion_.state_dict()),
                "the settings of training": _settings(net),
            }
        )
        super().begin(net, table, valid, seed)

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

    def _summed(self, x: Tensor) -> Tensor:
        if self.n == 2:  # there is only one order
            return self._reduced(x)
        # Each process sums a part, and all of them get every sum.
        flat = x.reshape(-1)
        size = -(-len(flat) // self.n)
        padded = flat.new_zeros(self.n * size)
        padded[: len(flat)] = flat
        own = tree_sum(self._exchanged(padded).view(self.n, size).unbind())
        return self._gathered(own).flatten()[: len(flat)].view_as(x)

    def _dense(self, gradients: list[Tensor]) -> list[Tensor]:
        # One message instead of one for each parameter.
        flat = self._summed(torch.cat([g.reshape(-1) for g in gradients]))
        sums = flat.split([g.numel() for g in gradients])
        return [s.view(g.shape) for s, g in zip(sums, gradients, strict=True)]

    def _sparse(self, own: list[Tensor]) -> list[Tensor]:
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

    def _exchanged(self, x: Tensor) -> Tensor:
        """An equal part of the tensor of each process, in the order of ranks."""
        there = x if self.device is None else x.to(self.device)
        found = torch.empty_like(there)
        self._talk(lambda: dist.all_to_all_single(found, there))
        return found.to(x.device)

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
