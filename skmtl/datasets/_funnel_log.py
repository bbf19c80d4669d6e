"""The log of ``make_funnel``: who saw what, when and how; no labels yet."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

DEVICES = ("android", "ios", "web")
_START = np.datetime64("2024-01-01", "s")
_DAY = 86_400
# Share of the sessions that start in each hour: a low at 8, a high at 20.
_HOURS = 1 + 0.8 * np.sin(2 * np.pi * (np.arange(24) - 14) / 24)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The checked parameters of ``make_funnel`` that shape the log."""

    n_samples: int
    n_users: int
    n_items: int
    n_categories: int
    page_size: int
    n_days: int
    zipf_exponent: float
    n_new_items: int
    n_new_days: int


@dataclass(frozen=True)
class Log:
    """Columns of length n_samples, and the category of each item."""

    sizes: Sizes
    user: np.ndarray
    item: np.ndarray
    item_category: np.ndarray  # (n_items,)
    new_items: np.ndarray  # (n_new_items,)
    device: np.ndarray
    session: np.ndarray
    position: np.ndarray
    seconds: np.ndarray  # since the start of the log
    hour: np.ndarray
    price: np.ndarray
    discount: np.ndarray

    def data(self) -> pd.DataFrame:
        """Return the inputs of a ranker."""
        n_users, n_items = self.sizes.n_users, self.sizes.n_items
        category = self.item_category[self.item]
        return pd.DataFrame(
            {
                "user_id": _ids(self.user, n_users),
                "item_id": _ids(self.item, n_items),
                "category_id": _ids(category, self.sizes.n_categories),
                "device": pd.Categorical.from_codes(self.device, pd.Index(DEVICES)),
                "position": self.position,
                "price": self.price,
                "discount": self.discount,
                "hour": self.hour,
            }
        )

    def timestamp(self) -> np.ndarray:
        """Return the start of each row's session."""
        return _START + self.seconds.astype("timedelta64[s]")

    def time(self) -> np.ndarray:
        """Return when each row's session starts, from 0 to 1 over the days."""
        return self.seconds / (self.sizes.n_days * _DAY)


def draw_log(sizes: Sizes, generator: np.random.Generator) -> Log:
    """Draw sessions in the order of time and fill their pages."""
    n_sessions = -(-sizes.n_samples // sizes.page_size)
    hours = generator.choice(24, n_sessions, p=_HOURS / _HOURS.sum())
    start = generator.integers(0, sizes.n_days, n_sessions) * _DAY + hours * 3600
    start = np.sort(start + generator.integers(0, 3600, n_sessions))
    users = _draw_ids(
        generator.permutation(sizes.n_users), sizes.zipf_exponent, n_sessions, generator
    )
    devices = generator.choice(len(DEVICES), n_sessions, p=[0.5, 0.3, 0.2])

    # The last page may be short.
    session, place = np.divmod(np.arange(sizes.n_samples), sizes.page_size)
    seconds = start[session]
    item, new_items = _draw_items(sizes, seconds, generator)
    item_category = generator.integers(0, sizes.n_categories, sizes.n_items)
    log_price = 3 + 0.5 * generator.standard_normal(sizes.n_categories)[item_category]
    log_price += 0.6 * generator.standard_normal(sizes.n_items)
    reduced = generator.random(sizes.n_samples) < 0.4
    discount = reduced * generator.uniform(0.05, 0.5, sizes.n_samples)
    return Log(
        sizes=sizes,
        user=users[session],
        item=item,
        item_category=item_category,
        new_items=new_items,
        device=devices[session],
        session=session,
        position=place + 1,
        seconds=seconds,
        hour=seconds % _DAY // 3600,
        price=np.exp(log_price).round(2)[item],
        discount=discount.round(2),
    )


def _draw_items(
    sizes: Sizes, seconds: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the items of all rows; return them and the ids of the new items."""
    ids = generator.permutation(sizes.n_items)
    new = np.zeros(sizes.n_items, dtype=bool)  # by popularity, as ids
    new[generator.permutation(sizes.n_items)[: sizes.n_new_items]] = True
    item = np.empty(len(seconds), dtype=np.int64)
    late = seconds >= (sizes.n_days - sizes.n_new_days) * _DAY
    # Without the new items, those left move up in popularity.
    for rows, offered in ((~late, ids[~new]), (late, ids)):
        item[rows] = _draw_ids(offered, sizes.zipf_exponent, int(rows.sum()), generator)
    return item, np.sort(ids[new])


def _draw_ids(
    ids: np.ndarray, exponent: float, size: int, generator: np.random.Generator
) -> np.ndarray:
    """Draw from ids in decreasing order of popularity."""
    weights = np.cumsum(np.arange(1.0, len(ids) + 1) ** -exponent)
    # Inverse of the distribution function. The last weight is exactly 1, above any
    # draw.
    ranks = np.searchsorted(weights / weights[-1], generator.random(size), side="right")
    return ids[ranks]


def _ids(codes: np.ndarray, n: int) -> "pd.Categorical[int]":
    return pd.Categorical.from_codes(codes, pd.Index(np.arange(n)))
