"""ROC AUC of every task in every epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch.callbacks import Callback
from torch import Tensor

from skmtl.metrics import roc_auc

# Rows of training that count: the epoch's order is random, so the first are a sample.
MAX_ROWS = 2**20


class TaskAUC(Callback):
    """Record ``train_task_auc`` and ``valid_task_auc``, from logits that are there.

    Nothing is predicted again: a training row counts with its logit before the step
    on its batch, as it does in the training loss.

    Parameters
    ----------
    names : ndarray of shape (n_tasks,)
        Names of the tasks.
    scalars : bool
        Whether to record each task's losses and AUC under a key of its own too, such
        as ``valid_auc_click``, for trackers that take numbers only.
    """

    def __init__(self, names: npt.NDArray[Any], *, scalars: bool) -> None:
        self.names, self.scalars = names, scalars

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        self.parts: dict[bool, list[Any]] = {True: [], False: []}
        self.n_rows = 0

    def on_batch_end(
        self, net: Any, batch: Any, training: bool, y_pred: Tensor, **_: Any
    ) -> None:
        if training:
            if self.n_rows >= MAX_ROWS:
                return
            self.n_rows += len(y_pred)
        self.parts[training].append((y_pred.detach(), *batch[1]))

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        for training, prefix in ((True, "train"), (False, "valid")):
            if self.parts[training]:
                auc = task_auc(*_joined(self.parts[training]))
                net.history.record(f"{prefix}_task_auc", auc)
        self.parts = {}
        if self.scalars:
            self._record_scalars(net.history)

    def _record_scalars(self, history: Any) -> None:
        last = dict(history[-1])
        for key in ("train_task_loss", "train_task_auc", "loss_weight"):
            self._record_tasks(history, key, last)
        for key in ("valid_task_loss", "valid_task_auc"):
            if key in last:
                self._record_tasks(history, key, last)

    def _record_tasks(self, history: Any, key: str, last: dict[str, Any]) -> None:
        for name, value in zip(self.names, last[key], strict=True):
            history.record(f"{key.replace('_task', '')}_{name}", value)

    def on_train_end(self, net: Any, **_: Any) -> None:
        self.parts = {}  # an epoch that was cut short


def task_auc(
    logits: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    weight: npt.NDArray[Any] | None,
) -> list[float]:
    """AUC of every task over the rows with weight; NaN for a task of one class."""
    tasks = range(labels.shape[1])
    if weight is None:
        weight = np.broadcast_to(np.float32(1), labels.shape)
    return [_auc(logits[:, t], labels[:, t], weight[:, t]) for t in tasks]


def _auc(
    logit: npt.NDArray[Any], label: npt.NDArray[Any], weight: npt.NDArray[Any]
) -> float:
    seen = weight > 0
    if not seen.all():
        logit, label, weight = logit[seen], label[seen], weight[seen]
    if not len(label) or label.min() == label.max():
        return float("nan")
    # Without sample weights, observed labels weigh the same: counting pairs is faster.
    equal = bool((weight == weight[0]).all())
    return float(roc_auc(label, logit, sample_weight=None if equal else weight))


def _joined(
    parts: list[tuple[Tensor, Tensor, Tensor | None]],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any] | None]:
    logits, labels, weights = zip(*parts, strict=True)
    given = None if weights[0] is None else torch.cat(weights).cpu().numpy()
    return torch.cat(logits).cpu().numpy(), torch.cat(labels).cpu().numpy(), given
