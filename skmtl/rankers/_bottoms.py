"""What the rankers with dense layers before their towers have in common."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

from skmtl.modules import TaskBottoms
from skmtl.rankers._base import MultiTaskRanker
from skmtl.rankers._parameters import SharedParameters, shared_parameters


@shared_parameters
class BottomRanker(MultiTaskRanker):
    """Base of the rankers with dense layers before the towers.

    Parameters
    ----------
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MultiTaskRanker._parameter_constraints,
        "bottom_units": ["array-like"],
    }
    _layers: ClassVar[dict[str, int]] = {"tower_units": 0, "bottom_units": 0}
    _bottom: ClassVar[type] = TaskBottoms

    def __init__(
        self, *, bottom_units: Any = (256, 128), **shared: Unpack[SharedParameters]
    ) -> None:
        super().__init__(**shared)
        self.bottom_units = bottom_units

    def _bottom_options(self) -> dict[str, Any]:
        """What this kind of bottom takes beside its sizes."""
        return {}

    def _make_sharing(self, width: int, names: list[str]) -> Any:
        return self._bottom(
            n_tasks=len(names),
            width=width,
            units=self._units("bottom_units"),
            dropout=self.dropout,
            **self._bottom_options(),
        )
