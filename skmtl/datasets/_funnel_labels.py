"""The labels of ``make_funnel``: true probabilities, draws and histories."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from skmtl.datasets._funnel_log import Log

_N_FACTORS = 4
# Effects on the stages: click, cart, order. Each stage needs the previous one.
_POSITION = (-0.6, 0.0, 0.0)  # the position matters only until the item is opened
_PRICE = (0.1, -0.4, -0.7)
_PRICE_SQUARED = (-0.15, -0.1, -0.05)
_DISCOUNT = (0.5, 1.0, 0.8)
_HOUR = (0.15, 0.2, 0.4)
_DEVICE = ((0.1, 0.0, -0.2), (0.0, 0.1, 0.2), (-0.1, 0.3, 0.4))
_USER, _ITEM, _MATCH = 0.6, 0.8, 0.8  # standard deviations


class World:
    """Effects of users and items, half of the variance common to all stages."""

    def __init__(self, log: Log, generator: np.random.Generator) -> None:
        self.log, self.generator = log, generator
        sizes = log.sizes
        self.user = generator.standard_normal(sizes.n_users)
        self.item = self._draw_by_item(1)
        self.user_factors = generator.standard_normal((sizes.n_users, _N_FACTORS))
        self.item_factors = self._draw_by_item(_N_FACTORS)

    def _draw_by_item(self, width: int) -> np.ndarray:
        """Draw standard normal rows; half of the variance is the category's."""
        sizes, draw = self.log.sizes, self.generator.standard_normal
        by_category = draw((sizes.n_categories, width))[self.log.item_category]
        return (by_category + draw((sizes.n_items, width))) / np.sqrt(2)

    def score(self, stage: int, *, biased: bool) -> np.ndarray:
        """Return the logit of a stage, without intercept, and draw its own effects.

        Without an effect of the position if clicks are `biased` by examination.
        """
        log, half = self.log, np.sqrt(0.5)
        user = half * (self.user + self.generator.standard_normal(len(self.user)))
        item = half * (self.item + self._draw_by_item(1))[:, 0]
        factors = half * (self.item_factors + self._draw_by_item(_N_FACTORS))
        score = _USER * user[log.user] + _ITEM * item[log.item]
        score += _context(log, stage, 0.0 if biased else _POSITION[stage])
        # One factor at a time: no (n_samples, n_factors) array.
        for p, q in zip(self.user_factors.T, factors.T, strict=True):
            score += _MATCH / np.sqrt(_N_FACTORS) * p[log.user] * q[log.item]
        return score


def _context(log: Log, stage: int, of_position: float) -> np.ndarray:
    """Return the non-linear effects of position, price, discount, hour and device."""
    # About 0 for the median item, whose log-price is 3: exp(3) is 20.
    price = np.log(log.price / 20)
    return (
        of_position * np.log(log.position)
        + _PRICE[stage] * price
        + _PRICE_SQUARED[stage] * price**2
        + _DISCOUNT[stage] * np.tanh(4 * log.discount)
        + _HOUR[stage] * np.cos(2 * np.pi * (log.hour - 20) / 24)
        + np.array(_DEVICE[stage])[log.device]
    )


def draw_scores(
    log: Log,
    signal: float,
    drift: float,
    generator: np.random.Generator,
    *,
    biased: bool,
) -> np.ndarray:
    """Return the logit of each stage, without intercept, (3, n_samples)."""
    world = World(log, generator)
    scores = [
        signal * world.score(stage, biased=biased) + drift * log.time()
        for stage in range(len(_POSITION))
    ]
    return np.stack(scores)


def sorted_pages(
    log: Log,
    scores: np.ndarray,
    of_item: float,
    of_score: float,
    generator: np.random.Generator,
) -> tuple[Log, np.ndarray]:
    """Sort the items of each page by a preference for items, score, and noise."""
    preferred = generator.standard_normal(log.sizes.n_items)[log.item]
    key = of_item * preferred + of_score * scores[0]
    key += generator.gumbel(size=len(key))
    # The last key is the first to sort by: pages stay where they are.
    order = np.lexsort((-key, log.session))
    columns = {
        name: getattr(log, name)[order] for name in ("item", "price", "discount")
    }
    return replace(log, **columns), scores[:, order]


def true_probabilities(
    scores: np.ndarray, rates: Sequence[float], examination: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of each stage, (n_samples, 3), with the rates as means.

    And that of each stage once a row is examined, which may have probability 0.
    """
    proba, relevance = np.empty(scores.T.shape), np.empty(scores.T.shape)
    reached, relevant = examination, np.ones(len(examination))
    for stage, (score, rate) in enumerate(zip(scores, rates, strict=True)):
        passed = expit(score + _intercept(score, reached, rate))
        reached, relevant = reached * passed, relevant * passed
        proba[:, stage], relevance[:, stage] = reached, relevant
    return proba, relevance


def _intercept(score: np.ndarray, reached: np.ndarray, rate: float) -> float:
    """Solve mean(reached * expit(score + intercept)) = rate."""
    # If all scores were the greatest (least), this would be a lower (upper) bound.
    root = logit(rate / reached.mean())
    return float(
        brentq(
            lambda b: reached @ expit(score + b) / len(score) - rate,
            root - score.max() - 1e-6,
            root - score.min() + 1e-6,
            xtol=1e-10,
        )
    )


def draw_labels(proba: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw 0 or 1, int64; a stage is 1 only where the previous one is."""
    before = np.column_stack([np.ones(len(proba)), proba[:, :-1]])
    # That is u < proba / before, without a division by zero.
    passed = generator.random(proba.shape) * before < proba
    return np.logical_and.accumulate(passed, axis=1).astype(np.int64)


def histories(log: Log, clicked: np.ndarray, length: int) -> list[list[int]]:
    """Return, for each row, the items its user clicked last in earlier sessions."""
    n_sessions = int(log.session[-1]) + 1
    key = log.user * n_sessions + log.session  # sorts by user, then by time
    rows = np.flatnonzero(clicked)
    rows = rows[np.argsort(key[rows], kind="stable")]
    # The left side: clicks in the same session do not count.
    stop = np.searchsorted(key[rows], key)
    first = np.searchsorted(key[rows], log.user * n_sessions)
    start = np.maximum(first, stop - length)
    items = log.item[rows].tolist()
    return [items[a:b] for a, b in zip(start.tolist(), stop.tolist(), strict=True)]
