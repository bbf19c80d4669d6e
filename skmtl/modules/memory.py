"""Memory: how much is free, and whether a parameter fits it."""

from __future__ import annotations

import torch

from skmtl._memory import free_memory

# A parameter with fewer numbers is taken without asking.
_SMALL = 2**24


def room_for(*shape: int) -> tuple[int, ...]:
    """Give a parameter's shape back if there is memory for it, before it is taken.

    Raises
    ------
    MemoryError
        Where the parameter, its gradient and two moments take more than is free.
    """
    size = 1
    for n in shape:
        size *= n
    free = None if size < _SMALL else free_bytes("cpu")
    if free is None or 16 * size <= free:
        return shape
    raise MemoryError(
        f"A layer of {' x '.join(f'{n:,}' for n in shape)} numbers, its gradient and "
        f"its optimiser's moments take {16 * size // 2**30:,} GiB, but "
        f"{free / 2**30:,.1f} GiB are free. Give layers fewer units (expert_units, "
        "tower_units), fewer experts, or narrower embeddings (embedding_dim, bin_dim)."
    )


def free_bytes(device: str) -> int | None:
    """Memory that may be taken, or None where nobody says."""
    kind = torch.device(device).type
    if kind == "cuda":
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    return free_memory() if kind == "cpu" else None
