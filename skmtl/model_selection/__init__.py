"""Ways to split rows into training and test that fit labels of several tasks."""

from skmtl.model_selection._stratified import MultiTaskStratifiedKFold
from skmtl.model_selection._time import TimeSplit

__all__ = ["MultiTaskStratifiedKFold", "TimeSplit"]
