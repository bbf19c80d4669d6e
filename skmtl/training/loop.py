"""The rows of a fit, training on them, and what is kept if training ends early."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.history import History
from torch import Tensor

from skmtl._sklearn import CallbackContext
from skmtl._typing import AnyArray, LabelsLike, ObjectArray, TableLike
from skmtl._warnings import warn
from skmtl.encoding import EncodedTable, RaggedArray
from skmtl.encoding.blocks import EncodedBlocks
from skmtl.tasks import Targets
from skmtl.training.batches import (
    Processes,
    RowTable,
    tensor_table,
)
from skmtl.training.computing import logits
from skmtl.training.criterion import DivergedError
from skmtl.training.intercept import Floats, Part
from skmtl.training.net import MultiTaskNet

# Tables up to this many rows fit a batch or two; merging them costs a millisecond.
MERGE_ROWS = 1024


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
        """Outputs of a net for at least `n_rows` random rows, and their weights."""
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
    groups : ndarray of shape (n_samples,), dtype int64, or None
        Number of the group of each row, where rows of a group are compared.
    """

    def __init__(
        self,
        table: EncodedTable,
        targets: Targets,
        weight: Floats,
        valid: ValidationPart | None,
        device: str,
        groups: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.table, self.targets, self.weight = table, targets, weight
        self.valid, self.device, self.groups = valid, device, groups
        self.masses = targets.masses(weight)

    def __len__(self) -> int:
        return len(self.table)

    def as_table(self, constant: npt.NDArray[np.bool_]) -> RowTable:
        labels = self.targets.labels
        # Equal rows of different groups are not the same.
        if len(self.table) <= MERGE_ROWS and self.groups is None:
            merged = merge_rows(self.table, self.targets, self.weight)
            self.table, labels, self.weight = merged
        if constant.any():
            self.weight = self.weight * ~constant
        return tensor_table(self.table, labels, self.weight, self.device, self.groups)

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


def merge_rows(
    table: EncodedTable, targets: Targets, weight: npt.NDArray[np.float64]
) -> tuple[EncodedTable, npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Merge equal rows with equal labels, adding their weights, in sorted order.

    On a table this small, a repeated row and a row of weight 2 must give bit-identical
    fits, in any order of the rows. The loss is the same sum either way; merging makes
    its rounding the same too.

    Returns
    -------
    table, labels, weight
        Without rows of weight 0 for all tasks.
    """
    lists = [_same_lists(bag) for bag in table.bags]
    # Labels are 0 where not observed; whether a weight is above 0 tells these apart.
    # Ids are below 2**53, so that float64 keeps them.
    key = np.hstack(
        [table.ids, table.bins, table.numeric, *lists, targets.labels, weight > 0],
        dtype=np.float64,
    )
    distinct, first, inverse = np.unique(
        key, axis=0, return_index=True, return_inverse=True
    )
    merged = np.zeros((len(distinct), weight.shape[1]))
    np.add.at(merged, inverse.ravel(), weight)
    keep = merged.any(axis=1)
    return table.take(first[keep]), targets.labels[first[keep]], merged[keep]


def _same_lists(bag: RaggedArray) -> npt.NDArray[np.int64]:
    """A number for each row that equal lists share, whatever the order of the rows."""
    cells = np.empty((len(bag), 1), dtype=object)
    for row, (start, stop) in enumerate(pairwise(bag.offsets)):
        cells[row] = bag.values[start:stop].tobytes()
    return np.unique(cells, return_inverse=True)[1].reshape(-1, 1)


class ValidScore(Callback):
    """Record a scorer's value on the validation part as ``valid_score``."""

    def __init__(self, score: Callable[[NeuralNet], float]) -> None:
        self.score = score

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        net.history.record("valid_score", float(self.score(net)))


class BestWeights(EarlyStopping):
    """Stop when the monitored value no longer improves; always restore the best."""

    def __init__(self, *, monitor: str, patience: int | None, tol: float) -> None:
        super().__init__(
            monitor=monitor,
            patience=patience if patience is not None else 2**62,  # never stops
            threshold=tol,
            threshold_mode="abs",
            lower_is_better=monitor == "valid_loss",
            load_best=True,
            sink=_silent,
        )

    @property
    def kept(self) -> dict[str, Tensor] | None:
        """The best weights so far."""
        best: dict[str, Tensor] | None = self.best_model_weights_
        return best

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        try:
            super().on_epoch_end(net, **kwargs)
        finally:  # also where training ends here
            best = self.best_epoch_ == net.history[-1, "epoch"]
            net.history.record("valid_best", best)


class LastGood(Callback):
    """Keep the weights of the last whole epoch, in case the next one diverges.

    It keeps those of the network and the state of the loss weighting.
    """

    kept_: dict[str, Tensor] | None = None
    criterion_: dict[str, Tensor] | None = None

    @property
    def kept(self) -> dict[str, Tensor] | None:
        """The weights of the last whole epoch."""
        return self.kept_

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        # After the only epoch, none can diverge, and the copy would take memory.
        if net.max_epochs > 1:
            state = net.module_.state_dict()
            self.kept_ = {k: v.detach().clone() for k, v in state.items()}
            self.criterion_ = copy.deepcopy(net.criterion_.state_dict())

    def on_train_end(self, net: NeuralNet, **_: object) -> None:
        if self.kept_ is not None and not epoch_is_whole(net.history):
            net.module_.load_state_dict(self.kept_)
            self.restore_criterion(net)
        self.kept_ = self.criterion_ = None

    def restore_criterion(self, net: NeuralNet) -> None:
        """Bring the strategy of loss weights back to the last whole epoch."""
        if self.criterion_ is not None:
            # A solver of TorchJD may have made a buffer since.
            net.criterion_.load_state_dict(self.criterion_, strict=False)


class FitProgress(Callback):
    """Tell scikit-learn's callbacks of every epoch.

    Parameters
    ----------
    estimator : TrainableRanker
        The ranker that is fitted.
    context : CallbackContext
        Of the fit.
    X, y : object
        What the caller gave to fit.
    fitted : dict
        Fitted attributes but the net, from which the callbacks may make a ranker as if
        the fit had ended with the epoch.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        context: CallbackContext,
        X: TableLike,
        y: LabelsLike,
        fitted: dict[str, object],
    ) -> None:
        self.estimator, self.context = estimator, context
        self.data, self.fitted = {"X": X, "y": y}, fitted
        self.stop = False

    def on_epoch_begin(self, net: NeuralNet, **_: object) -> None:
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        self.stop = self.epoch.call_on_fit_task_end(
            estimator=self.estimator,
            **self.data,
            reconstruction_attributes={**self.fitted, "net_": net},
        )


class StopWhenAsked(Callback):
    """End training if callbacks of scikit-learn ask for it.

    It comes after all callbacks that evaluate an epoch, and before those that save the
    end.
    """

    def __init__(self, progress: FitProgress, processes: Processes) -> None:
        self.progress, self.processes = progress, processes

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        if self.processes.any(self.progress.stop):
            raise KeyboardInterrupt  # skorch's way to end training early


def epoch_is_whole(history: History) -> bool:
    """Whether the last epoch is complete: at its end skorch records its duration."""
    return not history or "dur" in history[-1]


def _silent(*_: object) -> None:
    """Discard skorch's messages."""


def train(net: MultiTaskNet, table: RowTable, names: ObjectArray) -> bool:
    """Train, and keep the last good weights when a loss diverges.

    Returns
    -------
    bool
        Whether training is complete: it was not interrupted and did not diverge.

    Raises
    ------
    ValueError
        When a loss diverges before any epoch is complete.
    KeyboardInterrupt
        When the user interrupts training before that.
    """
    epochs_before, diverged = len(net.history), False
    try:
        # Not `fit`, which in skorch makes a new network.
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
                f"{hint} No epoch was complete, so nothing was kept."
            ) from None
        net.module_.load_state_dict(weights)
        _forget_divergence(net)
        # The epoch that diverged has no loss, which is recorded when it is complete.
        if "train_loss" not in net.history[-1]:
            del net.history[-1]
        # The exception has left skorch's loop before its own call.
        net.notify("on_train_end", X=table, y=None)
        done = len(net.history) - epochs_before
        warn(
            f"{hint} Training stopped after {done} whole epochs, whose weights are "
            "kept.",
            ConvergenceWarning,
        )
        diverged = True
    finally:
        net.processes_.begin_pass(None)
    interrupted = _end_interrupted(net, epochs_before)
    net.module_.eval()
    return not (diverged or interrupted)


def _end_interrupted(net: MultiTaskNet, epochs_before: int) -> bool:
    """Discard an interrupted epoch with a warning, and say whether there was one.

    skorch itself ends training silently.
    """
    whole = epoch_is_whole(net.history)
    if not whole:
        del net.history[-1]
    done = len(net.history) - epochs_before
    if done == 0:
        # skorch swallowed it. Nothing was trained that could be kept.
        raise KeyboardInterrupt
    if not whole:
        warn(
            f"Training was interrupted after {done} whole epochs, whose weights are "
            "kept.",
            ConvergenceWarning,
        )
    return not whole


def _forget_divergence(net: MultiTaskNet) -> None:
    """Clear what the diverging steps would leave for a later warm start."""
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
