"""The rows of one fit: what training and its last step ask of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from skmtl._typing import AnyArray
from skmtl.encoding import EncodedTable
from skmtl.encoding.blocks import EncodedBlocks
from skmtl.tasks import Targets
from skmtl.training.batches import MERGE_ROWS, RowTable, merge_rows, tensor_table
from skmtl.training.computing import logits
from skmtl.training.intercept import Floats, Part
from skmtl.training.net import MultiTaskNet


@dataclass(frozen=True)
class ValidationPart:
    """Validation rows as training sees them."""

    tensors: RowTable  # for the loss
    rows: EncodedTable | EncodedBlocks  # for a scorer
    labels: AnyArray


class TrainingRows(ABC):
    """The rows that are trained on, and those for validation.

    Attributes
    ----------
    masses : tuple of ndarray of shape (n_outputs,)
        Weight of each task's positives, or sums of other labels, and weight of its
        observed labels.
    valid : ValidationPart or None
        The rows for validation.
    most_late : int or None
        Rows whose late predictions may be kept, at most; None for any number.
    """

    masses: tuple[Floats, Floats]
    valid: ValidationPart | None
    most_late: int | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows to train on."""

    @abstractmethod
    def as_table(self, constant: npt.NDArray[np.bool_]) -> RowTable:
        """The rows as the net reads them; called once, before all others.

        Parameters
        ----------
        constant : ndarray of shape (n_tasks,), dtype bool
            Tasks from which nothing can be learnt; their labels get weight 0.
        """

    @abstractmethod
    def outputs(self, net: MultiTaskNet) -> Part:
        """Outputs of a net for all rows, and their weights."""

    def some_outputs(
        self, net: MultiTaskNet, n_rows: int, rng: np.random.RandomState
    ) -> Part:
        """Outputs of a net for at least so many random rows, and their weights."""
        return self.outputs(net)


class TableRows(TrainingRows):
    """Rows of a table in memory.

    Parameters
    ----------
    table : EncodedTable
        The rows.
    targets : Targets
        Their labels.
    weight : ndarray of shape (n_samples, n_tasks)
        Weights, 0 where a label was not observed.
    valid : ValidationPart or None
        Rows for validation, which are not among them.
    device : str
        Where to train.
    """

    def __init__(
        self,
        table: EncodedTable,
        targets: Targets,
        weight: Floats,
        valid: ValidationPart | None,
        device: str,
    ) -> None:
        self.table, self.targets, self.weight = table, targets, weight
        self.valid, self.device = valid, device
        self.masses = targets.masses(weight)

    def __len__(self) -> int:
        return len(self.table)

    def as_table(self, constant: npt.NDArray[np.bool_]) -> RowTable:
        labels = self.targets.labels
        if len(self.table) <= MERGE_ROWS:
            merged = merge_rows(self.table, self.targets, self.weight)
            self.table, labels, self.weight = merged
        if constant.any():
            self.weight = self.weight * ~constant
        return tensor_table(self.table, labels, self.weight, self.device)

    def outputs(self, net: MultiTaskNet) -> Part:
        z = self._logits(net)
        return np.ones(z.shape[1]), z, self.weight

    def some_outputs(
        self, net: MultiTaskNet, n_rows: int, rng: np.random.RandomState
    ) -> Part:
        if n_rows >= len(self.table):
            return self.outputs(net)
        chosen = np.sort(rng.choice(len(self.table), n_rows, replace=False))
        z = self._logits(net, chosen)
        return np.ones(z.shape[1]), z, self.weight[chosen]

    def _logits(
        self, net: MultiTaskNet, rows: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.float32]:
        return net.processes_.outputs_of(
            lambda own: logits(net, self.table, own), rows, len(self.table)
        )
