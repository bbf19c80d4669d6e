"""Checks of what kinds of tasks are made with."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import cast

from skmtl._messages import shown

# Losses of the order of rows within groups.
RANKINGS = ("pairwise", "listwise", "jrc", "lambdarank", "ndcg_loss2")
# Those that depend on positions, of which the first `k` count.
OF_POSITIONS = ("lambdarank", "ndcg_loss2")


def check_choice(name: str, value: object, allowed: Sequence[object]) -> None:
    """Raise for a value that is not one of those allowed."""
    if value not in allowed:
        raise ValueError(
            f"{name} must be one of {list(allowed)}, found {shown(value)}."
        )


def check_between(name: str, value: object, low: float, high: float) -> None:
    """Raise for anything but a number between two others."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and low < cast(float, value) < high):
        raise ValueError(
            f"{name} must be a number between {low:g} and {high:g}, found "
            f"{shown(value)}."
        )


def check_used(name: str, value: object, default: object, where: str) -> None:
    """Raise for a value other than the default, where it has no effect."""
    if value != default:
        raise ValueError(f"{name}={shown(value)} has no effect: it is for {where}.")


def check_ranking(ranking: str | None, ranking_weight: object, k: object) -> None:
    """Check the arguments of a binary task."""
    if ranking not in (None, *RANKINGS):
        known = (None, *RANKINGS)
        raise ValueError(f"ranking must be one of {known}, found {shown(ranking)}.")
    check_between("ranking_weight", ranking_weight, 0.0, float("inf"))
    if isinstance(k, bool) or not (isinstance(k, Integral) and int(k) > 0):
        raise ValueError(f"k must be an integer above 0, found {shown(k)}.")
    if ranking is None:
        check_used("ranking_weight", ranking_weight, 1.0, f"ranking in {RANKINGS}")
    if ranking not in OF_POSITIONS:
        check_used("k", k, 10, f"ranking in {OF_POSITIONS}")
