"""Points of the search: grids, directions, and moves beyond the grid."""

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from skmtl._messages import shown
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
        _check_per_axis(weights)
        # Before the points are made, which might not fit in memory.
        _check_size(n_points(weights, len(names)), len(names))
        # A division rounds once and gives 0.3, where `linspace` gives
        # 0.30000000000000004.
        axes = [np.arange(int(weights)) / (int(weights) - 1)] * len(names)
        points = _product(axes)
    elif isinstance(weights, Mapping):
        axes = _axes(weights, names)
        _check_size(math.prod(len(axis) for axis in axes), len(names))
        points = _product(axes)
    else:
        points = _given_points(weights, names)
    check_values(points, names)
    return _without_zero(points)


def _check_per_axis(weights: Integral) -> None:
    if int(weights) < 2:
        raise ValueError(
            f"weights={weights} gives a grid of one point; at least 2 points per "
            "axis are needed, such as 11 for steps of 0.1."
        )


def _without_zero(points: np.ndarray) -> np.ndarray:
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


def _check_size(count: int, n_terms: int) -> None:
    if count > MAX_POINTS:
        refine = "search='refine', " if 3**n_terms <= MAX_POINTS else ""
        raise ValueError(
            f"The grid has {count} points, more than {MAX_POINTS}. Use {refine}"
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
        term_name(name): np.atleast_1d(
            as_numbers(v, f"The weights of task {shown(name)}")
        )
        for name, v in named_values(weights).items()
    }
    if sorted(given) != sorted(names):
        raise ValueError(
            f"weights must give values for each of the tasks {list(names)}; got "
            f"{list(given)}."
        )
    for name, values in given.items():
        if values.ndim != 1 or not values.size:
            raise ValueError(
                f"weights of task {shown(name)} must be a list of numbers."
            )
    return [given[name] for name in names]


def _product(axes: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def directions(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the first point of each direction, and the direction of each point.

    Points that differ only in scale rank alike. They are recognized by the ratios of
    their weights to the largest one, each rounded to about 12 significant digits:
    terms, and so their weights, may be of very different size.
    """
    mantissa, exponent = np.frexp(points / points.max(axis=1, keepdims=True))
    # Adding 0.0 turns -0.0 into 0.0, which `unique` would otherwise keep apart.
    scaled = np.ldexp(np.round(mantissa, 12), exponent) + 0.0
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


N_LEADERS = 8  # points of each level whose neighbours are evaluated
Evaluate = Callable[[np.ndarray], np.ndarray]


def grid_axes(weights: GridLike, names: Sequence[str]) -> list[np.ndarray]:
    """Values of each task's axis, ascending.

    Raises
    ------
    ValueError
        For points without axes, which cannot be searched from coarse to fine.
    """
    if isinstance(weights, Integral) and not isinstance(weights, bool):
        _check_per_axis(weights)
        return [np.arange(int(weights)) / (int(weights) - 1)] * len(names)
    if not isinstance(weights, Mapping):
        raise ValueError(
            "search='refine' needs a grid: weights as a number of points per axis, or "
            "a mapping from task to values. Use another search for an array of points."
        )
    axes = [np.unique(axis) for axis in _axes(weights, names)]
    check_values(np.array([[axis.min() for axis in axes]]), names)
    check_values(np.array([[axis.max() for axis in axes]]), names)
    return axes


def size_of_grid(axes: Sequence[np.ndarray]) -> int:
    """Number of points, without the all-zero point."""
    return math.prod(map(len, axes)) - all(axis[0] == 0 for axis in axes)


def coarse_grid(axes: Sequence[np.ndarray]) -> np.ndarray:
    """The points of the first level, without the all-zero point."""
    coarse = levels(axes)[0]
    if (count := size_of_grid(coarse)) > MAX_POINTS:
        raise ValueError(
            f"search='refine' starts from {count} points, up to three values of each "
            f"of the {len(axes)} terms, more than {MAX_POINTS}. Use "
            "search='continuous', or fewer terms."
        )
    return _without_zero(_product(coarse))


def levels(axes: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Axes of ever finer grids: 3 values of each axis, 5, 9, …, and finally all."""
    found, n, longest = [], 3, max(map(len, axes))
    while True:
        found.append([axis[_spread_out(len(axis), n)] for axis in axes])
        if n >= longest:
            return found
        n = 2 * n - 1


def _spread_out(length: int, n: int) -> np.ndarray:
    """Places of `n` values of an axis, ends included, with those for half of `n`."""
    if length <= n:
        return np.arange(length)
    places = np.round(np.linspace(0, length - 1, n)).astype(int)
    return places if n == 3 else np.union1d(places, _spread_out(length, (n + 1) // 2))


def coarse_to_fine(
    merit: Evaluate, axes: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Search a grid by evaluating a coarse one, and finer ones near its best points.

    On every level the neighbours of the best points are evaluated, until all
    neighbours of the best ones are known. A neighbour is one step away in one or two
    weights, or in all but one, which moves the weight of that task against all others.

    Parameters
    ----------
    merit : callable
        From points ``(n_points, n_tasks)`` to pairs of numbers ``(n_points, 2)``. The
        first ones decide which point is better, the second ones where they are equal.
    axes : sequence of ndarray
        Ascending values of each weight.

    Returns
    -------
    points : ndarray of shape (n_points, n_tasks)
        The points that were evaluated, all of different directions.
    level : ndarray of shape (n_points,)
        From 0, the level on which each was evaluated.
    """
    grids = levels(axes)
    points, merits = np.empty((0, len(axes))), np.empty((0, 2))
    sizes, new = [], coarse_grid(axes)
    for place, grid in enumerate(grids):
        if place:
            new = _neighbours(points[_leaders(merits)], grid)
        while len(new := _of_new_directions(points, new)):
            points = np.concatenate([points, new])
            merits = np.concatenate([merits, merit(new)])
            new = _neighbours(points[_leaders(merits)], grid)
        sizes.append(len(points))
    return points, np.repeat(np.arange(len(sizes)), np.diff(sizes, prepend=0))


def _leaders(merits: np.ndarray) -> np.ndarray:
    return np.lexsort((-merits[:, 1], -merits[:, 0]))[:N_LEADERS]


def _of_new_directions(points: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Those of the new points that differ in direction from all others.

    Of points of one direction, the largest: on a grid it has the finest neighbours.
    """
    new = new[new.any(axis=1)]
    if not len(new):
        return new
    new = new[np.argsort(-new.sum(axis=1), kind="stable")]
    first, _ = directions(np.concatenate([points, new]))
    found: np.ndarray = new[first[first >= len(points)] - len(points)]
    return found


def _neighbours(points: np.ndarray, grid: Sequence[np.ndarray]) -> np.ndarray:
    """Points of a grid near others of it."""
    last = np.array([len(axis) - 1 for axis in grid])
    places = np.stack(
        [axis.searchsorted(points[:, t]) for t, axis in enumerate(grid)], axis=1
    )
    moved = (places[:, None] + _grid_moves(len(grid))).reshape(-1, len(grid))
    moved = np.unique(np.clip(moved, 0, last), axis=0)
    return np.stack([axis[moved[:, t]] for t, axis in enumerate(grid)], axis=1)


def _grid_moves(n: int) -> np.ndarray:
    """Steps of one weight, of two, and of all but one."""
    unit = np.eye(n, dtype=int)
    first, second = np.triu_indices(n, 1)
    pairs = [unit[first] + unit[second], unit[first] - unit[second]]
    half = np.concatenate([unit, *pairs, 1 - unit])
    return np.unique(np.concatenate([half, -half]), axis=0)
