"""ShareBottom: one bottom, a tower per task."""

from __future__ import annotations

from typing import ClassVar

from skmtl.modules import SharedBottom
from skmtl.rankers._bottoms import BottomRanker
from skmtl.rankers._parameters import shared_parameters


@shared_parameters
class ShareBottom(BottomRanker):
    """Tasks share dense layers; each has a tower of its own.

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
    ChainedMMoE : MMoE in which a task's tower reads that of the task before.

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

    _bottom: ClassVar[type] = SharedBottom
