"""The border of the metrics: labels, scores, groups and weights become arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

CHUNK = 1 << 17  # rows; the temporaries of a chunk stay in the processor's cache


@dataclass(frozen=True)
class Labels:
    """Checked labels of some tasks.

    Shape
    -----
    positive : ``(n_tasks, n_samples)``, bool
    observed : ``(n_tasks, n_samples)``, bool; None if every label is observed
    """

    positive: np.ndarray
    observed: np.ndarray | None
    names: list[str]
    one_dimensional: bool = False

    def __len__(self) -> int:
        return self.positive.shape[1]

    @property
    def n_tasks(self) -> int:
        return len(self.positive)

    def negative(self, task: int) -> np.ndarray:
        negative = ~self.positive[task]
        return negative if self.observed is None else negative & self.observed[task]

    def rows(self, task: int) -> np.ndarray | slice:
        """Index of the rows with a label."""
        return slice(None) if self.observed is None else self.observed[task]

    def all_observed(self, tasks: np.ndarray) -> np.ndarray | slice:
        """Index of the rows with a label for each of the tasks of a mask."""
        if self.observed is None:
            return slice(None)
        rows: np.ndarray = self.observed[tasks].all(axis=0)
        return rows

    def index(self, name: str) -> int:
        if name not in self.names:
            raise ValueError(
                f"Unknown task {name!r}. The known tasks are {self.names}."
            )
        return self.names.index(name)

    def select(self, names: Sequence[str]) -> "Labels":
        tasks = [self.index(name) for name in names]
        observed = None if self.observed is None else self.observed[tasks]
        return replace(
            self, positive=self.positive[tasks], observed=observed, names=list(names)
        )

    def output(self, values: Sequence[float] | np.ndarray) -> Any:
        """A float for 1-D labels, an array ``(n_tasks,)`` for a table of labels."""
        return float(values[0]) if self.one_dimensional else np.asarray(values)


def column_names(table: Any) -> list[str] | None:
    """Column names of a DataFrame or the name of a Series, else None."""
    columns = getattr(table, "columns", None)
    if columns is not None:
        names = [str(c) for c in columns]
    elif getattr(table, "name", None) is not None and np.ndim(table) == 1:
        names = [str(table.name)]
    else:
        return None
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise ValueError(f"Column names must differ; {repeated} appear more than once.")
    return names


def as_float_table(values: Any, what: str) -> np.ndarray:
    """Numeric array of 1 or 2 dimensions; missing values become NaN."""
    try:
        if isinstance(values, pd.DataFrame | pd.Series):
            dtypes = getattr(values, "dtypes", None)
            kinds = np.atleast_1d(np.asarray(dtypes, dtype=object))
            plain = all(isinstance(d, np.dtype) and d.kind in "biuf" for d in kinds)
            array = (
                values.to_numpy()
                if plain
                else values.to_numpy(dtype=np.float64, na_value=np.nan)
            )
        else:
            array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} must be numeric; converting it failed with: {error}"
        ) from error
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{what} must have shape (n_samples,) or (n_samples, n_tasks); "
            f"got {array.shape}."
        )
    return array


def check_labels(y: Any, names: Sequence[str] | None = None) -> Labels:
    """Labels of 0, 1 and NaN, with the names of their tasks."""
    if isinstance(y, Labels):
        return y
    array = as_float_table(y, "y")
    table = array[:, None] if array.ndim == 1 else array
    if not table.size:
        raise ValueError(f"y is empty: its shape is {array.shape}.")
    found = column_names(y) or [str(i) for i in range(table.shape[1])]
    positive, observed = _read_labels(table, found)
    labels = Labels(positive, observed, found, array.ndim == 1)
    if names is None:
        return labels
    return _with_names(labels, list(names), named=column_names(y) is not None)


def _read_labels(
    table: np.ndarray, names: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    n, n_tasks = table.shape
    positive = np.empty((n_tasks, n), dtype=bool)
    observed = None
    for start in range(0, n, CHUNK):
        rows = slice(start, min(start + CHUNK, n))
        block = table[rows].T
        one = np.equal(block, 1, out=positive[:, rows])
        known = one | (block == 0)
        if known.all():
            continue
        if not (known | np.isnan(block)).all():
            _raise_bad_label(table, names)
        if observed is None:
            observed = np.ones((n_tasks, n), dtype=bool)
        observed[:, rows] = known
    return positive, observed


def _raise_bad_label(table: np.ndarray, names: list[str]) -> None:
    for name, column in zip(names, table.T, strict=True):
        bad = (column != 0) & (column != 1) & ~np.isnan(column)
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(
                f"The labels of task {name!r} must be 0, 1 or NaN; found "
                f"{column[row]} at row {row} ({int(bad.sum())} such row(s))."
            )


def _with_names(labels: Labels, names: list[str], named: bool) -> Labels:
    """The labels under the given names; columns that carry them are reordered."""
    if len(names) != labels.n_tasks:
        raise ValueError(
            f"y has {labels.n_tasks} column(s) {labels.names}, but there are "
            f"{len(names)} task(s) {names}."
        )
    if named and sorted(labels.names) == sorted(names):
        return labels if labels.names == names else labels.select(names)
    return replace(labels, names=names)


def require_positive(labels: Labels) -> None:
    if not labels.positive.any():
        raise ValueError(
            f"No task has a positive label: tasks {labels.names}, {len(labels)} rows. "
            "A ranking metric needs at least one label 1; check that y holds labels "
            "of 1, 0 and NaN."
        )


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
            wide = ids.astype(np.uint8) if ids.dtype.kind == "b" else ids
            if low == 0 and wide.dtype.itemsize <= 8:
                return wide.astype(np.uint32)
            return (wide - wide.dtype.type(low)).astype(np.uint32)
    codes, _ = pd.factorize(ids)
    if (codes < 0).any():
        row = int((codes < 0).argmax())
        raise ValueError(
            f"groups has a missing id at row {row}; give these rows an id of their own "
            "or leave them out."
        )
    return codes.astype(np.uint32)
