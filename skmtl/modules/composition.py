"""A network is an embedding, a way of sharing, and towers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skmtl.modules.ragged import Ragged

# Rows whose experts stay in the cache of a processor, and in memory that is used again.
BLOCK = 1024


class MultiTaskModule(nn.Module):
    """Compose a network of its three parts.

    Parameters
    ----------
    embedding : torch.nn.Module
        Encoded rows to the input, ``(batch, width)``.
    sharing : torch.nn.Module
        Input to the representation of each task, ``(n_tasks, batch, width)``.
    towers : torch.nn.Module
        Representations to logits, ``(batch, n_tasks)``.
    precision : {"float32", "bf16"}, default="float32"
        Type of the numbers in `sharing`, which holds most of the arithmetic.
        Embeddings, towers and all parameters stay in float32.
    compile : bool, default=False
        Whether ``torch.compile`` makes code of `sharing`.

    Notes
    -----
    Sharing and towers may have a method ``penalty(logits, weight)`` that gives a
    0-dimensional tensor, which training adds to the loss.

    What a part computes over the rows of a batch it may get to see by blocks of rows:
    on the CPU sharing reads at most 1024 rows at once, and training takes batches of
    more than 4096 in blocks of up to 2048.
    """

    sharing: Any
    towers: Any

    def __init__(
        self,
        *,
        embedding: nn.Module,
        sharing: nn.Module,
        towers: nn.Module,
        precision: str = "float32",
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.embedding, self.sharing, self.towers = embedding, sharing, towers
        self.precision, self.compile_sharing = precision, compile
        self._compiled: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Compiled code cannot be pickled; it is made again where it is needed.
        return super().__getstate__() | {"_compiled": {}}

    def forward(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        """Logits of the tasks' probabilities, ``(batch, n_tasks)``."""
        logits: Tensor = self.towers(self.representation(ids, bins, numeric, bags))
        return logits

    def start_at(self, rates: Tensor) -> None:
        """Make the first predictions about `rates`, of shape (n_tasks,)."""
        self.towers.start_at(rates)

    def takes_blocks(self) -> bool:
        """Whether training may take a large batch in blocks of rows.

        Not where a penalty looks at the whole batch; and where tables have dense
        gradients one gradient for each block would cost more than it saves.
        """
        if any(hasattr(part, "penalty") for part in (self.sharing, self.towers)):
            return False
        ids: Any = getattr(self.embedding, "ids", None)
        return ids is None or getattr(ids, "sparse", False)

    def penalty(self, logits: Tensor, weight: Tensor | None) -> Tensor | None:
        """What training adds to the loss of a batch, or None.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_tasks)
            What `forward` gave.
        weight : Tensor of shape (batch, n_tasks) or None
            Weights of the labels, 0 where not observed.
        """
        parts = [p for p in (self.sharing, self.towers) if hasattr(p, "penalty")]
        terms = [part.penalty(logits, weight) for part in parts]
        return torch.stack(terms).sum() if terms else None

    def representation(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> Tensor:
        """What each task's tower reads, ``(n_tasks, batch, width)``."""
        shared: Tensor = self._share(
            "forward", self.embedding(ids, bins, numeric, bags)
        )
        return shared

    def split(
        self, ids: Tensor, bins: Tensor, numeric: Tensor, bags: Iterable[Ragged] = ()
    ) -> tuple[Tensor, Tensor]:
        """Representation, and how it is mixed from what the tasks share.

        The mixture ``(batch or 1, n_tasks, n_shared)`` holds the weight of each shared
        tensor in each task's representation, without a graph. Sharing that has no
        method `mix` counts as one tensor for each task. A representation that is the
        same for all tasks may be there once: ``(1, batch, width)``.
        """
        if hasattr(self.sharing, "mix"):
            mixed: tuple[Tensor, Tensor] = self._share(
                "mix", self.embedding(ids, bins, numeric, bags)
            )
            return mixed
        shared = self.representation(ids, bins, numeric, bags)
        apart = torch.eye(len(shared), dtype=shared.dtype, device=shared.device)
        return shared, apart[None]

    def _share(self, how: str, x: Tensor) -> Any:
        """Call a method of the sharing, in its precision, and in blocks of rows."""
        # Called as a module where it can be, for hooks to see it.
        share = self.sharing if how == "forward" else getattr(self.sharing, how)
        if self.compile_sharing:
            if how not in self._compiled:
                self._compiled[how] = torch.compile(getattr(self.sharing, how))
            share = self._compiled[how]
        if x.device.type != "cpu" or x.shape[-2] <= BLOCK:
            return self._in_precision(share, x)
        found = [self._in_precision(share, part) for part in x.split(BLOCK, dim=-2)]
        if torch.is_tensor(found[0]):
            return _joined(found)
        representation, mixture = zip(*found, strict=True)
        # A mixture that is the same for all rows has one.
        one = len(mixture[0]) == 1
        return _joined(representation), mixture[0] if one else torch.cat(mixture)

    def _in_precision(self, share: Any, x: Tensor) -> Any:
        if self.precision == "float32":
            return share(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            found = share(x)
        if isinstance(found, tuple):
            return tuple(part.float() for part in found)
        return found.float()

    def id_tables(self) -> list[tuple[Tensor, float]]:
        """Tables of ids, of whose rows a batch touches few.

        Each with the factor of its learning rate.
        """
        ids: Any = getattr(self.embedding, "ids", None)
        return [] if ids is None else ids.trained()

    def shared_parameters(self) -> list[Tensor]:
        """Parameters that more than one task trains, and that are no task's own."""
        found = list(self.embedding.parameters())
        own: Any = getattr(self.sharing, "task_parameters", list)()
        ids = {id(p) for p in own}
        found += [p for p in self.sharing.parameters() if id(p) not in ids]
        return [p for p in found if p.numel()]

    def last_shared_layer(self) -> list[Tensor]:
        """Parameters of the last layer that the tasks share."""
        layer: Any = getattr(self.sharing, "last_layer", list)()
        if not layer:
            raise ValueError(
                "at='last_shared_layer' needs a dense layer that the tasks share; "
                f"{type(self.sharing).__name__} has none here. Use "
                "at='representation'."
            )
        found: list[Tensor] = layer
        return found


def _joined(blocks: Sequence[Tensor]) -> Tensor:
    """Representations of all blocks of rows; one for all tasks stays one."""
    n_tasks = len(blocks[0])
    if blocks[0].stride(0) == 0:
        blocks = [block[:1] for block in blocks]
    return torch.cat(list(blocks), dim=1).expand(n_tasks, -1, -1)
