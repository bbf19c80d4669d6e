"""MMoE: experts, a gate and a tower per task."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Unpack

from skmtl._sklearn import Interval
from skmtl.modules import ExpertMixture, ParallelTowers
from skmtl.rankers._base import MultiTaskRanker
from skmtl.rankers._parameters import SharedParameters, shared_parameters
from skmtl.rankers._widths import check_units


@shared_parameters
class MMoE(MultiTaskRanker):
    """Multi-gate mixture of experts.

    Tasks share a set of experts; each task mixes them by a softmax gate of its own,
    so that weakly related tasks need not share everything.

    Parameters
    ----------
    n_experts : int, default=8
        Number of experts.
    expert_units : sequence of int, default=(128,)
        Widths of the layers of each expert.
    bottom_units : sequence of int, default=()
        Dense layers that narrow a wide input before experts and gates; none for
        experts and gates directly on the input.
    gate_dropout : float, default=0.0
        Probability that a gate leaves an expert out, for every row, gate and expert
        in training. The softmax is taken again over the experts that stay, which
        keeps gates from collapsing on one.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    ShareBottom : Tasks share all of the bottom.
    ChainedMMoE : MMoE in which a task's tower reads that of the task before.

    References
    ----------
    J. Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", KDD 2018, section 4.2, equations 5 to 7.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MMoE
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    >>> ranker = MMoE(n_experts=4, random_state=0).fit(X, y)
    >>> click, order = ranker.predict_proba(X)
    >>> click.shape
    (1000, 2)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MultiTaskRanker._parameter_constraints,
        "n_experts": [Interval(Integral, 1, None, closed="left")],
        "expert_units": ["array-like"],
        "bottom_units": ["array-like"],
        "gate_dropout": [Interval(Real, 0, 1, closed="left")],
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

    def _check_tasks(self, names: list[str]) -> None:
        check_units(self.expert_units, "expert_units", at_least=1)
        check_units(self.bottom_units, "bottom_units")
        check_units(self.tower_units, "tower_units")

    def _make_parts(self, width: int, names: list[str]) -> tuple[Any, Any]:
        sharing = ExpertMixture(
            n_tasks=len(names),
            n_experts=self.n_experts,
            width=width,
            bottom_units=check_units(self.bottom_units, "bottom_units"),
            expert_units=check_units(self.expert_units, "expert_units", at_least=1),
            gate_dropout=self.gate_dropout,
            dropout=self.dropout,
        )
        towers = ParallelTowers(
            n_tasks=len(names),
            width=sharing.width,
            units=check_units(self.tower_units, "tower_units"),
            dropout=self.dropout,
        )
        return sharing, towers
