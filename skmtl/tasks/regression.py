"""Tasks whose labels are numbers: durations, counts, revenue."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt

from skmtl._typing import AnyArray
from skmtl.tasks.checks import check_between, check_choice, check_used
from skmtl.tasks.kinds import Floats, Part, TaskKind, read_numbers

if TYPE_CHECKING:
    from torch import Tensor, nn

# Losses whose outputs are logarithms of means, and the power of the mean in the
# variance.
POWERS = {"poisson": 1.0, "gamma": 2.0, "tweedie": None}
LOSSES = ("squared", "huber", "quantile", *POWERS)
TRANSFORMS = ("standardize", "log1p", None)

# Quantiles at which labels are divided for stratified splits.
_TENTHS = np.arange(1, 10) / 10

# Exponents beyond this bound mean that a network learnt nothing of the level.
_BOUND = 50.0


class RegressionTask(TaskKind):
    """A task whose labels are numbers, such as a dwell time, a count or a revenue.

    Parameters
    ----------
    loss : {"squared", "huber", "quantile", "poisson", "gamma", "tweedie"}, \
default="squared"
        "squared" is half the squared error; "huber" is linear for large errors.
        "quantile" is the pinball loss, whose predictions are not means but exceed a
        share `quantile` of the labels. "poisson", "gamma" and "tweedie" are half the
        deviances of these distributions with a logarithmic link, for counts, positive
        amounts, and amounts that are often 0. They need labels of at least 0, "gamma"
        labels above 0.
    transform : {"standardize", "log1p"} or None, default="standardize"
        Transform of the labels that the network learns. "standardize" scales labels to
        mean 0 and standard deviation 1, or to mean 1 for a loss with a logarithmic
        link, so that the losses of all tasks are of similar size. "log1p" takes
        ``log(1 + label)`` first, for labels above -1 with a long tail; it does not
        change which quantile loss="quantile" estimates. With None the loss has the unit
        of the labels. Predictions always have the unit of the labels.
    quantile : float in (0, 1), default=0.5
        The share of labels below the prediction, for loss="quantile".
    power : float in (1, 2), default=1.5
        Power of the mean that the variance grows with, for loss="tweedie".
    delta : float, default=1.35
        Error above which loss="huber" grows linearly, in the unit of the transformed
        labels: by default, standard deviations.

    Attributes
    ----------
    center_, scale_ : float
        In a fitted ranker's ``task_kinds_``: the mean and standard deviation of the
        transformed labels; for a logarithmic link, 0 and the mean.
    low_, high_ : float
        Range of the labels.

    Raises
    ------
    ValueError
        For unknown losses and transforms, numbers out of range, and transform="log1p"
        with a loss that already has a logarithmic link.

    See Also
    --------
    OrdinalTask : Few ordered labels, such as stars.

    Notes
    -----
    The intercept of a fitted ranker makes the mean prediction on the training rows
    equal to the mean of their labels. With transform="log1p" this also removes most of
    the bias of exponentials of mean logarithms [1]_. With loss="quantile" the intercept
    is 0.

    The score of a task is :math:`R^2`, or for the other losses the share of their own
    deviance that is explained, :math:`D^2` [2]_.

    References
    ----------
    .. [1] N. Duan. Smearing estimate: a nonparametric retransformation method. Journal
           of the American Statistical Association 78(383), 1983.
    .. [2] T. Hastie, R. Tibshirani and M. Wainwright. Statistical Learning with
           Sparsity, 2015, equation 3.11.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmtl import RegressionTask, ShareBottom
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2000, 3))
    >>> y = pd.DataFrame({"click": X[:, 0] > 0, "dwell": np.exp(X[:, 1] + X[:, 0])})
    >>> kinds = {"dwell": RegressionTask("gamma")}
    >>> ranker = ShareBottom(task_kinds=kinds, random_state=0).fit(X, y.astype(float))
    >>> values = ranker.set_output(transform="pandas").predict_task(X)
    >>> float((values["dwell"].mean() / y["dwell"].mean()).round(3))
    1.0
    """

    name: ClassVar[str] = "regression"
    has_classes: ClassVar[bool] = False
    center_: float | None = None
    scale_: float = 1.0
    low_: float = np.inf
    high_: float = -np.inf

    def __init__(
        self,
        loss: str = "squared",
        *,
        transform: str | None = "standardize",
        quantile: float = 0.5,
        power: float = 1.5,
        delta: float = 1.35,
    ) -> None:
        self.loss = loss
        self.transform = transform
        self.quantile = quantile
        self.power = power
        self.delta = delta
        check_choice("loss", loss, LOSSES)
        check_choice("transform", transform, TRANSFORMS)
        check_between("quantile", quantile, 0.0, 1.0)
        check_between("power", power, 1.0, 2.0)
        check_between("delta", delta, 0.0, np.inf)
        for name, value, default, only in (
            ("quantile", quantile, 0.5, "quantile"),
            ("power", power, 1.5, "tweedie"),
            ("delta", delta, 1.35, "huber"),
        ):
            if loss != only:
                check_used(name, value, default, f"loss={only!r}")
        if self.has_log_link and transform == "log1p":
            raise ValueError(
                f"loss={loss!r} has a logarithmic link, so transform='log1p' would "
                "take the logarithm twice. Leave transform out."
            )

    @property
    def has_log_link(self) -> bool:
        """Whether outputs are logarithms of means."""
        return self.loss in POWERS

    @property
    def metric(self) -> str:
        """R² or D² of the loss."""
        if self.loss == "quantile":
            return "d2_pinball"
        return "d2_tweedie" if self.has_log_link else "r2"

    @property
    def metric_params(self) -> Mapping[str, float]:
        """What the metric takes."""
        if self.loss == "quantile":
            return {"alpha": self.quantile}
        return {"power": self._power} if self.has_log_link else {}

    @property
    def own_metrics(self) -> Mapping[str, Mapping[str, float]]:
        """The mean pinball loss or deviance that is trained."""
        if self.loss == "quantile":
            return {"pinball": {"alpha": self.quantile}}
        return {"tweedie_deviance": {"power": self._power}} if self.has_log_link else {}

    @property
    def score_name(self) -> str:
        """D² for the losses that have their own."""
        return "r2" if self.metric == "r2" else "d2"

    @property
    def _power(self) -> float:
        power = POWERS.get(self.loss)
        return self.power if power is None else power

    def read(
        self, column: npt.ArrayLike, task: str
    ) -> tuple[Self, npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        what = "a regression, whose labels are numbers or NaN"
        values, observed = read_numbers(column, task, what)
        known = values[observed]
        self._check_range(known, task)
        self._check_precision(known, task)
        labels = np.zeros(len(values), dtype=np.float32)
        labels[observed] = known
        return self, labels, observed

    def _check_precision(self, values: Floats, task: str) -> None:
        """Raise for labels that float32, the type of networks, cannot distinguish."""
        if not len(values):
            return
        low, high = values.min(), values.max()
        largest = max(-low, high)
        if largest > np.finfo(np.float32).max:
            raise ValueError(
                f"Task {task!r} holds the label {largest if largest == high else low:g}"
                ", which is too large for float32. Divide the labels by a constant."
            )
        rounding = np.abs(values.astype(np.float32) - values).max()
        # A few rows to score may be more similar than those that were fitted.
        spread = max(values.std(), self.high_ - self.low_)
        if low < high and rounding > 1e-3 * spread:
            raise ValueError(
                f"Task {task!r} has labels from {low:g} to {high:g}, whose differences "
                "float32 cannot represent. Subtract a constant."
            )

    def _check_range(self, values: Floats, task: str) -> None:
        if np.isinf(values).any():
            raise ValueError(
                "Input y contains infinity or a value too large for dtype('float64'): "
                f"task {task!r}."
            )
        what = "transform" if self.transform == "log1p" else "loss"
        least, strict = -np.inf, False
        if self.has_log_link:
            least, strict = 0.0, self.loss == "gamma"
        elif self.transform == "log1p":
            least, strict = -1.0, True
        wrong = values <= least if strict else values < least
        if wrong.any():
            raise ValueError(
                f"Task {task!r} holds the label {values[wrong][0]:g}, but "
                f"{what}={getattr(self, what)!r} needs labels "
                f"{'above' if strict else 'of at least'} {least:g}."
            )

    def fit(self, labels: Floats, weight: Floats) -> Self:
        if not len(labels):
            return self
        fitted = copy.copy(self)
        fitted.low_ = min(self.low_, float(labels.min()))
        fitted.high_ = max(self.high_, float(labels.max()))
        if self.center_ is not None:
            return fitted  # training continues on the scale that it began with
        t = np.log1p(labels) if self.transform == "log1p" else labels
        mean = float(np.average(t, weights=weight))
        if self.has_log_link:
            fitted.center_, fitted.scale_ = 0.0, mean if mean > 0 else 1.0
            return fitted
        spread = float(np.average((t - mean) ** 2, weights=weight)) ** 0.5
        fitted.center_ = mean
        if self.transform is not None and spread > 0:
            fitted.scale_ = spread
        return fitted

    def strata(
        self, labels: npt.NDArray[np.float32], observed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        if not observed.any():
            return labels
        # Equal quantiles, as of a count that is mostly 0, are one edge.
        edges = np.unique(np.quantile(labels[observed], _TENTHS))
        return np.asarray(np.searchsorted(edges, labels), dtype=np.float32)

    def make_loss(self, label_weight: Sequence[float]) -> nn.Module:
        from skmtl.tasks import losses

        if self.has_log_link:
            factor = 1.0
            if self.transform is None:  # the deviance in the unit of the labels
                factor = self.scale_ ** (2 - self._power)
            deviance = losses.HalfDeviance(self._power)
            return losses.ScaledLoss(
                deviance, center=0.0, scale=self.scale_, factor=factor
            )
        by_name: dict[str, losses.Elementwise] = {
            "squared": losses.squared,
            "huber": losses.Huber(self.delta),
            "quantile": losses.Pinball(self.quantile),
        }
        return losses.ScaledLoss(
            by_name[self.loss],
            center=self.center_ or 0.0,
            scale=self.scale_,
            log1p=self.transform == "log1p",
        )

    def predict(self, outputs: npt.NDArray[np.floating]) -> Floats:
        z = np.asarray(outputs, dtype=np.float64)
        if self.has_log_link:
            return np.asarray(self.scale_ * np.exp(z.clip(-_BOUND, _BOUND)))
        t = (self.center_ or 0.0) + self.scale_ * z
        if self.transform == "log1p":
            return np.asarray(np.expm1(t.clip(-_BOUND, _BOUND)))
        return np.asarray(t)

    def graph(self, outputs: Tensor) -> Tensor:
        if self.has_log_link:
            return self.scale_ * outputs.clamp(-_BOUND, _BOUND).exp()
        t = (self.center_ or 0.0) + self.scale_ * outputs
        return t.clamp(-_BOUND, _BOUND).expm1() if self.transform == "log1p" else t

    def decide(self, levels: Floats) -> AnyArray:
        return levels

    def has_score(self, labels: npt.NDArray[np.floating]) -> bool:
        return len(labels) > 1 and bool(labels.min() < labels.max())

    def is_constant(self, means: Floats) -> npt.NDArray[np.bool_]:
        # Also without a label, where the range is empty: from inf to -inf.
        return np.full(len(means), not self.low_ < self.high_)

    def constant(self, means: Floats) -> Floats:
        return np.nan_to_num(means, nan=0.0)

    def first_rates(self, means: Floats, n_rows: int) -> Floats:
        return np.full(len(means), 0.5)  # outputs of 0 are the mean

    def intercept(self, parts: Sequence[Part], means: Floats) -> Floats:
        if self.loss == "quantile":
            return np.zeros(1)
        wanted, found = float(means[0]), self._mean(parts)
        curved = self.has_log_link or self.transform == "log1p"
        if not curved:
            return np.array([(wanted - found) / self.scale_])
        if self.transform == "log1p":
            wanted, found = 1 + wanted, 1 + found
        if found <= 0 or wanted <= 0:  # an estimate from few rows
            return np.zeros(1)
        # A shift multiplies exponentials, so that the equation has a closed form.
        step = self.scale_ if self.transform == "log1p" else 1.0
        return np.array([np.log(wanted / found) / step])

    def _mean(self, parts: Sequence[Part]) -> float:
        means = (
            share[0] * np.average(self.predict(z[0]), weights=weight)
            for z, share, weight in parts
        )
        return float(sum(means))
