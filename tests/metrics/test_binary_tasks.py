"""What needs binary tasks says so of a ranker that has others."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skmtl import (
    FixedOutputWeights,
    OrdinalTask,
    OutputWeightSearchCV,
    ShareBottom,
)
from skmtl.calibration import CalibratedTasksCV
from skmtl.displays import TaskCalibrationDisplay, TaskROCDisplay
from skmtl.inspection import task_classifier, transfer_report
from skmtl.metrics import roc_auc

KINDS = {"stars": "ordinal"}
BUDGET = {"max_iter": 1, "random_state": 0}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 2)), columns=["a", "b"])
    effect = X["a"] + rng.normal(size=300)
    y = pd.DataFrame({"dwell": np.exp(effect), "click": (effect > 0).astype(float)})
    return X, y.assign(stars=np.digitize(effect, [-1, 0, 1]) + 1.0)


@pytest.fixture(scope="module")
def mixed(table):
    X, y = table
    return ShareBottom(**BUDGET, task_kinds=KINDS).fit(X, y[["click", "stars"]])


USES = {
    "FixedOutputWeights": lambda one, X, y: FixedOutputWeights(one).fit(X, y),
    "OutputWeightSearchCV": lambda one, X, y: OutputWeightSearchCV(one).fit(X, y),
    "CalibratedTasksCV": lambda one, X, y: CalibratedTasksCV(one).fit(X, y),
    "transfer_report": lambda one, X, y: transfer_report(
        {"own": one}, X, y, reference="own"
    ),
}
USES_OF_FITTED = {
    "FixedOutputWeights fuses": lambda one, X, y: FixedOutputWeights(
        one
    ).decision_function(X),
    "OutputWeightSearchCV fuses": lambda one, X, y: OutputWeightSearchCV(
        one, cv="prefit"
    ).fit(X, y),
    "CalibratedTasksCV calibrates": lambda one, X, y: CalibratedTasksCV(
        one, cv="prefit"
    ).fit(X, y),
    "The display shows": TaskROCDisplay.from_estimator,
    "display": TaskCalibrationDisplay.from_estimator,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "wrapped", [lambda r: r, make_pipeline, lambda r: GridSearchCV(r, {"tol": [0.0]})]
)
@pytest.mark.parametrize("kind", ["ordinal", OrdinalTask()])
def test_estimators_that_are_not_fitted(use, wrapped, kind, table):
    X, y = table
    ranker = wrapped(ShareBottom(task_kinds={"stars": kind}))
    with pytest.raises(ValueError, match=f"{use}.*task 'stars' is of kind ordinal"):
        USES[use](ranker, X, y[["click", "stars"]])
    ranker = wrapped(ShareBottom(task_kinds=kind))
    with pytest.raises(ValueError, match=f"{use}.* task_kinds is of kind ordinal"):
        USES[use](ranker, X, y["stars"])


@pytest.mark.parametrize("use", USES_OF_FITTED)
@pytest.mark.parametrize("wrapped", [lambda r: r, make_pipeline, FrozenEstimator])
def test_fitted_estimators(use, wrapped, table, mixed):
    X, y = table
    with pytest.raises(ValueError, match=f"{use}.*task 'stars' is of kind ordinal"):
        USES_OF_FITTED[use](wrapped(mixed), X, y[["click", "stars"]])


def test_one_ordinal_task_is_not_ranked_by_its_top_class(table):
    X, y = table
    ranker = ShareBottom(**BUDGET, task_kinds="ordinal").fit(X, y["stars"])
    with pytest.raises(ValueError, match=r"is of kind ordinal. Fuse expected values"):
        FixedOutputWeights(ranker).decision_function(X)


def test_binary_kinds_by_name_are_taken(table):
    X, y = table
    ranker = ShareBottom(**BUDGET, task_kinds={"click": "binary"})
    two = pd.DataFrame({"click": y["click"], "often": 1 - y["click"]})
    found = FixedOutputWeights(ranker).fit(X, two).decision_function(X)
    plain = FixedOutputWeights(ShareBottom(**BUDGET)).fit(X, two)
    np.testing.assert_array_equal(found, plain.decision_function(X))


@pytest.mark.parametrize("wrapped", [lambda r: r, make_pipeline])
def test_the_binary_task_of_a_mixed_ranker_is_a_classifier(wrapped, table):
    X, y = table
    kinds = KINDS | {"dwell": "regression"}
    ranker = ShareBottom(**BUDGET, task_kinds=kinds).fit(X, y)
    click = task_classifier(wrapped(ranker), "click")
    proba = click.predict_proba(X)
    assert_allclose(proba[:, 1], ranker.predict_task(X)[:, 1])
    assert_allclose(proba.sum(axis=1), 1)
    assert click.score(X, y) == pytest.approx(roc_auc(y["click"], proba[:, 1]))
    found = partial_dependence(click, X, ["a"], grid_resolution=3)
    assert np.ptp(found["average"]) > 0
    for task, kind in {"stars": "ordinal", 0: "regression"}.items():
        with pytest.raises(ValueError, match=f"task={task!r} is of kind {kind}. Use"):
            task_classifier(ranker, task)
