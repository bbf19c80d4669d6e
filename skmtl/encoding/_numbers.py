"""Numbers of one column: a robust scale and the bins that an embedding reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from skmtl._typing import ColumnName, DType

Floats = npt.NDArray[np.float64]

# Rows of a short table, whose columns are encoded together.
SHORT = 1024
# In tables of at most this many rows, each row is compared with all edges at once.
_FEW = 4
# Numbers that are binned at a time, so that they stay in the processor's cache.
_BLOCK = 16_384
# The inverse of smaller distances may not be finite.
_SMALLEST = 1e-300
# In narrower bins, float32 hardly tells where in the bin a scaled number lies.
_NARROWEST = 1e-5


def as_float(column: pd.Series, name: object) -> np.ndarray:
    """Convert one numeric column to float64, missing cells to NaN.

    Raises
    ------
    TypeError
        When the column does not hold numbers.
    ValueError
        When it holds infinity, or complex numbers.
    """
    if column.dtype == np.float64:
        return _finite(column.to_numpy(copy=True), name)
    if types.is_complex_dtype(column.dtype):  # scikit-learn's checks ask for the words
        raise ValueError(
            f"Complex data not supported: column {name!r} of X. Give its real and "
            "imaginary parts as two columns."
        )
    kinds = (types.is_numeric_dtype, types.is_bool_dtype, types.is_object_dtype)
    if not any(is_kind(column.dtype) for is_kind in kinds):
        raise TypeError(f"Column {name!r} must hold numbers, {_cure(column.dtype)}")
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    except (TypeError, ValueError) as error:
        raise TypeError(f"Column {name!r} must hold numbers: {error}") from error
    return _finite(values, name)


def _cure(dtype: DType) -> str:
    if types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return (
            f"found {dtype}. Turn times into numbers, such as days since a date or the "
            "hour of the day."
        )
    return (
        f"found {dtype}. Turn it into numbers, or name it in categorical_features when "
        "fitting."
    )


def _finite(values: np.ndarray, name: object) -> np.ndarray:
    """Return the values; raise on infinity, while NaN is allowed."""
    if np.isinf(values).any():
        raise ValueError(
            f"Input X contains infinity or a value too large for dtype('float64'): "
            f"column {name!r}, row {int(np.isinf(values).argmax())}. Replace it, or "
            "mark it as missing (NaN)."
        )
    return values


@dataclass(frozen=True)
class NumberScale:
    """Scale and bins of one numeric column.

    Parameters
    ----------
    center, scale : float
        The scaled number is ``z = (x - center) * scale``, squashed to
        ``z / sqrt(1 + (z / 3)**2)``, which lies in (-3, 3).
    edges : ndarray of shape (n_edges,) or None
        Ascending. The bin of ``x`` is ``1 +`` the number of edges at or below it.
        Bin 0 is for missing numbers. None for a column without bins.
    """

    center: float
    scale: float
    edges: Floats | None

    @property
    def n_bins(self) -> int:
        """Rows of the column's bin table, the missing row included; 0 without bins."""
        return 0 if self.edges is None else len(self.edges) + 2

    @classmethod
    def fit(
        cls, x: Floats, weight: Floats | None, n_bins: int, *, flags: bool = False
    ) -> NumberScale:
        """Learn from the numbers of a column."""
        missing = np.isnan(x) if weight is None else np.isnan(x) & (weight > 0)
        values, mass = distinct_with_mass(x, weight)
        return cls.of_distinct(values, mass, n_bins, bool(missing.any()), flags=flags)

    @classmethod
    def of_distinct(
        cls,
        values: Floats,
        mass: Floats,
        n_bins: int,
        missing: bool,
        *,
        flags: bool = False,
    ) -> NumberScale:
        """Learn from what `distinct_with_mass` gives, and whether any is missing.

        A column with at most two distinct values and none missing gets no bins, unless
        `flags` asks for them: the scaled number holds the same information, and bins
        would add noise.
        """
        if not n_bins or (len(values) <= 2 and not missing and not flags):
            edges = None
        else:
            edges = _bin_edges(values, mass, n_bins) if len(values) else np.empty(0)
        scale = _robust_scale(values, mass) if len(values) else (0.0, 0.0)
        return cls(*scale, edges)

    def scaled(self, x: Floats) -> npt.NDArray[np.float32]:
        """Scale, squash, and put missing numbers at 0."""
        return _squashed(x, self.center, self.scale)

    def bins(self, x: Floats) -> npt.NDArray[np.int64]:
        """Bin of every number."""
        assert self.edges is not None
        bins = _n_edges_up_to(self.edges, x) + 1
        bins[np.isnan(x)] = 0
        return bins

    def ranges(self) -> npt.NDArray[np.float32]:
        """Return the scaled lower edge of each bin, and one over its width.

        Both are 0 for bins without two edges, and for those of a single value.
        """
        assert self.edges is not None
        found = np.zeros((self.n_bins, 2), dtype=np.float32)
        edges = self.scaled(self.edges).astype(np.float64)
        width = np.diff(edges)
        wide = width > _NARROWEST
        # Row 0 is for missing numbers. The first and the last bin have one edge each.
        inner = found[2:-1]
        inner[wide, 0] = edges[:-1][wide]
        inner[wide, 1] = 1 / width[wide]
        return found


