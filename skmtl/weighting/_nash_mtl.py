"""A bargain between the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from torch import nn

from skmtl.weighting._checks import Preference, check_number
from skmtl.weighting._torchjd import TorchJDWeighting, aggregation


class NashMTL(TorchJDWeighting):
    """Weigh tasks by the Nash bargaining solution.

    Solved by TorchJD (extra ``jd``) on the Gramian at the representation: weights
    ``a`` with ``K a = 1 / a`` for the Gramian ``K``, found by a sequence of convex
    programs that starts from the weights of the previous step.

    Parameters
    ----------
    max_norm : float, default=1.0
        Largest length of the combined gradient, relative to the root mean square of
        the gradients' lengths; 0 for no limit.
    update_weights_every : int, default=5
        Steps from one solution to the next. A solution takes about half as long as a
        step of training on one core.
    optim_niter : int, default=20
        Largest number of convex programs for one solution.
    preference : array-like of shape (n_tasks,), mapping, Series or None, default=None
        Positive numbers that multiply the solver's weights. They cannot act through the
        losses, whose scale changes nothing.
    at : str, default="representation"
        Where gradients are taken: "representation", "last_shared_layer" or
        "shared_parameters".

    References
    ----------
    A. Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022, section 3,
    algorithm 1.

    Examples
    --------
    >>> from skmtl import MMoE
    >>> ranker = MMoE(loss_weight="nash_mtl")
    """

    name: ClassVar[str | None] = "nash_mtl"
    scale_free: ClassVar[bool] = True
    solver: None = None

    def __init__(
        self,
        *,
        max_norm: float = 1.0,
        update_weights_every: int = 5,
        optim_niter: int = 20,
        preference: Preference | None = None,
        at: str = "representation",
    ) -> None:
        super().__init__(None, preference=preference, at=at)
        self.max_norm = max_norm
        self.update_weights_every = update_weights_every
        self.optim_niter = optim_niter

    def start(self, tasks: Sequence[str]) -> Self:
        check_number(self, "max_norm", at_least=0)
        check_number(self, "update_weights_every", at_least=1, whole=True)
        check_number(self, "optim_niter", at_least=1, whole=True)
        return super().start(tasks)

    def _make(self, n_tasks: int) -> nn.Module:
        made: nn.Module = aggregation().NashMTL(
            n_tasks=n_tasks,
            max_norm=self.max_norm,
            update_weights_every=self.update_weights_every,
            optim_niter=self.optim_niter,
        )
        return made
