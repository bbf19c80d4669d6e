"""The points of the search, and which of them rank alike."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from skmtl.output_weights._fusion import check_values

MAX_POINTS = 2_000_000


def make_candidates(weights: Any, names: Sequence[str]) -> np.ndarray:
    """All points ``(n_candidates, n_tasks)``, without the all-zero point."""
    if isinstance(weights, Integral) and not isinstance(weights, bool):
        if weights < 2:
            raise ValueError(
                f"weights={weights} gives a grid of one point; at least 2 points per "
                "axis are needed, such as 11 for steps of 0.1."
            )
        axes = [np.arange(int(weights)) / (int(weights) - 1)] * len(names)
        points = _product(axes)
    elif isinstance(weights, Mapping):
        points = _product(_axes(weights, names))
    else:
        points = np.asarray(weights, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != len(names) or not len(points):
            raise ValueError(
                "weights must be a number of points per axis, a mapping from task to "
                f"values, or an array (n_points, {len(names)}) for the tasks "
                f"{list(names)}; got shape {points.shape}."
            )
    check_values(points, names)
    points = points[points.any(axis=1)]
    if not len(points):
        raise ValueError("weights hold the all-zero point only; nothing to search.")
    return points


def n_points(weights: Any, n_tasks: int) -> int:
    """Size of the grid, without making it."""
    if isinstance(weights, Integral):
        return int(weights) ** n_tasks
    if isinstance(weights, Mapping):
        return int(np.prod([float(np.size(v)) for v in weights.values()]))
    return len(weights)


def _axes(weights: Mapping[Any, Any], names: Sequence[str]) -> list[np.ndarray]:
    given = {
        str(name): np.atleast_1d(np.asarray(v, float)) for name, v in weights.items()
    }
    if sorted(given) != sorted(names):
        raise ValueError(
            f"weights must give values for each of the tasks {list(names)}; got "
            f"{list(given)}."
        )
    for name, values in given.items():
        if values.ndim != 1 or not values.size:
            raise ValueError(f"weights of task {name!r} must be a list of numbers.")
    return [given[name] for name in names]


def _product(axes: Sequence[np.ndarray]) -> np.ndarray:
    count = float(np.prod([float(len(axis)) for axis in axes]))
    if count > MAX_POINTS:
        raise ValueError(
            f"The grid has {count:.0f} points, more than {MAX_POINTS}. Use "
            "search='continuous', fewer points per axis, or an array of points."
        )
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def directions(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First point of each direction, by rising index, and the direction of each point.

    Points that differ only in scale rank alike. They are told by their ratio to the
    largest weight, up to 12 digits.
    """
    scaled = np.round(points / points.max(axis=1, keepdims=True), 12) + 0.0
    _, first, inverse = np.unique(
        scaled, axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[inverse.ravel()]


def start_points(n_tasks: int) -> np.ndarray:
    """Single tasks, pairs, and equal weights: where no grid fits."""
    single = np.eye(n_tasks)
    first, second = np.triu_indices(n_tasks, 1)
    return np.concatenate(
        [single, single[first] + single[second], np.ones((1, n_tasks))]
    )
