"""Experts of each task in addition to shared ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from skmtl._sklearn import COUNT
from skmtl.modules import Embedding, EmbeddingExperts, ProgressiveExtraction, Sharing
from skmtl.rankers._gated import GatedRanker
from skmtl.training.parameters import parameter


class OwnExpertRanker(GatedRanker):
    """Base of the rankers with experts of each task in addition to shared ones.

    Parameters
    ----------
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}
    """

    n_task_experts: int = parameter(default=2, allowed=[COUNT])
    n_shared_experts: int = parameter(default=2, allowed=[COUNT])
    expert_units: Sequence[int] = parameter(default=(128,), allowed=["array-like"])

    _layers: ClassVar[dict[str, int]] = {"tower_units": 0, "expert_units": 1}

    def _sizes(self, embedding: Embedding, names: list[str]) -> dict[str, Any]:
        """Sizes of the sharing."""
        return {
            "n_tasks": len(names),
            "n_task_experts": int(self.n_task_experts),
            "n_shared_experts": int(self.n_shared_experts),
            "width": embedding.width,
            "expert_units": self._units("expert_units"),
            "dropout": self.dropout,
        }

    def _expert_names(self) -> list[str]:
        # Of the fitted network: hyperparameters may have been set since.
        sharing = self.net_.module_.sharing
        owners = [(str(t), sharing.n_task_experts) for t in self.task_names_]
        owners.append(("shared", sharing.n_shared_experts))
        return [f"{owner} {i}" for owner, n in owners for i in range(n)]


class PLE(OwnExpertRanker):
    """Progressive layered extraction: experts of each task and shared ones.

    A task's gate weighs its own experts and the shared ones, never those of another
    task, so that task-specific and common patterns are kept apart. With one level this
    is customised gate control (CGC). With several, each level's mixtures are the next
    level's inputs, and a gate over all experts makes the shared one.

    Parameters
    ----------
    n_levels : int, default=1
        Number of levels.
    n_task_experts : int, default=2
        Number of experts of each task in a level.
    n_shared_experts : int, default=2
        Number of shared experts in a level.
    expert_units : sequence of int, default=(128,)
        Widths of the layers of each expert.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    MMoE : All experts are shared.
    STEM : Tasks also have their own embeddings.

    References
    ----------
    H. Tang et al., "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning
    (MTL) Model for Personalized Recommendations", RecSys 2020, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import PLE
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    >>> ranker = PLE(n_levels=2, random_state=0).fit(X, y)
    >>> ranker.expert_names_.tolist()
    ['0 0', '0 1', '1 0', '1 1', 'shared 0', 'shared 1']
    >>> ranker.gate_weights(X)[0, 0, 2:4]  # the first task, the second's experts
    array([0., 0.], dtype=float32)
    """

    n_levels: int = parameter(default=1, allowed=[COUNT])

    def _reads(self) -> npt.NDArray[np.bool_]:
        reads = np.zeros_like(super()._reads())
        readable = self.net_.module_.sharing.levels[-1].readable.cpu().numpy()
        # Of the last level, whose gates `gate_weights` returns.
        np.put_along_axis(reads, readable, True, axis=1)
        return reads

    def _make_sharing(self, embedding: Embedding, names: list[str]) -> Sharing:
        return ProgressiveExtraction(
            n_levels=self.n_levels, **self._sizes(embedding, names)
        )


class STEM(OwnExpertRanker):
    """Shared embeddings, and embeddings of each task that only its own loss changes.

    If tasks disagree about two ids (often viewed together, never bought together), one
    embedding cannot serve both tasks. Here each id has a shared embedding and one for
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
    SingleTask : Only embeddings of each task.
    PLE : Experts of each task on shared embeddings.

    Notes
    -----
    A table of ids has ``(n_tasks + 1) * embedding_dim`` columns. A task's gate reads
    the sum of its own embedding and the shared one.

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

    n_task_experts: int = 1
    n_shared_experts: int = 1

    def _n_embeddings(self, names: list[str]) -> int:
        return len(names) + 1  # the shared one is the last

    def _make_sharing(self, embedding: Embedding, names: list[str]) -> Sharing:
        return EmbeddingExperts(**self._sizes(embedding, names))
