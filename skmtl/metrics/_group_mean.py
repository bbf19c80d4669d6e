"""Means over groups, with what they cover."""

from typing import Any, NamedTuple

import numpy as np

GROUP_WEIGHTS = ("impressions", "clicks", "equal")


class Coverage(NamedTuple):
    """Share of the data behind a mean over groups.

    Parameters
    ----------
    groups : float or ndarray of shape (n_tasks,)
        Share of the groups with an observed label that enter the mean.
    impressions : float or ndarray of shape (n_tasks,)
        Share of the rows with an observed label that lie in these groups.

    Examples
    --------
    >>> from skmtl.metrics import group_roc_auc
    >>> _, coverage = group_roc_auc(
    ...     [1, 0, 0], [0.9, 0.1, 0.3], ["a", "a", "b"], return_coverage=True
    ... )
    >>> coverage.groups
    0.5
    """

    groups: Any
    impressions: Any


def check_group_weights(weights: object) -> None:
    if weights not in GROUP_WEIGHTS:
        raise ValueError(
            f"weights must be one of {list(GROUP_WEIGHTS)}; got {weights!r}."
        )


def group_mean(
    values: np.ndarray,
    impressions: np.ndarray,
    clicks: np.ndarray,
    weights: str,
) -> tuple[np.ndarray, Coverage]:
    """Mean over the groups whose value is not NaN; arrays ``(n_groups, n_tasks)``."""
    used = ~np.isnan(values)
    if weights == "equal":
        weight = used.astype(np.float64)
    else:
        weight = np.where(used, impressions if weights == "impressions" else clicks, 0)
    total = weight.sum(axis=0, dtype=np.float64)
    weighted = (weight * np.where(used, values, 0.0)).sum(axis=0)
    mean = np.full(values.shape[1], np.nan)
    np.divide(weighted, total, out=mean, where=total > 0)
    coverage = Coverage(
        used.sum(axis=0) / np.maximum((impressions > 0).sum(axis=0), 1),
        np.where(used, impressions, 0).sum(axis=0)
        / np.maximum(impressions.sum(axis=0), np.finfo(float).tiny),
    )
    return mean, coverage
