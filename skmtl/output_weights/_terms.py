"""Terms of a fused score: columns of predictions, and products of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from skmtl._messages import did_you_mean, shown
from skmtl.metrics._gains import Numbers, Term, term_name
from skmtl.metrics._predictions import binary_columns, expected_table
from skmtl.output_weights._tables import task_table
from skmtl.tasks import BinaryTask, TaskKind, TaskKinds


@dataclass(frozen=True)
class Terms:
    """What output weights multiply.

    Attributes
    ----------
    keys : list of str or tuple of str
        The terms, as weights name them.
    factors : list of list of int
        Columns of the predictions that are multiplied in each term.
    """

    keys: list[Term]
    factors: list[list[int]]

    @property
    def names(self) -> list[str]:
        return [term_name(key) for key in self.keys]

    def of(self, table: np.ndarray) -> np.ndarray:
        """Make the terms ``(n_samples, n_terms)`` of a table of predictions."""
        # Without a copy in the usual case, in which each column is a term.
        if self.factors == [[column] for column in range(table.shape[1])]:
            return table
        return np.column_stack([table[:, own].prod(axis=1) for own in self.factors])


def read_terms(given: Iterable[object], columns: Sequence[str], what: str) -> Terms:
    """Read terms that name columns.

    Raises
    ------
    ValueError
        For columns that do not exist, and terms that are repeated.
    """
    keys, factors = [], []
    for term in given:
        tasks = tuple(map(str, term)) if isinstance(term, tuple) else (str(term),)
        unknown = [task for task in tasks if task not in columns]
        if unknown or not tasks:
            found = unknown[0] if unknown else ()
            raise ValueError(
                f"{what} name the unknown task {shown(found)}; the tasks are "
                f"{list(columns)}.{did_you_mean(found, columns)}"
            )
        keys.append(tasks if len(tasks) > 1 else tasks[0])
        factors.append([columns.index(task) for task in tasks])
    check_not_repeated(keys, what)
    return Terms(keys, factors)


def check_not_repeated(keys: Sequence[Term], what: str) -> None:
    """Raise for a term that is given twice, also as a product in another order."""
    found: dict[object, Term] = {}
    for key in keys:
        tasks = tuple(sorted(key)) if isinstance(key, tuple) else (key,)
        same = {tasks, term_name(key)}  # a column may have the name of a product
        for earlier in (found[one] for one in same if one in found):
            also = "" if earlier == key else f" as {term_name(key)!r}"
            raise ValueError(
                f"{what} repeat {term_name(earlier)!r}{also}. Name each term once."
            )
        found |= dict.fromkeys(same, key)


@dataclass(frozen=True)
class TaskColumns:
    """Columns of the predictions of an estimator.

    Attributes
    ----------
    tasks : list of str
        Names of its tasks.
    kinds : list of TaskKind or None
        Their kinds; None if all are binary.
    only_binary : bool
        Whether to give the probabilities of binary tasks alone.
    """

    tasks: list[str]
    kinds: list[TaskKind] | None
    only_binary: bool = False

    @property
    def names(self) -> list[str]:
        """Names of all columns: the tasks, and classes of multiclass ones."""
        if self.kinds is None:
            return self.tasks
        names = TaskKinds(self.kinds).column_names(np.array(self.tasks, dtype=object))
        return [str(name) for name in names]

    @property
    def are_probabilities(self) -> list[bool]:
        """Whether each column has probabilities."""
        if self.kinds is None:
            return [True] * len(self.tasks)
        return [
            isinstance(kind, BinaryTask) or kind.name == "multiclass"
            for kind in self.kinds
            for _ in range(kind.n_columns)
        ]

    def of(self, estimator: object, X: object) -> np.ndarray:
        """Predict the columns ``(n_samples, n_columns)`` by a fitted estimator."""
        if self.kinds is None:
            return task_table(estimator, X, len(self.tasks))
        table = expected_table(estimator, X, self.tasks, self.kinds)
        if not self.only_binary:
            return table
        return table[:, binary_columns(self.kinds)]

    def read_terms(self, given: Iterable[object], what: str) -> Terms:
        """Read terms that name columns.

        Raises
        ------
        ValueError
            As the function, and for a task without an expected value.
        """
        given = list(given)
        for term in given:
            for task in map(str, term if isinstance(term, tuple) else (term,)):
                if task in self.tasks and task not in self.names:
                    raise self._no_expected_value(task)
        return read_terms(given, self.names, what)

    def _no_expected_value(self, task: str) -> ValueError:
        assert self.kinds is not None
        listed = self.kinds[self.tasks.index(task)].column_names(task)
        return ValueError(
            f"Task {shown(task)} is multiclass: classes without an order have no "
            "expected value to fuse. Name the terms of the score: leave the task out, "
            f"or use probabilities of its classes, {listed}."
        )

    def default_terms(self) -> list[str]:
        """One term for each task.

        Raises
        ------
        ValueError
            If a task has no expected value.
        """
        # Without kinds all tasks are binary.
        for name, kind in zip(self.tasks, self.kinds or (), strict=False):
            if kind.name == "multiclass":
                raise self._no_expected_value(name)
        return self.names


def check_log_odds(terms: Terms, numbers: Numbers) -> None:
    """Raise if labels show that a term is not a probability, which has log-odds."""
    widths = [kind.n_columns for kind in numbers.kinds]
    tasks = np.repeat(np.arange(len(widths)), widths)
    for key, own in zip(terms.keys, terms.factors, strict=True):
        for t in tasks[own]:
            values, kind = numbers.values[t], numbers.kinds[t]
            if kind.n_columns > 1 or not ((values < 0) | (values > 1)).any():
                continue
            raise ValueError(
                f"method='logit' takes log-odds of probabilities, but the term "
                f"{term_name(key)!r} contains {numbers.names[t]!r}, of kind "
                f"{kind.name}, whose labels reach from {np.nanmin(values):g} to "
                f"{np.nanmax(values):g}. Use another method, or leave it out."
            )
