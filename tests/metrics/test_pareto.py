"""The Pareto front of several metrics."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skmtl.metrics._pareto import pareto_front


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 25), st.integers(2, 4)),
        elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, np.nan]),
    )
)
def test_the_front_is_what_nothing_beats(scores):
    def beaten(one):
        return any((o >= one).all() and (o > one).any() for o in scores)

    wanted = {
        i for i, s in enumerate(scores) if not np.isnan(s).any() and not beaten(s)
    }
    front = pareto_front(scores)
    assert set(front.tolist()) == wanted
    assert (np.diff(scores[front, 0]) <= 0).all()
