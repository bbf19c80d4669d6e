"""PLE: shared and task experts, in levels."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from skmtl._sklearn import Interval
from skmtl.modules import ProgressiveExtraction
from skmtl.rankers._own_experts import OwnExpertRanker
from skmtl.rankers._parameters import shared_parameters


@shared_parameters
class PLE(OwnExpertRanker):
    """Progressive layered extraction: experts of each task beside shared ones.

    A task's gate weighs its own experts and the shared ones, never those of another
    task, so that what is particular to a task has a place of its own. With one level
    this is customised gate control (CGC); with several, each level's mixtures are the
    next level's inputs, and a gate over all experts makes the shared one.

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
    STEM : Tasks have embeddings of their own too.

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

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **OwnExpertRanker._parameter_constraints,
        "n_levels": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, n_levels: int = 1, **shared: Any) -> None:
        super().__init__(**shared)
        self.n_levels = n_levels

    def _reads(self) -> npt.NDArray[np.bool_]:
        reads = np.zeros_like(super()._reads())
        readable = self.net_.module_.sharing.levels[-1].readable.cpu().numpy()
        np.put_along_axis(reads, readable, True, axis=1)
        return reads

    def _make_sharing(self, width: int, names: list[str]) -> Any:
        return ProgressiveExtraction(
            n_levels=self.n_levels, **self._sizes(width, names)
        )
