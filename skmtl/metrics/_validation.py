"""Check labels, scores, weights and groups, and turn them into arrays."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning

from skmtl._containers import to_native
from skmtl._messages import shown
from skmtl._typing import FloatArray, LabelsLike
from skmtl.tasks import Targets, check_targets

CHUNK = 1 << 16  # rows; the temporaries of a chunk stay in the processor's cache


def chunks(n: int) -> Iterator[slice]:
    for start in range(0, n, CHUNK):
        yield slice(start, min(start + CHUNK, n))


def column_names(table: object) -> list[str] | None:
    """Return the column names of a table or the name of a Series, else None."""
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


def _is_column(values: object) -> bool:
    return np.ndim(cast(npt.ArrayLike, values)) == 1


def native(array: np.ndarray) -> np.ndarray:
    """Return values in this machine's byte order, which sorting by bits needs."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def as_float_table(values: object, what: str) -> np.ndarray:
    """Convert to a numeric array of 1 or 2 dimensions; missing values become NaN."""
    values = to_native(values, what)
    try:
        # Whole numbers cannot be NaN, so that masked ones need floats.
        if isinstance(values, np.ma.MaskedArray):
            values = np.ma.filled(values.astype(np.float64), np.nan)
        if isinstance(values, pd.DataFrame | pd.Series):
            dtypes = getattr(values, "dtypes", None)
            kinds = np.atleast_1d(np.asarray(dtypes, dtype=object))
            # numpy's types are kept, without a copy where that is possible; nullable
            # ones and Arrow's become floats.
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
                f"Unknown task {shown(name)}. The known tasks are {self.names}."
            )
        return self.names.index(name)

    def select(self, names: Sequence[str]) -> "Labels":
        tasks = [self.index(name) for name in names]
        observed = None if self.observed is None else self.observed[tasks]
        return replace(
            self, positive=self.positive[tasks], observed=observed, names=list(names)
        )

    def output(self, values: Sequence[float] | np.ndarray) -> float | FloatArray:
        """A float for 1-D labels, an array ``(n_tasks,)`` for a table of labels."""
        return float(values[0]) if self.one_dimensional else np.asarray(values)


def check_labels(y: object, names: Sequence[str] | None = None) -> Labels:
    """Check labels of 0, 1 and NaN, and name their tasks.

    Two other classes in one column are accepted too, the greater one as positive.
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


def _numbers_of_objects(y: LabelsLike) -> LabelsLike:
    """Convert columns of Python numbers to floats; return anything else unchanged."""
    if not isinstance(y, pd.DataFrame | pd.Series | np.ndarray):
        return y
    dtypes = [y.dtype] if isinstance(y, np.ndarray) else pd.DataFrame(y).dtypes
    if not any(dtype.kind == "O" for dtype in dtypes):
        return y
    try:
        return y.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        return y


def labels_of(targets: Targets, *, one_dimensional: bool) -> Labels:
    """Convert what `check_targets` has read."""
    classes = targets.classes
    single = isinstance(classes, np.ndarray) and len(classes) == 1
    if isinstance(classes, np.ndarray) and single and classes[0] not in (0, 1):
        raise ValueError(
            f"The labels of task {targets.names[0]!r} are all {classes[0]!r}. It "
            "cannot be known whether they are positive: use labels of 0, 1 or NaN, or "
            "of two classes."
        )
    # None saves a mask for every task if all labels are there.
    observed = None if targets.observed.all() else targets.observed.T.copy()
    names = [str(name) for name in targets.names]
    return Labels(targets.labels.T == 1, observed, names, one_dimensional)


def _zeros_and_ones(y: object, names: list[str] | None) -> Labels | None:
    """Read labels of a table of plain numbers in blocks; None for any other table.

    `check_targets` would return the same, more slowly and with more memory. It reads
    all other labels too, and says what is wrong with them.
    """
    try:
        array = as_float_table(y, "y")
    except ValueError:
        return None
    table = array[:, None] if array.ndim == 1 else array
    n, n_tasks = table.shape
    # `check_targets` says what is wrong with empty tables, and reads masks.
    if not table.size or isinstance(y, np.ma.MaskedArray):
        return None
    positive = np.empty((n_tasks, n), dtype=bool)
    observed = None
    for rows in chunks(n):
        block = table[rows]
        one = block == 1
        positive[:, rows] = one.T
        # NaN is neither.
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
    """Give labels these names; columns that already have them are reordered."""
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
    score: object, labels: Labels, *, probability: bool = False
) -> np.ndarray:
    """Check scores, ``(n_samples,)`` for every task or ``(n_samples, n_tasks)``.

    They must be finite. The list of ``(n_samples, 2)`` arrays that ``predict_proba``
    returns is accepted too.
    """
    what = "proba" if probability else "score"
    if isinstance(score, list | tuple) and len(score) and np.ndim(score[0]) == 2:
        score = positive_columns(score, what)
    array = as_float_table(score, what)
    if len(array) != len(labels):
        raise ValueError(
            f"{what} has {len(array)} rows, but y has {len(labels)}. A list of "
            "columns, one for each task, is read as rows: pass np.column_stack(...)."
        )
    if array.ndim == 2:
        array = _match_tasks(array, column_names(score), labels, what)
    elif probability and labels.n_tasks > 1:
        raise ValueError(
            f"proba must have a column for each of the {labels.n_tasks} tasks "
            f"{labels.names}; got shape {array.shape}."
        )
    _check_values(array, labels, what, probability)
    return array


def positive_columns(proba: Sequence[npt.ArrayLike], what: str) -> np.ndarray:
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
    return in_order_of_tasks(array, names, labels.names, what)


def in_order_of_tasks(
    array: np.ndarray, names: list[str] | None, tasks: list[str], what: str
) -> np.ndarray:
    """Put the columns in the order of the tasks, where both have names.

    Names that only number the columns, ``"0"``, ``"1"`` and so on, match other names
    by position.
    """
    if names is None or len(tasks) == 1 or names == tasks:
        return array
    if sorted(names) == sorted(tasks):
        return array[:, [names.index(name) for name in tasks]]
    if [str(i) for i in range(len(tasks))] in (names, tasks):
        return array
    raise ValueError(f"The columns of {what} are {names}, but the tasks are {tasks}.")


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


def named_values(values: object) -> Any:
    """Turn a Series into a mapping by its index, unless that only numbers the values.

    The keys of a mapping become strings, or tuples of strings for products of tasks.
    Anything else is returned unchanged.
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
        return {
            tuple(map(str, name)) if isinstance(name, tuple) else str(name): value
            for name, value in values.items()
        }
    return values


