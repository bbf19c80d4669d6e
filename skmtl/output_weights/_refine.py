"""Pattern search beyond the grid."""

from collections.abc import Callable

import numpy as np

STEPS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)
Merit = Callable[[np.ndarray], np.ndarray]


def refine(merit: Merit, start: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Climb from a point until no move helps; never to a lower merit.

    A rank metric is a step function of the weights, so nothing has a gradient. A move
    raises or lowers one task's share of the spread of the fused score, in ever smaller
    steps (a compass search, Kolda, Lewis and Torczon, SIAM Review 45(3), 2003,
    section 1). With more than two tasks a move also shifts share from one task to
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
    if 2 < n <= 4:
        first, second = np.nonzero(~np.eye(n, dtype=bool))
        moves.append(point + unit[first] - unit[second])
    found = np.maximum(np.concatenate(moves), 0.0)
    found = found[found.any(axis=1)]
    return found / found.max(axis=1, keepdims=True)
