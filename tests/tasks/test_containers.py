"""Labels in any container mean the same, names included."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from skmtl import ShareBottom
from skmtl.tasks import check_targets

Y = pd.DataFrame({"click": [1, 0, 1, 0], "cart": [0, 0, 1, 0]})
NULLS = {"click": [True, None, False, True], "cart": [None, True, False, None]}


@pytest.mark.parametrize(
    "container",
    [
        pl.from_pandas,
        lambda y: pa.Table.from_pandas(y, preserve_index=False),
        lambda y: {name: y[name].to_numpy() for name in y},
        lambda y: y.astype("Int64"),
        lambda y: y.astype("boolean"),
    ],
)
def test_labels_and_names_are_those_of_pandas(container):
    expected, found = check_targets(Y), check_targets(container(Y))
    assert list(found.names) == ["click", "cart"]
    assert found.named
    assert_array_equal(found.labels, expected.labels)
    assert found.observed.all()


@pytest.mark.parametrize("container", [pl.DataFrame, pa.table])
def test_nulls_of_boolean_columns_are_not_observed(container):
    found = check_targets(container(NULLS))
    assert found.observed.T.tolist() == [
        [True, False, True, True],
        [False, True, True, False],
    ]
    assert found.labels.T.tolist() == [[1, 0, 0, 1], [0, 1, 0, 0]]


def test_a_query_is_refused_by_name():
    with pytest.raises(TypeError, match=r"y is a polars LazyFrame.*y\.collect\(\)"):
        check_targets(pl.from_pandas(Y).lazy())


def test_a_ranker_takes_mappings_and_names_the_argument_at_fault():
    rng = np.random.default_rng(0)
    X = {"a": rng.normal(size=200), "b": rng.normal(size=200)}
    y = {"click": (X["a"] > 0).astype(int), "cart": (X["b"] > 1).astype(int)}
    params = {"max_iter": 1, "random_state": 0}
    found = ShareBottom(**params).fit(X, y)
    expected = ShareBottom(**params).fit(pd.DataFrame(X), pd.DataFrame(y))
    assert list(found.task_names_) == ["click", "cart"]
    assert_array_equal(found.predict_task_proba(X), expected.predict_task_proba(X))
    wrong = {name: labels + 5 for name, labels in y.items()}
    with pytest.raises(ValueError, match="y_val: Task 'click' holds the labels"):
        found.fit(X, y, X_val=X, y_val=wrong)
