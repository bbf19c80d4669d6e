"""Splits that name no rows, or rows that do not exist, in all that takes splits."""

import numpy as np
import pytest

from skmtl._splits import check_splits
from skmtl.calibration import CalibratedTasksCV
from skmtl.datasets import make_funnel
from skmtl.inspection import transfer_report
from skmtl.output_weights import OutputWeightSearchCV
from skmtl.stacking import BlendedRanker, OutOfFoldScores
from tests.rankers.makers import MAKERS

N = 300
BAD = {
    "beyond": ([(np.arange(200), np.arange(200, N + 1))], "test rows .*: index 300"),
    "negative": ([([-N - 1], [0])], "training rows .*: index -301"),
    "fractions": ([([0.0, 1.0], [2])], "training rows .*: arrays used as indices"),
    "mask": ([(np.ones(9, bool), [2])], "training rows .*: boolean index"),
    "strings": ([(["a"], ["b"])], "training rows .* must be given as indices"),
    "ragged": ([([[0, 1], [2]], [3])], "training rows .* must be given as indices"),
    "two axes": ([([0, 1], [[2], [3]])], r"test rows .* found shape \(2, 1\)"),
    "one part": ([(np.arange(200),)], "must be a pair.*with 1 parts"),
    "no pair": ([1, 2], "must be a pair.*found int"),
    "nothing to train on": ([([], np.arange(N))], "training rows .* are none of"),
    "nothing to test": ([(np.arange(N), [])], "test rows .* are none of"),
    "none": ([], "gives no split"),
}


def ranker(**params):
    return MAKERS["ShareBottom"](max_iter=1, **params)


TAKERS = {
    "validation_split": lambda cv: ranker(early_stopping=True, validation_split=cv),
    "OutOfFoldScores": lambda cv: OutOfFoldScores(cv=cv),
    "BlendedRanker": lambda cv: BlendedRanker(ranker(), cv=cv),
    "CalibratedTasksCV": lambda cv: CalibratedTasksCV(ranker(), cv=cv),
    "OutputWeightSearchCV": lambda cv: OutputWeightSearchCV(ranker(), cv=cv),
}


@pytest.fixture(scope="module")
def log():
    table = make_funnel(N, click_rate=0.4, cart_rate=0.2, random_state=0)
    return table.data, table.target[["click", "cart"]]


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("bad", BAD)
def test_bad_splits(log, taker, bad):
    splits, message = BAD[bad]
    with pytest.raises(ValueError, match=message):
        TAKERS[taker](splits).fit(*log)


@pytest.mark.parametrize("bad", BAD)
def test_bad_splits_of_a_report(log, bad):
    splits, message = BAD[bad]
    models = {"separate": ranker(), "shared": ranker()}
    with pytest.raises(ValueError, match=message):
        transfer_report(models, *log, cv=splits, reference="separate")


def test_masks_negative_indices_and_iterators():
    mask = np.arange(5) < 3
    found = check_splits(iter([(mask, ~mask), ([0, 1], [-1])]), 5)
    (train, test), (_, last) = found
    assert train.tolist() == [0, 1, 2]
    assert test.tolist() == [3, 4]
    assert last.tolist() == [4]


def test_bad_splits_of_a_splitter(log):
    class Splitter:
        def split(self, X, y=None, groups=None):
            yield np.arange(200), np.arange(0)

        def get_n_splits(self, *_):
            return 1

    for name in ["CalibratedTasksCV", "OutputWeightSearchCV", "OutOfFoldScores"]:
        with pytest.raises(ValueError, match="test rows of split 0 of cv are none"):
            TAKERS[name](Splitter()).fit(*log)
