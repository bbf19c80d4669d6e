"""Values by the names of the tasks: from a mapping, or a Series by its index."""

import numpy as np
import pandas as pd
import pytest

from skmtl.tasks.arguments import by_task

TASKS = ["click", "cart"]


@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_values_go_by_name(kind):
    assert by_task(kind({"cart": 2.0, "click": 1.0}), TASKS, "w") == [1.0, 2.0]
    assert by_task(kind({1: "b", 0: "a"}), np.array(["0", "1"]), "w") == ["a", "b"]


@pytest.mark.parametrize("value", [[1.0, 2.0], np.ones(2), 3.0, None, "balanced"])
def test_all_else_is_left(value):
    assert by_task(value, TASKS, "w") is value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cart": 1.0}, r"w has no value for the tasks \['click'\]"),
        ({"cart": 1.0, "click": 2.0, "buy": 3.0}, r"w names \['buy'\], which are not"),
    ],
)
@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_names_that_do_not_fit(kind, given, message):
    with pytest.raises(ValueError, match=message) as error:
        by_task(kind(given), TASKS, "w")
    assert ("w.tolist()" in str(error.value)) == (kind is pd.Series)


def test_a_name_that_occurs_twice():
    twice = pd.Series([1.0, 2.0, 3.0], ["click", "cart", "cart"])
    for value in (twice, {"click": 1.0, "cart": 2.0, 1: 1.0, "1": 2.0}):
        with pytest.raises(ValueError, match="w names a task twice"):
            by_task(value, TASKS, "w")
