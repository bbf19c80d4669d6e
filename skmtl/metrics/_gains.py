"""Labels as numbers, and gains of rows that come from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd

from skmtl._messages import shown
from skmtl._typing import AnyArray
from skmtl.metrics._validation import (
    Labels,
    as_numbers,
    check_labels,
    named_values,
)
from skmtl.tasks import (
    BinaryTask,
    RegressionTask,
    Targets,
    TaskKind,
    check_targets,
    task_names,
)

# A task, or several whose labels or predictions are multiplied.
Term: TypeAlias = str | tuple[str, ...]
Gains: TypeAlias = Mapping[Term, float] | Mapping[str, float] | Sequence[float] | None


def term_name(term: Term) -> str:
    """Name a term; the factors of a product are joined by asterisks."""
    return " * ".join(term) if isinstance(term, tuple) else term


@dataclass(frozen=True)
class Numbers:
    """Labels of tasks of several kinds, as numbers.

    Attributes
    ----------
    names : list of str
        Names of the tasks.
    kinds : list of TaskKind
        Their kinds.
    values : ndarray of shape (n_tasks, n_samples)
        Labels; grades of an ordinal task, NaN where not observed. Of a task without
        expected values, the numbers of its classes.
    """

    names: list[str]
    kinds: list[TaskKind]
    values: np.ndarray

    @classmethod
    def of(cls, targets: Targets) -> Numbers:
        columns = zip(targets.kinds, targets.labels.T, targets.observed.T, strict=True)
        values = [
            np.where(known, kind.numbers(own.astype(np.float64)), np.nan)
            for kind, own, known in columns
        ]
        names = [str(name) for name in targets.names]
        return cls(names, list(targets.kinds), np.array(values))

    def __len__(self) -> int:
        return self.values.shape[1]

    def take(self, rows: AnyArray) -> Numbers:
        return replace(self, values=self.values[:, rows])

    def index(self, name: str) -> int:
        if name not in self.names:
            raise ValueError(
                f"Unknown task {shown(name)}. The known tasks are {self.names}."
            )
        return self.names.index(name)

    @property
    def binary(self) -> Labels:
        """Labels of the binary tasks alone."""
        own = [t for t, kind in enumerate(self.kinds) if isinstance(kind, BinaryTask)]
        values = self.values[own]
        known = ~np.isnan(values)
        names = [self.names[t] for t in own]
        return Labels(values == 1, None if known.all() else known, names)

    @property
    def binary_table(self) -> pd.DataFrame:
        """The binary tasks as a table, for splitters that read no others."""
        own = [t for t, kind in enumerate(self.kinds) if isinstance(kind, BinaryTask)]
        names = [self.names[t] for t in own]
        return pd.DataFrame(self.values[own].T, columns=names)


def number_targets(y: object) -> Targets:
    """Read labels as numbers, about which nothing else is known."""
    return check_targets(y, kinds=[RegressionTask()] * len(task_names(y)))


def labels_or_numbers(y: object, gains: object) -> Labels | Numbers:
    """Read labels; as numbers if gains multiply tasks, or labels are not 0 and 1."""
    products = isinstance(gains, Mapping) and any(isinstance(g, tuple) for g in gains)
    # Labels that were read as those of binary tasks lack nothing but the products.
    if products and isinstance(y, Labels):
        values = y.positive.astype(np.float64)
        if y.observed is not None:
            values[~y.observed] = np.nan
        return Numbers(y.names, [BinaryTask()] * y.n_tasks, values)
    if gains is None or not products:
        try:
            return check_labels(y)
        except ValueError:
            if gains is None:
                raise
    return Numbers.of(number_targets(y))


def read_gains(gains: object, names: Sequence[str]) -> dict[tuple[str, ...], float]:
    """Check gains, and return one for each task or product of tasks."""
    gains = named_values(gains)
    if not isinstance(gains, Mapping):
        values = as_numbers(gains, "gains")
        if values.shape != (len(names),):
            raise ValueError(
                f"gains must give one number for each task {list(names)}; got shape "
                f"{values.shape}."
            )
        gains = dict(zip(names, values.tolist(), strict=True))
    found = {}
    for key, gain in gains.items():
        tasks = tuple(map(str, key if isinstance(key, tuple) else (key,)))
        for task in tasks:
            if task not in names:
                raise ValueError(
                    f"Unknown task {shown(task)}. The known tasks are {list(names)}."
                )
        found[tasks] = float(as_numbers([gain], "gains")[0])
    values = np.array(list(found.values()))
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise ValueError(
            f"gains must be finite, not negative and not all zero; got {dict(gains)}."
        )
    return {tasks: gain for tasks, gain in found.items() if gain > 0}


def gain_of_rows(numbers: Numbers, gains: object) -> tuple[np.ndarray, np.ndarray]:
    """Return the gain of each row, and whether it is known.

    A product in which one label is 0 is 0, whether or not the others were observed: the
    revenue of an impression without an order.
    """
    total, known = np.zeros(len(numbers)), np.ones(len(numbers), dtype=bool)
    for tasks, gain in read_gains(gains, numbers.names).items():
        own = [numbers.index(task) for task in tasks]
        for t in own:
            check_has_expected_value(numbers.names[t], numbers.kinds[t], "gains")
        factors = numbers.values[own]
        product = np.where((factors == 0).any(axis=0), 0.0, factors.prod(axis=0))
        if (product < 0).any():
            raise ValueError(
                f"gains of {' * '.join(tasks)} need labels of at least 0; found "
                f"{np.nanmin(product):g}."
            )
        known &= ~np.isnan(product)
        total += gain * product
    return np.where(known, total, 0.0), known


def expected_gain(table: np.ndarray, names: Sequence[str], gains: object) -> np.ndarray:
    """Fuse a table of expected labels by the gains."""
    total = np.zeros(len(table))
    for tasks, gain in read_gains(gains, names).items():
        total += gain * table[:, [names.index(task) for task in tasks]].prod(axis=1)
    return total


def check_has_expected_value(name: str, kind: TaskKind, what: str) -> None:
    """Raise for a task whose labels are not numbers: classes without an order."""
    if kind.n_columns > 1 or kind.name == "multiclass":
        raise ValueError(
            f"{what} cannot use task {shown(name)}: it is {kind.name}, and classes "
            "without an order have no expected value. Leave it out."
        )
