"""The only reader of `y`: it checks labels and converts them to one form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from skmtl._containers import checked_array, to_native
from skmtl._messages import shown
from skmtl._typing import AnyArray, ClassesLike, ObjectArray
from skmtl._warnings import warn
from skmtl.tasks.arguments import binary_kinds, columns_of, read_columns
from skmtl.tasks.kinds import BinaryTask, TaskKind, TaskKinds

Floats = npt.NDArray[np.float64]

# Warn of tasks with fewer positives than this, in tables with at least so many labels.
_FEW_POSITIVES, _MANY_LABELS = 10, 1000


@dataclass(frozen=True)
class Targets:
    """Labels of every task, checked.

    Attributes
    ----------
    labels : ndarray of shape (n_samples, n_tasks), dtype float32
        1 or 0 for binary tasks, numbers that stand for other labels; 0 if not observed.
    observed : ndarray of shape (n_samples, n_tasks), dtype bool
        Whether the label is known.
    names : ndarray of shape (n_tasks,), dtype object
        Columns of a DataFrame, else ``"0"``, ``"1"``, …
    classes : ndarray or list of ndarray
        For one task the labels found in `y`; for several a list, with ``[0, 1]`` for
        a binary task. None for a regression.
    multioutput : bool
        Whether `y` had several columns.
    named : bool
        Whether `y` named its columns.
    kinds : TaskKinds
        The kind of each task.
    """

    labels: npt.NDArray[np.float32]
    observed: npt.NDArray[np.bool_]
    names: ObjectArray
    classes: AnyArray | Sequence[AnyArray | None] | None
    multioutput: bool
    named: bool
    kinds: TaskKinds

    def with_scales(self, weight: Floats) -> Targets:
        """The same labels, with kinds that know their scale."""
        if self.kinds.all_binary:
            return self
        return replace(self, kinds=self.kinds.fit(self.labels, weight))

    def take(self, rows: npt.NDArray[np.bool_]) -> Targets:
        """Select rows."""
        return replace(self, labels=self.labels[rows], observed=self.observed[rows])

    def masses(self, weight: Floats) -> tuple[Floats, Floats]:
        """Return sums of weighted indicators, such as positives, and sums of weights.

        Both have an entry for each output of the network.
        """
        sums, every = np.zeros((2, len(self.kinds.task_of)))
        for task, known in enumerate(self.observed.T):  # one at a time for memory
            mass, own = known * weight[:, task], self.kinds.outputs[task]
            # Labels of a binary task are its indicators, so that none are made.
            if isinstance(self.kinds[task], BinaryTask):
                sums[own] = (mass * self.labels[:, task]).sum()
            else:
                labels = self.labels[:, task].astype(np.float64)
                sums[own] = mass @ self.kinds[task].indicators(labels)
            every[own] = mass.sum()
        return sums, every

    def means(self, weight: Floats) -> Floats:
        """Weighted means of indicators, ``(n_outputs,)``; NaN without labels."""
        sums, every = self.masses(weight)
        with np.errstate(invalid="ignore"):
            return np.asarray(sums / every)

    def strata(self) -> npt.NDArray[np.float32]:
        """Reduce labels to a few classes; those of a regression to its deciles."""
        if self.kinds.all_binary:
            return self.labels
        columns = zip(self.kinds, self.labels.T, self.observed.T, strict=True)
        found = [k.strata(own, known) for k, own, known in columns]
        return np.stack(found, axis=1)

    def as_given(self) -> AnyArray:
        """Return labels as the caller passed them, for scorers."""
        if not self.kinds.all_binary:
            return self._of_kinds()
        if self.multioutput:
            if self.observed.all():
                return self.labels.astype(np.int64)
            return np.where(self.observed, self.labels, np.nan)
        assert isinstance(self.classes, np.ndarray)  # those of one task
        labels: AnyArray = self.classes[
            # Labels of a single class are stored as 1, but its index is 0.
            np.minimum(self.labels[:, 0].astype(int), len(self.classes) - 1)
        ]
        if self.observed.all():
            return labels
        return np.where(self.observed[:, 0], labels, np.nan)

    def _of_kinds(self) -> AnyArray:
        columns: list[AnyArray] = []
        for kind, own, known in zip(
            self.kinds, self.labels.T, self.observed.T, strict=True
        ):
            given: AnyArray = own.astype(np.float64)
            if kind.labels is not None:
                given = kind.labels[own.astype(int)]
            if not known.all():
                numbers = given.dtype.kind in "biuf"
                given = given.astype(np.float64 if numbers else object)
                given[~known] = np.nan
            columns.append(given)
        if not self.multioutput:
            return columns[0]
        numbers = all(column.dtype.kind in "biuf" for column in columns)
        kind_of_all = np.float64 if numbers else object
        return np.stack([c.astype(kind_of_all) for c in columns], axis=1)


def _as_array(y: object) -> AnyArray:
    """Labels of any type and number; what they hold is looked at afterwards."""
    return checked_array(
        y, "y", ensure_2d=False, ensure_min_samples=0, ensure_min_features=0
    )


def check_targets(
    y: object,
    classes: ClassesLike = None,
    kinds: Sequence[TaskKind] | None = None,
    tasks: Iterable[object] | None = None,
) -> Targets:
    """Check `y` and convert it to one form.

    Parameters
    ----------
    y : array-like or DataFrame
        The labels.
    classes : array-like, list of array-like, or None
        Labels that may occur. For several tasks those of each, or ``[0, 1]`` for all of
        them.
    kinds : sequence of TaskKind or None
        The kind of each task; None if all are binary.
    tasks : iterable of str or None
        The tasks that `kinds` belong to, and the order of the result, where these are
        known. Columns of `y` with these names are matched by name, all others by
        place. None if `kinds` are in the order of the columns.

    Raises
    ------
    ValueError
        For an empty `y`, labels other than 0, 1 and NaN, more than two classes, and
        labels that are not among `classes`; the message names the task. For a
        table whose columns are named as other tasks than `tasks`.
    """
    if y is None:
        raise ValueError(
            "This ranker requires y to be passed, but the target y is None."
        )
    if isinstance(classes, str) or not (classes is None or np.iterable(classes)):
        raise ValueError(
            f"classes must list the labels that may occur, such as [0, 1], found "
            f"{classes!r}."
        )
    y = _in_order(to_native(y, "y"), tasks)
    names = _names(y)
    if kinds and not all(isinstance(kind, BinaryTask) for kind in kinds):
        return _of_kinds(y, names, kinds, classes)
    if isinstance(y, np.ma.MaskedArray):
        y = _filled(y)
    if isinstance(y, pd.DataFrame) and _plain(y):
        y = y.to_numpy()
    elif isinstance(y, pd.DataFrame):
        y = y.to_numpy(dtype=np.float64 if _numeric(y) else object, na_value=np.nan)
    array = _as_array(y)
    if not array.size:
        raise ValueError(f"y is empty: found shape {array.shape}. Give labels.")
    if array.ndim == 2 and array.shape[1] > 1:
        targets = _several(array, names)
        _check_zero_one(classes, targets.names)
    else:
        targets = _single(array.ravel(), names, classes)
    if kinds and len(kinds) == len(targets.kinds):
        return replace(targets, kinds=TaskKinds(kinds))
    return targets


def task_names(y: object) -> list[str]:
    """Names of the tasks of `y`, before its labels are read."""
    y = to_native(y, "y")
    names = _names(y)
    if names is None:
        shape = np.asarray(y).shape
        names = [str(t) for t in range(shape[1] if len(shape) == 2 else 1)]
    return names


def _in_order(y: object, names: Iterable[object] | None) -> object:
    """Columns in the order of the tasks, where both have names."""
    tasks = [str(name) for name in names] if names is not None else []
    if not isinstance(y, pd.DataFrame) or y.shape[1] != len(tasks) or len(tasks) < 2:
        return y
    found = [str(name) for name in y.columns]
    # Checked before any label is read, since each kind only reads its own labels.
    if sorted(found) == sorted(tasks):
        return y if found == tasks else y.iloc[:, [found.index(t) for t in tasks]]
    if tasks == [str(t) for t in range(len(tasks))]:  # those of an array only count
        return y
    raise ValueError(
        f"The tasks are {tasks}, but the columns of y are {found}. Pass the columns "
        "of these tasks."
    )


def _filled(y: np.ma.MaskedArray[tuple[int, ...], np.dtype[np.generic]]) -> AnyArray:
    """Labels of any type, NaN where they are masked."""
    kind = object if y.dtype.kind in "OUS" else np.float64
    return np.ma.filled(y.astype(kind), np.nan)


def _of_kinds(
    y: object,
    names: list[str] | None,
    kinds: Sequence[TaskKind],
    announced: ClassesLike,
) -> Targets:
    """Read tasks that are not all binary."""
    if isinstance(y, np.ma.MaskedArray):
        y = _filled(y)
    elif not isinstance(y, pd.DataFrame | pd.Series):
        y = _as_array(y)
    columns, named = columns_of(y), names is not None
    names = names or [str(t) for t in range(len(columns))]
    if len(set(names)) < len(names):
        raise ValueError(f"y has columns of the same name: {names}. Rename them.")
    if len(names) != len(kinds):
        raise ValueError(
            f"y has {len(names)} columns {names}, but there are {len(kinds)} tasks."
        )
    if not len(columns[0]):
        raise ValueError(f"y is empty: found shape {np.shape(y)}. Give labels.")
    kinds = _with_classes(kinds, announced, names)
    labels, observed, read = read_columns(columns, names, kinds)
    multioutput = len(names) > 1
    of_tasks = [kind.labels for kind in read]
    classes = of_tasks if multioutput else of_tasks[0]
    array = np.array(names, dtype=object)
    return Targets(labels, observed, array, classes, multioutput, named, read)


def _with_classes(
    kinds: Sequence[TaskKind], classes: ClassesLike, names: Sequence[str]
) -> list[TaskKind]:
    """Kinds that know the announced classes; one list for one task, or one by task."""
    if classes is None:
        return list(kinds)
    several = len(kinds) > 1
    of_tasks = list(cast(Iterable[ClassesLike], classes)) if several else [classes]
    if len(of_tasks) != len(kinds):
        raise ValueError(
            f"classes has {len(of_tasks)} entries, but there are {len(kinds)} tasks. "
            "Pass the classes of each task, None for a regression, or no classes."
        )
    triples = zip(kinds, of_tasks, names, strict=True)
    return [kind.with_classes(announced, name) for kind, announced, name in triples]


def _numeric(y: pd.DataFrame) -> bool:
    return all(pd.api.types.is_numeric_dtype(t) for t in y.dtypes)


def _plain(y: pd.DataFrame) -> bool:
    """Whether columns are of one numpy type of numbers, so that none is copied."""
    first = y.dtypes.iloc[0] if y.shape[1] else None
    return (
        isinstance(first, np.dtype) and first.kind in "fiu" and all(y.dtypes == first)
    )


def _names(y: object) -> list[str] | None:
    if isinstance(y, pd.DataFrame):
        return [str(name) for name in y.columns]
    name = getattr(y, "name", None)
    return None if name is None else [str(name)]


def _several(array: np.ndarray, names: list[str] | None) -> Targets:
    n_tasks = array.shape[1]
    named = names is not None
    names = names or [str(t) for t in range(n_tasks)]
    if len(set(names)) < len(names):
        raise ValueError(f"y has columns of the same name: {names}. Rename them.")
    try:
        # Floats are not copied, since the table may be large.
        values = array if array.dtype.kind == "f" else array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        _check_numbers(array, names)
        raise
    observed = ~np.isnan(values)
    wrong = observed & (values != 0) & (values != 1)
    if wrong.any():
        row, task = np.argwhere(wrong)[0]
        found = np.unique(values[wrong[:, task], task])[:5].tolist()
        if np.isinf(found).any():
            raise ValueError(f"Input y contains infinity: task {names[task]!r}.")
        raise ValueError(
            f"Task {names[task]!r} holds the labels {found} (first in row {row}). With "
            "several tasks labels must be 0, 1 or NaN (not observed). Unknown label "
            "type: turn the column into 0 and 1, or declare its kind, such as "
            f"task_kinds={{{names[task]!r}: 'regression'}}, 'ordinal' or 'multiclass'."
        )
    labels = values.astype(np.float32)
    labels[~observed] = 0.0
    classes = [np.array([0, 1]) for _ in range(n_tasks)]
    return Targets(
        labels,
        observed,
        np.array(names, dtype=object),
        classes,
        True,
        named,
        binary_kinds(n_tasks),
    )


def _check_numbers(array: np.ndarray, names: list[str]) -> None:
    """Name the first task whose labels are not numbers."""
    for task, name in enumerate(names):
        try:
            array[:, task].astype(np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                "With several tasks y must hold 0, 1 and NaN (not observed), but task "
                f"{shown(name)} holds something else: {error}"
            ) from error


def _check_zero_one(classes: ClassesLike, names: AnyArray) -> None:
    """With several tasks, classes can only say what is known."""
    if classes is None:
        return
    of_tasks: list[Any] = list(cast(Iterable[npt.ArrayLike], classes))
    if not any(np.ndim(one) for one in of_tasks):
        # The labels of the whole table, such as scikit-learn's np.unique(y).
        of_tasks = [of_tasks] * len(names)
    if len(of_tasks) != len(names):
        raise ValueError(
            f"classes has {len(of_tasks)} entries, but y has {len(names)} tasks. Pass "
            "the classes of each task, [0, 1] for all of them, or leave classes out."
        )
    for name, found in zip(names, of_tasks, strict=True):
        if not set(_known(found).tolist()) <= {0, 1}:
            raise ValueError(
                f"classes of task {shown(name)} are {shown(found)}. With several tasks "
                "labels are 0 and 1."
            )


def _known(classes: Any) -> np.ndarray:
    """Announced classes without NaN, which is not one of them."""
    array = np.ravel(classes)
    known: np.ndarray = array[~pd.isna(array)]
    return known


def _within(found: np.ndarray, classes: ClassesLike, name: object) -> np.ndarray:
    """The classes that were announced, for labels that are among them."""
    announced = np.unique(_known(classes))
    unknown = found[~np.isin(found, announced)]
    if len(unknown):
        raise ValueError(
            f"Task {shown(name)} holds the label {unknown.tolist()[0]!r}, which is not "
            f"one of the classes {announced.tolist()}. Fix the labels, or declare both "
            "classes: the first partial_fit takes them as `classes`."
        )
    return announced


def _single(
    array: np.ndarray, names: list[str] | None, announced: ClassesLike = None
) -> Targets:
    name = np.array(names or ["0"], dtype=object)
    observed = np.ones(len(array), dtype=bool)
    if array.dtype.kind == "f":
        if np.isinf(array).any():
            raise ValueError(
                "Input y contains infinity or a value too large for dtype('float64')."
            )
        observed = ~np.isnan(array)
        if not observed.all() and not np.isin(array[observed], (0, 1)).all():
            raise ValueError(
                f"Input y contains NaN: task {name[0]!r}. NaN marks a label that was "
                "not observed where all others are 0 and 1, but here other labels were "
                "found."
            )
    elif array.dtype == object and pd.isna(array).any():
        raise ValueError(
            f"Input y contains NaN: task {name[0]!r} holds missing cells among "
            "objects. Use a float column of 0, 1 and NaN."
        )
    known = array[observed]
    if len(known):
        check_classification_targets(known)
    classes = np.unique(known)
    if announced is not None:
        classes = _within(classes, announced, name[0])
    if len(classes) > 2:
        raise ValueError(
            "Only binary classification is supported. The type of the target is "
            f"{type_of_target(known)}: {len(classes)} classes in task {name[0]!r}. "
            "Pass one column for each task, or declare the kind of this one: "
            "task_kinds='multiclass' or 'ordinal'."
        )
    if classes.dtype.kind in "iufb" and set(classes.tolist()) <= {0, 1}:
        # In the type of `y`, as scikit-learn's classifiers return labels. Missing
        # labels have made floats of integers.
        classes = np.array([0, 1]).astype(array.dtype if observed.all() else np.int64)
    labels = np.zeros((len(array), 1), dtype=np.float32)
    # As in scikit-learn, the greater label is the positive one. Those of a single class
    # are all 1.
    labels[observed, 0] = known == classes[-1]
    named = names is not None
    return Targets(
        labels, observed[:, None], name, classes, False, named, binary_kinds(1)
    )


def warn_of_constant_tasks(targets: Targets, means: npt.NDArray[np.float64]) -> None:
    """Warn of tasks that cannot be learnt; their prediction is a constant.

    It does not warn of a single array of labels without a name: for such a plain binary
    problem, scikit-learn's classifiers silently predict the one class.
    """
    if not (targets.multioutput or targets.named):
        return
    kinds = targets.kinds
    constant, values = kinds.is_constant(means), kinds.constant(means)
    for task in np.flatnonzero(constant).tolist():
        binary, own = isinstance(kinds[task], BinaryTask), kinds.outputs[task]
        what = "only one class" if binary else "only equal labels"
        if np.isnan(means[own]).any():
            what = "no observed label with a weight above 0"
        prediction = f"Its probability is {values[own][0]:g}"
        if not binary:
            prediction = "Its prediction is the same"
        warn(
            f"Task {targets.names[task]!r} has {what}, so nothing can be learnt for "
            f"it. {prediction} for every row."
        )


def warn_of_rare_tasks(
    targets: Targets, counts: npt.NDArray[np.int64] | None = None
) -> None:
    """Warn of tasks of a large table with hardly any positives.

    There is no warning for small tables, whose users can see how few positives they
    have.

    Parameters
    ----------
    targets : Targets
        The labels.
    counts : ndarray of shape (n_samples,), default=None
        How often each row of labels occurs; None for once.
    """
    times = np.ones(len(targets.labels), np.int64) if counts is None else counts
    for task, name in enumerate(targets.names):
        if not targets.kinds.binary[task]:
            continue
        known = targets.observed[:, task]
        positives = int(times[known & (targets.labels[:, task] != 0)].sum())
        n = int(times[known].sum())
        if n >= _MANY_LABELS and 0 < positives < _FEW_POSITIVES:
            warn(
                f"Task {shown(name)} has {positives} positives among {n:,} labels. "
                f"With fewer than {_FEW_POSITIVES} hardly more than their rate can be "
                "learnt, and metrics are noise. Collect more rows, or use a more "
                "frequent task."
            )


def warn_of_conditional_tasks(targets: Targets) -> None:
    """Warn of tasks that are observed only where another task is 1.

    Their probability is then conditional on the other task, such as that of a
    conversion given a click, and not that of all rows. There is no warning for numbers
    that are only known where another task is 1, such as the revenue of an order, which
    are meant to be conditional.
    """
    binary = targets.kinds.binary
    for task, name in enumerate(targets.names):
        known = targets.observed[:, task]
        if known.all() or not known.any() or not binary[task]:
            continue
        for parent, other in enumerate(targets.names):
            if not binary[parent]:
                continue
            seen, label = targets.observed[:, parent], targets.labels[:, parent]
            # Nothing is conditional on a task that is never 0.
            without = seen & (label == 0)
            if parent != task and without.any() and not (known & ~(label == 1)).any():
                warn(
                    f"Task {shown(name)} is observed only where {other!r} is 1, so its "
                    f"probability is estimated given {other!r}, not over all rows. For "
                    f"all rows, set it to 0 where {other!r} is 0, or use a ranker that "
                    "multiplies probabilities, such as ESMM."
                )
                break
