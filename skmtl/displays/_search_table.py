"""The candidates of a fitted search of output weights, as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from skmtl.metrics._gains import term_name


class SearchTable(NamedTuple):
    """The candidates of a search and their scores.

    Shape
    -----
    weights : ``(n_candidates, n_terms)``, of terms divided by their scales
    scores : metric to ``(n_candidates,)``
    """

    task_names: list[str]
    weights: npt.NDArray[np.float64]
    scores: dict[str, npt.NDArray[np.float64]]


def search_table(search: BaseEstimator) -> SearchTable:
    """Read `cv_results_`.

    Raises
    ------
    TypeError
        If it is not a fitted search of output weights.
    """
    if not (hasattr(search, "cv_results_") and hasattr(search, "task_names_")):
        raise TypeError(
            f"{type(search).__name__} has no results of a search of output weights. "
            "Pass a fitted OutputWeightSearchCV."
        )
    results, start = search.cv_results_, "mean_test_"
    terms = getattr(search, "terms_", search.task_names_)  # files of earlier versions
    names = [term_name(term) for term in terms]
    columns = [np.asarray(results[f"param_{name}"], dtype=float) for name in names]
    weights = np.column_stack(columns) * getattr(search, "scales_", 1.0)
    metrics = [key for key in results if key.startswith(start)]
    scores = {key.removeprefix(start): np.asarray(results[key]) for key in metrics}
    return SearchTable(names, weights, scores)
