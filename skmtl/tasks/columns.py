"""Labels of tasks that are not all binary: a kind for each column of `y`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl._typing import AnyArray
from skmtl.tasks.arguments import check_names
from skmtl.tasks.classes import ClassesTask, MulticlassTask, OrdinalTask
from skmtl.tasks.kinds import BinaryTask, TaskKind, TaskKinds
from skmtl.tasks.regression import RegressionTask

# A kind, or its name, for all tasks or by task.
TaskKindsLike: TypeAlias = str | TaskKind | Mapping[str, str | TaskKind] | None

# The labels of one task.
Column: TypeAlias = AnyArray | pd.Series

NAMED: dict[str, type[TaskKind]] = {
    kind.name: kind
    for kind in (BinaryTask, RegressionTask, OrdinalTask, MulticlassTask)
}


def kinds_by_task(given: TaskKindsLike, names: Sequence[object]) -> list[TaskKind]:
    """Bring `task_kinds` to a kind for each task.

    Parameters
    ----------
    given : None, str, TaskKind or mapping of task name to str or TaskKind
        As in the rankers; tasks that a mapping leaves out are binary.
    names : sequence of str
        The tasks.

    Raises
    ------
    ValueError
        For names that are not tasks or not kinds.
    TypeError
        For anything else that is not a kind.
    """
    known = [str(name) for name in names]
    if not isinstance(given, Mapping):
        given = dict.fromkeys(known, "binary" if given is None else given)
    by_name = {str(name): kind for name, kind in given.items()}
    check_names(by_name, known, "task_kinds")
    return [as_kind(by_name.get(name, "binary")) for name in known]


def as_kind(given: str | TaskKind) -> TaskKind:
    """Give the kind of a name."""
    if isinstance(given, TaskKind):
        return given
    if isinstance(given, str) and given in NAMED:
        return NAMED[given]()
    if isinstance(given, str):
        raise ValueError(
            f"task_kinds: {given!r} is not a kind of task. The kinds are {[*NAMED]}."
        )
    raise TypeError(
        f"task_kinds must hold names of kinds, {[*NAMED]}, or objects such as "
        f"RegressionTask('huber'), found {given!r}."
    )


def all_have_classes(given: TaskKindsLike) -> bool:
    """Whether `task_kinds`, before anything is checked, names no regression."""
    values = given.values() if isinstance(given, Mapping) else [given]
    return not any(
        value == RegressionTask.name or isinstance(value, RegressionTask)
        for value in values
    )


def are_many_classes(given: TaskKindsLike) -> bool:
    """Whether `task_kinds`, before anything is checked, has several classes by task."""
    if isinstance(given, str):
        return given in (OrdinalTask.name, MulticlassTask.name)
    return isinstance(given, ClassesTask)


def read_columns(
    columns: Sequence[Column], names: Sequence[str], kinds: Sequence[TaskKind]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], TaskKinds]:
    """Read the labels of each task by its kind.

    Returns
    -------
    labels : ndarray of shape (n_samples, n_tasks), dtype float32
        Numbers that stand for the labels; 0 where not observed.
    observed : ndarray of shape (n_samples, n_tasks), dtype bool
        Whether the label is known.
    kinds : TaskKinds
        The kinds, which know the labels.
    """
    found = [
        kind.read(column, name)
        for kind, column, name in zip(kinds, columns, names, strict=True)
    ]
    read, labels, observed = zip(*found, strict=True)
    return np.stack(labels, axis=1), np.stack(observed, axis=1), TaskKinds(read)


def columns_of(y: npt.ArrayLike | pd.DataFrame) -> list[Column]:
    """Columns of a table of labels, each with its own type; one of a vector."""
    if isinstance(y, pd.DataFrame):
        return [_plain(y.iloc[:, task]) for task in range(y.shape[1])]
    if isinstance(y, pd.Series):
        return [_plain(y)]
    array = np.asarray(y)
    return [array] if array.ndim == 1 else list(array.T)


def _plain(column: pd.Series) -> Column:
    """A column as numpy has it, NaN where missing; categoricals as they are."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column
    if pd.api.types.is_numeric_dtype(column.dtype):
        if isinstance(column.dtype, np.dtype):
            return column.to_numpy()
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy(dtype=object, na_value=np.nan)
