"""The corrected interval against the formula and what it is for."""

import numpy as np
import pytest
from scipy import stats

from skmtl.inspection._transfer import corrected_interval


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_without_overlap_it_is_the_t_interval(level):
    x = np.random.default_rng(0).normal(size=7)
    expected = stats.ttest_1samp(x, 0).confidence_interval(level)
    assert corrected_interval(x, 0.0, level) == pytest.approx(tuple(expected))


def test_equation_of_the_paper():
    x = np.array([0.01, 0.03, np.nan, 0.02, 0.00])
    kept = x[~np.isnan(x)]
    reach = stats.t.ppf(0.975, 3) * np.sqrt((1 / 4 + 0.25) * kept.var(ddof=1))
    low, high = corrected_interval(x, 0.25, 0.95)
    assert (low, high) == pytest.approx((0.015 - reach, 0.015 + reach))


@pytest.mark.parametrize("x", [[], [1.0], [1.0, np.nan]])
def test_one_difference_has_no_interval(x):
    assert np.isnan(corrected_interval(np.array(x), 0.25, 0.95)).all()
