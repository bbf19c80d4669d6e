"""Tables as tensors, their batches, and what training changes in a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.distributed as dist
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import Dataset

from skmtl._typing import TableLike
from skmtl._warnings import warn
from skmtl.encoding import EncodedTable, TableEncoder
from skmtl.encoding._columns import rare_shares
from skmtl.metrics._validation import check_groups
from skmtl.modules import MultiTaskModule
from skmtl.modules.draws import (
    cut_lists,
    draw_lists,
    generator_of,
    generator_states,
    set_generator_states,
)
from skmtl.modules.ragged import Inputs
from skmtl.tasks import Targets
from skmtl.training.computing import (
    as_tensors,
    fits,
    send,
    size_in_bytes,
    without_index,
)
from skmtl.weighting import Step

# Rows of as many batches as have this many rows are gathered at once.
GATHERED_ROWS = 8192

# Most rows of a list: longer groups are cut, differently in each pass. Rows of one user
# are alike, and a batch of few users would be a poor sample of the table.
LIST_ROWS = 16

T = TypeVar("T")
# A function of the inputs, labels, weights and lists of some rows.
Forward: TypeAlias = Callable[[Inputs, Tensor, Tensor | None, Tensor | None], T]
Outputs: TypeAlias = npt.NDArray[np.float32]
Rows: TypeAlias = npt.NDArray[np.int64]
# Labels, weights and the list of each row; no weights if all are 1, and no lists if
# rows are not compared.
Labelled: TypeAlias = tuple[Tensor, Tensor | None, Tensor | None]
Batch: TypeAlias = tuple[Inputs, Labelled]


class RowTable(Dataset[Batch], ABC):
    """Encoded rows with labels and weights, as the net reads them."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def batches(self, batch_size: int, *, shuffle: bool) -> RowBatches:
        """Batches of the rows; shuffled again at each pass."""

    @abstractmethod
    def spread(self, n_rows: int) -> TensorTable:
        """A sample of about `n_rows` rows; all rows if there are fewer."""

    @abstractmethod
    def where_labelled(self, values: Tensor) -> Tensor:
        """Values of tasks, NaN for tasks without a label in these rows."""

    @abstractmethod
    def state(self) -> Sequence[Inputs | Tensor | None]:
        """Tensors, in dicts and lists, that identify the rows."""


