"""Splits into training and test rows for labels of several tasks."""

from skmtl.model_selection._stratified import MultiTaskStratifiedKFold
from skmtl.model_selection._time import TimeSplit

__all__ = ["MultiTaskStratifiedKFold", "TimeSplit"]
