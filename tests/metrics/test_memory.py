"""The metrics need at most four times their input, which counts among the four."""

import tracemalloc

import numpy as np
import pytest

from skmtl.metrics import group_roc_auc, roc_auc


def times_input(function, *arrays):
    function(*(a[:1000] for a in arrays))
    tracemalloc.start()
    function(*arrays)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    given = sum(a.nbytes for a in arrays)
    return (given + peak) / given


def spread_scores(rng, n, dtype):
    """Scores whose range leaves no room beside them: ranked before they are packed."""
    sign = rng.choice([-1.0, 1.0], n)
    return (sign * 10.0 ** rng.uniform(-300, 300, n)).astype(dtype)


MAKE = {
    "probabilities": lambda rng, n, dtype: rng.random(n).astype(dtype),
    "constant": lambda rng, n, dtype: np.full(n, 0.5, dtype=dtype),
    "signed": lambda rng, n, dtype: rng.normal(size=n).astype(dtype),
}
CASES = [(kind, dtype) for kind in MAKE for dtype in (np.float32, np.float64)]


@pytest.mark.parametrize(("kind", "dtype"), CASES)
@pytest.mark.parametrize("label", [np.int8, np.float64])
def test_at_most_four_times_the_input(kind, dtype, label):
    rng = np.random.default_rng(0)
    n = 600_000
    y = (rng.random(n) < 0.2).astype(label)
    score = MAKE[kind](rng, n, dtype)
    assert times_input(roc_auc, y, score) <= 4
    assert times_input(group_roc_auc, y, score, rng.integers(0, n // 10, n)) <= 4
    assert times_input(group_roc_auc, y, score, np.zeros(n, dtype=np.int64)) <= 4


def test_scores_of_any_range():
    rng = np.random.default_rng(1)
    n = 600_000
    y = (rng.random(n) < 0.2).astype(np.float64)
    score = spread_scores(rng, n, np.float64)
    assert times_input(roc_auc, y, score) <= 4
    assert times_input(group_roc_auc, y, score, rng.integers(0, n // 10, n)) <= 4
