"""The life of a ranker: fits, continuations and failures in any order."""

import pickle
import tempfile

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skmtl import MMoE, ShareBottom, SoftSharing

KINDS = [ShareBottom, MMoE, SoftSharing]
STRATEGIES = [None, "uncertainty", "gradnorm", "random", "stochastic_mgda"]


def table(seed, n=10):
    """Ids, numbers, and labels of two tasks; other seeds have other ids."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "id": [f"u{i}" for i in rng.integers(seed % 5, seed % 5 + 4, n)],
            "x": rng.normal(size=n),
        }
    )
    y = pd.DataFrame({"click": np.arange(n) % 2, "order": np.arange(n) % 3 // 2})
    return X, y


class RankerLife(RuleBasedStateMachine):
    """What a ranker predicts changes by a fit that succeeds, and by nothing else."""

    PROBE = table(99)[0]

    @initialize(
        kind=st.sampled_from(KINDS),
        strategy=st.sampled_from(STRATEGIES),
        dropout=st.sampled_from([0.0, 0.3]),
    )
    def make(self, kind, strategy, dropout):
        self.ranker = kind(
            loss_weight=strategy,
            dropout=dropout,
            max_iter=1,
            random_state=0,
            embedding_dim=2,
            tower_units=(3,),
            min_frequency=1,
            n_bins=2,
        )
        self.known = None  # the predictions for the probe

    def predictions(self):
        return self.ranker.predict_task_proba(self.PROBE)

    def has_changed(self):
        self.known = self.predictions()
        assert np.isfinite(self.known).all()
        assert ((self.known >= 0) & (self.known <= 1)).all()

    @rule(seed=st.integers(0, 9))
    def fit(self, seed):
        """Without warm_start, a fit is that of a new ranker with the same seed."""
        self.ranker.set_params(warm_start=False).fit(*table(seed))
        self.has_changed()
        assert_array_equal(
            clone(self.ranker).fit(*table(seed)).predict_task_proba(self.PROBE),
            self.known,
        )

    @precondition(lambda self: self.known is not None)
    @rule(seed=st.integers(0, 9))
    def continue_from_the_last_fit(self, seed):
        before = self.ranker.n_iter_
        self.ranker.set_params(warm_start=True).fit(*table(seed))
        self.ranker.set_params(warm_start=False)
        assert self.ranker.n_iter_ == before + 1
        self.has_changed()

    @rule(seed=st.integers(0, 9))
    def partial_fit(self, seed):
        """A copy that is continued with the same table ends the same."""
        twin = pickle.loads(pickle.dumps(self.ranker))
        X, y = table(seed)
        self.ranker.partial_fit(X, y)
        self.has_changed()
        assert_array_equal(
            twin.partial_fit(X, y).predict_task_proba(self.PROBE), self.known
        )

    @precondition(lambda self: self.known is not None)
    @rule()
    def pickle(self):
        self.ranker = pickle.loads(pickle.dumps(self.ranker))

    @precondition(lambda self: self.known is not None)
    @rule()
    def save_and_load(self):
        with tempfile.NamedTemporaryFile() as file:
            self.ranker.save(file.name)
            self.ranker = type(self.ranker).load(file.name)

    @rule(
        what=st.sampled_from(
            ["label", "rows", "column", "divergence", "infinite", "parameter"]
        ),
        continued=st.booleans(),
        partial=st.booleans(),
    )
    def fail(self, what, continued, partial):
        """The ranker stays as it was, with its hyperparameters."""
        X, y = table(1)
        changed = {}
        if what == "label":
            y = y * 2
        elif what == "rows":
            y = y[:-1]
        elif what == "column":
            X = X.assign(id=[object() for _ in range(len(X))])
        elif what == "infinite":
            X = X.assign(x=np.inf)
        elif what == "divergence":
            changed = {"learning_rate": 1e30}
        else:
            changed = {"loss_weight": [1, 2, 3]}
        old = {name: getattr(self.ranker, name) for name in changed}
        self.ranker.set_params(warm_start=continued, **changed)
        try:
            (self.ranker.partial_fit if partial else self.ranker.fit)(X, y)
        except (ValueError, TypeError) as error:
            assert len(str(error).split()) > 4  # noqa: PT017
        else:
            raise AssertionError(f"{what} was taken")
        finally:
            self.ranker.set_params(warm_start=False, **old)

    @invariant()
    def predicts_as_before(self):
        if getattr(self, "known", None) is not None:
            assert_array_equal(self.predictions(), self.known)
        elif hasattr(self, "ranker"):
            assert not hasattr(self.ranker, "net_")
