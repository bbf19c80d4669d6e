"""Numbers of one column: a robust scale and the bins that an embedding reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Distances below have no finite inverse.
_SMALLEST = 1e-300


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
    def fit(cls, x: Floats, weight: Floats | None, n_bins: int) -> NumberScale:
        """Learn from the numbers of a column.

        A column of at most two values and none missing gets no bins: the scaled number
        says all there is to know, and bins would add noise.
        """
        values, mass = distinct_with_mass(x, weight)
        missing = np.isnan(x) if weight is None else np.isnan(x) & (weight > 0)
        plain = len(values) <= 2 and not missing.any()
        if not n_bins or plain:
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
        bins = np.searchsorted(self.edges, x, side="right") + 1
        bins[np.isnan(x)] = 0
        return bins


def scaled(x: Floats, scales: Sequence[NumberScale]) -> npt.NDArray[np.float32]:
    """Scale columns, each by its own, as `NumberScale.scaled` does.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_columns)
        The numbers.
    scales : sequence of NumberScale
        One for each column.
    """
    center, scale = (
        np.array([getattr(s, a) for s in scales]) for a in ("center", "scale")
    )
    return _squashed(x, center, scale)


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

    Everything fitted is a function of these two, so that a weight of 2 and a row
    that is there twice are the same to the last bit.
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
    """Edges of about `n_bins` bins of equal weight, heavy values apart.

    A value that alone carries a bin's weight gets a bin that holds nothing else (the
    zeros of capital gains, the 40 of hours per week); the other values share the
    remaining bins by quantiles.
    """
    heavy = mass * n_bins >= mass.sum()
    singles = values[heavy]
    rest, rest_mass = values[~heavy], mass[~heavy]
    n_rest = max(n_bins - len(singles), 1)
    edges = [singles, np.nextafter(singles, np.inf)]
    if len(rest) and n_rest > 1:
        cuts = _quantiles(rest, rest_mass, np.arange(1, n_rest) / n_rest)
        # A cut lies just above its value, which belongs to the lower bin; above the
        # highest value there is nothing to part.
        edges.append(np.nextafter(cuts[cuts < rest[-1]], np.inf))
    return np.unique(np.concatenate(edges))
