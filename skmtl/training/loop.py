"""Run the net, and keep what is good when training ends early."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skmtl._warnings import warn
from skmtl.training.batches import TensorTable
from skmtl.training.callbacks import BestWeights, LastGood, epoch_is_whole
from skmtl.training.net import DivergedError, MultiTaskNet


def train(net: MultiTaskNet, table: TensorTable, names: npt.NDArray[Any]) -> bool:
    """Train, and keep the last good weights when a loss diverges.

    Returns
    -------
    bool
        Whether training came to its end, and was neither interrupted nor diverged.

    Raises
    ------
    ValueError
        When a loss diverges before any epoch is complete.
    KeyboardInterrupt
        When the user interrupts training before that.
    """
    epochs_before, diverged = len(net.history), False
    try:
        net.partial_fit(table)
    except DivergedError as error:
        weights = _last_good(net)
        hint = (
            f"The loss of task {names[error.task]!r} is no longer a finite number "
            f"(learning_rate={net.lr:g}). Try a smaller learning_rate, or smaller "
            "label_weight, loss_weight or sample_weight."
        )
        if weights is None:
            raise ValueError(
                f"{hint} No epoch was complete, so nothing is kept."
            ) from None
        net.module_.load_state_dict(weights)
        _forget_divergence(net)
        if "train_loss" not in net.history[-1]:
            del net.history[-1]
        net.notify("on_train_end", X=table, y=None)
        done = len(net.history) - epochs_before
        warn(
            f"{hint} Training stopped after {done} whole epochs, whose weights are "
            "kept.",
            ConvergenceWarning,
        )
        diverged = True
    interrupted = _end_interrupted(net, epochs_before)
    net.module_.eval()
    return not (diverged or interrupted)


def _end_interrupted(net: MultiTaskNet, epochs_before: int) -> bool:
    """Forget an epoch that was interrupted, and say whether one was.

    skorch ends training silently.
    """
    whole = epoch_is_whole(net.history)
    if not whole:
        del net.history[-1]
    done = len(net.history) - epochs_before
    if done == 0:
        raise KeyboardInterrupt
    if not whole:
        warn(
            f"Training was interrupted after {done} whole epochs, whose weights are "
            "kept.",
            ConvergenceWarning,
        )
    return not whole


def _forget_divergence(net: MultiTaskNet) -> None:
    """Leave nothing of the steps that led astray to a later warm start."""
    for _, callback in net.callbacks_:
        if isinstance(callback, LastGood):
            callback.restore_criterion(net)
    for optimizer in net.all_optimizers:
        optimizer.state.clear()


def _last_good(net: MultiTaskNet) -> dict[str, Tensor] | None:
    """The best weights so far, else those of the last whole epoch."""
    for kind in (BestWeights, LastGood):
        for _, callback in net.callbacks_:
            if isinstance(callback, kind) and callback.kept is not None:
                return dict(callback.kept)
    return None
