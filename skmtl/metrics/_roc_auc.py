"""ROC AUC of each task."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skmtl.metrics._labels import Labels, check_labels, require_positive
from skmtl.metrics._pairs import prepare_pair_counts
from skmtl.metrics._validation import check_scores, check_weight
from skmtl.metrics._warnings import warn_undefined


def roc_auc(y: Any, score: Any, *, sample_weight: Any = None) -> Any:
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
    labels: Labels, *, sample_weight: Any = None
) -> Callable[[Any], np.ndarray]:
    """A function from scores to the areas ``(n_tasks,)`` of checked labels."""
    weight = check_weight(sample_weight, len(labels))
    count = prepare_pair_counts(labels, weight=weight)

    def values(score: Any) -> np.ndarray:
        area = count(check_scores(score, labels)).auc()[0]
        why = "it needs a positive and a negative label"
        warn_undefined("roc_auc", area, labels.names, why)
        return area

    return values
