"""Metrics: the same numbers in any container, order, scale and byte order."""

import inspect

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from skmtl import metrics
from tests.fuzz.strategies import SEEDS, WRITINGS

PLAIN = [
    "brier",
    "expected_calibration_error",
    "log_loss",
    "predicted_to_observed",
    "roc_auc",
]
BY_GROUP = [
    "group_roc_auc",
    "hit_rate_at_k",
    "mrr_at_k",
    "ndcg",
    "precision_at_k",
    "recall_at_k",
]
AT_MOST_ONE = {*PLAIN, *BY_GROUP} - {"log_loss", "predicted_to_observed"}
# Ties between rows of a group are broken by their order in these.
BREAKS_TIES = {*BY_GROUP} - {"group_roc_auc"}

SCORES = {
    "uniform": lambda rng, shape: rng.random(shape),
    "ties": lambda rng, shape: rng.integers(0, 3, shape) / 2,
    "constant": lambda rng, shape: np.full(shape, 0.5),
    "float32": lambda rng, shape: rng.random(shape).astype(np.float32).astype(float),
    "tiny": lambda rng, shape: rng.random(shape) * 1e-300,
    "ends": lambda rng, shape: rng.choice([0.0, -0.0, 1.0, 0.25], shape),
}
WEIGHTS = {
    "none": lambda rng, n: None,
    "uniform": lambda rng, n: rng.random(n),
    "whole": lambda rng, n: rng.integers(0, 3, n).astype(float),
    "tiny": lambda rng, n: rng.random(n) * 1e-300,
    "huge": lambda rng, n: rng.random(n) * 1e300,
}
BAD = {
    "label": lambda y, s, w: (
        np.where(np.arange(y.size).reshape(y.shape) == 0, 2.0, y),
        s,
        w,
    ),
    "score": lambda y, s, w: (
        y,
        np.where(np.arange(s.size).reshape(s.shape) == 0, np.nan, s),
        w,
    ),
    "infinity": lambda y, s, w: (y, np.where(s == s.max(), np.inf, s), w),
    "rows of score": lambda y, s, w: (y, s[:-1], w),
    "weights": lambda y, s, w: (y, s, -np.ones(len(y))),
    "rows of weights": lambda y, s, w: (y, s, np.ones(len(y) + 1)),
    "text": lambda y, s, w: (y, s.astype(str), w),
    "complex": lambda y, s, w: (y + 1j, s, w),
}


def case(c):
    """Draw labels, scores, groups, weights and a metric; compare its values."""
    n, m = c.draw(st.integers(1, 24)), c.draw(st.integers(1, 3))
    rng = np.random.default_rng(c.draw(SEEDS))
    y = (rng.random((n, m)) < c.draw(st.sampled_from([0.5, 0.0, 0.1, 1.0]))).astype(
        float
    )
    if c.draw(st.booleans()):
        y[rng.random((n, m)) < 0.2] = np.nan
    s = SCORES[c.draw(st.sampled_from(sorted(SCORES)))](rng, (n, m))
    if m == 1 and c.draw(st.booleans()):
        y, s = y[:, 0], s[:, 0]
    name = c.draw(st.sampled_from([*PLAIN, *BY_GROUP]))
    metric = getattr(metrics, name)
    known = inspect.signature(metric).parameters
    c.naming(*known)
    c.values(*range(m), *map(str, range(m)))
    w = (
        WEIGHTS[c.draw(st.sampled_from(sorted(WEIGHTS)))](rng, n)
        if "sample_weight" in known
        else None
    )
    groups = (
        rng.integers(0, c.draw(st.sampled_from([1, 3, 20])), n)
        if name in BY_GROUP
        else None
    )
    options = _options(c, known, m)
    bad = c.draw(st.sampled_from([None] * 4 + sorted(BAD)))
    if bad is not None and not (w is None and "weights" in bad):
        y, s, w = BAD[bad](y, s, w)
    c.note(metric=name, y=y, s=s, w=w, groups=groups, options=options, bad=bad)

    def measure(y=y, s=s, w=w, groups=groups):
        weight = {} if w is None else {"sample_weight": w}
        at = () if groups is None else (groups,)
        return np.asarray(metric(y, s, *at, **weight, **options), dtype=float)

    value = c.tried(measure)
    if name in AT_MOST_ONE and "gains" not in options:
        c.holds(
            f"{name} is in [0, 1]", not ((value < -1e-9) | (value > 1 + 1e-9)).any()
        )
    _relations(c, name, measure, value, y, s, w, groups, rng)


def _options(c, known, m):
    options = {}
    if "k" in known and c.draw(st.booleans()):
        options["k"] = c.draw(st.sampled_from([1, 2, None, 10**9, 0, 1.5, "x"]))
    if "weights" in known and c.draw(st.booleans()):
        options["weights"] = c.draw(st.sampled_from(["equal", "impressions", "x"]))
    if "n_bins" in known and c.draw(st.booleans()):
        options["n_bins"] = c.draw(st.sampled_from([1, 15, 0, 10**6]))
    if "gains" in known and m > 1 and c.draw(st.booleans()):
        choices = [[1.0] * m, {"0": 2.0}, [-1.0] * m, {"x": 1.0}]
        options["gains"] = c.draw(st.sampled_from(choices))
    return options


def _relations(c, name, measure, value, y, s, w, groups, rng):
    if s.dtype.kind != "f" or y.dtype.kind != "f":
        return
    writing = c.draw(st.sampled_from(sorted(WRITINGS)))
    if name == "log_loss" and writing == "longdouble":
        return  # clips by the epsilon of the type, as scikit-learn does
    write = WRITINGS[writing]
    c.equal(
        f"{name} of {writing}",
        c.must(writing, measure, y=write(y), s=write(s)),
        value,
        tolerance=1e-12,
    )
    order = rng.permutation(len(y))
    if name not in BREAKS_TIES:
        moved = c.must(
            "order of rows",
            measure,
            y=y[order],
            s=s[order],
            w=None if w is None else w[order],
            groups=None if groups is None else groups[order],
        )
        c.equal(f"{name} in another order", moved, value, tolerance=1e-9)
    if groups is not None:
        for what, other in (
            ("strings", np.array([f"u{g}" for g in groups], dtype=object)),
            ("negative", groups - 2**62),
            ("big-endian", groups.astype(">i4")),
            ("category", pd.Series(groups).astype("category")),
        ):
            c.equal(
                f"{name} by groups that are {what}",
                c.must(what, measure, groups=other),
                value,
                tolerance=1e-12,
            )
    if w is not None:
        c.equal(
            f"{name} of weights times 4",
            c.must("scale", measure, w=w * 4),
            value,
            tolerance=1e-9,
        )
    if name in ("roc_auc", "group_roc_auc"):
        c.equal(f"{name} of scores times 2", c.must("scale", measure, s=s * 2), value)
    if name == "roc_auc":
        _against_sklearn(c, value, y, s, w)


def _against_sklearn(c, value, y, s, w):
    y, s = y.reshape(len(y), -1), s.reshape(len(s), -1)
    for task, found in enumerate(np.atleast_1d(value)):
        kept = ~np.isnan(y[:, task]) & (np.ones(len(y)) if w is None else w > 0).astype(
            bool
        )
        labels, scores = y[kept, task], s[kept, task]
        if len(np.unique(labels)) < 2:
            c.holds("the AUC of one class is NaN", np.isnan(found))
            continue
        weight = None if w is None else w[kept] / w[kept].max()
        expected = roc_auc_score(labels, scores, sample_weight=weight)
        c.equal("roc_auc and scikit-learn's", found, expected, tolerance=1e-9)
