"""A validation part that has every task's positives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def validation_rows(
    labels: npt.NDArray[np.float32],
    observed: npt.NDArray[np.bool_],
    fraction: float,
    rng: np.random.RandomState,
) -> npt.NDArray[np.bool_]:
    """Choose validation rows at random, the same share of every pattern of labels.

    Rows are sorted by the labels of all tasks, rarest task first and at random within
    a pattern, and taken at even distances. So a share of each pattern is taken, rare
    ones included, without a minimum of members.

    Returns
    -------
    ndarray of shape (n_samples,), dtype bool
        True for validation.
    """
    n = len(labels)
    n_valid = max(round(n * fraction), 1)
    if n_valid >= n:
        raise ValueError(
            f"validation_fraction={fraction} of {n} rows leaves none to train on. Give "
            "more rows, or turn early_stopping off."
        )
    rarest_first = np.argsort((labels * observed).sum(axis=0), kind="stable")
    keys: list[npt.NDArray[Any]] = [rng.permutation(n)]
    for task in rarest_first[::-1]:
        keys += [observed[:, task], labels[:, task]]
    order = np.lexsort(keys)
    at = ((np.arange(n_valid) + rng.uniform()) * n / n_valid).astype(int)
    chosen = np.zeros(n, dtype=bool)
    chosen[order[at]] = True
    return chosen