def as_numbers(values: object, what: str) -> np.ndarray:
    """Convert values to float64; the error names what they are."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{what} must be numbers; got {shown(values)} ({error})."
        ) from error


def column_of(score: np.ndarray, task: int) -> np.ndarray:
    return score if score.ndim == 1 else score[:, task]


def check_count(value: object, name: str, least: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}; got {shown(value)}."
        )


def check_length(values: object, n: int, name: str) -> np.ndarray:
    """Check values of any kind, one for each row."""
    array = np.asarray(to_native(values, name))
    if array.shape == (n, 1):  # a table of one column
        array = array[:, 0]
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},) like y; got {array.shape}.")
    return array


def check_weight(sample_weight: object, n: int) -> np.ndarray | None:
    """Check weights ``(n_samples,)``: finite, not negative, not all zero.

    They are scaled by a power of two, which is exact, to a maximum between 1/2 and 1,
    so that neither sums nor products of them overflow or vanish.
    """
    if sample_weight is None:
        return None
    weight = as_float_table(sample_weight, "sample_weight").astype(np.float64)
    if weight.shape == (n, 1):  # a table of one column
        weight = weight[:, 0]
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
        raise ValueError(
            "sample_weight is zero in every row. Give at least one row a weight above "
            "0."
        )
    scaled: np.ndarray = np.ldexp(weight, -np.frexp(weight.max())[1])
    return scaled


def check_groups(groups: object, n: int, name: str = "groups") -> np.ndarray:
    """Return integer codes of the group ids, from 0.

    Integers that span less than 2**31 are only shifted, which is fast; other ids are
    numbered in order of appearance.
    """
    if groups is None:
        raise ValueError(
            f"{name} is missing: pass the group id (for example the user) of each row."
        )
    ids = check_length(groups, n, name)
    if ids.dtype.kind in "biu":
        low, high = int(ids.min()), int(ids.max())
        if high - low < 2**31:
            # Subtracted in 64 bits, since ids themselves may not fit into 32.
            wide = np.int64 if ids.dtype.kind == "i" else np.uint64
            small = np.empty(n, dtype=np.uint32)
            return np.subtract(ids, wide(low), out=small, dtype=wide, casting="unsafe")
    codes, _ = pd.factorize(native(ids))
    if (codes < 0).any():
        row = int((codes < 0).argmax())
        raise ValueError(
            f"{name} has a missing id at row {row}; give these rows an id of their own "
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
