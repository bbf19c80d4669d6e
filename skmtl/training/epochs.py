"""Reports on the epochs of a fit: scores, a printed line, and the history."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Mapping, Sized
from time import perf_counter
from typing import TextIO

import numpy as np
import pandas as pd
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.history import History
from torch import Tensor

from skmtl._typing import FloatingArray, ObjectArray
from skmtl.metrics._by_kind import SCORES
from skmtl.modules.ragged import Inputs
from skmtl.tasks import TaskKind, TaskKinds

# About this many training rows are scored. Their order is random, so that the first
# ones are a sample.
MAX_ROWS = 2**20
# Seconds between two updates of the progress line.
REFRESH = 0.2


class EpochScores(Callback):
    """Record every task's score, such as ``train_task_auc`` and ``valid_task_auc``.

    Nothing is predicted again: the output of a training row is that before the step on
    its batch, as in the training loss.

    Parameters
    ----------
    names : ndarray of shape (n_tasks,)
        Names of the tasks.
    kinds : TaskKinds
        The kind of each task, which knows the score.
    scalars : bool
        Whether to record each task's losses and scores under a key of its own too, such
        as ``valid_auc_click``, for trackers that take numbers only.
    """

    def __init__(self, names: ObjectArray, kinds: TaskKinds, *, scalars: bool) -> None:
        self.names, self.kinds, self.scalars = names, kinds, scalars

    def on_epoch_begin(self, net: NeuralNet, **_: object) -> None:
        # Names that end in "_" are part of a checkpoint, also within an epoch.
        self.parts_: dict[bool, list[tuple[Tensor, Tensor, Tensor | None]]] = {
            True: [],
            False: [],
        }
        self.n_rows_ = 0

    def on_batch_end(
        self,
        net: NeuralNet,
        batch: tuple[Inputs, Tensor],
        weight: Tensor | None,
        training: bool,
        y_pred: Tensor,
        **_: object,
    ) -> None:
        if training:
            if self.n_rows_ >= MAX_ROWS:
                return
            self.n_rows_ += len(y_pred)
        self.parts_[training].append((y_pred, batch[1], weight))

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        for training, prefix in ((True, "train"), (False, "valid")):
            if self.parts_[training]:
                outputs, labels, weight = _joined(self.parts_[training])
                scores = scores_of_outputs(outputs, labels, weight, self.kinds)
                for name, values in scores.items():
                    net.history.record(f"{prefix}_task_{name}", values)
        self.parts_ = {}
        if self.scalars:
            self._record_scalars(net.history)

    def _record_scalars(self, history: History) -> None:
        # A copy, since recording adds keys.
        last = dict(history[-1])
        for key, values in last.items():
            if key == "loss_weight" or key.startswith(("train_task_", "valid_task_")):
                for name, value in zip(self.names, values, strict=True):
                    history.record(f"{key.replace('_task', '')}_{name}", value)

    def on_train_end(self, net: NeuralNet, **_: object) -> None:
        self.parts_ = {}  # an epoch that was cut short


def scores_of_outputs(
    outputs: FloatingArray,
    labels: FloatingArray,
    weight: FloatingArray | None,
    kinds: TaskKinds,
) -> dict[str, list[float]]:
    """Scores of all tasks by the name of the score; NaN for tasks that lack it.

    Parameters
    ----------
    outputs : ndarray of shape (n_samples, n_outputs)
        Outputs of the network.
    labels : ndarray of shape (n_samples, n_tasks)
        The labels.
    weight : ndarray of shape (n_samples, n_tasks) or None
        Weights, 0 where a label was not observed.
    kinds : TaskKinds
        The kind of each task.

    Returns
    -------
    dict of str to list of float
        For each score a value for each task.
    """
    if weight is None:
        weight = np.broadcast_to(np.float32(1), labels.shape)
    found: dict[str, list[float]] = {}
    for group in kinds.groups:
        judged = group.kind.judged_outputs(kinds.outputs_of(group, outputs))
        values = found.setdefault(group.kind.score_name, [math.nan] * len(kinds))
        for k, task in enumerate(group.tasks):
            values[task] = task_score(
                group.kind, labels[:, task], judged[:, k], weight[:, task]
            )
    return found


def task_score(
    kind: TaskKind,
    label: FloatingArray,
    prediction: FloatingArray,
    weight: FloatingArray,
) -> float:
    """Score of one task over the rows with weight; NaN where it is not defined."""
    seen = weight > 0
    if not seen.all():
        label, prediction, weight = label[seen], prediction[seen], weight[seen]
    # Also without any row, so that there is a first weight below.
    if not kind.has_score(label):
        return math.nan
    # Without sample weights, observed labels weigh the same: counting pairs is faster.
    equal = bool((weight == weight[0]).all())
    weights = None if equal else weight
    if not np.isfinite(prediction).all():
        return math.nan
    score = SCORES[kind.metric]
    return float(score(label, prediction, sample_weight=weights, **kind.metric_params))


def _joined(
    parts: list[tuple[Tensor, Tensor, Tensor | None]],
) -> tuple[FloatingArray, FloatingArray, FloatingArray | None]:
    logits, labels, weights = zip(*parts, strict=True)
    given = None if weights[0] is None else torch.cat(weights).cpu().numpy()
    return torch.cat(logits).cpu().numpy(), torch.cat(labels).cpu().numpy(), given


class TerminalLine:
    """A line that is updated on a terminal; elsewhere only its end is written.

    Parameters
    ----------
    stream : file
        Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.live, self.width = stream, _is_terminal(stream), 0

    def move(self, text: str) -> None:
        """Show something in place of what the line shows now."""
        if self.live:
            # A line that fills the terminal would wrap, and "\r" would not reach its
            # start.
            self._write(text[: shutil.get_terminal_size().columns - 1])

    def end(self, text: str | None = None) -> None:
        """Show a last text, or leave what is there, and start a new line."""
        if text is not None:
            self._write(text)
        if text is not None or self.width:
            print(file=self.stream, flush=True)
        self.width = 0

    def _write(self, text: str) -> None:
        if not self.live:
            print(text, end="", file=self.stream)
            return
        # Spaces clear what a longer line before has left.
        print(f"\r{text.ljust(self.width)}", end="", file=self.stream, flush=True)
        self.width = len(text)


