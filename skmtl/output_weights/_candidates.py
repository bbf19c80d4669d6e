"""Points of the search: grids, directions, and moves beyond the grid."""

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from skmtl._typing import ColumnName
from skmtl.metrics._gains import term_name
from skmtl.metrics._validation import (
    as_numbers,
    column_names,
    in_order_of_tasks,
    named_values,
)
from skmtl.output_weights._fusion import check_values

# Points per axis, the values of each task's axis, or the points themselves.
GridLike: TypeAlias = int | Mapping[ColumnName, npt.ArrayLike] | npt.ArrayLike
# A candidate is a row of `cv_results_`, about 1 kB with its dict of parameters.
MAX_POINTS = 500_000


def make_candidates(weights: GridLike, names: Sequence[str]) -> np.ndarray:
    """Make all points ``(n_candidates, n_tasks)``, without the all-zero point."""
    if isinstance(weights, Integral) and not isinstance(weights, bool):
        if weights < 2:
            raise ValueError(
                f"weights={weights} gives a grid of one point; at least 2 points per "
                "axis are needed, such as 11 for steps of 0.1."
            )
        # Before the points are made, which might not fit in memory.
        _check_size(n_points(weights, len(names)))
        # A division rounds once and gives 0.3, where `linspace` gives
        # 0.30000000000000004.
        axes = [np.arange(int(weights)) / (int(weights) - 1)] * len(names)
        points = _product(axes)
    elif isinstance(weights, Mapping):
        axes = _axes(weights, names)
        _check_size(math.prod(len(axis) for axis in axes))
        points = _product(axes)
    else:
        points = _given_points(weights, names)
    check_values(points, names)
    points = points[points.any(axis=1)]
    if not len(points):
        raise ValueError(
            "weights hold only the all-zero point, so there is nothing to search. Add "
            "other points."
        )
    return points


def n_points(weights: GridLike, n_tasks: int) -> int:
    """Return the size of the grid without making it."""
    if isinstance(weights, Integral):
        return int(weights) ** n_tasks
    if isinstance(weights, Mapping):
        return math.prod(int(np.size(values)) for values in weights.values())
    return len(np.asarray(weights))


def _check_size(count: int) -> None:
    if count > MAX_POINTS:
        raise ValueError(
            f"The grid has {count} points, more than {MAX_POINTS}. Use "
            "search='continuous', fewer points per axis, or an array of points."
        )


def _given_points(weights: npt.ArrayLike, names: Sequence[str]) -> np.ndarray:
    """Check an array of points; the columns of a DataFrame are matched by name."""
    points = as_numbers(weights, "weights")
    columns = column_names(weights) if points.ndim == 2 else None
    if points.ndim != 2 or points.shape[1] != len(names) or not len(points):
        raise ValueError(
            "weights must be a number of points per axis, a mapping from task to "
            f"values, or an array (n_points, {len(names)}) for the tasks "
            f"{list(names)}; got shape {points.shape}."
        )
    return in_order_of_tasks(points, columns, list(names), "weights")


def _axes(
    weights: Mapping[ColumnName, object], names: Sequence[str]
) -> list[np.ndarray]:
    given = {
        term_name(name): np.atleast_1d(as_numbers(v, f"The weights of task {name!r}"))
        for name, v in named_values(weights).items()
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
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def directions(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the first point of each direction, and the direction of each point.

    Points that differ only in scale rank alike. They are recognized by their ratios to
    the largest weight, up to 12 digits of the largest ratio of each task.
    """
    # Adding 0.0 turns -0.0 into 0.0, which `unique` would otherwise keep apart.
    scaled = points / points.max(axis=1, keepdims=True)
    # Relative to the largest of each column: terms may be of very different size.
    scaled = np.round(scaled / np.where(points.any(axis=0), scaled.max(axis=0), 1), 12)
    scaled += 0.0
    _, first, inverse = np.unique(
        scaled, axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[inverse.ravel()]


def start_points(n_tasks: int) -> np.ndarray:
    """Single tasks, pairs and equal weights, where a grid would be too large."""
    single = np.eye(n_tasks)
    first, second = np.triu_indices(n_tasks, 1)
    return np.concatenate(
        [single, single[first] + single[second], np.ones((1, n_tasks))]
    )


STEPS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)
Merit = Callable[[np.ndarray], np.ndarray]


def refine(merit: Merit, start: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Climb from a point until no move helps; never to a lower merit.

    A rank metric is a step function of the weights, so it has no useful gradient. A
    move raises or lowers one task's share of the spread of the fused score, in ever
    smaller steps (a compass search, Kolda, Lewis and Torczon, SIAM Review 45(3), 2003,
    section 1). With three or four tasks a move also shifts share from one task to
    another.

    Parameters
    ----------
    merit : callable
        From points ``(n_points, n_tasks)`` to merits ``(n_points,)``.
    start : ndarray of shape (n_tasks,)
        Weights to start from.
    scale : ndarray of shape (n_tasks,)
        Spread of what each weight multiplies.
    """
    point = start * scale / (start * scale).max()
    best = float(merit(start[None])[0])
    improved, found = True, start
    while improved:
        improved = False
        for step in STEPS:
            while True:
                moves = _moves(point, step)
                weights = as_weights(moves, scale)
                values = merit(weights)
                top = int(np.argmax(values))
                if not values[top] > best:
                    break
                best, point, found = float(values[top]), moves[top], weights[top]
                improved = True
        if not improved:
            break
    return found


def as_weights(points: np.ndarray, scale: np.ndarray) -> np.ndarray:
    weights = points / scale
    scaled: np.ndarray = weights / weights.max(axis=-1, keepdims=True)
    return scaled


def _moves(point: np.ndarray, step: float) -> np.ndarray:
    """Neighbours with one share changed, or moved from one task to another."""
    n = len(point)
    unit = np.eye(n) * step
    moves = [point + unit, point - unit]
    # With two tasks there is no third share to keep; with many, there are too many
    # pairs.
    if 2 < n <= 4:
        first, second = np.nonzero(~np.eye(n, dtype=bool))
        moves.append(point + unit[first] - unit[second])
    found = np.maximum(np.concatenate(moves), 0.0)
    found = found[found.any(axis=1)]
    return found / found.max(axis=1, keepdims=True)
