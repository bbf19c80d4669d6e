"""A network: an embedding, a way of sharing, towers; the usual towers, and heads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.modules.bias import BiasTower
from skmtl.modules.draws import ROWS_HERE, in_blocks
from skmtl.modules.layers import (
    Dense,
    SideBySide,
    TaskLinear,
    dense_stack,
    is_plain,
    one_after_the_other,
    side_by_side,
)
from skmtl.modules.pretrained_rows import Grown
from skmtl.modules.protocols import Embedding, Part, Penalty, Sharing, Towers
from skmtl.modules.ragged import Inputs, Ragged

P = TypeVar("P", bound=Part)
# What calls the sharing: of an input to a representation, with its mixture or without.
Share = Callable[[Tensor], Any]

# Rows whose experts stay in the cache of a processor, and in memory that is used again.
BLOCK = 1024


class MultiTaskModule(nn.Module):
    """Compose a network of its three parts.

    Parameters
    ----------
    embedding : Embedding
        Encoded rows to the input, ``(batch, width)``.
    sharing : Sharing
        Input to the representation of each task, ``(n_tasks, batch, width)``.
    towers : Towers
        Representations to logits, ``(batch, n_tasks)``.
    bias : BiasTower or None, default=None
        What the losses add to the logits, and predictions leave out.
    precision : {"float32", "bf16"}, default="float32"
        Type of the numbers in `sharing`, which holds most of the arithmetic.
        Embeddings, towers and all parameters stay in float32.
    compile : bool, default=False
        Whether ``torch.compile`` makes code of `sharing`.

    Attributes
    ----------
    embedding : Embedding
        The first part.
    sharing : Sharing
        The second.
    towers : Towers
        The third.
    block_rows : int or None, default=1024
        Rows that the sharing reads at once on the CPU. Set it to None before
        ``torch.export``, which would make a guard of the comparison with the number of
        rows: the exported program would take up to 1024 rows only.

    Raises
    ------
    TypeError
        If a part is a plain ``torch.nn.Module``, or if a subclass overrides `forward`,
        `split` or `representation`. Training evaluates the parts one by one; what is
        particular to a network belongs into one of them.

    Notes
    -----
    Parts may see the rows of a batch in blocks: on the CPU sharing reads at most 1024
    rows at once, and training takes batches of more than 4096 rows in blocks of up to
    2048.

    Examples
    --------
    Two columns of ids, one number and two tasks:

    >>> import torch
    >>> from skmtl.modules import (
    ...     MultiTaskModule, ParallelTowers, SharedBottom, TableEmbedding
    ... )
    >>> embedding = TableEmbedding(
    ...     vocabulary_sizes=[11, 5], bin_sizes=[], n_numeric=1, embedding_dim=4,
    ...     bin_dim=1, sparse=True,
    ... )
    >>> sharing = SharedBottom(n_tasks=2, width=embedding.width, units=(8,))
    >>> towers = ParallelTowers(n_tasks=2, width=sharing.width, units=(4,))
    >>> network = MultiTaskModule(embedding=embedding, sharing=sharing, towers=towers)
    >>> ids, bins = torch.tensor([[1, 11 + 2], [3, 11]]), torch.empty(2, 0).long()
    >>> network(ids, bins, torch.tensor([[0.5], [1.0]])).shape
    torch.Size([2, 2])
    """

    embedding: Embedding
    sharing: Sharing
    towers: Towers

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        for name in ("forward", "representation", "split"):
            if name in vars(cls):
                raise TypeError(
                    f"{cls.__name__} must not override {name} of MultiTaskModule, "
                    "which training does not call. Write an Embedding, Sharing or "
                    "Towers of your own."
                )

    def __init__(
        self,
        *,
        embedding: Embedding,
        sharing: Sharing,
        towers: Towers,
        bias: BiasTower | None = None,
        precision: str = "float32",
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = _checked(embedding, "embedding", Embedding)
        self.sharing = _checked(sharing, "sharing", Sharing)
        self.towers = _checked(towers, "towers", Towers)
        if bias is not None:
            self.add_module("bias", bias)
        self.precision, self.compile_sharing = precision, compile
        self.block_rows: int | None = BLOCK
        self._compiled: dict[str, Share] = {}

    def __getstate__(self) -> dict[str, object]:
        # Compiled code cannot be pickled; it is compiled again when needed.
        state: dict[str, object] = super().__getstate__()  # type: ignore[no-untyped-call]
        return state | {"_compiled": {}}

    def forward(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        """Compute the outputs of the tasks, of which predictions are made.

        Parameters
        ----------
        ids : Tensor of shape (batch, n_ids), dtype int
            Rows of the fused space of ids.
        bins : Tensor of shape (batch, n_bins), dtype int
            Bins of the numbers.
        numeric : Tensor of shape (batch, n_numeric)
            Scaled numbers.
        bags : iterable of Ragged
            Columns of ``batch`` lists of ids.

        Returns
        -------
        Tensor of shape (batch, n_tasks)
            The logits; several in a row for a task of several outputs.
        """
        logits: Tensor = self.towers(self.representation(ids, bins, numeric, bags))
        return logits

    def biased(self, logits: Tensor, inputs: Inputs) -> Tensor:
        """Compute the logits of what was observed, for the losses.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_tasks)
            What `forward` gives.
        inputs : dict of str to Tensor or Bags
            The arguments of `forward`.

        Returns
        -------
        Tensor of shape (batch, n_tasks)
            With what the columns that bias labels add, where there are any.
        """
        if self._bias is None:
            return logits
        added: Tensor = self._bias(**inputs)
        return logits + added

    @property
    def _bias(self) -> BiasTower | None:
        bias = self._modules.get("bias")
        assert bias is None or isinstance(bias, BiasTower)
        return bias

    def _embeddings(self) -> list[Embedding]:
        bias = self._bias
        return [self.embedding] if bias is None else [self.embedding, bias.embedding]

    def start_at(self, rates: Tensor) -> None:
        """Make the sigmoids of the outputs at the start about `rates`.

        Parameters
        ----------
        rates : Tensor of shape (n_outputs,)
            As in `Towers.start_at`.
        """
        self.towers.start_at(rates)

    def grow(self, sizes: Sequence[int], start: Tensor, new: Tensor) -> list[Grown]:
        """Give vocabularies more rows.

        Parameters
        ----------
        sizes : sequence of int
            Rows of each vocabulary from now on.
        start : Tensor of shape (sum(sizes),), dtype int64
            As in `Embedding.grow`.
        new : Tensor of shape (sum(sizes),), dtype bool
            Which rows did not exist before.

        Returns
        -------
        list of Grown
            One for each table.
        """
        parts = self._embeddings()
        return [one for part in parts for one in part.grow(sizes, start, new)]

    def takes_blocks(self) -> bool:
        """Whether training may take a large batch in blocks of rows.

        Not with a penalty, which needs the whole batch; nor with dense gradients of
        tables, of which one for each block would cost more than the blocks save.

        Returns
        -------
        bool
            Whether it may.
        """
        return self.embedding.sparse and not self.has_penalty

    @property
    def has_penalty(self) -> bool:
        """Whether training adds something to the loss of a batch."""
        return bool(self._penalties())

    def penalty(self, logits: Tensor, weight: Tensor | None) -> Tensor | None:
        """Compute what training adds to the loss of a batch.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_tasks)
            What `forward` gave.
        weight : Tensor of shape (batch, n_tasks) or None
            Weights of the labels, 0 where not observed.

        Returns
        -------
        Tensor of shape () or None
            The sum of the penalties of sharing and towers; None without any.
        """
        terms = [penalty(logits, weight) for penalty in self._penalties()]
        return torch.stack(terms).sum() if terms else None

    def _penalties(self) -> list[Penalty]:
        each = (self.sharing.penalty, self.towers.penalty)
        return [penalty for penalty in each if penalty is not None]

    def representation(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        """Compute what each task's tower reads.

        Parameters
        ----------
        ids : Tensor of shape (batch, n_ids), dtype int
            Rows of the fused space of ids.
        bins : Tensor of shape (batch, n_bins), dtype int
            Bins of the numbers.
        numeric : Tensor of shape (batch, n_numeric)
            Scaled numbers.
        bags : iterable of Ragged
            Columns of ``batch`` lists of ids.

        Returns
        -------
        Tensor of shape (n_tasks, batch, width)
            As returned by `Sharing.forward`.
        """
        shared: Tensor = self._share(
            "forward", self.embedding(ids, bins, numeric, bags)
        )
        return shared

    def split(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> tuple[Tensor, Tensor]:
        """Compute the representation, and how it is mixed from what tasks share.

        Parameters
        ----------
        ids : Tensor of shape (batch, n_ids), dtype int
            Rows of the fused space of ids.
        bins : Tensor of shape (batch, n_bins), dtype int
            Bins of the numbers.
        numeric : Tensor of shape (batch, n_numeric)
            Scaled numbers.
        bags : iterable of Ragged
            Columns of ``batch`` lists of ids.

        Returns
        -------
        representation : Tensor of shape (n_tasks or 1, batch, width)
            What the towers read; one for all where all tasks read the same.
        mixture : Tensor of shape (batch or 1, n_tasks, n_shared)
            As in `Sharing.mix`.
        """
        mixed: tuple[Tensor, Tensor] = self._share(
            "mix", self.embedding(ids, bins, numeric, bags)
        )
        return mixed

    def _share(self, how: Literal["forward", "mix"], x: Tensor) -> Any:
        """Call a method of the sharing, in its precision, and in blocks of rows."""
        # Called as a module where possible, so that its hooks run.
        share: Share = self.sharing if how == "forward" else self.sharing.mix
        if self.compile_sharing:
            if how not in self._compiled:
                method = self.sharing.forward if how == "forward" else share
                self._compiled[how] = torch.compile(method)
            share = self._compiled[how]
        size = self.block_rows if x.device.type == "cpu" else None
        here = ROWS_HERE.get()
        n_rows = x.shape[-2] if here is None else here.n  # those of the whole batch
        if size is None or n_rows <= size:
            return self._in_precision(share, x)
        found = in_blocks(partial(self._in_precision, share), x, size)
        if torch.is_tensor(found[0]):
            return _joined(found)
        representation, mixture = zip(*found, strict=True)
        # A mixture that is the same for all rows has a single one.
        one = len(mixture[0]) == 1
        return _joined(representation), mixture[0] if one else torch.cat(mixture)

    def _in_precision(self, share: Share, x: Tensor) -> Any:
        if self.precision == "float32":
            return share(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            found = share(x)
        if isinstance(found, tuple):
            return tuple(part.float() for part in found)
        return found.float()

    def id_tables(self) -> list[tuple[nn.Parameter, float]]:
        """Return the embedding tables, of which a batch touches few rows.

        Returns
        -------
        list of tuple
            Each table, and the factor of its learning rate.
        """
        return [one for part in self._embeddings() for one in part.id_tables()]

    def own_rates(self) -> list[tuple[nn.Parameter, float]]:
        """Return other parameters with a learning rate of their own.

        Returns
        -------
        list of tuple
            Each parameter, and the factor of its learning rate.
        """
        return [one for part in self._embeddings() for one in part.own_rates()]

    def shared_parameters(self) -> list[Tensor]:
        """Return the parameters that more than one task trains.

        Returns
        -------
        list of Tensor
            Those of embedding and sharing, without those of a single task.
        """
        own = {id(p) for p in self.sharing.task_parameters()}
        found = [*self.embedding.parameters(), *self.sharing.parameters()]
        return [p for p in found if p.numel() and id(p) not in own]

    def last_shared_layer(self) -> list[Tensor]:
        """Return the parameters of the last layer that the tasks share.

        Returns
        -------
        list of Tensor
            As returned by `Sharing.last_layer`.

        Raises
        ------
        ValueError
            If there is no such layer.
        """
        layer = self.sharing.last_layer()
        if not layer:
            raise ValueError(
                "at='last_shared_layer' needs a dense layer that the tasks share; "
                f"{type(self.sharing).__name__} has none here. Use "
                "at='representation'."
            )
        return layer


class ParallelTowers(Towers):
    """A stack of dense layers and a logit for each task, independent of the others.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    width : int
        Width of a task's representation.
    units : sequence of int
        Widths of a tower's hidden layers; may be empty.
    dropout : float, default=0.0
        Share of a layer's outputs that is dropped in training.
    n_outputs : sequence of int or None, default=None
        Outputs of each task; None for one.

    Notes
    -----
    Shape: ``(n_tasks, batch, width)``, or ``(1, batch, width)`` where all tasks read
    the same, to ``(batch, n_tasks)``, or ``(batch, sum(n_outputs))``.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import ParallelTowers
    >>> towers = ParallelTowers(n_tasks=2, width=8, units=(4,))
    >>> towers(torch.ones(2, 5, 8)).shape
    torch.Size([5, 2])
    >>> towers.start_at(torch.tensor([0.5, 0.25]))
    >>> towers(torch.zeros(1, 1, 8)).shape
    torch.Size([1, 2])
    """

    independent = True
    broadcasts = True

    def __init__(
        self,
        *,
        n_tasks: int,
        width: int,
        units: Sequence[int],
        dropout: float = 0.0,
        n_outputs: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.places = OutputPlaces(n_outputs or [1] * n_tasks)
        self.hidden = side_by_side(n_tasks, width, units, dropout)
        last = units[-1] if units else width
        self.output = TaskLinear(n_tasks, last, self.places.most)

    def start_at(self, rates: Tensor) -> None:
        """Set the output biases so that the first predictions are `rates`."""
        self.places.start_at(rates, self.output.bias)

    def forward(self, representation: Tensor) -> Tensor:
        # The hidden layers and the last one in one step, if they are as we made them.
        plain = is_plain(self.hidden, SideBySide)
        layers = self.hidden if plain else [self.hidden]
        outputs = one_after_the_other(representation, [*layers, self.output])
        logits: Tensor = self.places(outputs)
        return logits


class PooledTower(Towers):
    """One tower and one logit for all tasks.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    width : int
        Width of the representation.
    units : sequence of int
        Widths of the hidden layers; may be empty.
    dropout : float, default=0.0
        Share of a layer's outputs that is dropped in training.

    Notes
    -----
    Shape: ``(n_tasks, batch, width)``, the same for every task, to
    ``(batch, n_tasks)``, equal columns. Only the first representation is read.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import PooledTower
    >>> tower = PooledTower(n_tasks=2, width=8, units=(4,))
    >>> logits = tower(torch.ones(1, 5, 8).expand(2, -1, -1))
    >>> logits.shape, bool((logits[:, 0] == logits[:, 1]).all())
    (torch.Size([5, 2]), True)
    """

    def __init__(
        self, *, n_tasks: int, width: int, units: Sequence[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.n_tasks = n_tasks
        self.hidden = dense_stack(width, units, dropout)
        self.output = Dense(units[-1] if units else width, 1)

    def start_at(self, rates: Tensor) -> None:
        """Set the output bias so that the first predictions are the largest rate."""
        with torch.no_grad():
            # A row is positive if any task is, so at least as often as each of them.
            self.output.bias.fill_(rates.max().logit())

    def forward(self, representation: Tensor) -> Tensor:
        # Any of the representations, which are one tensor expanded.
        logits: Tensor = self.output(self.hidden(representation[0]))
        return logits.expand(-1, self.n_tasks)


def _checked(part: P, name: str, kind: type[Part]) -> P:
    if not isinstance(part, kind):
        raise TypeError(
            f"{name} must be a skmtl.modules.{kind.__name__}, found "
            f"{type(part).__name__}. Derive it from {kind.__name__}, which has a "
            "default for all but forward."
        )
    return part


def _joined(blocks: Sequence[Tensor]) -> Tensor:
    """Representations of all blocks of rows; one for all tasks stays one."""
    n_tasks = len(blocks[0])
    # One tensor expanded for all tasks is copied once, and expanded again.
    if blocks[0].stride(0) == 0:
        blocks = [block[:1] for block in blocks]
    return torch.cat(list(blocks), dim=1).expand(n_tasks, -1, -1)


class OutputPlaces(nn.Module):
    """Select the outputs of tasks from last layers that are one `TaskLinear`.

    The layer has as many outputs for each task as the task with the most, so that one
    product gives all; those that a task does not have are left out.

    Parameters
    ----------
    n_outputs : sequence of int
        Outputs of each task.

    Notes
    -----
    Shape: ``(n_tasks, batch, max(n_outputs))`` to ``(batch, sum(n_outputs))``.
    """

    used: Tensor

    def __init__(self, n_outputs: Sequence[int]) -> None:
        super().__init__()
        self.most = max(n_outputs)
        places = [
            task * self.most + k for task, n in enumerate(n_outputs) for k in range(n)
        ]
        used = torch.tensor(places, dtype=torch.int64)
        self.register_buffer("used", used, persistent=False)

    def start_at(self, rates: Tensor, biases: Tensor) -> None:
        """Set biases to the logits of `rates`, of shape (sum(n_outputs),)."""
        with torch.no_grad():
            # Places that no task uses stay at 0.
            started = rates.new_zeros(biases.numel())
            started[self.used] = rates.logit()
            biases.copy_(started.view_as(biases))

    def forward(self, outputs: Tensor) -> Tensor:
        if self.most == 1:
            return outputs.squeeze(2).t()
        return outputs.transpose(0, 1).flatten(1).index_select(1, self.used)


class OrderedThresholds(nn.Module):
    r"""From one score to the log-odds of a label above each class but the last.

    Output k is ``score - threshold[k]``, with thresholds that rise: the first is a
    parameter, each further one adds a softplus of a parameter.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 2.

    Notes
    -----
    Shape: ``(batch, 1)`` to ``(batch, n_classes - 1)``.

    References
    ----------
    P. McCullagh, "Regression Models for Ordinal Data", Journal of the Royal Statistical
    Society B 42(2), 1980, section 2: the proportional odds model.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import OrderedThresholds
    >>> thresholds = OrderedThresholds(n_classes=3)
    >>> thresholds.start_at(torch.tensor([0.8, 0.3]))
    >>> thresholds(torch.zeros(1, 1)).sigmoid()
    tensor([[0.8000, 0.3000]], grad_fn=<SigmoidBackward0>)
    """

    def __init__(self, *, n_classes: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(1))
        self.steps = nn.Parameter(torch.zeros(n_classes - 2))

    def start_at(self, rates: Tensor) -> None:
        """Make `rates` the sigmoids of the outputs for a score of 0.

        Parameters
        ----------
        rates : Tensor of shape (n_classes - 1,)
            Shares of labels above each class but the last, which fall. Equal ones are
            moved slightly apart.
        """
        thresholds = -rates.double().logit()
        with torch.no_grad():
            self.first.copy_(thresholds[:1])
            # The inverse of softplus, which is -inf for a gap of 0 between equal rates.
            gaps = thresholds.diff().clamp(min=1e-4)
            self.steps.copy_(gaps + torch.log(-torch.expm1(-gaps)))

    def forward(self, score: Tensor) -> Tensor:
        thresholds = torch.cat([self.first, F.softplus(self.steps)]).cumsum(dim=0)
        return score - thresholds


def with_thresholds(
    towers: Towers, n_thresholds: Sequence[int], *, n_scores: Sequence[int]
) -> Towers:
    """Give towers the thresholds of tasks with ordered classes, if there are any.

    Parameters
    ----------
    towers : Towers
        Towers that give numbers for each task.
    n_thresholds : sequence of int
        Thresholds of each task; 0 for one whose outputs are what its tower gives.
    n_scores : sequence of int
        Numbers of each task that the towers give; 1 for a task with thresholds.

    Returns
    -------
    Towers
        `TowersWithHeads` around the towers, or the towers themselves if no task has
        thresholds.

    Examples
    --------
    A binary task, and one with three ordered classes:

    >>> import torch
    >>> from skmtl.modules import ParallelTowers, with_thresholds
    >>> towers = ParallelTowers(n_tasks=2, width=8, units=())
    >>> towers = with_thresholds(towers, [0, 2], n_scores=[1, 1])
    >>> towers(torch.ones(2, 5, 8)).shape
    torch.Size([5, 3])
    """
    if not any(n_thresholds):
        return towers
    heads = [OrderedThresholds(n_classes=n + 1) if n else None for n in n_thresholds]
    n_outputs = [n or own for n, own in zip(n_thresholds, n_scores, strict=True)]
    return TowersWithHeads(towers, heads, n_scores=n_scores, n_outputs=n_outputs)


class TowersWithHeads(Towers):
    """Towers with a head for each task, which turns their numbers into outputs.

    Parameters
    ----------
    towers : Towers
        The towers.
    heads : sequence of OrderedThresholds or None
        The head of each task; None for outputs that stay as they are.
    n_scores, n_outputs : sequence of int
        Numbers that the towers give for each task, and outputs of each.

    See Also
    --------
    with_thresholds : Make them for tasks with ordered classes.

    Notes
    -----
    Shape: ``(n_tasks, batch, width)`` to ``(batch, sum(n_outputs))``. `independent`,
    `broadcasts`, `bounds` and the penalty are those of the towers.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import OrderedThresholds, ParallelTowers, TowersWithHeads
    >>> towers = TowersWithHeads(
    ...     ParallelTowers(n_tasks=2, width=8, units=()),
    ...     [None, OrderedThresholds(n_classes=3)],
    ...     n_scores=[1, 1], n_outputs=[1, 2],
    ... )
    >>> outputs = towers(torch.rand(2, 5, 8))
    >>> outputs.shape, bool((outputs[:, 1] > outputs[:, 2]).all())
    (torch.Size([5, 3]), True)
    """

    def __init__(
        self,
        towers: Towers,
        heads: Sequence[OrderedThresholds | None],
        *,
        n_scores: Sequence[int],
        n_outputs: Sequence[int],
    ) -> None:
        super().__init__()
        self.towers = towers
        self.heads = nn.ModuleList(head or nn.Identity() for head in heads)
        self.n_scores, self.n_outputs = list(n_scores), list(n_outputs)
        # A head reads numbers of its own task only, so these are as in the towers.
        self.independent = towers.independent
        self.broadcasts = towers.broadcasts
        # Only then: training takes None to mean that there is no penalty.
        if towers.penalty is not None:
            self.penalty = self._penalty

    def start_at(self, rates: Tensor) -> None:
        """Start the towers' numbers below a head at 0, and the head at its rates."""
        inner = []
        for head, own in zip(self.heads, rates.split(self.n_outputs), strict=True):
            if isinstance(head, OrderedThresholds):
                head.start_at(own)
                # A logit of 0: the thresholds alone give the rates.
                own = torch.full_like(own[:1], 0.5)
            inner.append(own)
        self.towers.start_at(torch.cat(inner))

    @property
    def bounds(self) -> Sequence[Sequence[int]]:  # type: ignore[override]
        """Those of the towers."""
        return self.towers.bounds

    def forward(self, representation: Tensor) -> Tensor:
        scores = self.towers(representation).split(self.n_scores, dim=1)
        pairs = zip(self.heads, scores, strict=True)
        return torch.cat([head(score) for head, score in pairs], dim=1)

    def _penalty(self, logits: Tensor, weight: Tensor | None) -> Tensor:
        """The penalty of the towers, which uses log-odds without a head."""
        parts = logits.split(self.n_outputs, dim=1)
        kept = [part[:, :n] for part, n in zip(parts, self.n_scores, strict=True)]
        assert self.towers.penalty is not None
        return self.towers.penalty(torch.cat(kept, dim=1), weight)
