"""Layers of each task that are kept similar, or exchange activations."""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

from skmtl._sklearn import NOT_NEGATIVE, Interval, StrOptions
from skmtl.modules import CrossStitchBottoms, SoftlySharedBottoms
from skmtl.rankers._bottoms import BottomRanker
from skmtl.training.parameters import parameter


class CrossStitch(BottomRanker):
    """Exchange activations between the layers of the tasks.

    Tasks share the embeddings. After every dense layer the activations of a task are
    replaced by a weighted sum of those of all tasks, with weights that are learned, one
    for each layer and pair of tasks.

    Parameters
    ----------
    own_weight : float, default=0.9
        Weight of a task's own activations at the start, from 0 to 1; the other tasks
        have equal shares of the rest. The weights may leave this range in training.
    bottom_units : sequence of int, default=(256, 128)
        Widths of the layers of each task before its tower, at least one.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    SoftSharing : Own layers whose distance is penalised.
    PLE : Own and shared experts, weighed by gates that depend on the row.

    Notes
    -----
    The learned weights are ``net_.module_.sharing.stitches``, a matrix for each layer
    with a row for each task. The paper has a weight for each channel or layer, and
    trains them with larger steps than the layers. Here there is one for each layer, and
    Adam makes steps of the same size for all.

    References
    ----------
    I. Misra et al., "Cross-stitch Networks for Multi-task Learning", CVPR 2016, section
    3.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import CrossStitch
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    >>> ranker = CrossStitch(random_state=0).fit(X, y)
    >>> [tuple(stitch.shape) for stitch in ranker.net_.module_.sharing.stitches]
    [(2, 2), (2, 2)]
    """

    own_weight: float = parameter(
        default=0.9, allowed=[Interval(Real, 0, 1, closed="both")]
    )

    _layers: ClassVar[dict[str, int]] = {"tower_units": 0, "bottom_units": 1}
    _bottom: ClassVar[type] = CrossStitchBottoms

    def _bottom_options(self) -> dict[str, object]:
        return {"own_weight": self.own_weight}


class SoftSharing(BottomRanker):
    """Penalise the distance between the layers of the tasks.

    Tasks share the embeddings. Each task has its own dense layers, and training adds
    ``alpha`` times a measure of how much they differ to the loss. Towers are not
    penalised.

    Parameters
    ----------
    penalty : {"l2", "trace_norm"}, default="l2"
        The measure, summed over the layers. "l2" is the squared distance of the tasks'
        weights and biases from their mean; "trace_norm" the sum of the singular values
        of the matrix that has a row of weights and biases for each task.
    alpha : float, default=1e-3
        Strength of the penalty, at least 0. With 0 nothing is shared between the
        layers. Values above 0.01 outweigh the losses: with "l2" the layers become
        copies of each other that learn slowly, with "trace_norm" they shrink to zero.
    bottom_units : sequence of int, default=(256, 128)
        Widths of the layers of each task before its tower, at least one.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    ShareBottom : One bottom for all tasks.
    CrossStitch : Own layers that exchange activations.

    References
    ----------
    L. Duong et al., "Low Resource Dependency Parsing: Cross-lingual Parameter Sharing
    in a Neural Network Parser", ACL 2015, for the squared distance; Y. Yang and T.
    Hospedales, "Trace Norm Regularised Deep Multi-Task Learning", ICLR workshop 2017,
    for the trace norm of layers.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import SoftSharing
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    >>> ranker = SoftSharing(penalty="trace_norm", random_state=0).fit(X, y)
    >>> ranker.predict_task_proba(X).shape
    (1000, 2)
    """

    penalty: str = parameter(default="l2", allowed=[StrOptions({"l2", "trace_norm"})])
    alpha: float = parameter(default=1e-3, allowed=[NOT_NEGATIVE])

    _layers: ClassVar[dict[str, int]] = {"tower_units": 0, "bottom_units": 1}
    _bottom: ClassVar[type] = SoftlySharedBottoms

    def _bottom_options(self) -> dict[str, object]:
        return {"distance": self.penalty, "strength": self.alpha}
