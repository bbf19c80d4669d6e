"""Run the net: tensors, seeds, callbacks, and what to do when training ends early."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skmtl._batches import TensorTable
from skmtl._net import DivergedError, MultiTaskNet
from skmtl.encoding import EncodedTable
from skmtl.modules import Bags, Ragged
from skmtl.modules.composition import BLOCK
from skmtl.rankers._monitor import BestWeights, LastGood, epoch_is_whole


def tensor_table(
    table: EncodedTable,
    labels: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float64],
    device: str,
) -> TensorTable:
    """Put a table on the device, weights scaled to mean 1 for each task."""
    mean = weight.mean(axis=0)
    scaled = None
    if not (mean > 0).all() or not (weight == mean).all():
        ratio = np.divide(weight, mean, out=np.zeros_like(weight), where=mean > 0)
        scaled = torch.from_numpy(ratio.astype(np.float32))
    return TensorTable(as_tensors(table), torch.from_numpy(labels), scaled).to(device)


def as_tensors(table: EncodedTable) -> dict[str, Any]:
    """Arguments of the module for all rows of a table, on the memory of its arrays."""
    arrays = table.as_dict()
    bags = arrays.pop("bags", ())
    tensors: dict[str, Any] = {k: torch.from_numpy(x) for k, x in arrays.items()}
    if bags:
        tensors["bags"] = Bags(
            Ragged(torch.from_numpy(bag.values), torch.from_numpy(bag.offsets))
            for bag in bags
        )
    return tensors


def retune(net: MultiTaskNet, ranker: Any) -> None:
    """Give a net that goes on the ranker's learning rate, schedule and decay."""
    weighting = net.criterion_.weighting
    own = {id(p) for p in weighting.parameters()}
    ratio = ranker.learning_rate / net.lr
    for optimizer in net.all_optimizers:
        for group in optimizer.param_groups:
            is_own = not own.isdisjoint(id(p) for p in group["params"])
            if not is_own:
                group["weight_decay"] = ranker.weight_decay
            # The start of the last schedule, which may have ended at 0.
            group["lr"] = group.pop("initial_lr", group["lr"])
            if not is_own or weighting.learning_rate is None:
                group["lr"] *= ratio
    net.lr = ranker.learning_rate
    net.weight_decay = ranker.weight_decay
    net.learning_rate_schedule = ranker.learning_rate_schedule


def train(net: MultiTaskNet, table: TensorTable, names: npt.NDArray[Any]) -> None:
    """Train, and keep the last good weights when a loss diverges.

    Raises
    ------
    ValueError
        When a loss diverges before any epoch is complete.
    KeyboardInterrupt
        When the user interrupts training before that.
    """
    epochs_before = len(net.history)
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
        warnings.warn(
            f"{hint} Training stopped after {done} whole epochs, whose weights are "
            "kept.",
            ConvergenceWarning,
            stacklevel=4,
        )
    _end_interrupted(net, epochs_before)
    net.module_.eval()


def _end_interrupted(net: MultiTaskNet, epochs_before: int) -> None:
    """Forget an epoch that was interrupted; skorch ends training without a word."""
    whole = epoch_is_whole(net.history)
    if not whole:
        del net.history[-1]
    done = len(net.history) - epochs_before
    if done == 0:
        raise KeyboardInterrupt
    if not whole:
        warnings.warn(
            f"Training was interrupted after {done} whole epochs, whose weights are "
            "kept.",
            ConvergenceWarning,
            stacklevel=5,
        )


def _forget_divergence(net: MultiTaskNet) -> None:
    """Leave nothing of the steps that led astray to a fit that goes on."""
    for _, callback in net.callbacks_:
        if isinstance(callback, LastGood):
            callback.restore_criterion(net)
    for optimizer in net.all_optimizers:
        optimizer.state.clear()


def _last_good(net: MultiTaskNet) -> dict[str, Tensor] | None:
    callbacks = [callback for _, callback in net.callbacks_]
    for kind, attribute in (
        (BestWeights, "best_model_weights_"),
        (LastGood, "weights"),
    ):
        for callback in callbacks:
            weights = getattr(callback, attribute, None)
            if isinstance(callback, kind) and weights is not None:
                return dict(weights)
    return None


def logits(
    net: MultiTaskNet,
    table: EncodedTable,
    rows: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.float32]:
    """Logits of all rows, or of some, in blocks that fit the cache."""
    module = net.module_
    was_training = module.training
    if was_training:
        module.eval()
    with torch.inference_mode():
        out: npt.NDArray[np.float32] = (
            torch.cat([module(**block) for block in blocks(table, net.device, rows)])
            .cpu()
            .numpy()
        )
    if was_training:
        module.train()
    return out


def blocks(
    table: EncodedTable, device: str, rows: npt.NDArray[np.int64] | None = None
) -> Iterator[dict[str, Any]]:
    """Arguments of the module, some rows at a time."""
    tensors = as_tensors(table)
    if rows is None and len(table) <= BLOCK:
        yield {name: x.to(device) for name, x in tensors.items()}
        return
    chosen = None if rows is None else torch.from_numpy(rows)
    for start in range(0, len(table) if rows is None else len(rows), BLOCK):
        at: Any = slice(start, start + BLOCK)
        if chosen is not None:
            at = chosen[at]
        yield {name: x[at].to(device) for name, x in tensors.items()}
