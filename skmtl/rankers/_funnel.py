"""Rankers along a funnel of tasks: ESMM multiplies, AITM passes information on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from skmtl._sklearn import NOT_NEGATIVE
from skmtl._typing import TableLike
from skmtl.modules import ProductTowers, Towers, TransferTowers
from skmtl.rankers._bottoms import BottomRanker
from skmtl.rankers._task_order import (
    TaskOrder,
    check_binary_edges,
    check_task_order,
)
from skmtl.tasks import TaskKinds
from skmtl.training.parameters import parameter


class ESMM(BottomRanker):
    """Entire space multi-task model: probabilities multiplied along the funnel.

    Tasks share the embeddings; each has its own dense layers. The network of conversion
    estimates its probability *given* a click, but is trained on the labels of click and
    conversion over all impressions, through the product of both probabilities. So it is
    affected neither by the selection of clicked rows nor by their small number. In a
    longer funnel, such as click, cart, order, each task's network estimates its
    probability given the previous task.

    Parameters
    ----------
    task_order : sequence of str, mapping or None, default=None
        The funnel: task names from first to last, by default the columns of `y`. A
        mapping from a task to the tasks that it follows makes it a graph, such as
        ``{"cart": ["click"], "favourite": ["click"]}``; a task that it does not name
        follows none. If a task follows several, the least probable of them counts.
    bottom_units : sequence of int, default=(256, 128)
        Widths of the layers of each task before its tower.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    ChainedMMoE : Experts, and towers that read each other; with
        ``chain_probability=True`` it multiplies probabilities too.
    AITM : Passes information along the chain; a penalty favours the order.

    Notes
    -----
    A positive label of a task should come with a positive label of the task it
    follows, as an order comes with a click. A missing label counts as 0 if a task that
    it follows is 0: a log in which conversions are only known after a click is read as
    one of all impressions. Predicted probabilities never rise along the funnel, not
    even by rounding. The exception is a task without any observed label, whose
    probability is always 0.5.

    References
    ----------
    X. Ma et al., "Entire Space Multi-Task Model: An Effective Approach for Estimating
    Post-Click Conversion Rate", SIGIR 2018, section 2.

    Examples
    --------
    >>> from skmtl import ESMM
    >>> from skmtl.datasets import make_funnel
    >>> log = make_funnel(2000, random_state=0)
    >>> y = log.target[["click", "cart"]]
    >>> ranker = ESMM(max_iter=2, random_state=0).fit(log.data, y)
    >>> click, cart = ranker.predict_task_proba(log.data).T
    >>> bool((cart <= click).all())
    True
    >>> given_click = ranker.predict_conditional_proba(log.data)[:, 1]
    """

    task_order: TaskOrder = parameter(default=None, allowed=["array-like", dict, None])

    def predict_conditional_proba(self, X: TableLike) -> npt.NDArray[np.float64]:
        """Estimate the probability of each task given the tasks that it follows.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples, n_tasks), dtype float64
            Probability of the task divided by the smallest one of those that it
            follows, such as that of a conversion given a click. For a task that follows
            none, the result of `predict_task_proba`.
        """
        check_is_fitted(self)
        proba = np.asarray(self.predict_task_proba(X))
        given = proba.copy()
        for task, parents in enumerate(self.net_.module_.towers.bounds):
            if parents:
                given[:, task] /= proba[:, list(parents)].min(axis=1)
        # 0 / 0 is NaN where a task before it is impossible.
        return np.clip(np.nan_to_num(given), 0.0, 1.0)

    def _check_tasks(self, names: list[str]) -> None:
        super()._check_tasks(names)
        check_task_order(self.task_order, names)

    def _check_kinds(self, names: list[str], kinds: TaskKinds) -> None:
        parents = check_task_order(self.task_order, names)
        check_binary_edges(names, kinds, parents, "ESMM")

    def _make_towers(self, width: int, names: list[str], kinds: TaskKinds) -> Towers:
        return ProductTowers(
            parents=check_task_order(self.task_order, names),
            width=width,
            units=self._units("tower_units"),
            dropout=self.dropout,
            n_outputs=kinds.n_scores,
            binary=kinds.binary,
        )


class AITM(BottomRanker):
    """Adaptive information transfer along the chain of tasks.

    Tasks share the embeddings; each has its own dense layers. A task's last embedding
    is a mixture of its own and the one passed on by the previous task, weighted by
    attention, so that each row decides how much is transferred. A calibrator penalises
    a probability that exceeds that of the previous task.

    Parameters
    ----------
    task_order : sequence of str, mapping or None, default=None
        The chain: task names from first to last, by default the columns of `y`. A
        mapping from a task to the tasks before it makes it a graph, such as ``{"cart":
        ["click"], "order": ["click", "cart"]}``; a task that it does not name has none.
    calibrator_weight : float, default=0.6
        Weight of the calibrator in the loss, at least 0.
    bottom_units : sequence of int, default=(256, 128)
        Widths of the layers of each task before its tower.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    ESMM : Multiplies probabilities, which never rise along the chain.
    ChainedMMoE : Towers that read the previous tower without attention.

    Notes
    -----
    The last hidden layer of a tower (``tower_units``) is the embedding that attention
    mixes. The calibrator favours the order of probabilities but does not guarantee it.
    It is meant for tables where a task implies the previous one, such as order and
    click; set ``calibrator_weight=0`` for others.

    In the paper's chain each task follows one other; with several, attention is over
    all of them.

    References
    ----------
    D. Xi et al., "Modeling the Sequential Dependence among Audience Multi-step
    Conversions with Multi-task Learning in Targeted Display Advertising", KDD 2021,
    section 4; 0.6 is its weight of the calibrator.

    Examples
    --------
    >>> from skmtl import AITM
    >>> from skmtl.datasets import make_funnel
    >>> log = make_funnel(2000, random_state=0)
    >>> y = log.target[["click", "cart"]]
    >>> ranker = AITM(max_iter=2, random_state=0).fit(log.data, y)
    >>> ranker.predict_task_proba(log.data).shape
    (2000, 2)
    """

    task_order: TaskOrder = parameter(default=None, allowed=["array-like", dict, None])
    calibrator_weight: float = parameter(default=0.6, allowed=[NOT_NEGATIVE])

    _layers: ClassVar[dict[str, int]] = {"tower_units": 1, "bottom_units": 0}

    def _check_tasks(self, names: list[str]) -> None:
        super()._check_tasks(names)
        check_task_order(self.task_order, names)

    def _check_kinds(self, names: list[str], kinds: TaskKinds) -> None:
        # Without the calibrator no probabilities are compared.
        if self.calibrator_weight:
            parents = check_task_order(self.task_order, names)
            what = "The calibrator of AITM (calibrator_weight above 0)"
            check_binary_edges(names, kinds, parents, what)

    def _make_towers(self, width: int, names: list[str], kinds: TaskKinds) -> Towers:
        return TransferTowers(
            parents=check_task_order(self.task_order, names),
            width=width,
            units=self._units("tower_units"),
            calibrator_weight=self.calibrator_weight,
            dropout=self.dropout,
            n_outputs=kinds.n_scores,
        )
