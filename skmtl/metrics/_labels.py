"""The labels of some tasks, checked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skmtl.metrics._tables import as_float_table, chunks, column_names


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
