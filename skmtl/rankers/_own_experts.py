"""What PLE and STEM have in common."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Unpack

from skmtl._sklearn import Interval
from skmtl.rankers._base import MultiTaskRanker
from skmtl.rankers._gated import GatedRanker
from skmtl.rankers._parameters import SharedParameters, shared_parameters


@shared_parameters
class OwnExpertRanker(GatedRanker):
    """Base of the rankers with experts of each task beside shared ones.

    Parameters
    ----------
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MultiTaskRanker._parameter_constraints,
        "n_task_experts": [Interval(Integral, 1, None, closed="left")],
        "n_shared_experts": [Interval(Integral, 1, None, closed="left")],
        "expert_units": ["array-like"],
    }
    _layers: ClassVar[dict[str, int]] = {"tower_units": 0, "expert_units": 1}

    def __init__(
        self,
        *,
        n_task_experts: int = 2,
        n_shared_experts: int = 2,
        expert_units: Any = (128,),
        **shared: Unpack[SharedParameters],
    ) -> None:
        super().__init__(**shared)
        self.n_task_experts = n_task_experts
        self.n_shared_experts = n_shared_experts
        self.expert_units = expert_units

    def _sizes(self, width: int, names: list[str]) -> dict[str, Any]:
        """Sizes of the sharing."""
        return {
            "n_tasks": len(names),
            "n_task_experts": self.n_task_experts,
            "n_shared_experts": self.n_shared_experts,
            "width": width,
            "expert_units": self._units("expert_units"),
            "dropout": self.dropout,
        }

    def _expert_names(self) -> list[str]:
        owners = [(str(t), self.n_task_experts) for t in self.task_names_]
        owners.append(("shared", self.n_shared_experts))
        return [f"{owner} {i}" for owner, n in owners for i in range(n)]
