"""Arguments by task: values, kinds, columns of labels, and sample weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl._containers import table_of_tasks
from skmtl._messages import shown
from skmtl._typing import AnyArray, ColumnName
from skmtl.tasks.classes import MulticlassTask, OrdinalTask
from skmtl.tasks.kinds import BinaryTask, TaskKind, TaskKinds
from skmtl.tasks.regression import RegressionTask


def by_task(value: object, names: Iterable[ColumnName], what: str) -> object:
    """Convert a mapping or a Series to a list in the order of the tasks.

    Parameters
    ----------
    value : object
        A mapping or a Series has one value for each task. Names are compared as
        strings, so that 0 names the task "0".
    names : iterable of str
        Names of the tasks.
    what : str
        Name of the hyperparameter, for errors.

    Returns
    -------
    list or object
        The values in the order of `names`; any other `value` unchanged.

    Raises
    ------
    ValueError
        For unknown, missing and repeated tasks.
    """
    known = [str(name) for name in names]
    hint = ""
    if isinstance(value, pd.Series):
        # By position, its values could silently go to the wrong tasks.
        hint = (
            f" A Series is matched by its index; pass {what}.tolist() to give its "
            "values in the order of the tasks."
        )
    elif not isinstance(value, Mapping):
        return value
    given = {str(name): one for name, one in value.items()}
    if len(given) < len(value):
        raise ValueError(f"{what} names a task twice.{hint}")
    check_names(given, known, what, hint)
    missing = [name for name in known if name not in given]
    if missing:
        raise ValueError(f"{what} has no value for the tasks {missing}.{hint}")
    return [given[name] for name in known]


def check_names(
    found: Iterable[ColumnName], known: Sequence[object], what: str, hint: str = ""
) -> None:
    """Raise for names that are not tasks.

    Raises
    ------
    ValueError
        For such names.
    """
    unknown = [name for name in found if name not in known]
    if unknown:
        raise ValueError(
            f"{what} names {shown(unknown)}, which are not tasks. The tasks are "
            f"{known}.{hint}"
        )


def check_sample_weight(
    sample_weight: object,
    shape: tuple[int, int],
    names: Sequence[str] | AnyArray = (),
    *,
    some: bool = True,
) -> npt.NDArray[np.float64] | None:
    """Check weights of rows, or of rows and tasks.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), or None
        The weights.
    shape : tuple (n_samples, n_tasks)
        Shape of the labels.
    names : sequence of str
        Names of the tasks. Columns of a DataFrame that has them are matched by name.
    some : bool, default=True
        Whether one must be above 0, which need not hold for a part of the rows.

    Returns
    -------
    ndarray of shape (n_samples, 1) or (n_samples, n_tasks), or None
        The weights as float64.

    Raises
    ------
    ValueError
        For a wrong shape, negative, infinite or missing weights, or none above 0.
    """
    if sample_weight is None:
        return None
    sample_weight = table_of_tasks(sample_weight, shape[0], "sample_weight")
    columns = {str(name): name for name in getattr(sample_weight, "columns", ())}
    # Columns of other names are taken by place.
    if len(names) and columns.keys() == set(names):
        table = cast(pd.DataFrame, sample_weight)  # or another that has columns
        sample_weight = table[[columns[name] for name in names]]
    try:
        weight = np.asarray(sample_weight, dtype=np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold numbers: {error}") from error
    if weight.shape == (shape[0], 1):  # a table of one column
        weight = weight[:, 0]
    if weight.shape not in {shape[:1], shape}:
        allowed = f"{shape[:1]}" + (f" or {shape}" if shape[1] > 1 else "")
        raise ValueError(
            f"sample_weight has shape {weight.shape}, expected {allowed}. Sample "
            "weights must be 1D array or scalar, or one column for each task."
        )
    for found, what in (
        (~np.isfinite(weight), "NaN or infinity"),
        (weight < 0, "a negative weight"),
    ):
        if found.any():
            row = int(np.argwhere(found)[0, 0])
            raise ValueError(
                f"sample_weight holds {what} in row {row}. Weights must be finite "
                "and at least 0."
            )
    if some:
        check_some_weight(weight.max(initial=0.0), "rows")
    with np.errstate(over="ignore"):
        if not np.isfinite(weight.sum()):
            # Only their ratios matter within a table; a power of 2 keeps these exactly.
            weight = weight * 2.0**-64
    return weight.reshape(shape[0], -1)


def check_some_weight(highest: float, of: str) -> None:
    """Raise if all weights are 0.

    Parameters
    ----------
    highest : float
        The highest of them.
    of : str
        What they are weights of, for the error.

    Raises
    ------
    ValueError
        If `highest` is 0.
    """
    if not highest > 0:
        raise ValueError(
            f"sample_weight is zero for all {of}: no samples left. Give at least one "
            "of them a positive weight."
        )


def check_row_weight(
    sample_weight: object, n_samples: int, *, some: bool = True
) -> npt.NDArray[np.float64] | None:
    """Check weights of rows; as `check_sample_weight`, of shape (n_samples,)."""
    weight = check_sample_weight(sample_weight, (n_samples, 1), some=some)
    return None if weight is None else weight.ravel()


def task_weights(
    sample_weight: object,
    observed: npt.NDArray[np.bool_],
    names: Sequence[str] | AnyArray,
    *,
    some: bool = True,
) -> npt.NDArray[np.float64]:
    """Return the weight of every label, 0 where it was not observed.

    Parameters
    ----------
    sample_weight, names, some
        As for `check_sample_weight`.
    observed : ndarray of shape (n_samples, n_tasks), dtype bool
        Whether a label is known.

    Returns
    -------
    ndarray of shape (n_samples, n_tasks), dtype float64
        The weights.
    """
    checked = check_sample_weight(sample_weight, observed.shape, names, some=some)
    if checked is None:
        if observed.all():  # the usual case: ones that take no memory
            return np.broadcast_to(np.float64(1.0), observed.shape)
        checked = np.ones(1)
    weight = np.asarray(observed * checked, dtype=np.float64)
    if some and observed.any():
        check_some_weight(weight.max(), "rows with an observed label")
    return weight


# The labels of one task.
Column: TypeAlias = AnyArray | pd.Series

NAMED: dict[str, type[TaskKind]] = {
    kind.name: kind
    for kind in (BinaryTask, RegressionTask, OrdinalTask, MulticlassTask)
}


def binary_kinds(n_tasks: int) -> TaskKinds:
    """Give the kinds of tasks that are all binary."""
    return TaskKinds([BinaryTask()] * n_tasks)


# A kind, or its name, for all tasks or by task.
TaskKindsLike: TypeAlias = str | TaskKind | Mapping[str, str | TaskKind] | None


def kinds_by_task(given: TaskKindsLike, names: Sequence[object]) -> list[TaskKind]:
    """Convert `task_kinds` to a kind for each task.

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
            f"task_kinds: {shown(given)} is not a kind of task. The kinds are "
            f"{[*NAMED]}."
        )
    raise TypeError(
        f"task_kinds must hold names of kinds, {[*NAMED]}, or objects such as "
        f"RegressionTask('huber'), found {shown(given)}."
    )


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
    """Split a table of labels into columns with their own types."""
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
