"""SoftSharing: own layers per task, drawn towards each other."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

from skmtl._sklearn import Interval, StrOptions
from skmtl.modules import SoftlySharedBottoms
from skmtl.rankers._bottoms import BottomRanker
from skmtl.rankers._parameters import shared_parameters


@shared_parameters
class SoftSharing(BottomRanker):
    """Each task has layers of its own, and the distance between them is penalised.

    Tasks share the embeddings. Their dense layers are their own, and training adds
    ``alpha`` times a measure of how different they are to the loss. Towers are left
    free.

    Parameters
    ----------
    penalty : {"l2", "trace_norm"}, default="l2"
        The measure, summed over the layers. "l2" is the squared distance of the tasks'
        weights and biases from their mean; "trace_norm" the sum of the singular values
        of the matrix that has a row of weights and biases for each task.
    alpha : float, default=1e-3
        Strength of the penalty, at least 0. With 0 the layers are not shared at all.
        Values above 0.01 drown the losses: with "l2" the layers become copies of each
        other that learn slowly, with "trace_norm" they shrink to zero.
    bottom_units : sequence of int, default=(256, 128)
        Widths of the layers of each task before its tower.
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

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BottomRanker._parameter_constraints,
        "penalty": [StrOptions({"l2", "trace_norm"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
    }
    _layers: ClassVar[dict[str, int]] = {"tower_units": 0, "bottom_units": 1}
    _bottom: ClassVar[type] = SoftlySharedBottoms

    def __init__(
        self,
        *,
        penalty: str = "l2",
        alpha: float = 1e-3,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.penalty = penalty
        self.alpha = alpha

    def _bottom_options(self) -> dict[str, Any]:
        return {"distance": self.penalty, "strength": self.alpha}
