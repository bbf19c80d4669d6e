"""Rankers: small fits of any table, and what predictions must not depend on."""

import pickle
import tempfile
import threading

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from sklearn.base import clone

import skmtl
from skmtl.weighting import get_strategy_names
from tests.fuzz.area_encoding import is_plain, parameters
from tests.fuzz.strategies import (
    SEEDS,
    as_polars,
    in_other_bytes,
    in_wider_types,
    options,
    rarely,
    tables,
)

RANKERS = ["AITM", "ChainedMMoE", "CrossStitch", "ESMM", "MMoE", "PLE", "PooledTask"]
RANKERS += ["STEM", "ShareBottom", "SingleTask", "SoftSharing"]
SMALL = {
    "max_iter": 1,
    "random_state": 0,
    "embedding_dim": 2,
    "bin_dim": 2,
    "tower_units": (3,),
}
GOOD = {
    "dropout": [0.0, 0.5],
    "learning_rate": [0.01, 1.0],
    "loss_weight": ["inverse_ratio", 2.0, *get_strategy_names()],
    "label_weight": ["balanced", "1:2", 3.0],
    "batch_size": [1, "auto", np.int8(3)],
    "early_stopping": [True, False],
    "weight_decay": [0.1],
    "optimizer": ["adam", "sgd"],
    "embedding_optimizer": ["lazy_adam", "adam", "adagrad"],
    "record_gradients": [True],
    "average_weights": [False],
    "device": ["cpu", "cpu:0"],
    "tower_units": [(), (2, 2)],
    "random_state": [1],
    "n_threads": [1, None],
    "unknown_rate": [0.0, 1e308],
}
BAD = {
    "dropout": [1.0, -1],
    "learning_rate": [1e6, 1e30, 0, 10**400],
    "loss_weight": [-1, [1, 2, 3, 4], {"x": 1.0}, "x", 1e308],
    "label_weight": [0, [1, 1, 1, 1], {"x": 1}],
    "batch_size": [0, 10**30],
    "early_stopping": ["x"],
    "weight_decay": [-1, 1e308],
    "optimizer": ["x"],
    "device": ["x"],
    "tower_units": [(0,), "x", (10**30,)],
    "random_state": [-1, "x"],
    "n_threads": [0],
}


def labels(c, n, m, rng):
    """Labels of m tasks, in one of the ways to write them."""
    y = (rng.random((n, m)) < c.draw(st.sampled_from([0.5, 0.2, 0.0, 1.0]))).astype(
        float
    )
    if m > 1:  # each task follows from the one before, as some architectures ask
        y = np.minimum.accumulate(y, axis=1)
    if c.draw(st.integers(0, 3)) == 0:
        y[rng.random((n, m)) < 0.2] = np.nan
    names = [f"t{t}" for t in range(m)]
    frame = pd.DataFrame(y, columns=names)
    good = {
        "array": y,
        "frame": frame,
        "nullable": frame.astype("Int64"),
        "polars": as_polars(frame),
    }
    bad = {
        "label": np.where(y == 1, 2.0, y),
        "complex": y + 1j,
        "short": y[:-1],
        "text": np.where(y == 1, "yes", "no"),
    }
    if rarely(c.draw) and rarely(c.draw):
        return bad[c.draw(st.sampled_from(sorted(bad)))]
    return good[c.draw(st.sampled_from(sorted(good)))]


def weights(c, n, m, rng):
    """Sample weights of n rows, or of rows and tasks."""
    good = [None, np.ones(n), rng.random(n), rng.random((n, m)), np.full(n, 1e308)]
    bad = [-np.ones(n), np.ones(n + 1), np.full(n, np.nan), "x"]
    choices = bad if rarely(c.draw) and rarely(c.draw) else good
    return choices[c.draw(st.integers(0, len(choices) - 1))]


def case(c):
    """Draw a table, labels, weights and a ranker; fit it and compare predictions."""
    frame = c.draw(tables(min_rows=2))
    n, m = len(frame), c.draw(st.integers(1, 3))
    rng = np.random.default_rng(c.draw(SEEDS))
    y = labels(c, n, m, rng)
    weight = weights(c, n, m, rng)
    kind = getattr(skmtl, c.draw(st.sampled_from(RANKERS)))
    params = SMALL | {"min_frequency": 1} | parameters(c, frame)
    params |= options(c.draw, GOOD, BAD)
    ranker = kind(**params)
    c.values(*frame.columns, *map(str, range(m)), "t0", "t1", "t2")
    c.naming("X", "y", "sample_weight", *ranker.get_params())
    c.note(kind=kind.__name__, params=params, frame=frame, y=y, weight=weight)
    try:
        c.tried(ranker.fit, frame, y, sample_weight=weight)
    finally:
        c.holds(
            "a failed fit leaves nothing",
            hasattr(ranker, "net_") or not hasattr(ranker, "task_names_"),
        )
    proba = c.must("what fit took", ranker.predict_task_proba, frame)
    c.holds(
        "probabilities", ((proba >= 0) & (proba <= 1)).all() and proba.shape[0] == n
    )
    _again(c, ranker, frame, y, weight, proba)
    _rows(c, ranker, frame, proba, rng)
    _kept(c, ranker, frame, proba)


def _again(c, ranker, frame, y, weight, proba):
    """The same seed gives the same bits, here and on another thread."""
    if ranker.random_state != 0 and ranker.random_state != 1:
        return
    twin = clone(ranker)
    thread = threading.Thread(target=lambda: twin.fit(frame, y, sample_weight=weight))
    thread.start()
    thread.join()
    c.equal("a fit on another thread", twin.predict_task_proba(frame), proba)


def _rows(c, ranker, frame, proba, rng):
    order = rng.permutation(len(frame))
    moved = ranker.predict_task_proba(frame.iloc[order])
    c.equal("order of rows", moved, proba[order], tolerance=1e-6)
    one = int(rng.integers(len(frame)))
    alone = ranker.predict_task_proba(frame.iloc[[one]])
    c.equal("a row alone", alone, proba[[one]], tolerance=1e-6)
    turned = ranker.predict_task_proba(frame.iloc[:, ::-1])
    c.equal("order of columns", turned, proba)
    wide = ranker.predict_task_proba(in_wider_types(frame))
    c.equal("wider types", wide, proba)
    swapped = ranker.predict_task_proba(in_other_bytes(frame))
    c.equal("byte order", swapped, proba)
    polars = as_polars(frame)
    if polars is not None and is_plain(frame):
        other = c.must("polars", ranker.predict_task_proba, polars)
        c.equal("polars", other, proba)


def _kept(c, ranker, frame, proba):
    twin = pickle.loads(pickle.dumps(ranker))
    c.equal("a pickle", twin.predict_task_proba(frame), proba)
    with tempfile.NamedTemporaryFile() as file:
        try:
            c.tried(ranker.save, file.name)
        finally:
            c.equal("after saving", ranker.predict_task_proba(frame), proba)
        loaded = c.must("a saved file", type(ranker).load, file.name)
        c.equal("a saved file", loaded.predict_task_proba(frame), proba)
    other = c.draw(tables(max_rows=3))
    c.values(*other.columns)
    c.allowed(ranker.predict_task_proba, other)
    c.equal("after another table", ranker.predict_task_proba(frame), proba)
