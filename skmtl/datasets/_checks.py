"""Checks of the parameters that the generators and fetchers share."""

from numbers import Integral, Real

import numpy as np

RandomState = int | np.random.RandomState | np.random.Generator | None


def check_int(name: str, value: object, *, low: int, high: int | None = None) -> int:
    """Return an int in [low, high]."""
    wanted = f"an integer ≥ {low}" + ("" if high is None else f" and ≤ {high}")
    # True is an Integral, but hardly meant as the number 1.
    if not isinstance(value, Integral) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be {wanted}; got {value!r}.")
    number = int(value)
    if number < low or (high is not None and number > high):
        raise ValueError(f"{name} must be {wanted}; got {value!r}.")
    return number


def check_real(
    name: str,
    value: object,
    *,
    low: float,
    high: float = np.inf,
    closed: str = "both",
) -> float:
    """Return a finite float in the interval whose ends ``closed`` names."""
    left = "[" if closed in ("both", "left") else "("
    right = "]" if closed in ("both", "right") and np.isfinite(high) else ")"
    wanted = f"a number in {left}{low}, {high}{right}"
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be {wanted}; got {value!r}.")
    number = float(value)
    # NaN fails either comparison; infinity fails the open end of an unbounded interval.
    inside = (number >= low if left == "[" else number > low) and (
        number <= high if right == "]" else number < high
    )
    if not inside:
        raise ValueError(f"{name} must be {wanted}; got {value!r}.")
    return number


def check_generator(random_state: RandomState) -> np.random.Generator:
    """Turn ``random_state`` into a numpy Generator; numpy's global one is not touched.

    An int seeds the generator, a ``RandomState`` draws a seed for it, and ``None`` uses
    fresh entropy.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        # Four draws: one has only 31 bits.
        return np.random.default_rng(random_state.randint(0, 2**31, size=4))
    if random_state is None:
        return np.random.default_rng()
    return np.random.default_rng(check_int("random_state", random_state, low=0))
