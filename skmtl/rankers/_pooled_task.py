"""PooledTask: one score for all positive feedback."""

from __future__ import annotations

from typing import Any, ClassVar

from skmtl._losses import PooledLosses
from skmtl.modules import PooledTower, SharedBottom
from skmtl.rankers._bottoms import BottomRanker
from skmtl.rankers._parameters import shared_parameters


@shared_parameters
class PooledTask(BottomRanker):
    """One weighted network: every positive feedback is label 1, one score.

    The baseline before multi-task learning. Clicks, carts and orders are all examples
    with label 1, each with the label weight of its task; rows without any of them have
    label 0. One network learns one score by

    ``w y log q + (1 - y) log(1 - q)``.

    A row with several positives counts with the sum of their label weights.

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
    All tasks get the same order of rows, that of the one score. So that
    ``predict_proba`` speaks of probabilities still, each task has an intercept of its
    own, fitted last: the mean prediction of a task is its observed rate. How steeply a
    task's probability rises with the score is not fitted.

    A label that was not observed (NaN) is no positive; a row without an observed
    positive is a 0 as far as any of its labels was observed. ``loss_weight`` multiplies
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

    _bottom: ClassVar[type] = SharedBottom
    _losses: ClassVar[type] = PooledLosses

    def _make_towers(self, width: int, names: list[str]) -> Any:
        return PooledTower(
            n_tasks=len(names),
            width=width,
            units=self._units("tower_units"),
            dropout=self.dropout,
        )