class EpochLine(Callback):
    """Print a line for each epoch; on a terminal it moves while the epoch runs.

    Where the output is not a terminal, such as a file or a notebook, only whole lines
    are written. What moves is counted without waiting for the device.

    Parameters
    ----------
    names : ndarray of shape (n_tasks,)
        Names of the tasks.
    kinds : TaskKinds
        The kind of each task.
    """

    def __init__(self, names: ObjectArray, kinds: TaskKinds) -> None:
        self.names, self.kinds = names, kinds

    def on_train_begin(self, net: NeuralNet, X: Sized = (), **_: object) -> None:
        self.n_rows = len(X)
        self.n_done, self.begun = 0, perf_counter()
        self.n_epochs = net.max_epochs
        self.last = len(net.history) + net.max_epochs  # after earlier warm starts
        self.line = TerminalLine(sys.stdout)

    def on_epoch_begin(self, net: NeuralNet, **_: object) -> None:
        self.started = self.shown = self.trained = perf_counter()
        self.rows = 0

    def on_batch_end(
        self, net: NeuralNet, batch: tuple[Inputs, Tensor], training: bool, **_: object
    ) -> None:
        if not training:
            return
        self.rows += len(batch[1])
        self.trained = perf_counter()
        if self.trained - self.shown > REFRESH:
            self.shown = self.trained
            share = self.rows / self.n_rows
            self.line.move(f"{self._epoch(net)}  {share:4.0%}  {self._pace(share)}")

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        last = net.history[-1]
        score = f"  score {last['valid_score']:.5f}" if "valid_score" in last else ""
        self.line.end(
            f"{self._epoch(net)}  {task_text(last, self.names, self.kinds)}{score}  "
            f"{last['dur']:.1f} s  {self._pace(1.0)}"
        )
        self.n_done += 1

    def on_train_end(self, net: NeuralNet, **_: object) -> None:
        self.line.end()  # of an epoch that was cut short

    def _epoch(self, net: NeuralNet) -> str:
        n_digits = len(str(self.last))
        return f"epoch {net.history[-1, 'epoch']:{n_digits}d}/{self.last}"

    def _pace(self, share: float) -> str:
        """Rows a second in training, and time left, of an epoch that is partly done."""
        speed = self.rows / max(self.trained - self.started, 1e-9)
        done = self.n_done + share
        left = (perf_counter() - self.begun) / done * (self.n_epochs - done)
        return f"{speed:,.0f} rows/s  {duration(left)} left"


