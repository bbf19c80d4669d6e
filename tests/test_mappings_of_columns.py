"""A mapping of columns is a table wherever rows are taken from it."""

import enum

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import KFold

from skmtl import MMoE, OutputWeightSearchCV, ShareBottom, SingleTask
from skmtl.calibration import CalibratedTasksCV
from skmtl.inspection import cold_start_report, expert_similarity, transfer_report
from skmtl.model_selection import MultiTaskStratifiedKFold
from tests.rankers.conftest import make_impressions

X, Y = make_impressions(200)
# Text and lists, which a mapping may hold beside arrays.
COLUMNS = {name: X[name].tolist() for name in X}
PARAMS = {
    "max_iter": 1,
    "tower_units": (),
    "random_state": 0,
    "categorical_features": ["user", "item"],
}
RANKER = ShareBottom(bottom_units=(4,), **PARAMS)
FITTED = {}


def fitted(kind=ShareBottom, **own):
    if kind not in FITTED:
        FITTED[kind] = kind(**PARAMS, **own).fit(X, Y)
    return FITTED[kind]


def search(table, **params):
    found = OutputWeightSearchCV(
        RANKER, weights=3, scoring="auc:cart", cv=KFold(2, shuffle=True, random_state=0)
    )
    return found.fit(table, Y).decision_function(table)


def prefit(table):
    found = OutputWeightSearchCV(fitted(), weights=3, cv="prefit")
    return found.fit(table, Y).cv_results_["mean_test_score"]


def calibrated(table):
    return CalibratedTasksCV(RANKER, cv=2).fit(table, Y).predict_task_proba(table)


def calibrated_prefit(table):
    found = CalibratedTasksCV(fitted(), cv="prefit").fit(table, Y)
    return found.predict_task_proba(table)


def transfer(table):
    rankers = [SingleTask(bottom_units=(4,), **PARAMS), RANKER]
    report = transfer_report(rankers, table, Y, cv=2)
    return report.select_dtypes("number").drop(columns="fit_time", errors="ignore")


def cold_start(table):
    return cold_start_report(fitted(), table, Y).select_dtypes("number")


def similarity(table):
    ranker = fitted(MMoE, n_experts=2, expert_units=(4,))
    return expert_similarity(ranker, table, max_rows=50, random_state=0)


def splits(table):
    return np.concatenate(
        [test for _, test in MultiTaskStratifiedKFold(3).split(table, Y)]
    )


@pytest.mark.parametrize(
    "of",
    [
        search,
        prefit,
        calibrated,
        calibrated_prefit,
        transfer,
        cold_start,
        similarity,
        splits,
    ],
)
def test_a_mapping_gives_what_a_data_frame_gives(of):
    assert_array_equal(np.asarray(of(COLUMNS)), np.asarray(of(X)))


@pytest.mark.parametrize("kind", [OutputWeightSearchCV, CalibratedTasksCV])
def test_a_mapping_of_another_length_is_refused(kind):
    with pytest.raises(ValueError, match="X has 200 rows, y has 150 rows"):
        kind(RANKER).fit(COLUMNS, Y[:150])
    with pytest.raises(ValueError, match="The columns of X differ in length"):
        kind(RANKER).fit({**COLUMNS, "price": [1.0]}, Y)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (OutputWeightSearchCV, "sample_weight"),
        (OutputWeightSearchCV, "X_val"),
        (CalibratedTasksCV, "X_val"),
        (CalibratedTasksCV, "groups"),
    ],
)
def test_a_fitted_estimator_takes_no_parameters_of_fit(kind, name):
    """They would have no effect; groups have one on the metrics of a search."""
    values = np.ones(len(X), dtype=int)
    with pytest.raises(TypeError, match=rf"\['{name}'\].*nothing is fitted again"):
        kind(fitted(), cv="prefit").fit(X, Y, **{name: values})
    CalibratedTasksCV(fitted(), cv="prefit").fit(X, Y, sample_weight=values)
    kind(fitted(), cv="prefit").fit(X, Y, **{name: None})  # not given


@pytest.mark.filterwarnings("ignore:.*leaves out the task")
def test_rows_of_one_class_do_not_ask_for_fewer_folds():
    one_class = pd.DataFrame({"click": 1, "cart": 1}, index=X.index)
    found = OutputWeightSearchCV(fitted(), scoring="auc:cart", cv="prefit")
    with pytest.raises(ValueError, match=r"not defined on these rows.*rows with both"):
        found.fit(X, one_class)


def test_one_estimator_is_not_a_report():
    with pytest.raises(TypeError, match=r"several estimators, found one ShareBottom"):
        transfer_report(RANKER, X, Y)


class Names(str, enum.Enum):  # noqa: UP042 - with another text than its value
    """Names of columns, which are equal to their values."""

    USER = "user"
    ITEM = "item"


def test_names_of_an_enumeration_are_their_values():
    table = {Names.USER: COLUMNS["user"], Names.ITEM: COLUMNS["item"]}
    frame = X[["user", "item"]]
    ranker = ShareBottom(bottom_units=(4,), **PARAMS)
    expected = ranker.fit(frame, Y).predict_task_proba(frame)
    assert_array_equal(ranker.predict_task_proba(table), expected)
    assert list(ranker.fit(table, Y).feature_names_in_) == ["user", "item"]
    # Also where a table is too long for the quick way of requests.
    longer = {name: cells * 100 for name, cells in table.items()}
    assert_array_equal(ranker.predict_task_proba(longer)[: len(X)], expected)
