"""AITM: information passed along the chain of tasks."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

from skmtl._sklearn import Interval
from skmtl.modules import TransferTowers
from skmtl.rankers._bottoms import BottomRanker
from skmtl.rankers._parameters import shared_parameters
from skmtl.rankers._task_order import check_task_order


@shared_parameters
class AITM(BottomRanker):
    """Adaptive information transfer along the chain of tasks.

    Tasks share the embeddings; each has dense layers of its own. A task's last
    embedding is a mixture of its own and what the task before hands on, with weights
    from attention, so that each row decides how much is transferred. A calibrator
    penalises a probability that exceeds that of the task before.

    Parameters
    ----------
    task_order : sequence of str, mapping or None, default=None
        The chain: task names from first to last, by default the columns of `y`. A
        mapping from a task to the tasks before it makes it a graph, such as ``{"cart":
        ["click"], "order": ["click", "cart"]}``; a task that it does not name has none.
    calibrator_weight : float, default=0.6
        Multiplier of the calibrator, at least 0.
    bottom_units : sequence of int, default=(256, 128)
        Widths of the layers of each task before its tower.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    ESMM : Multiplies probabilities, which never rise along the chain.
    ChainedMMoE : Towers that read the tower before as it is.

    Notes
    -----
    The last hidden layer of a tower (``tower_units``) is the embedding that attention
    mixes. The calibrator draws probabilities into their order without a guarantee; it
    holds for the tables where a task implies the one before, such as order and click.
    Set ``calibrator_weight=0`` for others.

    The paper's chain has one task before each; with several, attention is over all.

    References
    ----------
    D. Xi et al., "Modeling the Sequential Dependence among Audience Multi-step
    Conversions with Multi-task Learning in Targeted Display Advertising", KDD 2021,
    section 4; 0.6 is its weight of the calibrator.

    Examples
    --------
    >>> from skmtl import AITM
    >>> from skmtl.datasets import make_funnel
    >>> log = make_funnel(5000, random_state=0)
    >>> ranker = AITM(random_state=0).fit(log.data, log.target[["click", "cart"]])
    >>> ranker.predict_task_proba(log.data).shape
    (5000, 2)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BottomRanker._parameter_constraints,
        "task_order": ["array-like", dict, None],
        "calibrator_weight": [Interval(Real, 0, None, closed="left")],
    }
    _layers: ClassVar[dict[str, int]] = {"tower_units": 1, "bottom_units": 0}

    def __init__(
        self,
        *,
        task_order: Any = None,
        calibrator_weight: float = 0.6,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.task_order = task_order
        self.calibrator_weight = calibrator_weight

    def _check_tasks(self, names: list[str]) -> None:
        super()._check_tasks(names)
        check_task_order(self.task_order, names)

    def _make_towers(self, width: int, names: list[str]) -> Any:
        return TransferTowers(
            parents=check_task_order(self.task_order, names),
            width=width,
            units=self._units("tower_units"),
            calibrator_weight=self.calibrator_weight,
            dropout=self.dropout,
        )
