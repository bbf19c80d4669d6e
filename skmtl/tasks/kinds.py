"""A kind of task is one object: its labels, link, loss, start, level and score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit

if TYPE_CHECKING:
    from torch import Tensor, nn

Floats = npt.NDArray[np.float64]
T = TypeVar("T", bound=np.generic)

# Outputs, their share of the mean, and weights of some rows of one task.
Part = tuple[npt.NDArray[np.float32], float, Floats]

# Shifts beyond e^20 mean that a task's network learnt nothing of its rate.
_BOUND = 20.0
# What is known of the level from earlier tables is worth at most so many positives.
_POSITIVES = 100.0


class TaskKind(ABC):
    """What training, prediction and scores need to know of a task.

    Nothing else in the package asks what a label means. Every method takes columns of
    several tasks of the kind at once, unless its docstring says otherwise.

    Attributes
    ----------
    name : str
        Name of the kind.
    n_outputs : int
        Outputs of the network for one task.
    metric : str
        The function of ``skmtl.metrics`` that judges predictions, called with labels,
        predictions and `sample_weight`. Greater is better.
    score_name : str
        What the metric is called in a fit's history.
    """

    name: ClassVar[str]
    n_outputs: ClassVar[int] = 1
    metric: ClassVar[str]
    score_name: ClassVar[str]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    @abstractmethod
    def loss(self, label_weight: Sequence[float]) -> nn.Module:
        """Give a module from outputs and labels to the loss of each label.

        Parameters
        ----------
        label_weight : sequence of float
            One for each task of the kind.

        Returns
        -------
        torch.nn.Module
            Maps outputs ``(batch, n_tasks * n_outputs)`` and labels ``(batch,
            n_tasks)`` to ``(batch, n_tasks)``.
        """

    @abstractmethod
    def link(self, means: Tensor) -> Tensor:
        """Give the outputs whose predictions are `means`, of shape (n_tasks,)."""

    @abstractmethod
    def predict(self, outputs: npt.NDArray[np.floating]) -> Floats:
        """Give expected labels, ``(n_samples, n_tasks)``, of outputs."""

    @abstractmethod
    def decide(self, predictions: Floats) -> npt.NDArray[np.int64]:
        """Give the label that goes with each prediction."""

    def judged(self, outputs: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Give what the metric judges: predictions, or what is as good to it."""
        return self.predict(outputs)

    @abstractmethod
    def has_score(self, labels: npt.NDArray[np.floating]) -> bool:
        """Say whether the metric is defined for the observed labels of one task."""

    @abstractmethod
    def is_constant(self, means: Floats) -> npt.NDArray[np.bool_]:
        """Say which tasks, by the means of their labels, have nothing to learn."""

    @abstractmethod
    def constant(self, means: Floats) -> Floats:
        """Give the prediction for tasks without anything to learn."""

    @abstractmethod
    def first_means(self, means: Floats, n_rows: int) -> Floats:
        """Give the means that training starts from, within the range of the link."""

    @abstractmethod
    def intercept(self, parts: Sequence[Part], mean: float) -> float:
        """Find the shift of one task's output that makes the mean prediction `mean`.

        The mean prediction is the sum over `parts` of their weighted means, each times
        its share.
        """

    @abstractmethod
    def updated_mean(
        self, expected: float, known: float, labels: Floats, weight: Floats
    ) -> float:
        """Give one task's level from what was expected of a table, and its labels.

        Parameters
        ----------
        expected : float
            Mean prediction for these rows before they were trained on.
        known : float
            Sum of the weighted labels of all earlier tables.
        labels, weight : ndarray of shape (n_samples,)
            Observed labels of the table, and weights above 0.
        """


