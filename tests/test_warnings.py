"""Warnings name the line of the caller, however deep they come from."""

import warnings

import pandas as pd
from sklearn.pipeline import make_pipeline

from skmtl import TableEncoder

IDS = pd.DataFrame({"user_id": [1, 2, 1, 2], "x": [0.5, 1.5, 2.5, 3.5]})


def lines_of(work):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        work()
    return {(one.filename, one.lineno) for one in found}


def test_the_line_is_the_callers():
    first = lines_of.__code__.co_firstlineno
    for work in (
        lambda: TableEncoder().fit(IDS),
        lambda: TableEncoder().fit_transform(IDS),
        lambda: make_pipeline(TableEncoder()).fit(IDS),
    ):
        ((filename, line),) = lines_of(work)
        assert filename == __file__
        assert line == work.__code__.co_firstlineno != first
