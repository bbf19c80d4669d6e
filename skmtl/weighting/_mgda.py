"""The descent direction that all tasks have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from skmtl.weighting._base import InitialLosses
from skmtl.weighting._checks import Preference, check_choice
from skmtl.weighting._gradient import GradientWeighting

_NORMALIZATIONS = ("none", "l2", "loss", "loss+")


class MGDA(GradientWeighting):
    r"""Descend along the shortest vector in the convex hull of the tasks' gradients.

    With the gradients :math:`g_t` divided by their scales :math:`c_t`, the weights are

    .. math::

        w_t = \frac{\alpha_t}{c_t}, \qquad
        \alpha = \arg\min \Big\{ \Big\| \sum_t \alpha_t \frac{g_t}{c_t} \Big\|^2 :
        \alpha \geq 0, \sum_t \alpha_t = 1 \Big\}.

    To first order, either the loss of every task falls at least by :math:`c_t` times
    the same amount, or none can fall without another rising.

    Parameters
    ----------
    normalization : {"none", "l2", "loss", "loss+"}, default="l2"
        Scale of each gradient, before the preference: 1, its norm, the loss of its
        task, or the product of both. With "l2" and two tasks the weights do not depend
        on the conflict; see the notes.
    preference : array-like of shape (n_tasks,), mapping, Series or None, default=None
        Positive factors of the scales: the losses fall at rates in these proportions.
    at : str, default="representation"
        Where gradients are taken. At the "representation" the minimum is an upper
        bound of that over the shared parameters (MGDA-UB), found in one backward pass;
        "shared_parameters" and "last_shared_layer" need one for every task.

    Notes
    -----
    With ``normalization="l2"`` all vectors have length 1, and the shortest combination
    of two such vectors is half of each, whatever the angle between them. So for two
    tasks the weights are inverse to the norms of the gradients, whether or not these
    conflict. With the other scales they depend on the conflict. Multiplying a loss by a
    number changes nothing with "l2" and "loss". With "loss+" the larger loss gets more
    weight, and a much larger one gets all of it.

    The minimum has a closed form for two tasks (algorithm 1), and is found by an active
    set method for more, up to rounding. Deviations: the paper's code divides gradients
    only in the search for alpha, so that a loss with large values still outweighs the
    others; here the direction itself is that of the divided gradients. The weights are
    scaled to sum to the number of tasks, which changes the length of a step but not its
    direction. With experts and gates, the representation is the experts' outputs; the
    bound does not include the gradients through the gates.

    References
    ----------
    O. Sener, V. Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS
    2018, sections 3.1 to 3.3, algorithms 1 and 2; J.-A. Desideri, "Multiple-Gradient
    Descent Algorithm (MGDA) for Multiobjective Optimization", C. R. Acad. Sci. 2012.

    Examples
    --------
    The gradient of the first task is twice as long as that of the second, and at a
    right angle to it:

    >>> import torch
    >>> from skmtl.weighting import MGDA
    >>> weighting = MGDA(normalization="none").start(["click", "order"])
    >>> gramian = torch.tensor([[4.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    >>> weighting.weigh(gramian, torch.ones(2, dtype=torch.float64))
    tensor([0.4000, 1.6000], dtype=torch.float64)
    """

    name: ClassVar[str | None] = "mgda"

    def __init__(
        self,
        *,
        normalization: str = "l2",
        preference: Preference | None = None,
        at: str = "representation",
    ) -> None:
        super().__init__(preference=preference, at=at)
        self.normalization = normalization

    def start(self, tasks: Sequence[str]) -> Self:
        check_choice(self, "normalization", _NORMALIZATIONS)
        return super().start(tasks)

    def solve(self, gramian: Tensor, losses: Tensor, active: Tensor) -> Tensor:
        scale = self._scale(gramian, losses, active)
        scale = scale * self.preference_[active].to(scale)
        weights = min_norm(gramian / torch.outer(scale, scale)) / scale
        return weights * (len(weights) / weights.sum())

    def _scale(self, gramian: Tensor, losses: Tensor, active: Tensor) -> Tensor:
        norms = gramian.diagonal().sqrt()
        return {
            "none": torch.ones_like(norms),
            "l2": norms,
            "loss": losses,
            "loss+": losses * norms,
        }[self.normalization]


class StochasticMGDA(InitialLosses, MGDA):
    """MGDA on gradients divided by the losses before the first step.

    Parameters
    ----------
    preference : array-like of shape (n_tasks,), mapping, Series or None, default=None
        As in `MGDA`.
    at : str, default="representation"
        As in `MGDA`.

    Notes
    -----
    The initial losses are measured on (at most 65,536) training rows.

    References
    ----------
    N. Milojkovic, D. Antognini, G. Bergamin, B. Faltings, C. Musat, "Multi-Gradient
    Descent for Multi-Objective Recommender Systems", 2019, sections 3.2 and 3.3.

    Examples
    --------
    >>> from skmtl import MMoE
    >>> ranker = MMoE(loss_weight="stochastic_mgda")
    """

    name: ClassVar[str | None] = "stochastic_mgda"

    def __init__(
        self, *, preference: Preference | None = None, at: str = "representation"
    ) -> None:
        super().__init__(preference=preference, at=at)

    def _scale(self, gramian: Tensor, losses: Tensor, active: Tensor) -> Tensor:
        return self.initial[active].to(losses)


def min_norm(gramian: Tensor) -> Tensor:
    """Find the shortest vector in the convex hull of vectors from their inner products.

    Parameters
    ----------
    gramian : Tensor of shape (n, n), dtype float64
        Inner products, above 0 on the diagonal.

    Returns
    -------
    Tensor of shape (n,)
        Coefficients, at least 0 and of sum 1; NaN if the numbers are too large or
        too far apart.
    """
    if len(gramian) == 2:
        (a, b), (_, c) = gramian.tolist()
        # Squared distance of the two vectors: for equal ones any weights will do.
        spread = a + c - 2 * b
        first = 0.5 if spread <= 0 else min(max((c - b) / spread, 0.0), 1.0)
        return gramian.new_tensor([first, 1.0 - first])
    # The u >= 0 that minimises |F u|^2 + (sum(u) - 1)^2, where F^T F is the Gramian,
    # is a multiple of the coefficients: for a fixed direction of u the minimum over
    # its length rises with |F u|. Scaled so that the shortest vector has length 1.
    scaled = gramian / gramian.diagonal().min()
    if not scaled.isfinite().all():
        return torch.full_like(gramian[0], torch.nan)
    # Not by Cholesky, which fails for gradients that are linearly dependent.
    values, vectors = np.linalg.eigh(scaled.cpu().numpy())
    factor = np.sqrt(values.clip(min=0))[:, None] * vectors.T
    target = np.append(np.zeros(len(values)), 1.0)
    try:
        u, _ = nnls(np.vstack([factor, np.ones(len(values))]), target)
    except RuntimeError:  # it did not converge
        return torch.full_like(gramian[0], torch.nan)
    return torch.from_numpy(u / u.sum()).to(gramian)
