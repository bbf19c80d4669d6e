"""STEM: embeddings and experts of each task beside shared ones."""

from __future__ import annotations

from typing import Any

from skmtl.modules import EmbeddingExperts
from skmtl.rankers._own_experts import OwnExpertRanker
from skmtl.rankers._parameters import shared_parameters


@shared_parameters
class STEM(OwnExpertRanker):
    """Shared embeddings, and embeddings of each task that only its own loss changes.

    Where tasks disagree about two ids (often viewed together, never bought together)
    one embedding cannot serve both. Here each id has a shared embedding and one for
    each task, with experts on each. A task's gate weighs the experts of all tasks, but
    gradients stop where they would reach another task's experts and embeddings.

    Parameters
    ----------
    n_task_experts : int, default=1
        Number of experts of each task.
    n_shared_experts : int, default=1
        Number of experts on the shared embeddings.
    expert_units : sequence of int, default=(128,)
        Widths of the layers of each expert.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    SingleTask : Nothing but embeddings of each task.
    PLE : Experts of each task on shared embeddings.

    Notes
    -----
    A table of ids has ``(n_tasks + 1) * embedding_dim`` columns. A task's gate reads
    the sum of its own and the shared embedding.

    References
    ----------
    L. Su et al., "STEM: Unleashing the Power of Embeddings for Multi-task
    Recommendation", AAAI 2024.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmtl import STEM
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"item": rng.integers(0, 20, 1000)}).astype("category")
    >>> liked = X["item"].astype(int) > 10
    >>> y = pd.DataFrame({"click": liked, "order": ~liked}).astype(int)
    >>> STEM(random_state=0).fit(X, y).expert_names_.tolist()
    ['click 0', 'order 0', 'shared 0']
    """

    def __init__(
        self, *, n_task_experts: int = 1, n_shared_experts: int = 1, **shared: Any
    ) -> None:
        super().__init__(
            n_task_experts=n_task_experts, n_shared_experts=n_shared_experts, **shared
        )

    def _n_embeddings(self, names: list[str]) -> int:
        return len(names) + 1

    def _make_sharing(self, width: int, names: list[str]) -> Any:
        return EmbeddingExperts(**self._sizes(width, names))