def task_text(
    epoch: Mapping[str, list[float]], names: ObjectArray, kinds: TaskKinds
) -> str:
    """Loss and score of every task, on the validation part where there is one."""
    part = "valid" if "valid_task_loss" in epoch else "train"
    tasks = []
    for task, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        loss = epoch[f"{part}_task_loss"][task]
        score = epoch[f"{part}_task_{kind.score_name}"][task]
        tasks.append(f"{name} loss {loss:.5f} {kind.score_name.upper()} {score:.5f}")
    return f"{part}: " + ", ".join(tasks)


def duration(seconds: float) -> str:
    """Format seconds: ``"0.4 s"``, ``"12 s"``, ``"3:20"``, ``"1:02:03"``."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}"


def _is_terminal(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())


def history_frame(history: History, names: ObjectArray) -> pd.DataFrame:
    """One row for each epoch and task.

    Parameters
    ----------
    history : skorch.history.History
        Of a `MultiTaskNet`.
    names : ndarray of shape (n_tasks,)
        Names of the tasks.

    Returns
    -------
    DataFrame
        As the attribute `history_` of rankers.
    """
    epochs = [epoch for epoch in history if "train_task_loss" in epoch]
    table: dict[str, object] = {
        "epoch": np.repeat([epoch["epoch"] for epoch in epochs], len(names)),
        "task": np.tile(names, len(epochs)),
    }
    nothing = [np.nan] * len(names)
    for column, key in (
        ("train_loss", "train_task_loss"),
        ("valid_loss", "valid_task_loss"),
        ("loss_weight", "loss_weight"),
    ):
        table[column] = np.ravel([epoch.get(key, nothing) for epoch in epochs])
    if any("gramian" in epoch for epoch in epochs):
        table |= _gradients(epochs, names)
    return pd.DataFrame(table)


def _gradients(
    epochs: list[Mapping[str, object]], names: ObjectArray
) -> dict[str, FloatingArray]:
    """Root mean square norms, and cosines of the epoch's gradients put end to end."""
    unknown = np.full((len(names), len(names)), np.nan)
    gramians = np.array([epoch.get("gramian", unknown) for epoch in epochs])
    norms = np.sqrt(np.diagonal(gramians, axis1=1, axis2=2))
    lengths = norms[:, :, None] * norms[:, None, :]
    cosines = np.divide(
        gramians, lengths, out=np.full_like(gramians, np.nan), where=lengths > 0
    )
    columns = {"gradient_norm": norms.ravel()}
    for task, name in enumerate(names):
        columns[f"cosine_{name}"] = cosines[:, :, task].ravel()
    return columns


def watches_gradients(one: NeuralNet | Callback) -> bool:
    """Whether a net or a callback has an ``on_grad_computed`` of its own."""
    given = getattr(one.on_grad_computed, "__func__", None)
    return given not in (NeuralNet.on_grad_computed, Callback.on_grad_computed)
