"""Types that several packages share: arguments and arrays."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from pandas.api.extensions import ExtensionDtype

FloatArray: TypeAlias = npt.NDArray[np.float64]
FloatingArray: TypeAlias = npt.NDArray[np.floating]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
# Names of tasks or columns, and labels as passed by the caller.
ObjectArray: TypeAlias = npt.NDArray[np.object_]
# Any dtype, for arrays that are only passed on, compared or indexed.
AnyArray: TypeAlias = npt.NDArray[np.generic]

# A DataFrame may name its columns by any hashable value.
ColumnName: TypeAlias = Hashable
# Type of a pandas column.
DType: TypeAlias = np.dtype[np.generic] | ExtensionDtype
# Names or a mask of the columns that hold ids, or "from_dtype".
CategoricalFeatures: TypeAlias = str | Sequence[ColumnName] | AnyArray | None


class ArrowTable(Protocol):
    """A table or column that can be read through Arrow: polars, pyarrow, duckdb …"""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


class Splitter(Protocol):
    """Yields pairs of training and test indices, like scikit-learn's splitters."""

    def split(
        self, X: object, y: object = None, groups: object = None
    ) -> Iterable[tuple[IntArray, IntArray]]: ...


# Called with an estimator, rows and labels.
Scorer: TypeAlias = Callable[[object, object, object], float]

# Whatever `to_native` reads; a mapping maps names of columns to their values.
TableLike: TypeAlias = npt.ArrayLike | ArrowTable | Mapping[ColumnName, object]
LabelsLike: TypeAlias = TableLike
WeightsLike: TypeAlias = TableLike | None
# The group of each row, such as its request or user.
GroupsLike: TypeAlias = npt.ArrayLike | ArrowTable | None
# The labels that may occur, for each task if there are several; None for a regression.
ClassesLike: TypeAlias = npt.ArrayLike | Sequence[npt.ArrayLike | None] | None
RandomStateLike: TypeAlias = int | np.random.RandomState | None
