"""Means over groups and their coverage, and the mean ROC AUC within groups."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from skmtl._messages import shown
from skmtl._typing import FloatArray
from skmtl.metrics._roc_auc import prepare_areas
from skmtl.metrics._validation import (
    Labels,
    check_groups,
    check_labels,
    check_scores,
    check_weight,
    require_positive,
    warn_undefined,
)

GROUP_WEIGHTS = ("impressions", "clicks", "equal")


# Of one task, or of all.
Value = TypeVar("Value", float, np.ndarray, float | FloatArray)


class Coverage(NamedTuple, Generic[Value]):
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

    groups: Value
    impressions: Value


def check_group_weights(weights: object) -> None:
    if weights not in GROUP_WEIGHTS:
        raise ValueError(
            f"weights must be one of {list(GROUP_WEIGHTS)}; got {shown(weights)}."
        )


def group_mean(
    values: np.ndarray,
    impressions: np.ndarray,
    clicks: np.ndarray,
    weights: str,
) -> tuple[np.ndarray, Coverage[np.ndarray]]:
    """Mean over the groups whose value is not NaN; arrays ``(n_groups, n_tasks)``."""
    used = ~np.isnan(values)
    if weights == "equal":
        weight = used.astype(np.float64)
    else:
        weight = np.where(used, impressions if weights == "impressions" else clicks, 0)
    total = weight.sum(axis=0, dtype=np.float64)
    # NaN would stay NaN with a weight of 0.
    weighted = (weight * np.where(used, values, 0.0)).sum(axis=0)
    mean = np.full(values.shape[1], np.nan)
    np.divide(weighted, total, out=mean, where=total > 0)
    # The lower limits are for tasks without an observed label.
    coverage = Coverage(
        used.sum(axis=0) / np.maximum((impressions > 0).sum(axis=0), 1),
        np.where(used, impressions, 0).sum(axis=0)
        / np.maximum(impressions.sum(axis=0), np.finfo(float).tiny),
    )
    return mean, coverage


def group_roc_auc(
    y: object,
    score: object,
    groups: object,
    *,
    weights: str = "impressions",
    sample_weight: object = None,
    return_coverage: bool = False,
) -> Any:
    """ROC AUC within each group, averaged over the groups: GAUC.

    A group is what a ranking is made for, most often a user or a request. Groups with
    labels of only one class have no area; they are left out of the mean, for each task
    separately.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels: 1, 0, or NaN for not observed.
    score : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
        Scores, as in :func:`roc_auc`.
    groups : array-like of shape (n_samples,)
        Group id of each row: integers or strings, in any order.
    weights : {"impressions", "clicks", "equal"}, default="impressions"
        Weight of a group in the mean: its rows with a label, its positive labels of
        the task, or 1.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, within a group and in its weight by impressions or clicks.
    return_coverage : bool, default=False
        Also return the share of groups and of rows that the mean covers.

    Returns
    -------
    gauc : float or ndarray of shape (n_tasks,)
        The weighted mean area; a float if `y` is 1-D. NaN, with a warning, for a task
        without any group of two classes.
    coverage : Coverage
        Shares of groups and of impressions (rows, or their `sample_weight`) that enter
        the mean, each a float or ``(n_tasks,)``. Only if `return_coverage`.

    Raises
    ------
    ValueError
        If groups are missing or not one for each row, `weights` is unknown, or as in
        :func:`roc_auc`.

    See Also
    --------
    roc_auc : The area over all rows.
    ndcg : Rank quality that looks at the top.

    References
    ----------
    .. [1] G. Zhou et al. Deep interest network for click-through rate prediction.
           KDD 2018, section 5.1, equation 11.

    Examples
    --------
    >>> from skmtl.metrics import group_roc_auc
    >>> users = ["ann", "ann", "ann", "bob", "bob", "eve"]
    >>> clicks = [1, 0, 0, 0, 1, 0]
    >>> group_roc_auc(clicks, [0.8, 0.1, 0.3, 0.6, 0.2, 0.5], users)
    0.6
    >>> group_roc_auc(clicks, [0.8, 0.1, 0.3, 0.6, 0.2, 0.5], users, weights="equal")
    0.5
    """
    labels = check_labels(y)
    require_positive(labels)
    values = prepare_group_roc_auc(
        labels, groups, weights=weights, sample_weight=sample_weight
    )
    gauc, coverage = values(score)
    if not return_coverage:
        return labels.output(gauc)
    return labels.output(gauc), Coverage(*(labels.output(share) for share in coverage))


def prepare_group_roc_auc(
    labels: Labels,
    groups: object,
    *,
    weights: str = "impressions",
    sample_weight: object = None,
) -> Callable[[object], tuple[np.ndarray, Coverage[np.ndarray]]]:
    """Return a function from scores to GAUC ``(n_tasks,)`` and coverage."""
    check_group_weights(weights)
    codes = check_groups(groups, len(labels))
    areas = prepare_areas(labels, codes, check_weight(sample_weight, len(labels)))

    def values(score: object) -> tuple[np.ndarray, Coverage[np.ndarray]]:
        positives, negatives, auc = areas(check_scores(score, labels))
        gauc, coverage = group_mean(auc, positives + negatives, positives, weights)
        why = "no group has both a positive and a negative label"
        warn_undefined("group_roc_auc", gauc, labels.names, why)
        return gauc, coverage

    return values
