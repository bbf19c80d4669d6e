"""CrossStitch: a network per task, activations exchanged after each layer."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

from skmtl._sklearn import Interval
from skmtl.modules import CrossStitchBottoms
from skmtl.rankers._bottoms import BottomRanker
from skmtl.rankers._parameters import shared_parameters


@shared_parameters
class CrossStitch(BottomRanker):
    """Each task has layers of its own, which exchange activations after each layer.

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
    trains them with a larger step than the layers; here they are one for each layer,
    and Adam makes steps of one size for all.

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

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BottomRanker._parameter_constraints,
        "own_weight": [Interval(Real, 0, 1, closed="both")],
    }
    _layers: ClassVar[dict[str, int]] = {"tower_units": 0, "bottom_units": 1}
    _bottom: ClassVar[type] = CrossStitchBottoms

    def __init__(
        self,
        *,
        own_weight: float = 0.9,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.own_weight = own_weight

    def _bottom_options(self) -> dict[str, Any]:
        return {"own_weight": self.own_weight}
