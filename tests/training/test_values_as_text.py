"""Values that differ have two texts, and what cannot be read is named."""

import numpy as np
import pandas as pd
import pytest
import torch

from skmtl import ShareBottom
from skmtl.training.fingerprint import as_text, settings_of


class Pickled:
    """Says how it is made by any arguments."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __reduce__(self):
        return Pickled, self.arguments

    def __call__(self, estimator, X, y):
        return 0.0


def of_an_empty_cell():
    def score(estimator, X, y):
        return missing

    if score is None:
        missing = 0.0
    return score


@pytest.mark.parametrize("argument", [np.ones(3), pd.Series([1, 2]), Pickled], ids=str)
def test_what_an_object_is_made_of_may_be_an_array(argument):
    one, same = (ShareBottom(scoring=Pickled(argument)) for _ in range(2))
    other = ShareBottom(scoring=Pickled(2 * [argument]))
    assert settings_of(one) == settings_of(same) != settings_of(other)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize(
    ("value", "named"),
    [
        (lambda: Pickled(torch.eye(3).to_sparse()), "its torch.Tensor"),
        (lambda: Pickled(torch.eye(3).to_sparse_csr()), "its torch.Tensor"),
        (lambda: Pickled(torch.empty(3, device="meta")), "its torch.Tensor"),
        (of_an_empty_cell, "its builtins.function"),
    ],
    ids=["sparse", "rows", "meta", "cell"],
)
def test_what_has_no_content_to_read_is_refused_and_named(value, named):
    with pytest.raises(ValueError, match=rf"cannot compare scoring=.*{named} cannot"):
        settings_of(ShareBottom(scoring=value()))


def categories(order, **ordered):
    return pd.Categorical(["a", "b"], order, **ordered)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pd.Series(categories(["a", "b"])), pd.Series(categories(["b", "a"]))),
        (pd.Index(categories(["a", "b"])), pd.Index(categories(["a", "b", "c"]))),
        (categories(["a", "b"], ordered=True), categories(["a", "b"])),
        (np.zeros(2, [("a", float)]), np.zeros(2, [("b", float)])),
        (np.zeros(200, [("a", object)]), np.zeros(200, [("b", object)])),
        (np.zeros((0, 3)), np.zeros((0, 4))),
    ],
    ids=str,
)
def test_values_that_differ_have_two_texts(one, other):
    assert as_text(one) == as_text(one.copy())
    assert as_text(one) != as_text(other)


def test_slices_and_chunks_of_arrow_are_read_by_their_cells():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"n": [1, 2, 3, None], "s": ["a", "b", "c", None], "x": 4 * [0.5]})
    part = table.slice(1, 2)
    same = pa.table({"n": [2, 3], "s": ["b", "c"], "x": [0.5, 0.5]})
    pairs = [
        (part, same),
        (pa.concat_tables([table.slice(0, 1), table.slice(1)]), table),
        (part.to_batches()[0], same.to_batches()[0]),
        *zip(part.columns, same.columns, strict=True),
        (part["s"].chunk(0), same["s"].chunk(0)),
    ]
    for one, other in pairs:
        assert as_text(one) == as_text(other)
    others = [
        table,
        same.rename_columns(["m", "s", "x"]),
        same.set_column(0, "n", pa.array([2, 3], pa.int32())),
        same.set_column(1, "s", pa.array(["b", None])),
        same.set_column(2, "x", pa.array([0.5, float("nan")])),
        same.set_column(2, "x", pa.array([0.5, None])),
    ]
    texts = {as_text(one) for one in [same, *others]}
    assert len(texts) == 1 + len(others)
