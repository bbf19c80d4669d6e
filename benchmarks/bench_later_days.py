"""How far probabilities are off on later days, and what helps.

    python benchmarks/bench_later_days.py --seeds 0 1 2

Tables of ``bench_quality.py`` that are split by time, and ``make_funnel(drift=1.5)``.
Every number is a mean prediction over the rate that was observed in the last part, the
mean over seeds:

rate
    The rate of the training rows.
MMoE, LightGBM
    Fits with defaults to the first part.
known, new
    MMoE, on the rows whose ids are all known, and on the other rows.
unknown_share
    ``MMoE(unknown_share=0.3)``.
both parts
    MMoE, fitted to the first and the second part.
prior_shift
    MMoE of the first part, calibrated on the second by `CalibratedTasksCV`.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd
from bench_quality import TABLES, Part, lightgbm

from skmtl import MMoE
from skmtl.calibration import CalibratedTasksCV
from skmtl.datasets import make_funnel


def drifting_funnel(seed: int) -> list[Part]:
    """Five days of ``make_funnel(drift=1.5)`` to train on, then one each."""
    log = make_funnel(
        120_000,
        n_users=4000,
        n_items=2500,
        order_rate=0.004,
        drift=1.5,
        random_state=seed,
    )
    day = (log.timestamp - log.timestamp.min().normalize()).dt.days
    return [(log.data[m], log.target[m]) for m in (day < 5, day == 5, day == 6)]


LATER = {
    "taobao": TABLES["taobao"],
    "movielens_small": TABLES["movielens_small"],
    "hotel_bookings": TABLES["hotel_bookings"],
    "nyc_flights": TABLES["nyc_flights"],
    "funnel": drifting_funnel,
}


def both(first: Part, second: Part) -> Part:
    """The rows of two parts, with the dtypes of the first."""
    (X, y), (V, v) = first, second
    joined = pd.concat([X.astype(object), V.astype(object)]).astype(X.dtypes)
    return joined, pd.concat([y, v])


def ratios(parts: list[Part], seed: int) -> dict[str, pd.Series]:
    """Every number of a table, by task."""
    (X, y), (V, v), (T, t) = parts

    def ratio(p: np.ndarray, rows: np.ndarray | slice = slice(None)) -> pd.Series:
        return pd.Series(p[rows].mean(axis=0), t.columns) / t[rows].mean()

    mmoe = MMoE(random_state=seed).fit(X, y)
    p = np.asarray(mmoe.predict_task_proba(T))
    known = (mmoe.encoder_.frequencies(T) >= mmoe.min_frequency).all(axis=1)
    found = {"rate": y.mean() / t.mean(), "MMoE": ratio(p)}
    found["LightGBM"] = ratio(lightgbm(parts, seed, 0))
    if 0.02 < known.mean() < 0.98:
        found |= {"known": ratio(p, known), "new": ratio(p, ~known)}
    other = MMoE(unknown_share=0.3, random_state=seed).fit(X, y)
    found["unknown_share"] = ratio(np.asarray(other.predict_task_proba(T)))
    other = MMoE(random_state=seed).fit(*both(parts[0], parts[1]))
    found["both parts"] = ratio(np.asarray(other.predict_task_proba(T)))
    shifted = CalibratedTasksCV(mmoe, method="prior_shift", cv="prefit").fit(V, v)
    p = np.column_stack([q[:, 1] for q in shifted.predict_proba(T)])
    return found | {"prior_shift": ratio(p)}


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=list(LATER), default=list(LATER))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    for name in options.tables:
        fits = [pd.DataFrame(ratios(LATER[name](seed), seed)) for seed in options.seeds]
        print(name, sum(fits) / len(fits), sep="\n", flush=True)


if __name__ == "__main__":
    pd.set_option("display.width", 160, "display.max_columns", None)
    pd.set_option("display.precision", 2)
    main()
