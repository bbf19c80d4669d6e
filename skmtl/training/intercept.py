"""The last step of a fit: make mean predictions equal to observed means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized

import numpy as np
import numpy.typing as npt
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor

from skmtl.modules.composition import BLOCK
from skmtl.modules.ragged import Inputs
from skmtl.tasks import TaskKinds
from skmtl.training.batches import Batches, TensorTable

Floats = npt.NDArray[np.float64]

Outputs = npt.NDArray[np.float32]
# Factor, of shape (n_outputs,); outputs, (n_samples, n_outputs); weights, (n_samples,
# n_tasks).
Part = tuple[Floats, npt.NDArray[np.float32] | Floats, Floats]

# Cells in which outputs are collected: number per unit, and on each side of 0.
_CELLS_OF_ONE, _CELLS_EACH_SIDE = 512, 2**14

# Rows that are always read. Predictions of a rare task vary up to 15 times as much as
# their mean, so that on these rows alone the rate of 1 order in 1000 is 5 % off.
_MIN_ROWS = 65_536
# One of this many batches is kept, to be predicted again. If that would keep more rows
# than the second number, fewer batches are kept, since they take memory.
_STRIDE = 4
_KEPT_ROWS = 32_768


def n_rows_to_read(n_rows: int, n_epochs: int) -> int:
    """Return the number of rows to measure the mean prediction on: all after 4 epochs.

    Predicting all rows takes as long as a quarter of an epoch of training. After fewer
    epochs fewer rows are used, and for most of these the predictions that training
    itself made.
    """
    return min(n_rows, max(_MIN_ROWS, n_rows * n_epochs // 4))


def fit_intercept(parts: Sequence[Part], means: Floats, kinds: TaskKinds) -> Floats:
    """Find the shift of each task's output that makes the mean prediction the observed.

    A network trained by small steps ends a little above or below the rate of a rare
    task, depending on the last positives. The shift solves the likelihood equation of
    the intercept, as logistic regression does, and does not change the order of rows.

    Parameters
    ----------
    parts : sequence of tuple
        Factors of shape (n_outputs,), outputs of training rows, of shape (n_samples,
        n_outputs), and weights, of shape (n_samples, n_tasks), 0 where the label was
        not observed. The mean prediction is the sum of the parts' own, times their
        factors. One part will do.
        Three make a regression estimator: cheap outputs of many rows, good ones of
        some, and from them the cheap ones of the same rows.
    means : ndarray of shape (n_outputs,)
        Observed means of the labels, or of what stands for them.
    kinds : TaskKinds
        The kind of each task.

    Returns
    -------
    ndarray of shape (n_outputs,)
        0 for a task with nothing to learn, or without weight.

    References
    ----------
    W. G. Cochran, "Sampling Techniques", 3rd ed., 1977, chapter 7.
    """
    shifts = np.zeros(len(means))
    constant = kinds.is_constant(means)
    for task, kind in enumerate(kinds):
        if constant[task]:
            continue
        seen = [weight[:, task] > 0 for _, _, weight in parts]
        if all(rows.any() for rows in seen):
            own = kinds.outputs[task]
            of_task = [
                (
                    np.stack([z[rows, k] for k in range(own.start, own.stop)]),
                    factor[own],
                    weight[rows, task],
                )
                for rows, (factor, z, weight) in zip(seen, parts, strict=True)
            ]
            shifts[own] = kind.intercept(of_task, means[own])
    return shifts


def means_after(
    expected: Floats,
    known: tuple[Floats, Floats],
    labels: npt.NDArray[np.float32],
    weight: Floats,
    kinds: TaskKinds,
) -> Floats:
    """Means of one more table, from what was expected of it and its own labels.

    Parameters
    ----------
    expected : ndarray of shape (n_outputs,)
        Mean level of these rows before they were trained on.
    known : tuple of ndarray of shape (n_outputs,)
        Sums of weighted indicators, such as positives, and of weights, of all tables
        before.
    labels, weight : ndarray of shape (n_samples, n_tasks)
        Labels of the new rows, and weights, 0 where the label was not observed.
    kinds : TaskKinds
        The kind of each task.

    Returns
    -------
    ndarray of shape (n_outputs,)
        NaN for a task without weight now.
    """
    means = np.full(len(expected), np.nan)
    for task, kind in enumerate(kinds):
        seen, own = weight[:, task] > 0, kinds.outputs[task]
        if seen.any():
            means[own] = kind.updated_means(
                expected[own],
                (known[0][own], known[1][own]),
                labels[seen, task],
                weight[seen, task],
            )
    return means


class OutputCells:
    """Outputs of many rows in little memory: their mass and mean in narrow cells.

    In a cell predictions are as good as linear: a mean prediction differs by less than
    a millionth from that of the rows.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.
    """

    def __init__(self, n_tasks: int) -> None:
        self.mass, self.total = np.zeros((2, 2 * _CELLS_EACH_SIDE, n_tasks))

    def add(self, outputs: npt.NDArray[np.float32], weight: Floats) -> None:
        """Take outputs of some rows, and their weights."""
        z = outputs.astype(np.float64)
        cell = np.floor(z * _CELLS_OF_ONE).astype(np.int64) + _CELLS_EACH_SIDE
        # The outermost cells also hold all outputs beyond 32 and below -32.
        cell = cell.clip(0, len(self.mass) - 1)
        for task in range(z.shape[1]):
            w, at, n = weight[:, task], cell[:, task], len(self.mass)
            self.mass[:, task] += np.bincount(at, w, minlength=n)
            self.total[:, task] += np.bincount(at, w * z[:, task], minlength=n)

    def add_up(
        self, every: list[OutputCells], total: Callable[[list[Tensor]], Tensor]
    ) -> None:
        """Take the sum of several cells, and of those of other processes."""
        self.mass = total([torch.from_numpy(one.mass) for one in every]).numpy()
        self.total = total([torch.from_numpy(one.total) for one in every]).numpy()

    def part(self) -> Part:
        """Means of the cells as outputs, and their masses as weights."""
        z = np.divide(
            self.total, self.mass, out=np.zeros_like(self.total), where=self.mass > 0
        )
        return np.ones(z.shape[1]), z, self.mass


class LatePredictions(Callback):
    """Keep the predictions that training makes of the last rows of each epoch.

    Rows are shuffled, so that these are a random part of the table. Their predictions
    come from the network as it was some steps ago. How far it has moved since is seen
    on a fourth of the batches or less, whose rows are kept too: a regression estimator.

    Parameters
    ----------
    n_rows : int
        How many rows; 0 for none.
    most : int or None, default=None
        Upper bound of `n_rows`; None for no bound.
    """

    def __init__(self, n_rows: int, most: int | None = None) -> None:
        self.n_rows = n_rows if most is None else min(n_rows, most)
        self.stride = max(_STRIDE, self.n_rows // _KEPT_ROWS)
        self.last_: list[tuple[tuple[Inputs | None, Tensor | None], Tensor]] = []
        self.space: Tensor | None = None

    def on_epoch_begin(
        self, net: NeuralNet, dataset_train: Sized = (), **_: object
    ) -> None:
        # Names that end in "_" are part of a checkpoint, also within an epoch.
        self.wait_ = len(dataset_train) - self.n_rows
        self.found_: list[tuple[tuple[Inputs | None, Tensor | None], Tensor]] = []
        self.space = None

    def on_batch_end(
        self,
        net: NeuralNet,
        batch: tuple[Inputs, Tensor],
        training: bool,
        y_pred: Tensor,
        weight: Tensor | None,
        **_: object,
    ) -> None:
        if not training:
            return
        X, y = batch
        self.wait_ -= len(y)
        if self.wait_ < 0:
            inputs = None
            if len(self.found_) % self.stride == 0:
                # Copies: batches are views of what is gathered for several.
                rows = torch.arange(len(y), device=y.device)
                inputs = {name: x[rows] for name, x in X.items()}
            self.found_.append(((inputs, weight), self._copied(y_pred)))

    def _copied(self, y_pred: Tensor) -> Tensor:
        """Copy to memory for all batches: small pieces would split what steps free."""
        n = len(y_pred)
        if self.space is None or len(self.space) < n:
            self.space = y_pred.new_empty((self.n_rows + n, *y_pred.shape[1:]))
        out, self.space = self.space[:n], self.space[n:]
        return out.copy_(y_pred)

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        self.last_, self.found_ = self.found_, []  # of a complete epoch

    def parts(self, net: NeuralNet, kinds: TaskKinds) -> list[Part]:
        """Parts whose sum is the mean prediction of the trained network.

        Empty if no epoch was completed with rows kept.
        """
        if not self.last_:
            return []
        kept = [(X, w, z) for (X, w), z in self.last_ if X is not None]
        # Training has left the network in evaluation mode, with its final weights.
        with torch.inference_mode():
            now = [(w, _predicted(net, X, z)) for X, w, z in kept]
        n = len(kinds)
        all_then = _joined(((w, z) for (_, w), z in self.last_), n)
        then, after = _joined(((w, z) for _, w, z in kept), n), _joined(now, n)
        slope = _slopes(then, after, kinds)
        # Mean of the kept rows now, plus slope times the difference that the mean of
        # all rows then has from that of the kept ones.
        return [(slope, *all_then), (np.ones_like(slope), *after), (-slope, *then)]


def _predicted(net: NeuralNet, X: Inputs, then: Tensor) -> Tensor:
    """Logits of a batch, whose logits were `then`, in blocks that fit the cache."""
    blocks = Batches(TensorTable(X, then, None), BLOCK, shuffle=False)
    return torch.cat([net.module_(**block) for block, _ in blocks])


def _joined(
    batches: Iterable[tuple[Tensor | None, Tensor]], n_tasks: int
) -> tuple[Outputs, Floats]:
    """Outputs and weights of batches."""
    weights, logits = zip(*batches, strict=True)
    z = torch.cat(logits).cpu().numpy()
    if weights[0] is None:
        return z, np.broadcast_to(np.float64(1.0), (len(z), n_tasks))  # takes no memory
    return z, torch.cat(weights).cpu().numpy().astype(np.float64)


def _slopes(
    then: tuple[Outputs, Floats], after: tuple[Outputs, Floats], kinds: TaskKinds
) -> Floats:
    """How far predictions after training follow those before, for each task.

    Dropout makes those of training vary more than they are worth.
    """
    x, y = (kinds.predict(z.astype(np.float64)) for z, _ in (then, after))
    w = kinds.by_output(then[1])
    # A task without weight in these rows has 0 / tiny, and a slope of 0.
    mass = w.sum(axis=0).clip(min=np.finfo(float).tiny)
    x, y = (p - (w * p).sum(axis=0) / mass for p in (x, y))
    of_x = (w * x * x).sum(axis=0)
    slope = np.divide(
        (w * x * y).sum(axis=0), of_x, np.zeros_like(of_x), where=of_x > 0
    )
    return np.asarray(slope.clip(0.0, 1.0))
