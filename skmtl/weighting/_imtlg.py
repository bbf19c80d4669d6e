"""A direction with the same projection onto every gradient."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from skmtl.weighting._checks import Preference
from skmtl.weighting._torchjd import TorchJDWeighting, aggregation


class IMTLG(TorchJDWeighting):
    """Descend where all gradients, scaled to length 1, project equally (IMTL-G).

    Solved by TorchJD (extra ``jd``) on the Gramian at the representation. Weights sum
    to 1 and may be negative. Multiplying a loss by a number changes nothing.

    Parameters
    ----------
    preference : array-like of shape (n_tasks,), mapping, Series or None, default=None
        Positive numbers that multiply the solver's weights. They cannot act through the
        losses, whose scale changes nothing.
    at : str, default="representation"
        Where gradients are taken: "representation", "last_shared_layer" or
        "shared_parameters".

    References
    ----------
    L. Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, section 3.1.

    Examples
    --------
    >>> from skmtl import MMoE
    >>> ranker = MMoE(loss_weight="imtl_g")
    """

    name: ClassVar[str | None] = "imtl_g"
    scale_free: ClassVar[bool] = True
    solver: None = None

    def __init__(
        self, *, preference: Preference | None = None, at: str = "representation"
    ) -> None:
        super().__init__(None, preference=preference, at=at)

    def _make(self, n_tasks: int) -> nn.Module:
        made: nn.Module = aggregation().IMTLGWeighting()
        return made
