"""The line that ``verbose=1`` prints for every epoch."""

from __future__ import annotations

import shutil
import sys
from time import perf_counter
from typing import Any

import numpy.typing as npt
from skorch.callbacks import Callback

# Seconds between two looks of a line that is still moving.
REFRESH = 0.2


class EpochLine(Callback):
    """Print a line for each epoch; on a terminal it moves while the epoch runs.

    Where the output is no terminal, such as a file or a notebook, only whole lines are
    written. What moves is counted without waiting for the device.

    Parameters
    ----------
    names : ndarray of shape (n_tasks,)
        Names of the tasks.
    """

    def __init__(self, names: npt.NDArray[Any]) -> None:
        self.names = names

    def on_train_begin(self, net: Any, X: Any = None, **_: Any) -> None:
        self.n_rows = len(X)
        self.n_done, self.begun = 0, perf_counter()
        self.n_epochs = net.max_epochs
        self.last = len(net.history) + net.max_epochs  # after earlier warm starts
        self.live = _is_terminal(sys.stdout)
        self.width = 0

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        self.started = self.shown = self.trained = perf_counter()
        self.rows = 0

    def on_batch_end(self, net: Any, batch: Any, training: bool, **_: Any) -> None:
        if not training:
            return
        self.rows += len(batch[1][0])
        self.trained = perf_counter()
        if self.live and self.trained - self.shown > REFRESH:
            self.shown = self.trained
            share = self.rows / self.n_rows
            text = f"{self._epoch(net)}  {share:4.0%}  {self._pace(share)}"
            self._write(text[: shutil.get_terminal_size().columns - 1])

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        last = net.history[-1]
        score = f"  score {last['valid_score']:.5f}" if "valid_score" in last else ""
        self._write(
            f"{self._epoch(net)}  {task_text(last, self.names)}{score}  "
            f"{last['dur']:.1f} s  {self._pace(1.0)}"
        )
        self._end_line()
        self.n_done += 1

    def on_train_end(self, net: Any, **_: Any) -> None:
        if self.width:  # an epoch that was cut short
            self._end_line()

    def _epoch(self, net: Any) -> str:
        n_digits = len(str(self.last))
        return f"epoch {net.history[-1, 'epoch']:{n_digits}d}/{self.last}"

    def _pace(self, share: float) -> str:
        """Rows a second in training, and time left, of an epoch that is partly done."""
        speed = self.rows / max(self.trained - self.started, 1e-9)
        done = self.n_done + share
        left = (perf_counter() - self.begun) / done * (self.n_epochs - done)
        return f"{speed:,.0f} rows/s  {duration(left)} left"

    def _write(self, text: str) -> None:
        if not self.live:
            print(text, end="")
            return
        # Spaces clear what a longer line before has left.
        print(f"\r{text.ljust(self.width)}", end="", flush=True)
        self.width = len(text)

    def _end_line(self) -> None:
        print(flush=True)
        self.width = 0


def task_text(epoch: Any, names: npt.NDArray[Any]) -> str:
    """Loss and AUC of every task, on the validation part where there is one."""
    part = "valid" if "valid_task_loss" in epoch else "train"
    losses, aucs = epoch[f"{part}_task_loss"], epoch[f"{part}_task_auc"]
    tasks = (
        f"{name} loss {loss:.5f} AUC {auc:.5f}"
        for name, loss, auc in zip(names, losses, aucs, strict=True)
    )
    return f"{part}: " + ", ".join(tasks)


def duration(seconds: float) -> str:
    """Seconds for readers: ``"0.4 s"``, ``"12 s"``, ``"3:20"``, ``"1:02:03"``."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}"


def _is_terminal(stream: Any) -> bool:
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())
