"""Scores, weights and groups become arrays that fit the labels."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from skmtl.metrics._labels import Labels
from skmtl.metrics._tables import as_float_table, column_names


def check_scores(
    score: Any, labels: Labels, *, probability: bool = False
) -> np.ndarray:
    """Finite scores, ``(n_samples,)`` for every task or ``(n_samples, n_tasks)``.

    The list of ``(n_samples, 2)`` arrays that ``predict_proba`` returns is taken too.
    """
    what = "proba" if probability else "score"
    if isinstance(score, list | tuple) and len(score) and np.ndim(score[0]) == 2:
        score = _positive_columns(score, what)
    array = as_float_table(score, what)
    if len(array) != len(labels):
        raise ValueError(f"{what} has {len(array)} rows, but y has {len(labels)}.")
    if array.ndim == 2:
        array = _match_tasks(array, column_names(score), labels, what)
    elif probability and labels.n_tasks > 1:
        raise ValueError(
            f"proba must have a column for each of the {labels.n_tasks} tasks "
            f"{labels.names}; got shape {array.shape}."
        )
    _check_values(array, labels, what, probability)
    return array


def _positive_columns(proba: Sequence[Any], what: str) -> np.ndarray:
    for task, columns in enumerate(proba):
        if np.ndim(columns) != 2 or np.shape(columns)[1] != 2:
            raise ValueError(
                f"A list of {what} must hold an array (n_samples, 2) for each task; "
                f"entry {task} has shape {np.shape(columns)}."
            )
    return np.column_stack([np.asarray(columns)[:, 1] for columns in proba])


def _match_tasks(
    array: np.ndarray, names: list[str] | None, labels: Labels, what: str
) -> np.ndarray:
    if array.shape[1] != labels.n_tasks:
        hint = (
            " For a 1-D y pass the probability of the positive class, "
            "predict_proba(X)[:, 1]."
            if labels.one_dimensional
            else ""
        )
        raise ValueError(
            f"{what} has shape {array.shape}, but y has {labels.n_tasks} task(s) "
            f"{labels.names}.{hint}"
        )
    if names is None or names == labels.names:
        return array
    default = [str(i) for i in range(labels.n_tasks)]
    if default in (names, labels.names) or labels.n_tasks == 1:
        return array
    if sorted(names) != sorted(labels.names):
        raise ValueError(
            f"The columns of {what} are {names}, but the tasks of y are {labels.names}."
        )
    return array[:, [names.index(name) for name in labels.names]]


def _check_values(
    array: np.ndarray, labels: Labels, what: str, probability: bool
) -> None:
    if array.dtype.kind != "f" and not probability:
        return
    table = array[:, None] if array.ndim == 1 else array
    for task in range(table.shape[1]):
        column = table[:, task]
        low, high = column.min(), column.max()  # NaN if any value is
        if (low >= 0 and high <= 1) if probability else np.isfinite([low, high]).all():
            continue
        bad = ~((column >= 0) & (column <= 1)) if probability else ~np.isfinite(column)
        row = int(bad.argmax())
        names = labels.names if array.ndim == 1 else [labels.names[task]]
        of = "task" if len(names) == 1 else "tasks"
        listed = ", ".join(repr(name) for name in names)
        wanted = "lie between 0 and 1" if probability else "be finite"
        raise ValueError(
            f"The {what} of {of} {listed} must {wanted}; found {column[row]} at row "
            f"{row} ({int(bad.sum())} such row(s))."
        )


def column_of(score: np.ndarray, task: int) -> np.ndarray:
    return score if score.ndim == 1 else score[:, task]


def check_count(value: Any, name: str, least: int) -> None:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}; got {value!r}."
        )


def check_weight(sample_weight: Any, n: int) -> np.ndarray | None:
    """Weights ``(n_samples,)``: finite, not negative, not all zero."""
    if sample_weight is None:
        return None
    weight = as_float_table(sample_weight, "sample_weight").astype(np.float64)
    if weight.shape != (n,):
        raise ValueError(
            f"sample_weight must have shape ({n},) like y; got {weight.shape}."
        )
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"sample_weight must be finite and not negative; found {weight[row]} at "
            f"row {row}."
        )
    if not weight.any():
        raise ValueError("sample_weight is zero in every row.")
    return weight


def check_groups(groups: Any, n: int) -> np.ndarray:
    """Integer codes of the group ids, in the order of the ids where they are integers.

    Returned codes start at 0; integers that span few bits are only shifted.
    """
    if groups is None:
        raise ValueError(
            "groups is missing: pass the group id (for example the user) of each row."
        )
    ids = groups.to_numpy() if hasattr(groups, "to_numpy") else np.asarray(groups)
    if ids.shape != (n,):
        raise ValueError(f"groups must have shape ({n},) like y; got {ids.shape}.")
    if ids.dtype.kind in "biu":
        low, high = int(ids.min()), int(ids.max())
        if high - low < 2**31:
            wide = np.int64 if ids.dtype.kind == "i" else np.uint64
            small = np.empty(n, dtype=np.uint32)
            return np.subtract(ids, wide(low), out=small, dtype=wide, casting="unsafe")
    codes, _ = pd.factorize(ids)
    if (codes < 0).any():
        row = int((codes < 0).argmax())
        raise ValueError(
            f"groups has a missing id at row {row}; give these rows an id of their own "
            "or leave them out."
        )
    return codes.astype(np.uint32)
