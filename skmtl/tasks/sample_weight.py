"""The border for sample weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def check_sample_weight(
    sample_weight: Any,
    shape: tuple[int, int],
    names: Sequence[str] | npt.NDArray[Any] = (),
) -> npt.NDArray[np.float64] | None:
    """Check weights of rows, or of rows and tasks.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), or None
        The weights.
    shape : tuple (n_samples, n_tasks)
        What is to be weighted.
    names : sequence of str
        Names of the tasks. Columns of a DataFrame that has them are matched by name.

    Returns
    -------
    ndarray of shape (n_samples, 1) or (n_samples, n_tasks), or None
        The weights as float64.

    Raises
    ------
    ValueError
        For a wrong shape, negative, infinite or missing weights, or none above 0.
    """
    if sample_weight is None:
        return None
    columns = {str(name): name for name in getattr(sample_weight, "columns", ())}
    if len(names) and columns.keys() == set(names):
        sample_weight = sample_weight[[columns[name] for name in names]]
    try:
        weight = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold numbers: {error}") from error
    if weight.shape not in {shape[:1], shape}:
        allowed = f"{shape[:1]}" + (f" or {shape}" if shape[1] > 1 else "")
        raise ValueError(
            f"sample_weight has shape {weight.shape}, expected {allowed}. Sample "
            "weights must be 1D array or scalar, or one column for each task."
        )
    for found, what in (
        (~np.isfinite(weight), "NaN or infinity"),
        (weight < 0, "a negative weight"),
    ):
        if found.any():
            row = int(np.argwhere(found)[0, 0])
            raise ValueError(
                f"sample_weight holds {what} in row {row}. Weights must be finite "
                "and at least 0."
            )
    if not (weight > 0).any():
        raise ValueError(
            "sample_weight is zero for all rows: no samples left. Give at least one "
            "row a positive weight."
        )
    return weight.reshape(shape[0], -1)


def check_row_weight(
    sample_weight: Any, n_samples: int
) -> npt.NDArray[np.float64] | None:
    """Check weights of rows; as `check_sample_weight`, of shape (n_samples,)."""
    weight = check_sample_weight(sample_weight, (n_samples, 1))
    return None if weight is None else weight.ravel()
