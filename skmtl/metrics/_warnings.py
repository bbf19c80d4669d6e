"""Undefined values: NaN, with a warning that names the task."""

import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning


def warn_undefined(metric: str, values: np.ndarray, names: list[str], why: str) -> None:
    undefined = [n for n, v in zip(names, values, strict=True) if np.isnan(v)]
    if undefined:
        listed = ", ".join(repr(name) for name in undefined)
        tasks = "task" if len(undefined) == 1 else "tasks"
        warnings.warn(
            f"{metric} is undefined for {tasks} {listed} and set to NaN: {why}.",
            UndefinedMetricWarning,
            stacklevel=4,
        )
