"""Memory of the embedding tables, known before it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skmtl._device import free_bytes

# Numbers of four bytes that each optimiser keeps for a row of `dim` numbers: Adam two
# moments of each, row-wise Adagrad one sum.
_STATE = {"lazy_adam": lambda dim: 2 * dim, "adagrad": lambda dim: 1}


def check_memory(
    names: Sequence[Any],
    sizes: Sequence[int],
    dims: Sequence[int],
    *,
    optimizer: str,
    device: str,
) -> None:
    """Refuse tables of ids that do not fit the memory, and say what would.

    Parameters
    ----------
    names : sequence of str or int
        The id columns.
    sizes, dims : sequence of int
        Rows and width of each column's table.
    optimizer : {"lazy_adam", "adagrad", "adam"}
        As in the rankers.
    device : str
        Where the tables go.

    Raises
    ------
    MemoryError
        When tables and the state of the optimiser take more than is free.
    """
    needed = [
        table_bytes(size, dim, optimizer) for size, dim in zip(sizes, dims, strict=True)
    ]
    free = free_bytes(device)
    if free is None or sum(needed) <= free:
        return
    largest = max(range(len(names)), key=needed.__getitem__)
    raise MemoryError(
        f"The embeddings of {len(names)} id columns and their optimiser take "
        f"{sum(needed) / 2**30:,.1f} GiB, but {free / 2**30:,.1f} GiB are free on "
        f"{device!r}. The largest is column {names[largest]!r}: {sizes[largest]:,} "
        f"rows of {dims[largest]} numbers, {needed[largest] / 2**30:,.1f} GiB. Give "
        "fewer ids a row of their own (min_frequency, max_categories), make rows "
        "narrower (embedding_dim, which takes a mapping by column), or keep less per "
        "row (embedding_optimizer='adagrad')."
    )


def table_bytes(size: int, dim: int, optimizer: str) -> int:
    """Bytes of a table and of what the optimiser keeps for it."""
    if optimizer == "adam":  # dense: a gradient of every row too
        return 4 * size * 4 * dim
    return 4 * size * (dim + _STATE[optimizer](dim))
