"""What training predicted for the last rows of its last epoch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from skorch.callbacks import Callback
from torch import Tensor

from skmtl._batches import Batches, TensorTable
from skmtl.modules.composition import BLOCK
from skmtl.rankers._intercept import Part

# Of so many batches one is kept, to be predicted once more; of more where there are
# more than four times so many rows, for kept rows take memory.
_STRIDE = 4
_KEPT_ROWS = 32_768


class LatePredictions(Callback):
    """Keep the predictions that training makes of the last rows of each epoch.

    Rows are shuffled, so that these are a random part of the table. Their predictions
    come from the network as it was some steps ago. How far it has moved since is seen
    on a fourth of the batches or less, whose rows are kept too: a regression estimator.

    Parameters
    ----------
    n_rows : int
        How many rows; 0 for none.
    """

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows
        self.stride = max(_STRIDE, n_rows // _KEPT_ROWS)
        self.last: list[tuple[Any, Tensor]] = []

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **_: Any) -> None:
        self.wait = len(dataset_train) - self.n_rows
        self.found: list[tuple[Any, Tensor]] = []

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **step: Any
    ) -> None:
        if not training:
            return
        X, (y, weight) = batch
        self.wait -= len(y)
        if self.wait < 0:
            inputs = None
            if len(self.found) % self.stride == 0:
                # Copies: batches are views of what is gathered for several.
                rows = torch.arange(len(y), device=y.device)
                inputs = {name: x[rows] for name, x in X.items()}
            self.found.append(((inputs, weight), step["y_pred"].detach()))

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        self.last = self.found  # of an epoch that came to its end

    def parts(self, net: Any) -> list[Part]:
        """Parts whose sum is the mean prediction of the trained network.

        Empty where no epoch came to its end with rows kept.
        """
        if not self.last:
            return []
        kept = [(X, w, z) for (X, w), z in self.last if X is not None]
        with torch.inference_mode():
            now = [(w, _predicted(net, X, z)) for X, w, z in kept]
        all_then = _joined((w, z) for (_, w), z in self.last)
        then, after = _joined((w, z) for _, w, z in kept), _joined(now)
        slope = _slopes(then, after)
        return [(slope, *all_then), (np.ones_like(slope), *after), (-slope, *then)]


def _predicted(net: Any, X: dict[str, Any], then: Tensor) -> Tensor:
    """Logits of a batch, whose logits were `then`, in blocks that fit the cache."""
    blocks = Batches(TensorTable(X, then, None), BLOCK, shuffle=False)
    return torch.cat([net.module_(**block) for block, _ in blocks])


def _joined(batches: Iterable[tuple[Tensor | None, Tensor]]) -> tuple[Any, Any]:
    """Logits and weights of batches."""
    weights, logits = zip(*batches, strict=True)
    z = torch.cat(logits).cpu().numpy()
    if weights[0] is None:
        return z, np.broadcast_to(np.float64(1.0), z.shape)  # takes no memory
    return z, torch.cat(weights).cpu().numpy().astype(np.float64)


def _slopes(then: tuple[Any, Any], after: tuple[Any, Any]) -> npt.NDArray[np.float64]:
    """How far predictions after training follow those before, for each task.

    Dropout makes those of training vary more than they are worth.
    """
    x, y = (expit(z.astype(np.float64)) for z, _ in (then, after))
    w = then[1]
    mass = w.sum(axis=0).clip(min=np.finfo(float).tiny)
    x, y = (p - (w * p).sum(axis=0) / mass for p in (x, y))
    of_x = (w * x * x).sum(axis=0)
    slope = np.divide(
        (w * x * y).sum(axis=0), of_x, np.zeros_like(of_x), where=of_x > 0
    )
    return np.asarray(slope.clip(0.0, 1.0))
