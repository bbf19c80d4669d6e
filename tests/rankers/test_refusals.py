"""Bad input is refused with its name, before anything is changed."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.rankers.makers import small_mmoe

BAD = [
    (lambda X, y: (X[:0], y[:0]), "empty|0 sample"),
    (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples: X has .* rows, y has"),
    (lambda X, y: (X, y.replace({"cart": {1: 2}})), "'cart' holds the labels"),
    (lambda X, y: (X.assign(price=np.inf), y), "column 'price'"),
    (lambda X, y: (X.assign(item=[{1}] * len(X)), y), "'item' holds a set"),
    (lambda X, y: (X, y.assign(cart=np.inf)), "infinity: task 'cart'"),
    (lambda X, y: (X, y.set_axis(["a", "a"], axis=1)), "same name"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD)
def test_bad_tables_are_refused_before_fitting(impressions, spoil, message):
    X, y = impressions
    ranker = small_mmoe().fit(X, y)
    expected = ranker.predict_task_proba(X)
    with pytest.raises((ValueError, TypeError), match=message):
        ranker.fit(*spoil(X, y))
    assert_array_equal(ranker.predict_task_proba(X), expected)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"label_weight": {"klick": 2}}, r"label_weight names \['klick'\]"),
        ({"label_weight": {"click": 2}}, r"no value for the tasks \['cart'\]"),
        ({"label_weight": [1, 0]}, "label_weight of task 'cart' is 0"),
        ({"loss_weight": 0}, "loss_weight is 0 for every task"),
        ({"loss_weight": [1, 2, 3]}, "there are 2 tasks"),
        ({"expert_units": ()}, "expert_units needs at least 1"),
        ({"tower_units": (0,)}, "tower_units must hold widths"),
        ({"categorical_features": ["nothing"]}, "not a column of X"),
        ({"gate_dropout": 1.0}, "gate_dropout"),
    ],
)
def test_bad_hyperparameters_are_refused(impressions, params, message):
    with pytest.raises(ValueError, match=message):
        small_mmoe(**params).fit(*impressions)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (lambda n: -np.ones(n), "negative weight in row 0"),
        (lambda n: np.zeros(n), "zero for all rows"),
        (lambda n: np.full(n, np.nan), "NaN or infinity"),
        (lambda n: np.ones((n, 3)), "sample_weight has shape"),
    ],
)
def test_bad_weights_are_refused(impressions, weight, message):
    X, y = impressions
    with pytest.raises(ValueError, match=message):
        small_mmoe().fit(X, y, sample_weight=weight(len(X)))
