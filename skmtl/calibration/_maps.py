"""Maps from the log-odds of one task to calibrated probabilities."""

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from skmtl._sklearn import SigmoidCalibration

Floats = npt.NDArray[np.float64]
EDGE = float(np.finfo(np.float64).eps)
# The search for a shift covers this more than the largest log-odds; those of `EDGE`
# are -36, so the mean at both ends is on either side of any rate.
REACH = 40.0


class CalibrationMap(ABC):
    """A map of one task, fitted on rows that its model has not seen."""

    @abstractmethod
    def fit(
        self, proba: Floats, y: npt.NDArray[np.bool_], weight: Floats | None
    ) -> Self:
        """Fit the map to probabilities, labels and weights of observed rows."""

    @abstractmethod
    def __call__(self, proba: Floats) -> Floats:
        """Calibrate probabilities."""


def log_odds(proba: Floats) -> Floats:
    # Those of 0 and 1 would be infinite; these are about -36 and 36.
    return np.asarray(logit(proba.clip(EDGE, 1 - EDGE)))


class IdentityMap(CalibrationMap):
    """Leave probabilities unchanged, for tasks to which nothing can be fitted."""

    def fit(
        self, proba: Floats, y: npt.NDArray[np.bool_], weight: Floats | None
    ) -> Self:
        return self

    def __call__(self, proba: Floats) -> Floats:
        return proba


class SigmoidMap(CalibrationMap):
    """Platt's logistic regression on the log-odds, as scikit-learn fits it."""

    def fit(
        self, proba: Floats, y: npt.NDArray[np.bool_], weight: Floats | None
    ) -> Self:
        found = SigmoidCalibration().fit(log_odds(proba), y.astype(np.int64), weight)
        # scikit-learn has the sigmoid of -(a x + b).
        self.slope, self.intercept = -float(found.a_), -float(found.b_)
        return self

    def __call__(self, proba: Floats) -> Floats:
        return np.asarray(expit(self.slope * log_odds(proba) + self.intercept))


class IsotonicMap(CalibrationMap):
    """The increasing function of least squares, linear between its steps."""

    def fit(
        self, proba: Floats, y: npt.NDArray[np.bool_], weight: Floats | None
    ) -> Self:
        found = IsotonicRegression(y_min=0.0, y_max=1.0)
        found.fit(log_odds(proba), y.astype(np.float64), weight)
        # As `IsotonicRegression` predicts, from arrays that a file can hold.
        self.log_odds, self.proba = found.X_thresholds_, found.y_thresholds_
        return self

    def __call__(self, proba: Floats) -> Floats:
        return np.interp(log_odds(proba), self.log_odds, self.proba)


class PriorShiftMap(CalibrationMap):
    """A constant added to the log-odds, so that the mean is the observed rate."""

    def fit(
        self, proba: Floats, y: npt.NDArray[np.bool_], weight: Floats | None
    ) -> Self:
        odds, rate = log_odds(proba), float(np.average(y, weights=weight))

        def excess(shift: float) -> float:
            return float(np.average(expit(odds + shift), weights=weight)) - rate

        reach = REACH + float(np.abs(odds).max())
        self.shift = float(brentq(excess, -reach, reach, xtol=1e-12))
        return self

    def __call__(self, proba: Floats) -> Floats:
        return np.asarray(expit(log_odds(proba) + self.shift))


MAPS: dict[str, type[CalibrationMap]] = {
    "sigmoid": SigmoidMap,
    "isotonic": IsotonicMap,
    "prior_shift": PriorShiftMap,
}
