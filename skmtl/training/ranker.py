"""What training requires of a ranker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl._typing import AnyArray, ObjectArray, TableLike
from skmtl.encoding import EncodedTable, TableEncoder
from skmtl.modules import MultiTaskModule, Pretrained
from skmtl.tasks import Targets, TaskKind, TaskKinds
from skmtl.training.criterion import TaskLosses
from skmtl.training.net import MultiTaskNet
from skmtl.training.optimizers import MadeBy
from skmtl.training.parameters import SharedParameters

Floats = npt.NDArray[np.float64]


class PretrainedRows(Protocol):
    """Pretrained vectors of some id columns."""

    def description(self) -> dict[str, str] | None:
        """Say which ids have which vectors, by column."""

    def add_to(self, encoder: TableEncoder) -> None:
        """Give every id with a vector a row of its own."""

    def for_network(self, dims: Sequence[int]) -> Mapping[int, Pretrained]:
        """Vectors as the embedding of the network takes them, for given widths."""

    def coverage(
        self, encoder: TableEncoder, tables: Iterable[EncodedTable]
    ) -> pd.DataFrame:
        """Report the share of rows with vectors, and warn if it is small."""


class FittedAttributes:
    """The attributes that `fit` sets.

    Type checkers take the annotations of a class that derives from `Parameters` for
    arguments of its constructor, so these have a class of their own.
    """

    encoder_: TableEncoder
    net_: MultiTaskNet
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]
    embedding_coverage_: pd.DataFrame
    task_names_: ObjectArray
    classes_: AnyArray | list[AnyArray]
    label_weight_: Floats
    loss_weight_: Floats
    task_kinds_: list[TaskKind]
    intercept_: Floats
    prior_: Floats
    history_: pd.DataFrame
    n_iter_: int
    best_iter_: int
    n_validation_rows_: int
    _multioutput: bool
    # Weights of positives, or sums of other labels, and of observed labels, over all
    # tables, for each output.
    _masses: tuple[Floats, Floats]
    # Hyperparameters of the first fit that later ones must leave as they are.
    _fixed: dict[str, tuple[str, str]]


class TrainableRanker(SharedParameters, FittedAttributes, ABC):
    """The hyperparameters, fitted attributes and methods that training relies on."""

    _losses: ClassVar[type[TaskLosses]] = TaskLosses
    # Whether a task's loss trains parameters that other tasks use too.
    _shares: ClassVar[bool] = True

    @abstractmethod
    def _check_tasks(self, names: list[str]) -> None:
        """Refuse hyperparameters that do not fit the tasks, before any other work."""

    @abstractmethod
    def _complete(self, targets: Targets) -> Targets:
        """Add labels that follow from others, if the network implies them."""

    @abstractmethod
    def _dense_optimizer(self) -> MadeBy:
        """The class and parameters of the optimiser of all but tables of ids."""

    @abstractmethod
    def _pretrained_rows(self) -> PretrainedRows:
        """Pretrained vectors, checked."""

    @abstractmethod
    def _make_net(
        self,
        encoder: TableEncoder,
        names: list[str],
        kinds: TaskKinds,
        pretrained: PretrainedRows,
    ) -> MultiTaskModule:
        """The network for the output of an encoder, and for these tasks."""

    @property
    @abstractmethod
    def _kinds(self) -> TaskKinds:
        """The kinds of the fitted tasks."""

    @abstractmethod
    def _check_kinds(self, names: list[str], kinds: TaskKinds) -> None:
        """Refuse kinds of tasks that the network cannot have."""

    @abstractmethod
    def _levels(self, X: TableLike) -> Floats:
        """Predictions of a fitted ranker, ``(n_samples, n_outputs)``."""

    @abstractmethod
    def _snapshot(self, fitted: dict[str, object]) -> Self:
        """A ranker as if training had ended here, for scorers within `fit`."""