class ColumnProfile(TypedDict):
    """What the summary of an encoder says about a column."""

    distinct: int | None
    missing: float
    rare: int
    unknown_share: float
    examples: list[float | str]


def profile_numbers(n_samples: int, n_missing: int, values: Floats) -> ColumnProfile:
    """Return what `TableEncoder.summary` says about a numeric column.

    Parameters
    ----------
    n_samples, n_missing : int
        Number of cells, and of missing ones.
    values : ndarray
        The distinct observed numbers, ascending.
    """
    return {
        "distinct": len(values),
        "missing": n_missing,
        "rare": 0,
        "unknown_share": n_missing / max(n_samples, 1),
        "examples": values[[0, len(values) // 2, -1]].tolist() if len(values) else [],
    }


def binned(scales: Sequence[NumberScale], bin_sizes: Sequence[int]) -> list[int]:
    """Positions of the columns that have bins; none where `bin_sizes` is empty."""
    if not len(bin_sizes):
        return []
    return [k for k, scale in enumerate(scales) if scale.edges is not None]


def encode_numbers(
    n_samples: int,
    columns: Iterable[pd.Series],
    names: Sequence[ColumnName],
    scales: Sequence[NumberScale],
    bin_sizes: Sequence[int],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Bin and scale the numbers of columns, each by its own scale.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    columns : iterable of Series
        The numeric columns.
    names : sequence of str or int
        Their names, for errors.
    scales : sequence of NumberScale
        One for each column.
    bin_sizes : sequence of int
        Bins of each column; empty without bins.

    Returns
    -------
    bins : ndarray of shape (n_samples, len(bin_sizes)), dtype int32
        Rows of the fused table of bins.
    numeric : ndarray of shape (n_samples, n_columns), dtype float32
        The scaled numbers.
    """
    if n_samples <= SHORT:
        x = np.empty((n_samples, len(scales)))
        for k, (column, name) in enumerate(zip(columns, names, strict=True)):
            x[:, k] = as_float(column, name)
        return encode_few(x, scales, bin_sizes)
    numeric = np.empty((n_samples, len(scales)), dtype=np.float32)
    bins = np.empty((n_samples, len(bin_sizes)), dtype=np.int32)
    places = dict(zip(binned(scales, bin_sizes), first_bins(bin_sizes), strict=True))
    column_of = {k: i for i, k in enumerate(places)}
    for k, (column, name, scale) in enumerate(zip(columns, names, scales, strict=True)):
        x = as_float(column, name)
        numeric[:, k] = scale.scaled(x)
        if k in places:
            np.add(scale.bins(x), places[k], out=bins[:, column_of[k]])
    return bins, numeric


def encode_few(
    x: Floats, scales: Sequence[NumberScale], bin_sizes: Sequence[int]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Do what `encode_numbers` does for a short table, with few calls for all columns.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_columns)
        The numbers.
    scales, bin_sizes
        As for `encode_numbers`.
    """
    center = np.array([s.center for s in scales])
    scale = np.array([s.scale for s in scales])
    numeric = _squashed(x, center, scale)
    with_bins = binned(scales, bin_sizes)
    x, scales = x[:, with_bins], [scales[k] for k in with_bins]
    return _bins_of_few(x, scales) + first_bins(bin_sizes).astype(np.int32), numeric


def _bins_of_few(x: Floats, scales: Sequence[NumberScale]) -> npt.NDArray[np.int32]:
    """Bins of the numbers of a short table, within each column."""
    bins = np.empty(x.shape, dtype=np.int32)
    if len(x) > _FEW or not len(scales):
        for k, one in enumerate(scales):
            bins[:, k] = one.bins(x[:, k])
        return bins
    all_edges = [s.edges for s in scales if s.edges is not None]
    sizes = np.array(list(map(len, all_edges)))
    edges, ends = np.concatenate(all_edges), np.cumsum(sizes)
    for row, cells in enumerate(x):
        passed = np.zeros(len(edges) + 1, dtype=np.int32)
        # One comparison for the edges of all columns, then differences of sums.
        np.cumsum(edges <= np.repeat(cells, sizes), out=passed[1:])
        bins[row] = passed[ends] - passed[ends - sizes] + 1
    bins[np.isnan(x)] = 0
    return bins


def _n_edges_up_to(edges: Floats, x: Floats) -> npt.NDArray[np.int64]:
    """Number of edges at or below each number.

    The same as ``np.searchsorted(edges, x, side="right")`` in a third of the time. Both
    are binary searches. `searchsorted` takes one number after the other, and the
    processor mispredicts every second comparison; here, all numbers of a block take a
    step together.
    """
    if len(x) < _BLOCK // 16:
        return np.searchsorted(edges, x, side="right")
    n_halvings = len(edges).bit_length()
    padded = np.full(2**n_halvings, np.nan)  # which no number reaches
    padded[: len(edges)] = edges
    found = np.zeros(len(x), dtype=np.int64)
    for start in range(0, len(x), _BLOCK):
        cells, at = x[start : start + _BLOCK], found[start : start + _BLOCK]
        for step in 2 ** np.arange(n_halvings)[::-1]:
            at += step * (padded.take(at + (step - 1)) <= cells)
    return found


def first_bins(sizes: Sequence[int]) -> npt.NDArray[np.int64]:
    """First row of each column in the fused table of bins."""
    return np.cumsum(np.array([0, *sizes], dtype=np.int64))[:-1]


def _squashed(
    x: Floats, center: float | Floats, scale: float | Floats
) -> npt.NDArray[np.float32]:
    # The squash is flat long before 1e6; the clip keeps its square finite.
    with np.errstate(over="ignore"):
        z = (x - center) * scale
    np.maximum(np.minimum(z, 1e6, out=z), -1e6, out=z)
    out = z / np.sqrt(1.0 + np.square(z / 3.0))
    out[np.isnan(out)] = 0.0
    return out.astype(np.float32)


def distinct_with_mass(x: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    """Distinct observed values, ascending, and the weight that each carries.

    Everything fitted is a function of these two, so that a weight of 2 and a repeated
    row give the same result to the last bit.
    """
    observed = ~np.isnan(x)
    if weight is None:
        values, counts = np.unique(x[observed], return_counts=True)
        return values, counts.astype(np.float64)
    observed &= weight > 0
    values, inverse = np.unique(x[observed], return_inverse=True)
    mass = np.bincount(inverse, weight[observed], minlength=len(values))
    return values, mass.astype(np.float64)


def _quantiles(values: Floats, mass: Floats, levels: npt.ArrayLike) -> Floats:
    """Inverse of the weighted empirical distribution function."""
    cumulative = np.cumsum(mass)
    at = np.searchsorted(cumulative, np.asarray(levels) * cumulative[-1])
    return values[np.minimum(at, len(values) - 1)]


def _robust_scale(values: Floats, mass: Floats) -> tuple[float, float]:
    """Centre and factor of Holzmüller et al. (NeurIPS 2024), RealMLP, section 3.

    The median and one over the distance of the quartiles; where the quartiles
    coincide, two over the range; where all values do, 0.
    """
    low, center, high = _quantiles(values, mass, [0.25, 0.5, 0.75])
    # Halves, so that the range of the largest floats does not overflow.
    spread = high / 2 - low / 2
    if spread > _SMALLEST:
        return float(center), float(0.5 / spread)
    extent = values[-1] / 2 - values[0] / 2
    return float(center), float(1.0 / extent) if extent > _SMALLEST else 0.0


def _bin_edges(values: Floats, mass: Floats, n_bins: int) -> Floats:
    """Find the edges of about `n_bins` bins of equal weight.

    A value that alone carries a bin's weight gets a bin that holds nothing else (the
    zeros of capital gains, the 40 of hours per week); the other values share the
    remaining bins by quantiles.
    """
    heavy = mass * n_bins >= mass.sum()
    singles = values[heavy]
    rest, rest_mass = values[~heavy], mass[~heavy]
    n_rest = max(n_bins - len(singles), 1)
    # Between a number and the next float there is nothing else.
    edges = [singles, np.nextafter(singles, np.inf)]
    if len(rest) and n_rest > 1:
        cuts = _quantiles(rest, rest_mass, np.arange(1, n_rest) / n_rest)
        # A cut lies just above its value, which belongs to the lower bin; above the
        # highest value there is nothing to separate.
        edges.append(np.nextafter(cuts[cuts < rest[-1]], np.inf))
    return np.unique(np.concatenate(edges))


def number_text(number: float) -> str:
    """Write a number so that equal numbers are equal text, whatever their type."""
    # Hexadecimal has no limit of digits, as decimals have in Python.
    whole = not isinstance(number, float) or number.is_integer()
    return hex(int(number)) if whole else repr(number)


def number_of(text: str) -> int | float:
    """Read what `number_text` wrote."""
    return int(text, 16) if "x" in text else float(text)


def number_texts(numbers: Iterable[float | np.floating]) -> npt.NDArray[np.object_]:
    """Apply `number_text` to each number; None where it is missing."""
    texts = [None if pd.isna(v) else number_text(_plain(v)) for v in numbers]
    return np.array(texts, dtype=object)


def _plain(number: float | np.floating) -> int | float:
    return float(number) if isinstance(number, np.floating) else number
