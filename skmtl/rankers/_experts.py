"""What MMoE and ChainedMMoE have in common."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Unpack

from skmtl._sklearn import Interval
from skmtl.modules import ExpertMixture
from skmtl.rankers._base import MultiTaskRanker
from skmtl.rankers._gated import GatedRanker
from skmtl.rankers._parameters import SharedParameters, shared_parameters


@shared_parameters
class ExpertRanker(GatedRanker):
    """Base of the rankers on one set of experts that all tasks share.

    Parameters
    ----------
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MultiTaskRanker._parameter_constraints,
        "n_experts": [Interval(Integral, 1, None, closed="left")],
        "expert_units": ["array-like"],
        "bottom_units": ["array-like"],
        "gate_dropout": [Interval(Real, 0, 1, closed="left")],
    }
    _layers: ClassVar[dict[str, int]] = {
        "tower_units": 0,
        "expert_units": 1,
        "bottom_units": 0,
    }

    def __init__(
        self,
        *,
        n_experts: int = 8,
        expert_units: Any = (128,),
        bottom_units: Any = (),
        gate_dropout: float = 0.0,
        **shared: Unpack[SharedParameters],
    ) -> None:
        super().__init__(**shared)
        self.n_experts = n_experts
        self.expert_units = expert_units
        self.bottom_units = bottom_units
        self.gate_dropout = gate_dropout

    def _make_sharing(self, width: int, names: list[str]) -> Any:
        return ExpertMixture(
            n_tasks=len(names),
            n_experts=self.n_experts,
            width=width,
            bottom_units=self._units("bottom_units"),
            expert_units=self._units("expert_units"),
            gate_dropout=self.gate_dropout,
            dropout=self.dropout,
        )

    def _expert_names(self) -> list[str]:
        return [str(e) for e in range(self.net_.module_.sharing.n_experts)]
