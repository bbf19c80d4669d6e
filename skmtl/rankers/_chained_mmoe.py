"""ChainedMMoE: MMoE with towers that read the towers of earlier tasks."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from skmtl.modules import ChainedTowers
from skmtl.rankers._experts import ExpertRanker
from skmtl.rankers._parameters import shared_parameters
from skmtl.rankers._task_order import check_task_order, clip_to_parents


@shared_parameters
class ChainedMMoE(ExpertRanker):
    """Mixture of experts with towers in a chain.

    Each task's tower reads its own mixture of experts and the embedding that the
    tower of the task before computed, as an order follows a click.

    Parameters
    ----------
    task_order : sequence of str, mapping or None, default=None
        The chain: task names from first to last, by default the columns of `y`. A
        mapping from a task to the tasks that its tower reads makes it a graph, such
        as ``{"cart": ["click"], "order": ["click", "cart"]}``; a task that it does
        not name reads no other.
    chain_probability : bool, default=False
        Whether probabilities are multiplied along the chain, so that no task is more
        probable than one it follows. With several such tasks the least probable
        counts.
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
    MMoE : The same without the chain.

    References
    ----------
    J. Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", KDD 2018, section 4.2; Q. Wang et al., "DBMTL: Deep Bayesian
    Multi-Target Learning for Recommender Systems", 2019, for towers on a graph of
    tasks; X. Ma et al., "Entire Space Multi-Task Model", SIGIR 2018, equation 1, for
    the product of probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmtl import ChainedMMoE
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> click = X[:, 0] > 0
    >>> y = pd.DataFrame({"click": click, "order": click & (X[:, 1] > 1)}).astype(int)
    >>> ranker = ChainedMMoE(chain_probability=True, random_state=0).fit(X, y)
    >>> proba = ranker.set_output(transform="pandas").predict_task_proba(X)
    >>> bool((proba["order"] <= proba["click"]).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **ExpertRanker._parameter_constraints,
        "task_order": ["array-like", dict, None],
        "chain_probability": ["boolean"],
    }
    _layers: ClassVar[dict[str, int]] = {**ExpertRanker._layers, "tower_units": 1}

    def __init__(
        self,
        *,
        task_order: Any = None,
        chain_probability: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.task_order = task_order
        self.chain_probability = chain_probability

    def _check_tasks(self, names: list[str]) -> None:
        super()._check_tasks(names)
        check_task_order(self.task_order, names)

    def _make_towers(self, width: int, names: list[str]) -> Any:
        return ChainedTowers(
            parents=check_task_order(self.task_order, names),
            width=width,
            units=self._units("tower_units"),
            dropout=self.dropout,
            chain_probability=self.chain_probability,
        )

    def _order_probabilities(
        self, proba: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        towers = self.net_.module_.towers
        if towers.chain_probability:
            return clip_to_parents(proba, towers.parents)
        return proba
