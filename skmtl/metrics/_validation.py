"""Scores, weights and groups become arrays that fit the labels."""

import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning

from skmtl._containers import to_native
from skmtl.metrics._labels import Labels, as_float_table, column_names, native


def check_scores(
    score: object, labels: Labels, *, probability: bool = False
) -> np.ndarray:
    """Finite scores, ``(n_samples,)`` for every task or ``(n_samples, n_tasks)``.

    The list of ``(n_samples, 2)`` arrays that ``predict_proba`` returns is taken too.
    """
    what = "proba" if probability else "score"
    if isinstance(score, list | tuple) and len(score) and np.ndim(score[0]) == 2:
        score = positive_columns(score, what)
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


def positive_columns(proba: Sequence[Any], what: str) -> np.ndarray:
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


def named_values(values: Any) -> Any:
    """A Series as a mapping by its index, unless the index only counts; else as given.

    A mapping gets strings as keys.
    """
    if isinstance(values, pd.Series) and not (
        isinstance(values.index, pd.RangeIndex) and values.index.start == 0
    ):
        repeated = values.index[values.index.duplicated()]
        if len(repeated):
            raise ValueError(
                f"The index of a Series of values by task repeats {repeated[0]!r}."
            )
        values = values.to_dict()
    if isinstance(values, Mapping):
        return {str(name): value for name, value in values.items()}
    return values


def as_numbers(values: Any, what: str) -> np.ndarray:
    """Values as float64; an error names what they are."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{what} must be numbers; got {values!r} ({error})."
        ) from error


def column_of(score: np.ndarray, task: int) -> np.ndarray:
    return score if score.ndim == 1 else score[:, task]


def check_count(value: object, name: str, least: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}; got {value!r}."
        )


def check_length(values: Any, n: int, name: str) -> np.ndarray:
    """Values of any kind, one for each row."""
    array = np.asarray(to_native(values, name))
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},) like y; got {array.shape}.")
    return array


def check_weight(sample_weight: object, n: int) -> np.ndarray | None:
    """Weights ``(n_samples,)``: finite, not negative, not all zero.

    They are scaled by a power of two, which is exact, to a maximum between 1/2 and 1,
    so that neither sums nor products of them overflow or vanish.
    """
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
    scaled: np.ndarray = np.ldexp(weight, -np.frexp(weight.max())[1])
    return scaled


def check_groups(groups: object, n: int) -> np.ndarray:
    """Integer codes of the group ids, in the order of the ids where they are integers.

    Returned codes start at 0; integers that span few bits are only shifted.
    """
    if groups is None:
        raise ValueError(
            "groups is missing: pass the group id (for example the user) of each row."
        )
    ids = check_length(groups, n, "groups")
    if ids.dtype.kind in "biu":
        low, high = int(ids.min()), int(ids.max())
        if high - low < 2**31:
            wide = np.int64 if ids.dtype.kind == "i" else np.uint64
            small = np.empty(n, dtype=np.uint32)
            return np.subtract(ids, wide(low), out=small, dtype=wide, casting="unsafe")
    codes, _ = pd.factorize(native(ids))
    if (codes < 0).any():
        row = int((codes < 0).argmax())
        raise ValueError(
            f"groups has a missing id at row {row}; give these rows an id of their own "
            "or leave them out."
        )
    return codes.astype(np.uint32)


def warn_undefined(metric: str, values: np.ndarray, names: list[str], why: str) -> None:
    undefined = [n for n, v in zip(names, values, strict=True) if np.isnan(v)]
    if undefined:
        listed = ", ".join(repr(name) for name in undefined)
        tasks = "task" if len(undefined) == 1 else "tasks"
        warnings.warn(
            f"{metric} is undefined for {tasks} {listed} and set to NaN: {why}.",
            UndefinedMetricWarning,
            stacklevel=4,
        )
