"""ROC AUC of each task, over all rows and within groups."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skmtl.metrics._group_mean import Coverage, check_group_weights, group_mean
from skmtl.metrics._labels import Labels, check_labels, require_positive
from skmtl.metrics._pairs import prepare_areas
from skmtl.metrics._validation import (
    check_groups,
    check_scores,
    check_weight,
    warn_undefined,
)


def roc_auc(y: object, score: object, *, sample_weight: object = None) -> Any:
    """Exact area under the ROC curve of each task.

    The probability that a positive row has a higher score than a negative row; a tie
    counts half. Rows whose label is NaN are left out, for each task on its own.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels: 1, 0, or NaN for not observed. Column names of a DataFrame are the
        names of the tasks.
    score : array-like of shape (n_samples,) or (n_samples, n_tasks), or list
        Scores, higher for rows more likely to be positive. One score ``(n_samples,)``
        is judged against every task in one pass. The list of ``(n_samples, 2)`` arrays
        that ``predict_proba`` returns is taken too.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows. A pair of rows counts with the product of its weights.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        The area; a float if `y` is 1-D. NaN, with a warning, for a task of one class.

    Raises
    ------
    ValueError
        If no task has a positive label, a label is not 0, 1 or NaN, a score is not
        finite, or shapes or names of tasks differ.

    See Also
    --------
    group_roc_auc : The same within each user.
    task_report : All metrics in one table, with intervals.

    Notes
    -----
    The counts of pairs are whole numbers, so the value has no rounding error before
    its last division. With `sample_weight` they are sums of floats.

    References
    ----------
    .. [1] J. A. Hanley and B. J. McNeil. The meaning and use of the area under a
           receiver operating characteristic (ROC) curve. Radiology 143(1), 1982.

    Examples
    --------
    >>> from skmtl.metrics import roc_auc
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    >>> y = [[1, 0], [1, 1], [0, 0], [0, float("nan")]]
    >>> roc_auc(y, [0.9, 0.7, 0.2, 0.7])
    array([0.875, 0.5  ])
    """
    labels = check_labels(y)
    require_positive(labels)
    return labels.output(prepare_roc_auc(labels, sample_weight=sample_weight)(score))


def prepare_roc_auc(
    labels: Labels, *, sample_weight: object = None
) -> Callable[[object], np.ndarray]:
    """A function from scores to the areas ``(n_tasks,)`` of checked labels."""
    weight = check_weight(sample_weight, len(labels))
    areas = prepare_areas(labels, weight=weight)

    def values(score: object) -> np.ndarray:
        area: np.ndarray = areas(check_scores(score, labels)).auc[0]
        why = "it needs a positive and a negative label"
        warn_undefined("roc_auc", area, labels.names, why)
        return area

    return values


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

    A group is what a ranking is made for, most often a user or a request. Groups that
    have labels of one class only have no area; they are left out of the mean, for each
    task on its own.

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
) -> Callable[[object], tuple[np.ndarray, Coverage]]:
    """A function from scores to GAUC ``(n_tasks,)`` and coverage of checked labels."""
    check_group_weights(weights)
    codes = check_groups(groups, len(labels))
    areas = prepare_areas(labels, codes, check_weight(sample_weight, len(labels)))

    def values(score: object) -> tuple[np.ndarray, Coverage]:
        positives, negatives, auc = areas(check_scores(score, labels))
        gauc, coverage = group_mean(auc, positives + negatives, positives, weights)
        why = "no group has both a positive and a negative label"
        warn_undefined("group_roc_auc", gauc, labels.names, why)
        return gauc, coverage

    return values
