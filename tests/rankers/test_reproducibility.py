"""The same seed gives the same bits, and leaves no trace."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.model_selection import KFold, cross_val_predict

from tests.rankers.makers import small_mmoe


@pytest.mark.long
def test_cross_val_predict_is_the_same_in_two_processes(impressions):
    X, y = impressions
    # Those of loky, scikit-learn's default, which import everything again.
    alone, apart = (
        cross_val_predict(
            small_mmoe(), X, y, cv=KFold(2), method="predict_proba", n_jobs=n_jobs
        )
        for n_jobs in (1, 2)
    )
    for one, two in zip(alone, apart, strict=True):
        assert_array_equal(one, two)


def test_same_seed_same_bits_here_and_in_another_process(maker, impressions):
    X, y = impressions

    def proba(**params):
        return maker(max_iter=1, dropout=0.1, **params).fit(X, y).predict_task_proba(X)

    expected = proba()
    assert_array_equal(proba(), expected)
    other = proba(random_state=1)
    assert not np.array_equal(other, expected)


def test_same_bits_in_threads(impressions):
    X, y = impressions

    def proba(_):
        return small_mmoe(max_iter=1, dropout=0.1).fit(X, y).predict_task_proba(X)

    state = torch.get_rng_state()
    expected = proba(0)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(proba, range(4)):
            assert_array_equal(found, expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_global_state_is_left_alone(impressions):
    X, y = impressions
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    small_mmoe(dropout=0.2).fit(X, y).predict_proba(X)
    assert torch.equal(before[0], torch.get_rng_state())
    assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert (threads, dtype) == (torch.get_num_threads(), torch.get_default_dtype())
