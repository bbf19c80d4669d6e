"""A table of impressions with what real ones have."""

import numpy as np
import pandas as pd
import pytest

from tests.rankers.makers import MAKERS


def make_impressions(n=1500, seed=0, n_tasks=2):
    """Ids as strings and integers, numbers, missing cells; nested rare tasks."""
    rng = np.random.default_rng(seed)
    user = rng.zipf(1.3, n) % 50
    item = rng.zipf(1.2, n) % 200
    price = rng.lognormal(size=n)
    effect = np.linspace(-1, 1, 200)[item] + 0.5 * np.sin(user)
    X = pd.DataFrame(
        {
            "user": user,
            "item": pd.Series([f"item-{i}" for i in item]),
            "price": np.where(rng.random(n) < 0.05, np.nan, price),
            "position": rng.integers(0, 10, n),
        }
    )
    X.loc[rng.random(n) < 0.02, "item"] = None
    noise = rng.logistic(size=(n, n_tasks))
    logit = np.column_stack(
        [2 * effect - 0.1 * X["position"] - t * price for t in range(n_tasks)]
    )
    y = (logit + noise > 0.5).astype(float)
    y = np.minimum.accumulate(y, axis=1)
    names = ["click", "cart", "order", "return", "review"][:n_tasks]
    return X, pd.DataFrame(y.astype(int), columns=names)


@pytest.fixture(scope="session")
def impressions():
    return make_impressions(800)


@pytest.fixture(params=MAKERS)
def maker(request):
    return MAKERS[request.param]