class TensorTable(RowTable):
    """An encoded table with labels and weights, as tensors.

    Parameters
    ----------
    X : dict of str to Tensor or Bags, each with n_samples rows
        Arguments of the module.
    y : Tensor of shape (n_samples, n_tasks)
        Labels, 0 where not observed.
    weight : Tensor of shape (n_samples, n_tasks) or None
        Weights, 0 where not observed.
    groups : Tensor of shape (n_samples,), dtype int64, or None
        Number of the group of each row, where rows of a group are compared.
    """

    def __init__(
        self,
        X: Inputs,
        y: Tensor,
        weight: Tensor | None,
        groups: Tensor | None = None,
    ) -> None:
        self.X, self.y, self.weight, self.groups = X, y, weight, groups
        self.device: torch.device | None = None  # where batches go, if elsewhere

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: str) -> TensorTable:
        """Put the table on a device or, if it does not fit, send its batches there.

        A table takes at most half of what is free: parameters, their optimiser and
        what a step computes need the rest.
        """
        parts = (self.X, self.y, self.weight, self.groups)
        if torch.device(device).type == "cpu" or fits(2 * size_in_bytes(parts), device):
            return TensorTable(*send(parts, device))
        self.device = torch.device(device)
        return self

    def take(self, at: slice | Tensor) -> TensorTable:
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[at]
        groups = None if self.groups is None else self.groups[at]
        X = {name: x[at] for name, x in self.X.items()}
        taken = TensorTable(X, self.y[at], weight, groups)
        taken.device = self.device
        return taken

    def in_lists(self) -> tuple[TensorTable, Tensor]:
        """The table with lists in place of its groups, and its rows list by list."""
        assert self.groups is not None
        order, numbers = draw_lists(self.groups.cpu(), LIST_ROWS)
        lists = torch.empty_like(numbers)
        lists[order] = numbers  # back in the order of the table
        device = self.groups.device
        table = TensorTable(self.X, self.y, self.weight, lists.to(device))
        table.device = self.device
        return table, order

    def rows(self, at: slice | Tensor) -> Batch:
        """A batch."""
        taken = self.take(at)
        batch = taken.X, (taken.y, taken.weight, taken.groups)
        return batch if self.device is None else send(batch, self.device, pin=True)

    def batches(self, batch_size: int, *, shuffle: bool) -> RowBatches:
        return Batches(self, batch_size, shuffle=shuffle)

    def spread(self, n_rows: int) -> TensorTable:
        stride = -(-len(self) // n_rows)
        if self.groups is not None:
            # Lists as long as those of training, since losses depend on their lengths.
            every = torch.arange(len(self))
            order, lists, _ = cut_lists(self.groups.cpu(), every, LIST_ROWS)
            some = lists % stride == 0
            table = self.take(order[some].to(self.y.device))
            table.groups = lists[some].to(self.groups.device)
            return table
        return self.take(torch.arange(0, len(self), stride, device=self.y.device))

    def state(self) -> Sequence[Inputs | Tensor | None]:
        parts: list[Inputs | Tensor | None] = [self.X, self.y, self.weight]
        return parts if self.groups is None else [*parts, self.groups]

    def where_labelled(self, values: Tensor) -> Tensor:
        if self.weight is None:
            return values
        labelled = (self.weight != 0).any(dim=0).to(values.device)
        return values.where(labelled, torch.nan)


class RowBatches(ABC):
    """Batches of a table; each pass is one over all rows.

    What a pass draws at random it draws when it begins, before its first batch, so that
    a pass can be made again from where torch's generator was.
    """

    table: RowTable
    batch_size: int

    def __len__(self) -> int:
        return -(-len(self.table) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self.after(0)

    @abstractmethod
    def after(self, n_batches: int) -> Iterator[Batch]:
        """Start a pass, and skip its first batches.

        Gives arguments of the module, and labels, weights and groups, batch by batch.
        """


class Batches(RowBatches):
    """Slices of a table, without per-row work; shuffled again at each pass."""

    table: TensorTable

    def __init__(self, table: TensorTable, batch_size: int, *, shuffle: bool) -> None:
        self.table, self.batch_size, self.shuffle = table, batch_size, shuffle

    def after(self, n_batches: int) -> Iterator[Batch]:
        table, n, order = self.table, len(self.table), None
        # Drawn on the CPU, so that a seed gives the same order on every device.
        if self.shuffle and table.groups is not None:
            # A list at the border of two batches is divided between them.
            table, order = table.in_lists()
        elif self.shuffle:
            order = torch.randperm(n, generator=generator_of("cpu"))
        # A single batch has the same rows in any order; in the table's, it is a view.
        if order is None or n <= self.batch_size:
            return islice(self._slices(table), n_batches, None)
        left = order[n_batches * self.batch_size :].to(table.y.device)
        return self._gathered(table, left)

    def _gathered(self, table: TensorTable, order: Tensor) -> Iterator[Batch]:
        # Rows of several batches are gathered at once, which takes half the time.
        n_batches = max(GATHERED_ROWS // self.batch_size, 1)
        for at in order.split(n_batches * self.batch_size):
            yield from self._slices(table.take(at))

    def _slices(self, table: TensorTable) -> Iterator[Batch]:
        for start in range(0, len(table), self.batch_size):
            yield table.rows(slice(start, start + self.batch_size))


def batch_size(wanted: int | str, n_rows: int) -> int:
    """About 200 batches, of 32 to 1024 rows, a power of two."""
    if isinstance(wanted, str):
        return int(2 ** np.clip(np.round(np.log2(max(n_rows, 1) / 200)), 5, 10))
    return int(wanted)


class OwnRows:
    """The rows of a batch that this process computes: all of them.

    Parameters
    ----------
    table : TensorTable
        The rows.
    module : MultiTaskModule
        The network that computes them.

    Attributes
    ----------
    n_rows : int
        Rows of the whole batch.
    share : float
        Factor of a mean over the rows here in the mean over the whole batch.
    """

    share = 1.0

    def __init__(self, table: TensorTable, module: MultiTaskModule) -> None:
        self.table, self.n_rows, self.module = table, len(table), module

    def whole(self, forward: Forward[T]) -> T:
        """Compute all rows of this process at once."""
        table = self.table
        return forward(table.X, table.y, table.weight, table.groups)

    def blocks(self, size: int, forward: Forward[object]) -> Iterator[Batch]:
        """Yield the rows of this part in blocks of `size` rows of the batch."""
        return iter(Batches(self.table, size, shuffle=False))


class WholeBatch:
    """A batch in a step of training, which is computed as one part.

    Parameters
    ----------
    table : TensorTable
        The rows.
    module : MultiTaskModule
        The network.

    Attributes
    ----------
    n_rows : int
        Rows of the whole batch.
    """

    def __init__(self, table: TensorTable, module: MultiTaskModule) -> None:
        self.n_rows, self.parts = len(table), [OwnRows(table, module)]

    def each(self, compute: Callable[[OwnRows], T]) -> list[T]:
        """Compute something of each part that is computed in this process."""
        return [compute(part) for part in self.parts]

    def join(self, found: list[tuple[Step, Tensor]]) -> tuple[Step, Tensor]:
        """The step and the outputs of the whole batch, from those of each part."""
        return found[0]

    def total(self, values: list[Tensor]) -> Tensor:
        """Sum over all parts of the batch, from those here; without a graph."""
        return values[0]

    def reduce(self) -> None:
        """Give parameters the sum of the gradients of all parts."""


class Processes:
    """One process, which computes every batch as a whole.

    Attributes
    ----------
    n, rank : int
        Number of processes, and which of them this is.
    n_slices : int
        Parts in which a batch is computed, by all processes together.
    """

    n, rank, n_slices = 1, 0, 1

    @property
    def own(self) -> range:
        """Which of these parts this process computes."""
        return range(1)

    @property
    def is_first(self) -> bool:
        """Whether this process prints and writes on behalf of all."""
        return self.rank == 0

    def random_numbers(
        self, ranker: BaseEstimator, tasks: Sequence[str], kind: type
    ) -> tuple[np.random.RandomState, int]:
        """Random numbers of one fit, and a seed for torch.

        Parameters
        ----------
        ranker : BaseEstimator
            Has the hyperparameters.
        tasks : list of str
            Names of the tasks.
        kind : type
            Class of the fit.

        Raises
        ------
        ValueError
            In every process, where they are about to fit in different ways; the message
            names what differs.
        """
        rng = check_random_state(ranker.random_state)
        return rng, int(rng.randint(2**31 - 1))

    def callbacks(self) -> list[Callback]:
        """Checks to make while training runs."""
        return []

    def begin(
        self, net: NeuralNet, table: RowTable, valid: RowTable | None, seed: int
    ) -> None:
        """Check that all processes are about to do the same.

        Parameters
        ----------
        net : MultiTaskNet
            About to train.
        table, valid : RowTable or None
            Rows to train on and for validation.
        seed : int
            What the fit draws from.

        Raises
        ------
        ValueError
            In every process, where they are not, and for a network that cannot be
            trained in several processes.
        """

    def check_same(self, what: Mapping[str, object], hint: str = "") -> None:
        """Raise in every process if a value differs between them."""

    def errors_of_all(self) -> AbstractContextManager[None]:
        """Raise in every process what one of them raises within.

        Nothing within may ask the other processes.
        """
        return nullcontext()

    def any(self, flag: bool) -> bool:
        """Whether the value is true in any process."""
        return flag

    def leader(self, folder: str) -> int:
        """The process that writes to a folder, for all processes that share it."""
        return 0

    def led(self, leader: int, work: Callable[[Callable[[], object]], T]) -> T:
        """The result of another process.

        Parameters
        ----------
        leader : int
            The process whose outcome is asked for.
        work : callable
            What a leader does. It is given a function, and calls it now and then, so
            that those who wait know that it is not dead.

        Raises
        ------
        Exception
            In every process, what a leader raises.
        """
        return work(_nothing)

    def wait(self) -> None:
        """Wait until all processes are here."""

    def most_at_once(self, net: NeuralNet) -> int:
        """Parts that threads of this process may compute at the same time."""
        return 1

    def begin_pass(self, net: NeuralNet | None) -> None:
        """Prepare for the batches of a pass over the rows; None after the last."""

    def batch(self, table: TensorTable, net: NeuralNet) -> WholeBatch:
        """A batch, with the parts that this process computes."""
        return WholeBatch(table, net.module_)

    def total(self, values: list[Tensor]) -> Tensor:
        """Sum over all parts, from those of this process, without a graph."""
        return values[0]

    def outputs(self, module: MultiTaskModule, X: Inputs, n_rows: int) -> Tensor:
        """Outputs of rows, without a graph."""
        found: Tensor = module(**X)
        return found

    def outputs_of(
        self, outputs: Callable[[Rows | None], Outputs], rows: Rows | None, n_rows: int
    ) -> Outputs:
        """Outputs of some rows; of all `n_rows` if none are given."""
        return outputs(rows)


def _nothing() -> None:
    pass


def current_processes(ranker: BaseEstimator) -> Processes:
    """The processes of the group of torch.distributed that this one has joined.

    Parameters
    ----------
    ranker : BaseEstimator
        Its `n_microbatches` is the number of parts of a batch.
    """
    # As Python's: a product with a narrow integer of numpy may overflow.
    n_slices = None if ranker.n_microbatches is None else int(ranker.n_microbatches)
    there = dist.is_available() and dist.is_initialized()
    # Imported here, since both are above the batches.
    if there and dist.get_world_size() > 1:
        group = import_module("skmtl.training.processes").ProcessGroup
        joined: Processes = group(n_slices)
        return joined
    if n_slices is None or n_slices == 1:
        return Processes()
    slices: Processes = import_module("skmtl.training.slices").Slices(n_slices)
    return slices


class Mean:
    """Weighted mean of tensors, kept on the device."""

    def __init__(self) -> None:
        self.total: Tensor | float = 0.0
        self.weight = 0.0

    def add(self, value: Tensor | None, weight: float = 1.0) -> None:
        """Add one more; None is ignored."""
        if value is not None:
            self.total = self.total + weight * value
            self.weight += weight

    @property
    def value(self) -> Tensor:
        """The mean."""
        assert isinstance(self.total, Tensor)  # called only after a step
        return self.total / self.weight


class EpochPass:
    """The sums of an epoch so far, and how far it has come.

    Attributes
    ----------
    losses, weights, gramian : Mean
        Losses, which count by the rows of their batch, and what steps are made of,
        which counts by the step.
    n_batches : int
        Batches that are done.
    generator : Tensor
        State of the generator before the order of rows was drawn.
    """

    def __init__(self) -> None:
        self.losses, self.weights, self.gramian = Mean(), Mean(), Mean()
        self.n_batches = 0
        self.generator = generator_states("cpu")[0]

    def rest(self, batches: RowBatches) -> Iterator[Batch]:
        """Iterate over the remaining batches, in the order that was drawn."""
        if not self.n_batches:
            return iter(batches)
        # Draws the order again from where it was drawn, then goes back to the state
        # that the steps so far have left.
        now = generator_states("cpu")
        set_generator_states("cpu", (self.generator, None))
        left = batches.after(self.n_batches)
        set_generator_states("cpu", now)
        return left

    def add(self, step: Mapping[str, Any], n_rows: int) -> None:
        """Count a step on `n_rows` rows."""
        self.losses.add(step["task_losses"], n_rows)
        self.weights.add(step.get("weights"))
        self.gramian.add(step.get("gramian"))
        self.n_batches += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the state, from which an epoch can be resumed."""
        means = (self.losses, self.weights, self.gramian)
        return {
            "means": [[one.total, one.weight] for one in means],
            "n_batches": self.n_batches,
            "generator": self.generator,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the state of another pass over the same rows."""
        means = (self.losses, self.weights, self.gramian)
        for mine, (total, weight) in zip(means, state["means"], strict=True):
            mine.total, mine.weight = total, weight
        self.n_batches, self.generator = state["n_batches"], state["generator"]


def tensor_table(
    table: EncodedTable,
    labels: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float64],
    device: str,
    groups: npt.NDArray[np.int64] | None = None,
) -> TensorTable:
    """Put a table on the device, weights scaled to mean 1 for each task."""
    mean = weight.mean(axis=0)
    scaled = None
    # Losses without weights need no product; a task of weight 0 needs its zeros.
    if not (mean > 0).all() or not (weight == mean).all():
        ratio = np.divide(weight, mean, out=np.zeros_like(weight), where=mean > 0)
        scaled = torch.from_numpy(ratio.astype(np.float32))
    X, y = as_tensors(table), torch.from_numpy(labels)
    codes = None if groups is None else torch.from_numpy(groups)
    return TensorTable(X, y, scaled, codes).to(device)


def group_codes(
    groups: TableLike | None,
    targets: Targets,
    weight: npt.NDArray[np.float64],
    processes: Processes,
) -> npt.NDArray[np.int64] | None:
    """Number the groups of the rows from 0; None if no task compares rows.

    Raises
    ------
    ValueError
        If a task needs groups and there are none, or they are not one for each row, or
        batches are computed in parts.
    """
    needing = [kind.needs_groups for kind in targets.kinds]
    if not any(needing):
        return None
    if groups is None:
        first = needing.index(True)
        task, kind = targets.names[first], targets.kinds[first]
        raise ValueError(
            f"Task {str(task)!r}, {kind!r}, compares rows of a group, such as the "
            "impressions of a request. Pass groups=..., the group of each row. Within "
            "scikit-learn's searches set "
            "sklearn.set_config(enable_metadata_routing=True) first."
        )
    if processes.n_slices > 1:
        raise ValueError(
            "Losses of the order within groups need all rows of a batch, but "
            f"{processes.n_slices} processes or micro-batches share it. Fit in one "
            "process without n_microbatches, or leave out ranking."
        )
    codes = check_groups(groups, len(targets.labels))
    # In order of appearance, so that the names of groups do not matter.
    codes = pd.factorize(codes)[0].astype(np.int64)
    for task, needs in enumerate(needing):
        if needs:
            _warn_without_pairs(codes, targets, weight, task)
    return codes


def _warn_without_pairs(
    codes: npt.NDArray[np.int64],
    targets: Targets,
    weight: npt.NDArray[np.float64],
    task: int,
) -> None:
    """Warn if no group has rows to compare, as if each row had its own group."""
    labels, counts = targets.labels[:, task], weight[:, task] > 0
    positive, negative = codes[counts & (labels > 0)], codes[counts & (labels == 0)]
    if len(positive) and len(negative) and not np.isin(positive, negative).any():
        warn(
            f"Task {str(targets.names[task])!r} compares rows of a group, but it "
            "cannot learn an order from labels that are the same within every group. "
            "Are these the groups of the rows? Rows of weight 0 do not count."
        )


class UnknownIds:
    """Replace ids of a batch by their column's unknown row, rare ids more often.

    Unknown ids of later rows are rare ones, or new ones that may become frequent. The
    fewer rare ids a column has, the more likely is the latter, and the more evenly are
    its ids replaced.

    Parameters
    ----------
    rate, share : float
        An id seen on n rows is replaced with the probability ``rate / (rate + n)``, or
        `share`, if that is more.
    new : float
        The probability is moved towards its mean over the rows of the column by
        ``new / (new + rare)``, where ``rare`` is the share of rows with a rare id.
    encoder : TableEncoder
        Knows n, and what takes the place of an unknown id.
    device : str
        Where the batches are.

    Notes
    -----
    Shape: ``(batch, n_columns)`` to the same. Rows of further hashes, which come after
    those of the columns, stay as they are, and so do the entries of lists. Where an
    id's fallback is itself replaced, that of the fallback is taken.

    References
    ----------
    E. Kiperwasser and Y. Goldberg, "Simple and Accurate Dependency Parsing Using
    Bidirectional LSTM Feature Representations", TACL 2016, paragraph "Word dropout".
    """

    def __init__(
        self, rate: float, share: float, new: float, encoder: TableEncoder, device: str
    ) -> None:
        n, layout = encoder.row_frequencies(), encoder.layout_
        chance = (rate / (rate + n)).clip(min=share).astype(np.float32)
        vocabularies, least = encoder._vocabularies, encoder.min_frequency
        for rows, rare in rare_shares(layout.first, vocabularies, least):
            mean = np.average(chance[rows], weights=n[rows])
            chance[rows] += (new and new / (new + rare)) * (mean - chance[rows])
        # 0 for rows that are not of one id, such as fallbacks and buckets.
        chance[n == 0] = 0.0
        self.probability = torch.from_numpy(chance).to(device)
        self.first = torch.tensor(layout.column_first, dtype=torch.int64, device=device)
        self.sizes = torch.tensor(layout.column_sizes, dtype=torch.int64, device=device)
        first = layout.column_first
        # For each column of a chain, the map from its ids to their fallback rows.
        self.chains = [
            (
                one.column,
                [
                    (c, first[one.column] + row - first[c] - 1)
                    for c, row in zip(one.chain, one.first, strict=True)
                ],
            )
            for one in layout.fallbacks
        ]

    def __call__(self, ids: Tensor) -> Tensor:
        columns = ids[:, : len(self.first)]
        chance = self.probability.index_select(0, columns.flatten()).view_as(columns)
        generator, device = generator_of(chance.device), chance.device
        drawn = torch.rand(chance.shape, generator=generator, device=device)
        replaced = drawn < chance
        first = self.first.to(ids.dtype)
        found = torch.where(replaced, first, columns)
        if self.chains:
            self._fall_back(found, columns, replaced)
        return torch.cat([found, ids[:, len(first) :]], dim=1)

    def _fall_back(self, found: Tensor, columns: Tensor, replaced: Tensor) -> None:
        codes = columns - self.first.to(columns.dtype)
        # Code 0 is the unknown row, and codes from the size on are fallback rows.
        known = (codes > 0) & (codes < self.sizes) & ~replaced
        for column, chain in self.chains:
            row = self.first[column].to(columns.dtype)
            for c, shift in reversed(chain):  # the first of them writes last
                row = torch.where(known[:, c], columns[:, c] + shift, row)
            found[:, column] = torch.where(known[:, column], columns[:, column], row)


def unknown_ids(ranker: BaseEstimator, encoder: TableEncoder) -> UnknownIds | None:
    """The replacement that a ranker's `unknown_rate` sets; None if there is none."""
    if not ranker.unknown_rate or not encoder.row_frequencies().any():
        return None
    rate, share = float(ranker.unknown_rate), float(ranker.unknown_share)
    new = float(ranker.new_id_share)
    return UnknownIds(rate, share, new, encoder, without_index(ranker.device))
