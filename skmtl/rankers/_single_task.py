"""SingleTask: a network per task, trained in one pass."""

from __future__ import annotations

from skmtl.rankers._bottoms import BottomRanker
from skmtl.rankers._parameters import shared_parameters


@shared_parameters
class SingleTask(BottomRanker):
    """One network for each task; nothing is shared.

    The baseline of multi-task learning: as many networks as tasks, each with
    embeddings, dense layers and a tower of its own, as large as those of
    `ShareBottom`. They are trained together, on the same batches in the same order, in
    batched products, which is faster than one after the other. No gradient of one task
    reaches the network of another.

    Parameters
    ----------
    bottom_units : sequence of int, default=(256, 128)
        Widths of the layers of each network before its tower.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    PooledTask : One network and one score for all tasks.
    ShareBottom : One bottom for all tasks.
    skmtl.inspection.transfer_report : Compare architectures with this one.

    Notes
    -----
    All embeddings of an id lie side by side in one row of one table of ``n_tasks *
    embedding_dim`` columns. The lazy optimiser updates whole rows: those that a batch
    touches, in all tasks, also where a label of the batch was not observed, as it does
    in every ranker.

    What the tasks have in common is what is outside the networks: the vocabulary and
    the bins, the batches, and with ``early_stopping`` the epoch of the best mean score.
    Set ``scoring="auc:order"`` to stop for one task.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import SingleTask
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    >>> ranker = SingleTask(random_state=0).fit(X, y)
    >>> ranker.predict_task_proba(X).shape
    (1000, 2)
    """

    def _n_embeddings(self, names: list[str]) -> int:
        return len(names)