class BinaryTask(TaskKind):
    """A task of two labels, 0 and 1: outputs are log-odds, predictions probabilities.

    Notes
    -----
    The loss is the cross-entropy, the link the logit, the score the ROC AUC.
    """

    name = "binary"
    metric = "roc_auc"
    score_name = "auc"

    def loss(self, label_weight: Sequence[float]) -> nn.Module:
        # torch, which metrics must not load, is imported where a net is trained
        from skmtl.tasks.losses import CrossEntropy

        return CrossEntropy(label_weight)

    def link(self, means: Tensor) -> Tensor:
        return means.logit()

    def predict(self, outputs: npt.NDArray[np.floating]) -> Floats:
        return np.asarray(expit(outputs))

    def judged(self, outputs: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        return outputs  # of the same order as probabilities

    def has_score(self, labels: npt.NDArray[np.floating]) -> bool:
        return bool(labels.min(initial=1) < labels.max(initial=0))

    def decide(self, predictions: Floats) -> npt.NDArray[np.int64]:
        return (predictions > 0.5).astype(np.int64)

    def is_constant(self, means: Floats) -> npt.NDArray[np.bool_]:
        return np.isnan(means) | np.isin(means, (0.0, 1.0))

    def constant(self, means: Floats) -> Floats:
        return np.nan_to_num(means, nan=0.5)

    def first_means(self, means: Floats, n_rows: int) -> Floats:
        edge = 1 / (n_rows + 2)
        return np.nan_to_num(means, nan=0.5).clip(edge, 1 - edge)

    def intercept(self, parts: Sequence[Part], mean: float) -> float:
        odds = [_odds_against(*part) for part in parts]

        def excess(shift: float) -> float:
            # A shift multiplies the odds, so that no exponentials are taken here.
            k = np.exp(-shift)
            means = ((w / (1.0 + k * against)).sum() for against, w in odds)
            return float(sum(means)) - mean

        if excess(-_BOUND) > 0 or excess(_BOUND) < 0:
            return 0.0
        return float(brentq(excess, -_BOUND, _BOUND, xtol=1e-10))

    def updated_mean(
        self, expected: float, known: float, labels: Floats, weight: Floats
    ) -> float:
        """Give the mean of the posterior of a beta distribution.

        A single day has few positives of a rare task, and a level that met its rate
        alone would go up and down with them. The prior has the expected mean and is
        worth as many positives as are known, at most 100: then 100 positives of the new
        table count for half.
        """
        positives = min(known / weight.mean(), _POSITIVES) if expected > 0 else 0.0
        n_prior = positives / expected if positives else 0.0
        w = weight / weight.mean()
        return float((positives + w @ labels) / (n_prior + w.sum()))


def _odds_against(
    z: npt.NDArray[np.float32], share: float, weight: Floats
) -> tuple[Floats, Floats]:
    """Odds against a positive, and weights whose sum is the share."""
    with np.errstate(over="ignore"):  # infinite odds are probability 0
        return np.exp(-z.astype(np.float64)), weight * (share / weight.sum())


@dataclass(frozen=True)
class KindGroup:
    """Tasks of one kind: their columns of labels, and of the network's outputs."""

    kind: TaskKind
    tasks: list[int]
    outputs: list[int]


def group_by_kind(kinds: Sequence[TaskKind]) -> list[KindGroup]:
    """Group tasks of equal kinds, in order of appearance."""
    groups: dict[TaskKind, KindGroup] = {}
    first = 0
    for task, kind in enumerate(kinds):
        group = groups.setdefault(kind, KindGroup(kind, [], []))
        group.tasks.append(task)
        group.outputs.extend(range(first, first + kind.n_outputs))
        first += kind.n_outputs
    return list(groups.values())


class TaskKinds:
    """The kinds of all tasks of a ranker, and what they say of all tasks at once.

    Parameters
    ----------
    kinds : sequence of TaskKind
        The kind of each task.
    """

    def __init__(self, kinds: Sequence[TaskKind]) -> None:
        self.kinds = tuple(kinds)
        self.groups = group_by_kind(self.kinds)

    def __len__(self) -> int:
        return len(self.kinds)

    def __iter__(self) -> Iterator[TaskKind]:
        return iter(self.kinds)

    def __getitem__(self, task: int) -> TaskKind:
        return self.kinds[task]

    def predict(self, outputs: npt.NDArray[np.floating]) -> Floats:
        """Give expected labels, ``(n_samples, n_tasks)``, of the network's outputs."""
        return self._columns(
            [g.kind.predict(self.outputs_of(g, outputs)) for g in self.groups]
        )

    def decide(self, predictions: Floats) -> npt.NDArray[np.int64]:
        """Give the labels that go with predictions, ``(n_samples, n_tasks)``."""
        return self._columns(
            [g.kind.decide(predictions[:, g.tasks]) for g in self.groups]
        )

    def is_constant(self, means: Floats) -> npt.NDArray[np.bool_]:
        """Say which tasks have nothing to learn, ``(n_tasks,)``."""
        return self._columns([g.kind.is_constant(means[g.tasks]) for g in self.groups])

    def constant(self, means: Floats) -> Floats:
        """Give the predictions for tasks without anything to learn, ``(n_tasks,)``."""
        return self._columns([g.kind.constant(means[g.tasks]) for g in self.groups])

    def first_means(self, means: Floats, n_rows: int) -> Floats:
        """Give the means that training starts from, ``(n_tasks,)``."""
        found = [g.kind.first_means(means[g.tasks], n_rows) for g in self.groups]
        return self._columns(found)

    def outputs_of(self, group: KindGroup, outputs: npt.NDArray[T]) -> npt.NDArray[T]:
        """Outputs of a group; all of them, as most often, without a copy."""
        return outputs if len(self.groups) == 1 else outputs[:, group.outputs]

    def _columns(self, parts: list[npt.NDArray[T]]) -> npt.NDArray[T]:
        """Bring what the groups gave, along the last axis, to the order of tasks."""
        if len(parts) == 1:
            return parts[0]
        order = np.argsort([task for group in self.groups for task in group.tasks])
        return np.concatenate(parts, axis=-1)[..., order]


def binary_kinds(n_tasks: int) -> TaskKinds:
    """Give the kinds of tasks that are all binary."""
    return TaskKinds([BinaryTask()] * n_tasks)
