"""Dense layers before the towers, either shared by all tasks or one set for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from skmtl.modules import (
    Embedding,
    PooledTower,
    SharedBottom,
    Sharing,
    TaskBottoms,
    Towers,
)
from skmtl.rankers._base import MultiTaskRanker
from skmtl.tasks import TaskKinds
from skmtl.training.criterion import TaskLosses
from skmtl.training.parameters import parameter


class BottomRanker(MultiTaskRanker):
    """Base of the rankers with dense layers before the towers.

    Parameters
    ----------
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}
    """

    bottom_units: Sequence[int] = parameter(default=(256, 128), allowed=["array-like"])

    _layers: ClassVar[dict[str, int]] = {"tower_units": 0, "bottom_units": 0}
    _bottom: ClassVar[type[Sharing]] = TaskBottoms

    def _bottom_options(self) -> dict[str, object]:
        """Return the arguments of this kind of bottom besides its sizes."""
        return {}

    def _make_sharing(self, embedding: Embedding, names: list[str]) -> Sharing:
        return self._bottom(
            n_tasks=len(names),
            width=embedding.width,
            units=self._units("bottom_units"),
            dropout=self.dropout,
            **self._bottom_options(),
        )


class ShareBottom(BottomRanker):
    """Share dense layers between tasks; each task has its own tower.

    Embeddings and numbers go through the same dense layers for all tasks, then
    through a small tower for each.

    Parameters
    ----------
    bottom_units : sequence of int, default=(256, 128)
        Widths of the shared layers.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    MMoE : Tasks share experts, and each mixes them by a gate.
    ChainedMMoE : MMoE in which a task's tower reads that of the previous task.

    References
    ----------
    R. Caruana, "Multitask Learning", Machine Learning 28, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import ShareBottom
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    >>> ranker = ShareBottom(random_state=0).fit(X, y)
    >>> ranker.predict_task_proba(X).shape
    (1000, 2)
    >>> ranker.score(X, y) > 0.95
    True
    """

    _bottom: ClassVar[type[Sharing]] = SharedBottom


class SingleTask(BottomRanker):
    """Train one network for each task; nothing is shared.

    The baseline of multi-task learning: as many networks as tasks, each with its own
    embeddings, dense layers and tower, as large as those of `ShareBottom`. They are
    trained together, on the same batches in the same order, in batched products, which
    is faster than one after the other. No gradient of one task reaches the network of
    another.

    Parameters
    ----------
    bottom_units : sequence of int, default=(256, 128)
        Widths of the layers of each network before its tower.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    PooledTask : One network and one score for all tasks.
    ShareBottom : One bottom for all tasks.
    skmtl.inspection.transfer_report : Compare architectures with this one.

    Notes
    -----
    All embeddings of an id lie side by side in one row of a table with ``n_tasks *
    embedding_dim`` columns. The lazy optimiser updates whole rows: those that a batch
    touches, for all tasks, even where a label was not observed, as in every ranker.

    The tasks share only what is outside the networks: the vocabulary and the bins, the
    batches, and with ``early_stopping`` the best epoch by the mean score. Set
    ``scoring="auc:order"`` to stop for one task.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import SingleTask
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    >>> ranker = SingleTask(random_state=0).fit(X, y)
    >>> ranker.predict_task_proba(X).shape
    (1000, 2)
    """

    _shares = False

    def _n_embeddings(self, names: list[str]) -> int:
        return len(names)


class PooledLosses(TaskLosses):
    """Parts, by task, of the cross-entropy of one score for all positive feedback.

    Every positive label is an example with label 1 and its task's label weight, so a
    row that was clicked and ordered counts with the sum of both weights; a row without
    any positive is one example with label 0. With ``q = sigmoid(z)`` the loss of a row
    is ``sum_t w_t y_t log q + (1 - max_t y_t) log(1 - q)``, negated.

    The part of task t holds its positives, and an equal share of the rows without one;
    the sum over the tasks is the loss.

    Parameters
    ----------
    kinds : TaskKinds
        Binary, every one.
    label_weight : sequence of float
        One for each task, above 0.

    Notes
    -----
    Shape: as `TaskLosses`; all columns of the logits are the same. A row without a
    positive counts with the mean of its weights, 0 where not observed. The logit is
    shifted by the logarithm of the mean label weight, so that training starts near the
    weighted rate; the shift is the same for all rows and changes no order.
    """

    weight: Tensor
    shift: Tensor

    def __init__(self, kinds: TaskKinds, label_weight: Sequence[float]) -> None:
        super().__init__(kinds, label_weight)
        weight = torch.tensor(label_weight, dtype=torch.float64)
        self.register_buffer("weight", weight.float())
        self.register_buffer("shift", weight.mean().log().float())

    def of_labels(self, logits: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        z = logits + self.shift
        weight = torch.ones_like(y) if weight is None else weight
        # softplus(-z) is -log q, and softplus(z) is -log(1 - q).
        positive = self.weight * weight * y * F.softplus(-z)
        # Rows without an observed positive; each task gets an equal share of them, so
        # that the sum over the tasks counts them once.
        none = ((weight > 0) * y).amax(dim=1, keepdim=True) == 0
        share = none * weight.mean(dim=1, keepdim=True) / y.shape[1]
        return (positive + share * F.softplus(z)).mean(dim=0)


class PooledTask(BottomRanker):
    """Train one network and one score; any positive feedback is label 1.

    The baseline before multi-task learning. Clicks, carts and orders are all examples
    with label 1, each with the label weight of its task; rows without any of them have
    label 0. One network learns one score by

    ``w y log q + (1 - y) log(1 - q)``.

    A row with several positive labels counts with the sum of their label weights.

    Parameters
    ----------
    bottom_units : sequence of int, default=(256, 128)
        Widths of the layers before the tower.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    SingleTask : One network for each task.
    ShareBottom : One bottom and a tower for each task.

    Notes
    -----
    All tasks rank the rows in the same order, that of the score. So that
    ``predict_proba`` still returns probabilities, each task has its own intercept,
    fitted at the end: the mean prediction of a task is its observed rate. How steeply a
    task's probability rises with the score is not fitted.

    A label that was not observed (NaN) is not a positive; a row without an observed
    positive is a 0 if any of its labels was observed. ``loss_weight`` multiplies
    a task's positives and its share of the rows without any.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmtl import PooledTask
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> click = X[:, 0] > 0
    >>> y = pd.DataFrame({"click": click, "order": click & (X[:, 1] > 1)}).astype(int)
    >>> ranker = PooledTask(label_weight={"click": 1, "order": 10}, random_state=0)
    >>> click, order = ranker.fit(X, y).predict_task_proba(X).T
    >>> bool((np.argsort(click) == np.argsort(order)).all())
    True
    """

    _bottom: ClassVar[type[Sharing]] = SharedBottom
    _losses: ClassVar[type] = PooledLosses

    def _check_kinds(self, names: list[str], kinds: TaskKinds) -> None:
        for name, kind, binary in zip(names, kinds, kinds.binary, strict=True):
            if not binary:
                raise ValueError(
                    f"PooledTask has one score for positives of all tasks, but task "
                    f"{name!r} is of kind {kind.name}. Pass binary tasks only, or use "
                    "SingleTask or ShareBottom."
                )
            if kind.n_scores > 1:
                raise ValueError(
                    f"PooledTask has one score, but task {name!r}, {kind!r}, needs "
                    f"{kind.n_scores}. Use another loss, SingleTask or ShareBottom."
                )

    def _make_towers(self, width: int, names: list[str], kinds: TaskKinds) -> Towers:
        return PooledTower(
            n_tasks=len(names),
            width=width,
            units=self._units("tower_units"),
            dropout=self.dropout,
        )
