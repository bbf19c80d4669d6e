"""Calibration of the probabilities of several tasks."""

from skmtl.calibration._estimator import CalibratedTasksCV

__all__ = ["CalibratedTasksCV"]
