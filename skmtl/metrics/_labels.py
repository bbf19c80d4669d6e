"""Tables and labels of callers become arrays, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from skmtl._containers import to_native
from skmtl.metrics._order_keys import chunks
from skmtl.tasks import Targets, check_targets


def column_names(table: object) -> list[str] | None:
    """Column names of a table or the name of a Series, else None."""
    if isinstance(table, list) and table and isinstance(table[0], Mapping):
        table = to_native(table)
    # The `columns` of a pyarrow table are its data.
    columns = getattr(table, "column_names", getattr(table, "columns", None))
    if isinstance(table, Mapping):
        names = [str(name) for name in table]
    elif columns is not None:
        names = [str(c) for c in columns]
    elif (name := getattr(table, "name", None)) is not None and _is_column(table):
        names = [str(name)]
    else:
        return None
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise ValueError(f"Column names must differ; {repeated} appear more than once.")
    return names


def _is_column(values: Any) -> bool:
    return np.ndim(values) == 1


def native(array: np.ndarray) -> np.ndarray:
    """The values in the byte order of this machine, which sorting by bits needs."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def as_float_table(values: Any, what: str) -> np.ndarray:
    """Numeric array of 1 or 2 dimensions; missing values become NaN."""
    values = to_native(values, what)
    try:
        if isinstance(values, np.ma.MaskedArray):
            values = np.ma.filled(values.astype(np.float64), np.nan)
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


def check_labels(y: object, names: Sequence[str] | None = None) -> Labels:
    """Labels of 0, 1 and NaN, with the names of their tasks.

    Two other classes in one column are taken too, the greater one as positive.
    """
    if isinstance(y, Labels):
        return y
    y = _numbers_of_objects(to_native(y, "y"))
    found = column_names(y)
    labels = _zeros_and_ones(y, found)
    if labels is None:
        labels = labels_of(check_targets(y), one_dimensional=np.asarray(y).ndim == 1)
    if names is None:
        return labels
    return _with_names(labels, list(names), named=found is not None)


def _numbers_of_objects(y: Any) -> Any:
    """Columns of Python numbers as columns of floats; all else as given."""
    if not isinstance(y, pd.DataFrame | pd.Series):
        return y
    if not any(dtype.kind == "O" for dtype in pd.DataFrame(y).dtypes):
        return y
    try:
        return y.astype(np.float64)
    except (TypeError, ValueError):
        return y


def labels_of(targets: Targets, *, one_dimensional: bool) -> Labels:
    """The labels that the reader of `y` has found."""
    classes = targets.classes
    if not targets.multioutput and len(classes) == 1 and classes[0] not in (0, 1):
        raise ValueError(
            f"The labels of task {targets.names[0]!r} are all {classes[0]!r}. Which "
            "class that is cannot be known: give labels of 0, 1 or NaN, or of two "
            "classes."
        )
    observed = None if targets.observed.all() else targets.observed.T.copy()
    names = [str(name) for name in targets.names]
    return Labels(targets.labels.T == 1, observed, names, one_dimensional)


def _zeros_and_ones(y: object, names: list[str] | None) -> Labels | None:
    """Labels of a table of plain numbers, in blocks; None for any other.

    `check_targets` finds the same, more slowly and with more memory, and knows all
    other labels and what is wrong with them.
    """
    try:
        array = as_float_table(y, "y")
    except ValueError:
        return None
    table = array[:, None] if array.ndim == 1 else array
    n, n_tasks = table.shape
    if not table.size or isinstance(y, np.ma.MaskedArray):
        return None
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
            return None
        if observed is None:
            observed = np.ones((n_tasks, n), dtype=bool)
        observed[:, rows] = known.T
    names = names or [str(task) for task in range(n_tasks)]
    return Labels(positive, observed, names, array.ndim == 1)


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
