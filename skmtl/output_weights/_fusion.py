"""Fuse a table of probabilities into one ranking score."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from skmtl._messages import did_you_mean, shown
from skmtl.metrics._gains import term_name
from skmtl.metrics._validation import (
    as_float_table,
    as_numbers,
    column_names,
    named_values,
    positive_columns,
)
from skmtl.output_weights._terms import Terms, read_terms

# A sum of weights beyond these overflows in a fused score, whose logits reach 709, or
# leaves no digits for the probabilities.
LARGEST, SMALLEST = 1e300, 1e-290
METHODS = ("sum", "product", "rank", "logit")


def fuse(proba: object, weights: object, method: str = "sum") -> np.ndarray:
    """Fuse the probabilities of several tasks into one ranking score.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_tasks), or list of (n_samples, 2) arrays
        Probability of a positive label for every task, as a table or as the list that
        ``predict_proba`` of a multioutput classifier returns. Or the expected labels
        that ``predict_task`` returns.
    weights : array-like of shape (n_tasks,), or mapping from task to weight
        Output weights: finite, at least 0, not all 0; only their ratios matter for a
        ranking. A mapping, or a Series with the tasks as index, is matched to the
        columns of a DataFrame, else to ``"0"``, ``"1"``, …; tasks that it leaves out
        weigh 0. A key of a mapping may also be a tuple of tasks, whose columns are
        multiplied: ``{"click": 0.1, ("order", "revenue"): 1}`` adds the expected
        revenue of an impression, where the revenue is that of an order.
    method : {"sum", "product", "rank", "logit"}, default="sum"
        "sum" is ``Σ w p``; "product" is ``Σ w log p``, which ranks as the product of
        the powers ``p^w``; "rank" is ``Σ w r`` with ``r`` the rank of a row in its
        column over the number of rows (ties share their mean rank); "logit" is
        ``Σ w log(p / (1 − p))``.

    Returns
    -------
    ndarray of shape (n_samples,), dtype float64
        The ranking score; higher first.

    Raises
    ------
    ValueError
        If weights are negative, not finite, all zero, beyond what float64 sums can
        hold, or not one for each task, or if predictions are not finite, or below 0 for
        "product", or outside [0, 1] for "logit".

    See Also
    --------
    OutputWeightSearchCV : Find the weights.
    FixedOutputWeights : An estimator that ranks by given weights.

    Notes
    -----
    The sum runs from the first task to the last in float64 and leaves out tasks of
    weight 0. Where a logarithm is taken, probabilities of 0 and 1 count as the smallest
    normal float and the largest float below 1. "rank" compares the rows that are passed
    together, so the score of a row depends on the others.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmtl.output_weights import fuse
    >>> proba = [[0.5, 0.1], [0.25, 0.3], [0.125, 0.2]]
    >>> fuse(proba, [0.5, 1.0])
    array([0.35  , 0.425 , 0.2625])
    >>> fuse(proba, {"0": 1, "1": 2}, method="rank").round(2)
    array([1.67, 2.67, 1.67])

    The probability of an order times its expected revenue:

    >>> values = pd.DataFrame({"order": [0.1, 0.02], "revenue": [10.0, 80.0]})
    >>> fuse(values, {("order", "revenue"): 1}).round(3)
    array([1. , 1.6])
    """
    table, names = as_table(proba)
    return fuse_columns(table, names, weights, method)


def fuse_columns(
    table: np.ndarray, names: Sequence[str], weights: object, method: str
) -> np.ndarray:
    """Fuse columns, and the products of columns that a mapping of weights names."""
    terms, found = weighted_terms(weights, names)
    return weighted_sum(transformed(terms.of(table), method, terms.names), found)


def weighted_terms(weights: object, names: Sequence[str]) -> tuple[Terms, np.ndarray]:
    """Return the terms that weights multiply, and their weights ``(n_terms,)``."""
    weights = named_values(weights)
    terms = read_terms(names, names, "columns")
    if isinstance(weights, Mapping):
        # Only what is named: others, such as a revenue, may not suit the method.
        read_terms(weights, names, "weights")
        products = [key for key in weights if isinstance(key, tuple)]
        chosen = [name for name in names if name in weights] + products
        terms = read_terms(chosen or names, names, "weights")
        weights = {term_name(key): weight for key, weight in weights.items()}
    return terms, check_weights(weights, terms.names)


def as_table(proba: object) -> tuple[np.ndarray, list[str]]:
    """Read probabilities ``(n_samples, n_tasks)`` and the names of the tasks."""
    names = column_names(proba)
    if isinstance(proba, list | tuple) and len(proba) and np.ndim(proba[0]) == 2:
        proba = positive_columns(proba, "proba")
    table = as_float_table(proba, "proba").astype(np.float64, copy=False)
    if table.ndim == 1:
        table = table[:, None]
    return table, names or default_names(table.shape[1])


def default_names(n_tasks: int) -> list[str]:
    return [str(task) for task in range(n_tasks)]


def check_weights(weights: object, names: Sequence[str]) -> np.ndarray:
    """Check the weights, and return one for each task."""
    weights = named_values(weights)
    if isinstance(weights, Mapping):
        unknown = [name for name in weights if name not in names]
        if unknown:
            raise ValueError(
                f"weights name the unknown task {shown(unknown[0])}; the tasks are "
                f"{list(names)}.{did_you_mean(unknown[0], names)}"
            )
        weights = [weights.get(name, 0.0) for name in names]
    array = as_numbers(weights, "weights")
    if array.shape != (len(names),):
        raise ValueError(
            f"weights must give one number for each of the {len(names)} task(s) "
            f"{list(names)}; got shape {array.shape}."
        )
    check_values(array[None], names)
    if not array.any():
        raise ValueError(
            "weights are all zero, so nothing would be ranked. Give at least one task "
            "a weight above 0."
        )
    return array


def check_values(points: np.ndarray, names: Sequence[str]) -> None:
    """Check that weights are finite, not negative and of a size that sums can hold.

    The error names the task and the point.
    """
    bad = ~(np.isfinite(points) & (points >= 0))
    if bad.any():
        point, task = np.argwhere(bad)[0]
        where = f" (point {point})" if len(points) > 1 else ""
        raise ValueError(
            f"The weight of task {names[task]!r} is {points[point, task]}{where}. "
            "Output weights must be finite and at least 0."
        )
    # An infinite sum is found below, with an error that says what to do.
    with np.errstate(over="ignore"):
        total = points.sum(axis=1)
    far = (total > LARGEST) | ((total > 0) & (total < SMALLEST))
    if far.any():
        point = int(far.argmax())
        where = f" (point {point})" if len(points) > 1 else ""
        raise ValueError(
            f"weights={points[point].tolist()}{where} are too "
            f"{'large' if total[point] > 1 else 'small'} for float64 sums. Only the "
            "ratios of output weights matter for a ranking: scale them so that the "
            "largest is about 1."
        )


def check_method(method: object) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {list(METHODS)}; got {shown(method)}.")


def transformed(table: np.ndarray, method: str, names: Sequence[str]) -> np.ndarray:
    """Return what the weights multiply, ``(n_tasks, n_samples)``, rows contiguous."""
    check_method(method)
    bad = ~np.isfinite(table)
    wanted = "be finite"
    if method == "product":
        bad |= table < 0
        wanted = "be finite and at least 0"
    elif method == "logit":
        bad |= (table < 0) | (table > 1)
        wanted = "lie between 0 and 1"
    if bad.any():
        row, task = np.argwhere(bad)[0]
        raise ValueError(
            f"The prediction of task {names[task]!r} must {wanted} for "
            f"method={shown(method)}; found {table[row, task]} at row {row}."
        )
    # Each task in one stretch of memory, which `weighted_sum` reads from end to end.
    columns = np.array(table.T, dtype=np.float64, order="C")
    if method == "rank":
        return rankdata(columns, axis=1) / max(columns.shape[1], 1)
    if method in ("product", "logit"):
        limits = np.finfo(np.float64).tiny, np.nextafter(1.0, 0.0)
        if method == "product":
            return np.log(np.maximum(columns, limits[0]))
        columns = columns.clip(*limits)
        # `log1p` keeps the digits of small probabilities.
        return np.log(columns) - np.log1p(-columns)
    return columns


def weighted_sum(
    columns: np.ndarray,
    weights: np.ndarray,
    out: np.ndarray | None = None,
    part: np.ndarray | None = None,
) -> np.ndarray:
    """Sum from the first task to the last, with the same rounding in every row.

    A matrix product may round rows of equal values differently, which breaks ties.
    """
    used = np.flatnonzero(weights)
    out = np.multiply(columns[used[0]], weights[used[0]], out=out)
    for task in used[1:]:
        part = np.multiply(columns[task], weights[task], out=part)
        out += part
    return out
