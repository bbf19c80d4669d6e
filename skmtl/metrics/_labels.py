"""Tables and labels of callers become arrays, checked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from skmtl.metrics._order_keys import chunks


def column_names(table: Any) -> list[str] | None:
    """Column names of a DataFrame or the name of a Series, else None."""
    # The `columns` of a pyarrow table are its data.
    columns = getattr(table, "column_names", getattr(table, "columns", None))
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


def native(array: np.ndarray) -> np.ndarray:
    """The values in the byte order of this machine, which sorting by bits needs."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


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
        array = native(array)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{what} must be numeric; converting it failed with: {error}"
        ) from error
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{what} must have shape (n_samples,) or (n_samples, n_tasks); "
            f"got {array.shape}."
        )
    return array


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
    for rows in chunks(n):
        block = table[rows]
        one = block == 1
        positive[:, rows] = one.T
        known = one | (block == 0)
        if known.all():
            continue
        if not (known | np.isnan(block)).all():
            _raise_bad_label(table, names)
        if observed is None:
            observed = np.ones((n_tasks, n), dtype=bool)
        observed[:, rows] = known.T
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
