"""Output weights: fusing, and the search for them on predictions that are given."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin

from skmtl import OutputWeightSearchCV, fuse
from tests.fuzz.area_metrics import SCORES
from tests.fuzz.strategies import SEEDS, WRITINGS, rarely

METHODS = ["sum", "product", "rank", "logit"]


def fusing(c):
    """Draw probabilities and weights; fuse them, however they are written."""
    n, m = c.draw(st.integers(1, 12)), c.draw(st.integers(1, 4))
    rng = np.random.default_rng(c.draw(SEEDS))
    proba = SCORES[c.draw(st.sampled_from(sorted(SCORES)))](rng, (n, m))
    if rarely(c.draw) and rarely(c.draw):
        proba[0, 0] = c.draw(st.sampled_from([np.nan, np.inf, -1.0, 2.0]))
    weights = [c.draw(st.sampled_from([1.0, 0.0, 0.25, 3.0, 1e-300])) for _ in range(m)]
    if rarely(c.draw) and rarely(c.draw):
        weights[0] = c.draw(
            st.sampled_from([-1.0, np.nan, np.inf, 1e308, 10**400, "a", None])
        )
    method = c.draw(st.sampled_from([*METHODS, *["x"] * rarely(c.draw)]))
    c.naming("proba", "probabilities", "weights", "method")
    c.values(*map(str, range(m)))
    c.note(proba=proba, weights=weights, method=method)
    score = c.tried(fuse, proba, weights, method)
    c.holds("scores are finite", np.isfinite(score).all())
    writing = c.draw(st.sampled_from(sorted(WRITINGS)))
    written = c.must(writing, fuse, WRITINGS[writing](proba), weights, method)
    c.equal(f"probabilities as {writing}", written, score, tolerance=1e-12)
    names = [f"t{t}" for t in range(m)]
    frame = pd.DataFrame(proba, columns=names)
    for what, given in (
        ("a mapping", dict(zip(names[::-1], weights[::-1], strict=True))),
        ("a Series", pd.Series(weights[::-1], index=names[::-1])),
    ):
        c.equal(what, c.must(what, fuse, frame, given, method), score)
    if method != "rank":
        one = int(rng.integers(n))
        c.equal("a row alone", fuse(proba[[one]], weights, method), score[[one]])
    order = rng.permutation(n)
    c.equal("order of rows", fuse(proba[order], weights, method), score[order])
    columns = rng.permutation(m)
    turned = fuse(proba[:, columns], [weights[k] for k in columns], method)
    scale = max(np.abs(score).max(), 1.0)
    c.equal("order of tasks", turned / scale, score / scale, tolerance=1e-9)


class Given(ClassifierMixin, BaseEstimator):
    """Predicts the columns of X."""

    def fit(self, X, y):
        """Note the tasks."""
        self.classes_ = [np.array([0, 1])] * np.shape(y)[1]
        return self

    def predict_proba(self, X):
        """The columns, as scikit-learn's multioutput classifiers give them."""
        return [np.column_stack([1 - p, p]) for p in np.asarray(X, float).T]


SCORING = [None, "auc", "min_auc", "auc:0", "auc:1", "gauc", "ndcg@3", "mrr@2:0"]


def searching(c):
    """Draw predictions, labels and a search; compare with the search on other rows."""
    n, m = c.draw(st.integers(1, 24)), c.draw(st.integers(2, 3))
    rng = np.random.default_rng(c.draw(SEEDS))
    X = SCORES[c.draw(st.sampled_from(sorted(SCORES)))](rng, (n, m))
    y = (rng.random((n, m)) < c.draw(st.sampled_from([0.5, 0.1]))).astype(float)
    points = [3, rng.random((4, m)), np.eye(m), {str(t): [0, 1] for t in range(m)}]
    params = {
        "weights": points[c.draw(st.integers(0, 3))],
        "scoring": c.draw(st.sampled_from(SCORING)),
        "method": c.draw(st.sampled_from(METHODS)),
        "search": c.draw(st.sampled_from(["grid", "halving", "continuous"])),
        "cv": c.draw(st.sampled_from(["prefit", "prefit", 2, 0.3])),
    }
    if rarely(c.draw):
        name = c.draw(st.sampled_from(["weights", "search", "cv", "scoring", "method"]))
        params[name] = c.draw(
            st.sampled_from([0, -1, 10**9, "x", None, [], {}, np.nan, 10**30])
        )
    groups = rng.integers(0, 4, n + (rarely(c.draw) and rarely(c.draw)))
    model = Given().fit(X, y)
    c.naming("X", "y", "groups", *OutputWeightSearchCV(model).get_params())
    c.naming("n_splits", "test_size")  # what scikit-learn makes of `cv`
    c.values(*map(str, range(m)))
    c.note(X=X, y=y, params=params, groups=groups)

    def search(X=X, y=y, groups=groups):
        found = OutputWeightSearchCV(model, random_state=0, **params)
        return found.fit(X, y, groups=groups)

    found = c.tried(search)
    best = found.best_weights_
    c.holds(
        "weights are good", np.isfinite(best).all() and (best >= 0).all() and best.any()
    )
    again = search()
    c.equal("a second search", again.best_weights_, best)
    for writing in ("pandas", "big-endian", "polars"):
        write = WRITINGS[writing]
        c.equal(
            writing, c.must(writing, search, write(X), write(y)).best_weights_, best
        )
    c.equal("groups as text", search(groups=groups.astype(str)).best_weights_, best)
