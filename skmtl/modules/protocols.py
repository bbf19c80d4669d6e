"""The parts of a network, with every member that training uses."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skmtl.modules.pretrained_rows import Grown
from skmtl.modules.ragged import Ragged

# Of logits and weights of labels, both (batch, n_tasks), to a 0-dimensional tensor.
Penalty = Callable[[Tensor, Tensor | None], Tensor]


class ColumnSlices(dict[Hashable, tuple[slice, ...]]):
    """Where each column of a table lies in an input, as slices of its last axis.

    A dictionary from the names of columns to tuples: one slice for a column of ids or
    lists; for a number that of its bin's embedding, where it has bins, and that of the
    number itself.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import ColumnSlices
    >>> columns = ColumnSlices(
    ...     {"user": (slice(0, 2),), "price": (slice(2, 3), slice(3, 4))}
    ... )
    >>> columns["user"]
    (slice(0, 2, None),)
    >>> x = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    >>> x[:, columns.positions(["price"])]
    tensor([[0.3000, 0.4000]])
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()})"

    def __missing__(self, name: Hashable) -> tuple[slice, ...]:
        raise KeyError(self._without(name))

    def _without(self, name: Hashable) -> str:
        text = f"The input has no column {name!r}. Its columns are {list(self)}."
        if self:
            return text
        return f"{text} Where it comes from crosses, they must set `columns`."

    def positions(self, names: Iterable[Hashable]) -> Tensor:
        """Find the positions of some columns on the last axis.

        Parameters
        ----------
        names : iterable of hashable
            Names of columns.

        Returns
        -------
        Tensor of shape (n_positions,), dtype int64
            In the order of `names`.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        names = list(names)
        unknown = [name for name in names if name not in self]
        if unknown:
            raise ValueError(self._without(unknown[0]))
        own = [one for name in names for one in self[name]]
        found = [k for one in own for k in range(one.start, one.stop)]
        return torch.tensor(found, dtype=torch.int64)


class Part(nn.Module):
    """A part of a network. Some of its members describe others.

    A class may state a property of one of its methods, such as that each logit depends
    on only one representation, or offer a faster way to the result of the method. This
    does not hold for a subclass that overrides the method: there the member has its
    default again, unless the subclass defines it too.

    Attributes
    ----------
    describes : dict of str to tuple of str
        For each member that describes methods, the names of the methods.
    """

    describes: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        outdated = [
            member
            for member, methods in cls.describes.items()
            if any(_overrides(cls, method, member) for method in methods)
        ]
        for member in outdated:
            setattr(cls, member, _written(cls, member)[-1][1])


def _overrides(cls: type, method: str, member: str) -> bool:
    """Whether a method is overridden below the class that defines its description."""
    written = _written(cls, method)
    # The newest definition is the default: never overridden, or set back since.
    if not written or written[0][1] is written[-1][1]:
        return False
    return written[0][0] < _written(cls, member)[0][0]


def _written(cls: type, member: str) -> list[tuple[int, Any]]:
    """The definitions of a member, in method resolution order; the default is last.

    Each comes with the position of its class in that order.
    """
    ours = cls.mro()[: cls.mro().index(nn.Module)]
    return [(k, vars(c)[member]) for k, c in enumerate(ours) if member in vars(c)]


class Embedding(Part):
    """From encoded rows to the input of the sharing.

    A subclass defines `forward` and sets `width`. All else has a default.

    Attributes
    ----------
    width : int
        Width of the output.
    columns : ColumnSlices
        Where each column of the table lies in the output, by its name. Empty by
        default, and if the names are not known.
    sparse : bool, default=True
        Whether gradients of the tables of ids hold only the rows that a batch touches.
        If False, training never splits a large batch into blocks, since each block
        would need a gradient of the whole table.

    Examples
    --------
    Only the numbers:

    >>> import torch
    >>> from skmtl.modules import Embedding
    >>> class Numbers(Embedding):
    ...     def forward(self, ids, bins, numeric, bags=()):
    ...         return numeric
    >>> Numbers().id_tables()
    []
    """

    width: int
    columns: ColumnSlices = ColumnSlices({})
    sparse: bool = True

    def forward(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        """Embed rows.

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
        Tensor of shape (batch, width) or (n_sets, batch, width)
            One input for all, or several, each with all rows.
        """
        raise NotImplementedError

    def id_tables(self) -> list[tuple[nn.Parameter, float]]:
        """Embedding tables; a batch touches few of their rows.

        Returns
        -------
        list of tuple
            Each trained table, and the factor of its learning rate. The optimiser of
            embeddings trains them, that of dense layers everything else. By default
            there are none.
        """
        return []

    def own_rates(self) -> list[tuple[nn.Parameter, float]]:
        """Other parameters whose learning rate is not that of the dense layers.

        Returns
        -------
        list of tuple
            Each parameter, and the factor of its learning rate. By default there are
            none.
        """
        return []

    def grow(self, sizes: Sequence[int], start: Tensor, new: Tensor) -> list[Grown]:
        """Give vocabularies more rows.

        Parameters
        ----------
        sizes : sequence of int
            Rows of each vocabulary from now on.
        start : Tensor of shape (sum(sizes),), dtype int64
            For each row of the new fused space, the row of the old fused space, in the
            same vocabulary, from whose numbers it starts.
        new : Tensor of shape (sum(sizes),), dtype bool
            Which rows did not exist before.

        Returns
        -------
        list of Grown
            One for each table.

        Raises
        ------
        NotImplementedError
            By default: tables of such an embedding have a fixed number of rows.
        """
        raise NotImplementedError(
            f"{type(self).__name__} cannot learn new ids. Write its method grow, or "
            "fit again on all rows."
        )


class Pooling(Part):
    """From the embeddings of a list's entries to one, with parameters of its own.

    A subclass defines `forward` and `padded`, which give the same numbers for lists in
    two forms.

    Examples
    --------
    The sum of the entries:

    >>> import torch
    >>> from skmtl.modules import Pooling, Ragged
    >>> class Sum(Pooling):
    ...     def forward(self, x, bag, query):
    ...         return x.new_zeros(len(bag), x.shape[1]).index_add(0, bag.row, x)
    ...
    ...     def padded(self, x, mask, query):
    ...         return (x * mask[:, :, None]).sum(dim=1)
    >>> lists = Ragged(torch.arange(3), torch.tensor([0, 2, 2, 3]))
    >>> Sum()(torch.ones(3, 2), lists, None)
    tensor([[2., 2.],
            [0., 0.],
            [1., 1.]])
    """

    def forward(self, x: Tensor, bag: Ragged, query: Tensor | None) -> Tensor:
        """Pool lists whose entries lie one after the other.

        Parameters
        ----------
        x : Tensor of shape (n_entries, width)
            Embeddings of the entries.
        bag : Ragged
            The lists.
        query : Tensor of shape (n_rows, width) or None
            Embedding of each row's target, if the list has one.

        Returns
        -------
        Tensor of shape (n_rows, width)
            The pooled embeddings; 0 for an empty list.
        """
        raise NotImplementedError

    def padded(self, x: Tensor, mask: Tensor, query: Tensor | None) -> Tensor:
        """Pool lists that are filled up to one length, as exported files have them.

        Parameters
        ----------
        x : Tensor of shape (n_rows, length, width)
            Embeddings of the entries.
        mask : Tensor of shape (n_rows, length), dtype bool
            Which of them are entries.
        query : Tensor of shape (n_rows, width) or None
            As in `forward`.

        Returns
        -------
        Tensor of shape (n_rows, width)
            As in `forward`.
        """
        raise NotImplementedError


class Cross(Part):
    """From an embedded row to one in which columns have acted on each other.

    A subclass defines `forward` and sets `width`. It lies between the embedding and the
    sharing. An embedding with several sets, one for each task, has as many crosses.

    Attributes
    ----------
    width : int
        Width of the output.
    columns : ColumnSlices
        Where the columns of the input lie in the output, by their names, for a sharing
        that reads some of them. Empty by default.

    Examples
    --------
    The input and its square:

    >>> import torch
    >>> from skmtl.modules import Cross
    >>> class Squares(Cross):
    ...     def __init__(self, width, columns):
    ...         super().__init__()
    ...         self.width, self.columns = 2 * width, columns
    ...
    ...     def forward(self, x):
    ...         return torch.cat([x, x.square()], dim=1)
    >>> Squares(3, {})(torch.ones(5, 3)).shape
    torch.Size([5, 6])
    """

    width: int
    columns: ColumnSlices = ColumnSlices({})

    @classmethod
    def check_parameters(cls, parameters: Mapping[str, object]) -> None:
        """Raise for values that the constructor refuses; for none by default.

        A ranker calls it before it reads a table.

        Parameters
        ----------
        parameters : mapping of str to object
            Arguments of the constructor that were set, such as ``crosses__rank``.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Cross the columns of rows.

        Parameters
        ----------
        x : Tensor of shape (batch, input width)
            The output of the embedding. Rows may come in blocks, so that no row may
            depend on another.

        Returns
        -------
        Tensor of shape (batch, width)
            What the sharing reads.
        """
        raise NotImplementedError


class Sharing(Part):
    """From the input to the representation of each task.

    A subclass defines `forward` and sets `width`. All else has a default. Prediction
    calls `forward`, training calls `mix`. By default each is computed from the other,
    also in a subclass that overrides only one of them.

    Attributes
    ----------
    width : int
        Width of the representation.
    penalty : callable or None, default=None
        Method ``penalty(logits, weight)`` that gives a 0-dimensional tensor, which
        training adds to the loss: `logits` of shape (batch, n_tasks), and `weight`, the
        weights of the labels, of the same shape or None. With a penalty, training never
        splits a batch into blocks.

    Examples
    --------
    Every task reads some numbers of the input:

    >>> import torch
    >>> from skmtl.modules import Sharing
    >>> class Halves(Sharing):
    ...     def __init__(self, width):
    ...         super().__init__()
    ...         self.width = width // 2
    ...
    ...     def forward(self, x):
    ...         return torch.stack(x.chunk(2, dim=1))
    >>> representation, mixture = Halves(6).mix(torch.ones(5, 6))
    >>> representation.shape, mixture.shape
    (torch.Size([2, 5, 3]), torch.Size([1, 2, 2]))
    """

    describes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "mix": ("forward",),
        "forward": ("mix",),
    }

    width: int
    penalty: Penalty | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Representation of each task.

        Parameters
        ----------
        x : Tensor of shape (batch, width) or (n_sets, batch, width)
            The output of the embedding. On the CPU it has at most 1024 rows, and a
            large batch comes in blocks, so that no row may depend on another.

        Returns
        -------
        Tensor of shape (n_tasks, batch, width)
            What each task's tower reads.
        """
        # The defaults of `forward` and `mix` would call each other without end.
        if type(self).mix is Sharing.mix:
            raise NotImplementedError(
                f"{type(self).__name__} has neither forward nor mix. Write forward."
            )
        representation, mixture = self.mix(x)
        return representation.expand(mixture.shape[1], -1, -1)

    def mix(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the representation, and how it is mixed from shared tensors.

        Parameters
        ----------
        x : Tensor of shape (batch, width) or (n_sets, batch, width)
            As in `forward`.

        Returns
        -------
        representation : Tensor of shape (n_tasks or 1, batch, width)
            As returned by `forward`; only one if all tasks read the same.
        mixture : Tensor of shape (batch or 1, n_tasks, n_shared)
            The weight of each shared tensor in each task's representation, without a
            graph. Strategies that balance gradients take them at the shared tensors. By
            default each task's representation counts as a shared tensor.
        """
        representation: Tensor = self(x)
        each = torch.eye(
            len(representation), dtype=representation.dtype, device=x.device
        )
        return representation, each[None]

    def last_layer(self) -> list[Tensor]:
        """Return the parameters of the last layer that the tasks share.

        Returns
        -------
        list of Tensor
            None by default.
        """
        return []

    def task_parameters(self) -> list[Tensor]:
        """Return the parameters that belong to one task each, as gates do.

        Returns
        -------
        list of Tensor
            None by default.
        """
        return []


class Towers(Part):
    """From representations to logits.

    A subclass defines `forward`. All else has a default.

    Attributes
    ----------
    independent : bool, default=False
        Whether each logit depends only on its own representation. One backward pass
        then gives the gradients of all tasks.
    broadcasts : bool, default=False
        Whether `forward` accepts ``(1, batch, width)`` as the representation that all
        tasks share.
    penalty : callable or None, default=None
        As in `Sharing`.
    bounds : sequence of sequence of int, default=()
        For each task, the tasks whose probabilities its own never exceeds. Rankers keep
        the order where they add intercepts. Empty where the towers guarantee nothing.

    Notes
    -----
    A subclass that overrides `forward` states `independent`, `broadcasts` and `bounds`
    itself, or has their defaults.

    Examples
    --------
    >>> import torch
    >>> from skmtl.modules import Towers
    >>> class Sums(Towers):
    ...     independent = True
    ...
    ...     def forward(self, representation):
    ...         return representation.sum(dim=2).t()
    >>> Sums()(torch.ones(2, 5, 3)).shape
    torch.Size([5, 2])
    """

    describes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "independent": ("forward",),
        "broadcasts": ("forward",),
        "bounds": ("forward",),
    }

    independent: bool = False
    broadcasts: bool = False
    penalty: Penalty | None = None
    bounds: Sequence[Sequence[int]] = ()

    def forward(self, representation: Tensor) -> Tensor:
        """Compute the logits of the tasks.

        Parameters
        ----------
        representation : Tensor of shape (n_tasks, batch, width)
            What each task's tower reads.

        Returns
        -------
        Tensor of shape (batch, n_tasks)
            The logits; several in a row for a task of several outputs.
        """
        raise NotImplementedError

    def start_at(self, rates: Tensor) -> None:
        """Make the sigmoids of the outputs at the start about `rates`.

        By default outputs stay as they are, and the first steps learn the rates.

        Parameters
        ----------
        rates : Tensor of shape (n_outputs,)
            For each output of each task; that of a binary task is its share of
            positives.
        """
