"""Losses of labels, for each kind of task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# From outputs and labels to losses, all of the same shape.
Elementwise = Callable[[Tensor, Tensor], Tensor]


class CrossEntropy(nn.Module):
    """Cross-entropy of every label of binary tasks, with label weights.

    With label weight ``w`` the loss of a row is ``w y log q + (1 - y) log(1 - q)``,
    negated. Its minimiser ``q`` has the log-odds of the true probability plus
    ``log w``; so the network's logit ``z`` is read as the *true* log-odds, and ``q =
    sigmoid(z + log w)``. This exactly undoes the effect of label weights on the prior,
    and products of probabilities along a chain are products of true ones.

    Parameters
    ----------
    label_weight : sequence of float
        One for each task, above 0.
    n_outputs : int, default=1
        Outputs of each task, the first of which is the logit.

    Notes
    -----
    Shape: outputs ``(batch, n_tasks * n_outputs)`` and labels ``(batch, n_tasks)`` in
    {0, 1} to ``(batch, n_tasks)``.
    """

    weight: Tensor
    shift: Tensor

    def __init__(self, label_weight: Sequence[float], *, n_outputs: int = 1) -> None:
        super().__init__()
        self.n_outputs = n_outputs
        weight = torch.tensor(label_weight, dtype=torch.float64)
        self.register_buffer("weight", weight.float())
        self.register_buffer("shift", weight.log().float())
        self._plain = bool((weight == 1).all())

    def forward(self, logits: Tensor, y: Tensor) -> Tensor:
        if self.n_outputs > 1:
            logits = logits[:, :: self.n_outputs]
        return F.binary_cross_entropy_with_logits(
            logits if self._plain else logits + self.shift,
            y,
            pos_weight=None if self._plain else self.weight,
            reduction="none",
        )


class ScaledLoss(nn.Module):
    """A loss of outputs and of labels on the scale of the outputs.

    Parameters
    ----------
    loss : callable
        From outputs and scaled labels to losses.
    center, scale : float
        A label `t` becomes ``(t - center) / scale``.
    log1p : bool
        Whether the logarithm of 1 + label is taken first.
    factor : float
        Multiplier of the loss.

    Notes
    -----
    Shape: outputs and labels ``(batch, n_tasks)`` to ``(batch, n_tasks)``.
    """

    center: Tensor  # a buffer, which moves to the device with the module

    def __init__(
        self,
        loss: Elementwise,
        *,
        center: float,
        scale: float,
        log1p: bool = False,
        factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.register_buffer("center", torch.tensor(center, dtype=torch.float32))
        self.loss, self.scale, self.log1p, self.factor = loss, scale, log1p, factor

    def forward(self, outputs: Tensor, y: Tensor) -> Tensor:
        t = torch.log1p(y) if self.log1p else y
        return self.loss(outputs, (t - self.center) / self.scale) * self.factor


def squared(outputs: Tensor, y: Tensor) -> Tensor:
    """Half the squared error."""
    return (outputs - y).square() / 2


class Huber:
    """Half the squared error up to `delta`, and the absolute error beyond."""

    def __init__(self, delta: float) -> None:
        self.delta = delta

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.huber_loss(outputs, y, reduction="none", delta=self.delta)


class Pinball:
    """Absolute error, times `quantile` above the prediction and 1 minus it below."""

    def __init__(self, quantile: float) -> None:
        self.quantile = quantile

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        error = y - outputs
        return torch.where(error > 0, self.quantile, self.quantile - 1) * error


class HalfDeviance:
    r"""Half the Tweedie deviance of labels from ``exp(outputs)``, never negative.

    Parameters
    ----------
    power : float in [1, 2]
        1 for Poisson's, 2 for the gamma distribution's.

    Notes
    -----
    With the mean :math:`\mu` it is :math:`y \log(y / \mu) - y + \mu` for power 1,
    :math:`\log(\mu / y) + y / \mu - 1` for 2, and between them

    .. math::

        \frac{y^{2-p}}{(1-p)(2-p)} - \frac{y \mu^{1-p}}{1-p} + \frac{\mu^{2-p}}{2-p}.
    """

    def __init__(self, power: float) -> None:
        self.power = power

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        p = self.power
        # xlogy(0, 0) is 0, the limit of y log y.
        if p == 1:
            return torch.xlogy(y, y) - y * outputs - y + outputs.exp()
        if p == 2:
            # Only labels that were not observed are 0 here; their weight is 0.
            log_y = torch.where(y > 0, y, 1.0).log()
            return outputs - log_y + y * (-outputs).exp() - 1
        constant = y ** (2 - p) / ((1 - p) * (2 - p))
        falling = y * ((1 - p) * outputs).exp() / (1 - p)
        return constant - falling + ((2 - p) * outputs).exp() / (2 - p)


class ClassCrossEntropy(nn.Module):
    """Cross-entropy of the softmax, for labels of several classes.

    Parameters
    ----------
    n_classes : int
        Number of classes.

    Notes
    -----
    Shape: outputs ``(batch, n_tasks * n_classes)`` and labels ``(batch, n_tasks)`` in
    {0, …, n_classes - 1} to ``(batch, n_tasks)``.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes

    def forward(self, outputs: Tensor, y: Tensor) -> Tensor:
        logits = outputs.reshape(-1, self.n_classes)
        losses = F.cross_entropy(logits, y.reshape(-1).long(), reduction="none")
        return losses.view_as(y)


class CumulativeCrossEntropy(nn.Module):
    r"""Negative log-likelihood of ordered classes by their cumulative log-odds.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 2.

    Notes
    -----
    Shape: outputs ``(batch, n_tasks * (n_classes - 1))``, which fall along the classes,
    and labels ``(batch, n_tasks)`` in {0, …, n_classes - 1} to ``(batch, n_tasks)``.

    Output k is the log-odds :math:`a_k` of a label above k. The probability of a class
    between two thresholds is :math:`\sigma(a) - \sigma(b) = \sigma(a) \sigma(-b) (1 -
    e^{b - a})`, whose logarithm is taken factor by factor, so that none cancels.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes

    def forward(self, outputs: Tensor, y: Tensor) -> Tensor:
        above = outputs.unflatten(1, (-1, self.n_classes - 1))
        label = y.long().unsqueeze(2)
        last = self.n_classes - 1
        # The log-odds of a label of at least y, and of one above y.
        a = above.gather(2, (label - 1).clamp(min=0)).squeeze(2)
        b = above.gather(2, label.clamp(max=last - 1)).squeeze(2)
        first, final = y == 0, y == last
        inner = ~(first | final)
        # For a gap of 0, neither the logarithm nor its gradient would be finite.
        gap = torch.where(inner, a - b, 1.0).clamp(min=1e-6)
        likelihood = torch.where(inner, (-torch.expm1(-gap)).log(), 0.0)
        likelihood = likelihood + torch.where(first, 0.0, F.logsigmoid(a))
        return -(likelihood + torch.where(final, 0.0, F.logsigmoid(-b)))
