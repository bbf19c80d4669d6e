"""Make gradients orthogonal and of equal length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from torch import Tensor, nn

from skmtl.weighting._checks import Preference, check_choice
from skmtl.weighting._torchjd import TorchJDWeighting, aggregation


class AlignedMTL(TorchJDWeighting):
    """Align the principal components of the gradients before adding them.

    Solved by TorchJD (extra ``jd``) on the Gramian at the representation.

    Parameters
    ----------
    scale_mode : {"min", "median", "rmse"}, default="min"
        How the length of all aligned components is found from the singular values of
        the gradients.
    preference : array-like of shape (n_tasks,), mapping, Series or None, default=None
        Positive weights in the sum of the aligned gradients.
    at : str, default="representation"
        Where gradients are taken: "representation", "last_shared_layer" or
        "shared_parameters".

    References
    ----------
    D. Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR
    2023, algorithm 1.

    Examples
    --------
    >>> from skmtl import MMoE
    >>> ranker = MMoE(loss_weight="aligned_mtl")
    """

    name: ClassVar[str | None] = "aligned_mtl"
    solver: None = None

    def __init__(
        self,
        *,
        scale_mode: str = "min",
        preference: Preference | None = None,
        at: str = "representation",
    ) -> None:
        super().__init__(None, preference=preference, at=at)
        self.scale_mode = scale_mode

    def start(self, tasks: Sequence[str]) -> Self:
        check_choice(self, "scale_mode", ("min", "median", "rmse"))
        return super().start(tasks)

    def _make(self, n_tasks: int) -> nn.Module:
        made: nn.Module = aggregation().AlignedMTLWeighting(scale_mode=self.scale_mode)
        return made

    def solve(self, gramian: Tensor, losses: Tensor, active: Tensor) -> Tensor:
        assert self.inner is not None
        # In every step, since other tasks may be active; TorchJD's default is 1 / n.
        preference = self.preference_[active].to(gramian)
        self.inner.weighting.pref_vector = preference / len(preference)
        return self._run(gramian)
