"""The container of predictions with a column for each task."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd


class TaskOutputMixin:
    """Estimators whose predictions of all tasks are arrays or DataFrames."""

    _sklearn_output_config: dict[str, str]

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the container that `predict_task` and `predict_task_proba` return.

        Parameters
        ----------
        transform : {"default", "pandas"} or None, default=None
            "pandas" for a DataFrame, "default" for an array, None for no change.

        Returns
        -------
        self : estimator
            The estimator.
        """
        if transform not in ("default", "pandas", None):
            raise ValueError(
                f"transform must be 'default', 'pandas' or None, found {transform!r}."
            )
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}
        return self

    def _in_container(
        self, values: npt.NDArray[np.float64], columns: Sequence[Hashable], X: object
    ) -> Any:
        """The array, or a DataFrame with the index of the table of its rows."""
        if getattr(self, "_sklearn_output_config", {}).get("transform") != "pandas":
            return values
        index = X.index if isinstance(X, pd.DataFrame) else None
        return pd.DataFrame(values, columns=pd.Index(list(columns)), index=index)
