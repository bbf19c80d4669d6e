"""Kinds of tasks: one object has the labels, link, loss, start, level and score."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit

from skmtl._typing import AnyArray, ClassesLike, ColumnName
from skmtl.tasks.checks import check_ranking

if TYPE_CHECKING:
    from torch import Tensor, nn

Floats = npt.NDArray[np.float64]
T = TypeVar("T", bound=np.generic)

# Outputs of one task (n_outputs, n_samples), their share of the mean, row weights.
Part = tuple[npt.NDArray[np.float32], Floats, Floats]

# A shift of the odds by more than e^20 means that a network learnt nothing of the rate.
FARTHEST = 20.0
# The level known from earlier tables counts as at most this many positives, or rows for
# a kind without positives.
_POSITIVES, _ROWS = 100.0, 1000.0
_signature = cache(inspect.signature)


class TaskKind(ABC):
    """What training, prediction and scores need to know about a task.

    Nothing else in the package depends on what a label means. A kind reads the labels
    and learns from them in copies of itself, so that the user's object is not changed.
    The network has `n_outputs` outputs for a task. `predict` turns them into levels of
    the same shape: a probability or a mean for each output. Everything else follows
    from levels. Methods take columns of several tasks of the kind at once, unless their
    docstring says otherwise.

    Attributes
    ----------
    name : str
        Name of the kind.
    has_label_weight : bool
        Whether there are positives, which a label weight multiplies.
    has_classes, many_classes : bool
        Whether labels are classes, and whether there may be more than two.
    """

    name: ClassVar[str]
    has_label_weight: ClassVar[bool] = False
    has_classes: ClassVar[bool] = True
    many_classes: ClassVar[bool] = False

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        mine, theirs = vars(self), vars(other)
        if mine.keys() != theirs.keys():  # one is from a file of an earlier version
            mine, theirs = ({**one.params(), **vars(one)} for one in (self, other))
        return mine.keys() == theirs.keys() and all(
            value is theirs[name] or np.array_equal(value, theirs[name])
            for name, value in mine.items()
        )

    def __hash__(self) -> int:
        return hash(type(self))  # what is learnt may be arrays, which have no hash

    def params(self) -> dict[str, Any]:
        """Return the arguments of the constructor, without what was learnt.

        Kinds are compared at each prediction, and to read a signature takes 25 µs, so
        that signatures are kept.
        """
        return {p: getattr(self, p) for p in _signature(type(self)).parameters}

    def __repr__(self) -> str:
        defaults = _signature(type(self)).parameters
        shown = ", ".join(
            f"{name}={value!r}"
            for name, value in self.params().items()
            # Not `is`: a value that was loaded from a file is equal but not identical.
            if repr(value) != repr(defaults[name].default)
        )
        return f"{type(self).__name__}({shown})"

    @property
    def labels(self) -> AnyArray | None:
        """The labels of a kind with classes; None for numbers."""
        return None

    @property
    def n_outputs(self) -> int:
        """Outputs of the network for one task."""
        return 1

    @property
    def n_scores(self) -> int:
        """Number of values of the tower, from which `n_thresholds` make the outputs."""
        return 1 if self.n_thresholds else self.n_outputs

    @property
    def n_thresholds(self) -> int:
        """Number of thresholds between ordered classes, each of which makes an output.

        0 if the outputs are the values of the tower.
        """
        return 0

    @property
    def n_columns(self) -> int:
        """Expected labels of one task."""
        return 1

    @property
    @abstractmethod
    def metric(self) -> str:
        """The metric that judges predictions; greater is better."""

    @property
    def metric_params(self) -> Mapping[str, float]:
        """Parameters of the metric."""
        return {}

    @property
    @abstractmethod
    def score_name(self) -> str:
        """Name of the metric in a fit's history."""

    @abstractmethod
    def read(
        self, column: npt.ArrayLike, task: str
    ) -> tuple[Self, npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Check the labels of one task.

        Parameters
        ----------
        column : array-like of shape (n_samples,)
            As passed by the caller; missing ones were not observed.
        task : str
            Name of the task, for errors.

        Returns
        -------
        kind : TaskKind
            The kind that knows the labels.
        labels : ndarray of shape (n_samples,), dtype float32
            Numbers that stand for the labels; 0 where not observed.
        observed : ndarray of shape (n_samples,), dtype bool
            Whether the label is known.

        Raises
        ------
        ValueError
            For labels that are not of the kind.
        """

    def with_classes(self, classes: ClassesLike, task: str) -> Self:
        """Return the kind with announced classes; unchanged if it has none."""
        return self

    def fit(self, labels: Floats, weight: Floats) -> Self:
        """Learn the scale of one task from observed labels and weights above 0."""
        return self

    def indicators(self, labels: Floats) -> Floats:
        """Return indicators, whose means are levels, ``(n_samples, n_outputs)``."""
        return labels[:, None].repeat(self.n_outputs, axis=1)

    def numbers(self, labels: Floats) -> Floats:
        """Convert the numbers of one task's labels to values."""
        return labels

    @property
    def own_metrics(self) -> Mapping[str, Mapping[str, float]]:
        """Metrics that this kind adds to a report, and their parameters."""
        return {}

    def nearest(self, expected: Floats) -> Floats:
        """Return the numbers of the labels that are nearest to expected ones."""
        return expected

    def strata(
        self, labels: npt.NDArray[np.float32], observed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        """Reduce the labels of one task to a few classes, for stratified splits."""
        return labels

    @abstractmethod
    def make_loss(self, label_weight: Sequence[float]) -> nn.Module:
        """Make a module from outputs and labels to the loss of each label.

        Parameters
        ----------
        label_weight : sequence of float
            One for each task of the kind.

        Returns
        -------
        torch.nn.Module
            Maps outputs ``(batch, n_tasks * n_outputs)`` and labels ``(batch,
            n_tasks)`` to ``(batch, n_tasks)``, at least 0.
        """

    @property
    def needs_groups(self) -> bool:
        """Whether rows of a group are compared with each other in training."""
        return False

    def make_list_loss(self) -> nn.Module | None:
        """Make a module for the loss of the order within lists, if there is one.

        Returns
        -------
        torch.nn.Module or None
            Maps outputs ``(batch, n_tasks * n_outputs)``, labels and weights ``(batch,
            n_tasks)``, and the list of each row ``(batch,)``, to ``(n_tasks,)``, at
            least 0. It is added to the mean loss of the labels.
        """
        return None

    @abstractmethod
    def predict(self, outputs: npt.NDArray[np.floating]) -> Floats:
        """Convert outputs to levels, of the same shape."""

    def expected(self, levels: Floats) -> Floats:
        """Return expected labels, ``(n_samples, n_tasks * n_columns)``."""
        return levels

    @abstractmethod
    def graph(self, outputs: Tensor) -> Tensor:
        """Compute the expected labels of one task from its outputs, as a tensor."""

    def column_names(self, task: str) -> list[str]:
        """Name the columns of the expected labels of a task."""
        return [task]

    def probabilities(self, levels: Floats) -> list[Floats]:
        """Give the probability of each class, ``(n_samples, n_classes)`` by task."""
        raise ValueError(f"A {self.name} has no classes.")

    @abstractmethod
    def decide(self, levels: Floats) -> AnyArray:
        """Return the label to predict, ``(n_samples, n_tasks)``."""

    def judged(self, levels: Floats) -> npt.NDArray[Any]:
        """Return what the metric judges of each task, ``(n_samples, n_tasks, ...)``."""
        return self.expected(levels)

    def judged_outputs(
        self, outputs: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.floating]:
        """Return what the metric judges, or an equivalent of it, from outputs."""
        return self.judged(self.predict(outputs))

    @abstractmethod
    def has_score(self, labels: npt.NDArray[np.floating]) -> bool:
        """Whether the metric is defined for the observed labels of one task."""

    @abstractmethod
    def is_constant(self, means: Floats) -> npt.NDArray[np.bool_]:
        """Say which tasks have nothing to learn, by the means of their indicators."""

    @abstractmethod
    def constant(self, means: Floats) -> Floats:
        """Give the levels for tasks without anything to learn."""

    @abstractmethod
    def first_rates(self, means: Floats, n_rows: int) -> Floats:
        """Return the sigmoids of the outputs that training starts from."""

    @abstractmethod
    def intercept(self, parts: Sequence[Part], means: Floats) -> Floats:
        """Find the shifts of one task's outputs that make the mean levels `means`.

        The mean level is the sum over `parts` of their weighted means, each times
        its share.
        """

    def updated_means(
        self,
        expected: Floats,
        known: tuple[Floats, Floats],
        labels: Floats,
        weight: Floats,
    ) -> Floats:
        """Update one task's level from what was expected of a table, and its labels.

        By default rows of earlier tables, at most 1,000 of them, count as much as those
        of this one.

        Parameters
        ----------
        expected : ndarray of shape (n_outputs,)
            Mean level of these rows before they were trained on.
        known : tuple of ndarray of shape (n_outputs,)
            Sums of the weighted indicators, and of the weights, of all earlier tables.
        labels, weight : ndarray of shape (n_samples,)
            Observed labels of the table, and weights above 0.
        """
        w = weight / weight.mean()
        n_prior = np.minimum(known[1] / weight.mean(), _ROWS)
        found = w @ self.indicators(labels)
        return np.asarray((n_prior * expected + found) / (n_prior + w.sum()))

    def _by_task(self, table: npt.NDArray[T]) -> list[npt.NDArray[T]]:
        """Columns of each task."""
        n = self.n_outputs
        return [table[:, first : first + n] for first in range(0, table.shape[1], n)]


def read_numbers(
    column: npt.ArrayLike, task: str, what: str
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Labels of one task as numbers, and whether they were observed.

    An error calls the task `what`, such as "a regression, whose labels are numbers".
    """
    try:
        values = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"Task {task!r} is {what}, but holds something else: {error}"
        ) from error
    return values, ~np.isnan(values)


class BinaryTask(TaskKind):
    """A task with the labels 0 and 1: outputs are log-odds, levels probabilities.

    Parameters
    ----------
    ranking : {"pairwise", "listwise", "jrc", "lambdarank", "ndcg_loss2"} or None, \
default=None
        Loss of the order of rows within groups, such as the impressions of a request,
        which is added to the cross-entropy. It needs ``fit(X, y, groups=...)``.

        - "pairwise": logistic loss of the difference in log-odds between each positive
          and each negative row of a group (RankNet);
        - "listwise": cross-entropy of the probabilities of a group, divided by their
          sum (ListCE);
        - "jrc": cross-entropy of a softmax over the rows of a group, for positives of
          one logit and for negatives of another, whose difference is the log-odds
          (JRC). The network has two outputs for the task;
        - "lambdarank": the pairwise loss, each pair weighed by the NDCG that the two
          rows would gain or lose if they changed places (LambdaRank, a case of
          LambdaLoss);
        - "ndcg_loss2": the pairwise loss, each pair weighed by its part in a bound of
          NDCG, which depends on the distance of the two rows (NDCG-Loss2 of
          LambdaLoss).

        The true probabilities minimise the first three, as they do the cross-entropy.
    ranking_weight : float, default=1.0
        Weight of this loss; that of the cross-entropy is 1.
    k : int, default=10
        Positions that count in the NDCG of "lambdarank" and "ndcg_loss2", from the top.
        Groups are cut into lists of at most 16 rows, so that 16 or more count all of a
        list.

    Raises
    ------
    ValueError
        For arguments that are out of range, or have no effect on this `ranking`.

    See Also
    --------
    skmtl.metrics.group_roc_auc : Judges the order within groups.

    Notes
    -----
    The link is the logit, the score the ROC AUC. "pairwise" and "listwise" count each
    positive row once, so that they are about as large as the cross-entropy. "jrc"
    counts every row, by about the logarithm of the length of its list; a weight of 1 is
    an alpha of 0.5 in the paper. "lambdarank" and "ndcg_loss2" count each list once.

    References
    ----------
    .. [1] C. Burges et al., "Learning to Rank using Gradient Descent", ICML 2005,
           section 3 (pairwise).
    .. [2] D. Sculley, "Combined Regression and Ranking", KDD 2010 (the sum of both
           losses).
    .. [3] A. Bai et al., "Regression Compatible Listwise Objectives for Calibrated
           Ranking with Binary Relevance", CIKM 2023 (listwise).
    .. [4] X.-R. Sheng et al., "Joint Optimization of Ranking and Calibration with
           Contextualized Hybrid Model", KDD 2023 (jrc).
    .. [5] C. Burges, "From RankNet to LambdaRank to LambdaMART: An Overview",
           MSR-TR-2010-82, section 4 (lambdarank).
    .. [6] X. Wang et al., "The LambdaLoss Framework for Ranking Metric Optimization",
           CIKM 2018, section 5.2 (lambdarank as a loss; ndcg_loss2).
    .. [7] R. Jagerman et al., "On Optimizing Top-K Metrics for Neural Ranking Models",
           SIGIR 2022 (ndcg_loss2 for the first k positions).

    Examples
    --------
    >>> from skmtl import BinaryTask, MMoE
    >>> from skmtl.datasets import make_funnel
    >>> from skmtl.metrics import group_roc_auc
    >>> log = make_funnel(3000, click_rate=0.2, cart_rate=0.05, random_state=0)
    >>> X, y = log.data, log.target[["click", "cart"]]
    >>> kinds = {"click": BinaryTask("listwise")}
    >>> ranker = MMoE(task_kinds=kinds, max_iter=2, random_state=0)
    >>> proba = ranker.fit(X, y, groups=log.session).predict_task_proba(X)
    >>> bool(group_roc_auc(y, proba, log.session)[0] > 0.6)
    True
    """

    name = "binary"
    # Class attributes, for tasks in files from before these losses existed.
    ranking: str | None = None
    ranking_weight: float = 1.0
    k: int = 10
    #: The ROC AUC.
    metric = "auc"
    #: Name of the metric in a fit's history.
    score_name = "auc"
    has_label_weight = True

    def __init__(
        self,
        ranking: str | None = None,
        *,
        ranking_weight: float = 1.0,
        k: int = 10,
    ) -> None:
        # The defaults need no check; True and 10.0 only equal them.
        if repr((ranking, ranking_weight, k)) != "(None, 1.0, 10)":
            check_ranking(ranking, ranking_weight, k)
        self.ranking, self.k = ranking, int(k)
        self.ranking_weight = float(ranking_weight)

    @property
    def needs_groups(self) -> bool:
        return self.ranking is not None

    @property
    def n_outputs(self) -> int:
        """The log-odds, and for "jrc" the logit of a negative."""
        return 2 if self.ranking == "jrc" else 1

    def make_list_loss(self) -> nn.Module | None:
        from skmtl.tasks.ranking import make_list_loss

        if self.ranking is None:
            return None
        return make_list_loss(self.ranking, factor=self.ranking_weight, k=self.k)

    @property
    def labels(self) -> AnyArray:
        """0 and 1."""
        return np.array([0, 1])

    def read(
        self, column: npt.ArrayLike, task: str
    ) -> tuple[Self, npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        what = "binary, whose labels are 0, 1 or NaN (not observed)"
        values, observed = read_numbers(column, task, what)
        wrong = observed & (values != 0) & (values != 1)
        if wrong.any():
            found = np.unique(values[wrong])[:5].tolist()
            raise ValueError(
                f"Task {task!r} holds the labels {found} (first in row "
                f"{int(wrong.argmax())}). It is binary, so labels must be 0, 1 or NaN "
                "(not observed). For other labels declare the kind of the task: "
                f"task_kinds={{{task!r}: 'ordinal'}}, 'multiclass' or 'regression'."
            )
        return self, np.where(observed, values, 0.0).astype(np.float32), observed

    def make_loss(self, label_weight: Sequence[float]) -> nn.Module:
        # Imported here, since metrics import this file but must not load torch.
        from skmtl.tasks.losses import CrossEntropy

        return CrossEntropy(label_weight, n_outputs=self.n_outputs)

    def predict(self, outputs: npt.NDArray[np.floating]) -> Floats:
        return np.repeat(expit(self._first(outputs)), self.n_outputs, axis=1)

    def expected(self, levels: Floats) -> Floats:
        return self._first(levels)

    def graph(self, outputs: Tensor) -> Tensor:
        # onnxruntime's sigmoid has an absolute error of 1e-16, large for tiny values.
        log_odds = outputs if self.n_outputs == 1 else outputs[:, :1]
        return 1 / (1 + (-log_odds).exp())

    def probabilities(self, levels: Floats) -> list[Floats]:
        return [np.column_stack([1 - p, p]) for p in self._first(levels).T]

    def judged_outputs(
        self, outputs: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.floating]:
        return self._first(outputs)  # of the same order as probabilities

    def has_score(self, labels: npt.NDArray[np.floating]) -> bool:
        return bool(labels.min(initial=1) < labels.max(initial=0))  # not without rows

    def decide(self, levels: Floats) -> npt.NDArray[np.int64]:
        return (self._first(levels) > 0.5).astype(np.int64)

    def is_constant(self, means: Floats) -> npt.NDArray[np.bool_]:
        return self._first(np.isnan(means) | (means == 0) | (means == 1))

    def constant(self, means: Floats) -> Floats:
        return np.nan_to_num(means, nan=0.5)

    def first_rates(self, means: Floats, n_rows: int) -> Floats:
        edge = 1 / (n_rows + 2)  # the rule of succession, without any positive
        return np.nan_to_num(means, nan=0.5).clip(edge, 1 - edge)

    def intercept(self, parts: Sequence[Part], means: Floats) -> Floats:
        own = [(z[0], float(share[0]), weight) for z, share, weight in parts]
        shift = shift_of_log_odds(own, float(means[0]))
        return np.array([shift, 0.0][: self.n_outputs])  # of "jrc" the log-odds only

    def updated_means(
        self,
        expected: Floats,
        known: tuple[Floats, Floats],
        labels: Floats,
        weight: Floats,
    ) -> Floats:
        # The posterior mean of a beta distribution. A single day has few positives of a
        # rare task, and a level equal to its rate alone would fluctuate with them. The
        # prior has the expected mean and counts as the known positives, at most 100.
        rate, n_known = float(expected[0]), float(known[0][0])
        positives = min(n_known / weight.mean(), _POSITIVES) if rate > 0 else 0.0
        n_prior = positives / rate if positives else 0.0
        w = weight / weight.mean()
        mean = (positives + w @ labels) / (n_prior + w.sum())
        return np.full(self.n_outputs, mean)

    def _first(self, of_outputs: npt.NDArray[T]) -> npt.NDArray[T]:
        """What belongs to the log-odds of each task, along the last axis."""
        return of_outputs[..., :: self.n_outputs]


# Log-odds, their share of the mean, and weights of the rows.
LogOddsPart = tuple[npt.NDArray[np.float32], float, Floats]


def shift_of_log_odds(parts: Sequence[LogOddsPart], mean: float) -> float:
    """Find the shift of log-odds that makes the mean probability `mean`.

    It is 0 if no shift of at most `FARTHEST` does, as for estimates from few rows.
    """
    odds = [_odds_against(*part) for part in parts]

    def excess(shift: float) -> float:
        # A shift multiplies the odds, so no exponentials of all rows are needed here.
        k = np.exp(-shift)
        means = ((w / (1.0 + k * against)).sum() for against, w in odds)
        return float(sum(means)) - mean

    if excess(-FARTHEST) > 0 or excess(FARTHEST) < 0:
        return 0.0
    return float(brentq(excess, -FARTHEST, FARTHEST, xtol=1e-10))


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
    """The kinds of all tasks of a ranker, with methods for all tasks at once.

    Parameters
    ----------
    kinds : sequence of TaskKind
        The kind of each task, which knows its labels.
    """

    def __init__(self, kinds: Sequence[TaskKind]) -> None:
        self.kinds = tuple(kinds)
        self.groups = group_by_kind(self.kinds)
        self.n_outputs = [kind.n_outputs for kind in self.kinds]
        self.n_scores = [kind.n_scores for kind in self.kinds]
        self.binary = [isinstance(kind, BinaryTask) for kind in self.kinds]
        ends = np.cumsum(self.n_outputs, dtype=int).tolist()
        # The outputs of each task, and the task of each output.
        self.outputs = [
            slice(end - n, end) for end, n in zip(ends, self.n_outputs, strict=True)
        ]
        self.task_of = np.repeat(np.arange(len(self.kinds)), self.n_outputs)

    def __len__(self) -> int:
        return len(self.kinds)

    def __iter__(self) -> Iterator[TaskKind]:
        return iter(self.kinds)

    def __getitem__(self, task: int) -> TaskKind:
        return self.kinds[task]

    @property
    def all_binary(self) -> bool:
        """Whether every task is binary."""
        return all(self.binary)

    def fit(self, labels: npt.NDArray[np.float32], weight: Floats) -> TaskKinds:
        """Give kinds that know the scale of labels, which have weights above 0."""
        fitted = []
        for task, kind in enumerate(self.kinds):
            seen = weight[:, task] > 0
            own = labels[seen, task].astype(np.float64)
            fitted.append(kind.fit(own, weight[seen, task]))
        return TaskKinds(fitted)

    def by_output(self, of_tasks: npt.NDArray[T]) -> npt.NDArray[T]:
        """Values of tasks, along the last axis, repeated for the outputs of each."""
        if len(self.task_of) == len(self.kinds):
            return of_tasks
        return of_tasks[..., self.task_of]

    def by_task(self, of_outputs: npt.NDArray[T]) -> npt.NDArray[T]:
        """The value of each task, which all of its outputs share."""
        if len(self.task_of) == len(self.kinds):
            return of_outputs
        return of_outputs[[own.start for own in self.outputs]]

    def predict(self, outputs: npt.NDArray[np.floating]) -> Floats:
        """Give levels, ``(n_samples, n_outputs)``, of the network's outputs."""
        parts = [g.kind.predict(self.outputs_of(g, outputs)) for g in self.groups]
        return self._columns(parts, [g.outputs for g in self.groups])

    def expected(self, levels: Floats) -> Floats:
        """Give expected labels, ``(n_samples, n_columns)``, of levels."""
        if len(self.groups) == 1:
            return self.groups[0].kind.expected(levels)
        return np.concatenate(
            [k.expected(levels[:, own]) for k, own in self._with_outputs()], axis=1
        )

    def column_names(self, names: AnyArray) -> list[ColumnName]:
        """Name the columns of the expected labels."""
        if self.all_binary:
            return list(names)
        pairs = zip(self.kinds, names, strict=True)
        return [column for k, name in pairs for column in k.column_names(str(name))]

    def probabilities(self, levels: Floats) -> list[Floats]:
        """Give the probability of each class, ``(n_samples, n_classes)`` by task."""
        return [k.probabilities(levels[:, own])[0] for k, own in self._with_outputs()]

    def decide(self, levels: Floats) -> AnyArray:
        """Give the labels to predict, ``(n_samples, n_tasks)``."""
        found = [g.kind.decide(self.outputs_of(g, levels)) for g in self.groups]
        if any(part.dtype.kind not in "biuf" for part in found) and len(found) > 1:
            found = [part.astype(object) for part in found]
        return self._columns(found, [g.tasks for g in self.groups])

    def is_constant(self, means: Floats) -> npt.NDArray[np.bool_]:
        """Say which tasks have nothing to learn, ``(n_tasks,)``."""
        parts = [g.kind.is_constant(means[g.outputs]) for g in self.groups]
        return self._columns(parts, [g.tasks for g in self.groups])

    def constant(self, means: Floats) -> Floats:
        """Give the levels for tasks without anything to learn, ``(n_outputs,)``."""
        return self._columns(
            [g.kind.constant(means[g.outputs]) for g in self.groups],
            [g.outputs for g in self.groups],
        )

    def first_rates(self, means: Floats, n_rows: int) -> Floats:
        """Give sigmoids of the outputs that training starts from, ``(n_outputs,)``."""
        return self._columns(
            [g.kind.first_rates(means[g.outputs], n_rows) for g in self.groups],
            [g.outputs for g in self.groups],
        )

    def rates(self, means: Floats) -> Floats:
        """Give rates of positives, ``(n_tasks,)``; NaN where not binary."""
        if self.all_binary:
            return self.by_task(means)
        return np.array(
            [
                means[own.start] if isinstance(kind, BinaryTask) else np.nan
                for kind, own in self._with_outputs()
            ]
        )

    def outputs_of(self, group: KindGroup, outputs: npt.NDArray[T]) -> npt.NDArray[T]:
        """Select outputs of a group, without a copy in the usual case of one group."""
        return outputs if len(self.groups) == 1 else outputs[:, group.outputs]

    def _with_outputs(self) -> Iterator[tuple[TaskKind, slice]]:
        return zip(self.kinds, self.outputs, strict=True)

    def _columns(
        self, parts: list[npt.NDArray[T]], places: list[list[int]]
    ) -> npt.NDArray[T]:
        """Put results of the groups, along the last axis, in the order of the tasks."""
        if len(parts) == 1:
            return parts[0]
        order = np.argsort([place for own in places for place in own])
        return np.concatenate(parts, axis=-1)[..., order]


def all_have_classes(given: object) -> bool:
    """Whether `task_kinds`, before anything is checked, names no regression."""
    values = list(given.values()) if isinstance(given, Mapping) else [given]
    kinds = [value for value in values if isinstance(value, TaskKind)]
    return "regression" not in values and all(kind.has_classes for kind in kinds)
