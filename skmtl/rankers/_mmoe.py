"""Experts that all tasks share, and a gate for each task."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

from skmtl._sklearn import COUNT, Interval
from skmtl.modules import ChainedTowers, Embedding, ExpertMixture, Sharing, Towers
from skmtl.rankers._gated import GatedRanker
from skmtl.rankers._task_order import (
    TaskOrder,
    check_binary_edges,
    check_task_order,
)
from skmtl.tasks import TaskKinds
from skmtl.training.parameters import parameter


class ExpertRanker(GatedRanker):
    """Base of the rankers on one set of experts that all tasks share.

    Parameters
    ----------
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}
    """

    n_experts: int = parameter(default=8, allowed=[COUNT])
    expert_units: Sequence[int] = parameter(default=(128,), allowed=["array-like"])
    bottom_units: Sequence[int] = parameter(default=(), allowed=["array-like"])
    gate_dropout: float = parameter(
        default=0.0, allowed=[Interval(Real, 0, 1, closed="left")]
    )

    _layers: ClassVar[dict[str, int]] = {
        "tower_units": 0,
        "expert_units": 1,
        "bottom_units": 0,
    }

    def _sizes(self, embedding: Embedding, names: list[str]) -> dict[str, Any]:
        """Sizes of the sharing."""
        return {
            "n_tasks": len(names),
            "n_experts": int(self.n_experts),
            "width": embedding.width,
            "bottom_units": self._units("bottom_units"),
            "expert_units": self._units("expert_units"),
            "gate_dropout": self.gate_dropout,
            "dropout": self.dropout,
        }

    def _make_sharing(self, embedding: Embedding, names: list[str]) -> Sharing:
        return ExpertMixture(**self._sizes(embedding, names))

    def _expert_names(self) -> list[str]:
        # Of the fitted network: the hyperparameter may have been set since.
        return [str(e) for e in range(self.net_.module_.sharing.n_experts)]


class MMoE(ExpertRanker):
    """Multi-gate mixture of experts.

    Tasks share a set of experts; each task mixes them by its own softmax gate, so that
    weakly related tasks need not share everything.

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
    ShareBottom : Tasks share the whole bottom.
    ChainedMMoE : MMoE in which a task's tower reads that of the previous task.

    References
    ----------
    J. Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", KDD 2018, section 4.2, equations 6 to 8.

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


class ChainedMMoE(ExpertRanker):
    """Mixture of experts with towers in a chain.

    Each task's tower reads its own mixture of experts and the embedding computed by the
    tower of the previous task, as an order follows a click.

    Parameters
    ----------
    task_order : sequence of str, mapping or None, default=None
        The chain: task names from first to last, by default the columns of `y`. A
        mapping from a task to the tasks that its tower reads makes it a graph, such
        as ``{"cart": ["click"], "order": ["click", "cart"]}``; a task that it does
        not name reads no other.
    chain_probability : bool, default=False
        Whether probabilities are multiplied along the chain, so that no task is more
        probable than one it follows. If it follows several, the least probable of them
        counts. A missing label counts as 0 if a task that it follows is 0.
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
    Mixture-of-Experts", KDD 2018, section 4.2; Q. Wang et al., "Deep Bayesian
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

    task_order: TaskOrder = parameter(default=None, allowed=["array-like", dict, None])
    chain_probability: bool = parameter(default=False, allowed=["boolean"])

    _layers: ClassVar[dict[str, int]] = {**ExpertRanker._layers, "tower_units": 1}

    def _check_tasks(self, names: list[str]) -> None:
        super()._check_tasks(names)
        check_task_order(self.task_order, names)

    def _check_kinds(self, names: list[str], kinds: TaskKinds) -> None:
        # Without products, towers of any kind may read each other.
        if self.chain_probability:
            parents = check_task_order(self.task_order, names)
            check_binary_edges(names, kinds, parents, "chain_probability=True")

    def _make_towers(self, width: int, names: list[str], kinds: TaskKinds) -> Towers:
        return ChainedTowers(
            parents=check_task_order(self.task_order, names),
            width=width,
            units=self._units("tower_units"),
            dropout=self.dropout,
            chain_probability=self.chain_probability,
            n_outputs=kinds.n_scores,
            binary=kinds.binary,
        )
