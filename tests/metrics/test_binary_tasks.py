"""What is for binary tasks, of a ranker that has others."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence
from sklearn.linear_model import Perceptron
from sklearn.pipeline import make_pipeline

from skmtl import (
    FixedOutputWeights,
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


DISPLAYS = {"ROC": TaskROCDisplay, "calibration": TaskCalibrationDisplay}


@pytest.mark.parametrize("wrapped", [lambda r: r, make_pipeline, FrozenEstimator])
def test_displays_leave_out_other_tasks(wrapped, table, mixed):
    X, y = table
    two = y[["click", "stars"]]
    proba = mixed.predict_task(X)[:, 0]
    for display in DISPLAYS.values():
        with pytest.warns(UserWarning, match=r"leaves out the task\(s\) \['stars'\]"):
            found = display.from_estimator(wrapped(mixed), X, two)
        only = display.from_predictions(two[["click"]], proba)
        assert list(vars(found)) == list(vars(only))
        for name, value in vars(only).items():
            assert str(getattr(found, name)) == str(value), name


def test_what_needs_one_binary_task(table):
    X, y = table
    ranker = ShareBottom(**BUDGET, task_kinds="ordinal").fit(X, y["stars"])
    with pytest.raises(
        ValueError, match=r"is for binary tasks, but of \['stars'\] none"
    ):
        TaskROCDisplay.from_estimator(ranker, X, y["stars"])
    for cv in (2, "prefit"):
        with pytest.raises(
            ValueError, match=r"calibrates .* binary tasks, but the task"
        ):
            CalibratedTasksCV(ranker, cv=cv).fit(X, y["stars"])


# What fits clones does not look at the last fit of the ranker that it is given.
REFITS = {
    "OutputWeightSearchCV": lambda one: OutputWeightSearchCV(one, cv=2, weights=3),
    "CalibratedTasksCV": lambda one: CalibratedTasksCV(one, cv=2),
    "FixedOutputWeights": FixedOutputWeights,
}


@pytest.mark.parametrize("kind", ["ordinal", "regression"])
@pytest.mark.parametrize("wrapped", [lambda r: r, make_pipeline])
def test_the_kinds_of_a_clone_are_those_of_its_parameter(kind, wrapped, table):
    X, y = table
    two = y[["click"]].assign(stars=(y["stars"] > 2).astype(float))
    stale = ShareBottom(**BUDGET, task_kinds={"stars": kind}).fit(X, two)
    stale = wrapped(stale.set_params(task_kinds=None))
    for make in REFITS.values():
        assert len(make(stale).fit(X, two).predict_proba(X)) == 2
    report = transfer_report(
        {"own": stale, "plain": ShareBottom(**BUDGET)}, X, two, cv=2, reference="plain"
    )
    assert set(report["estimator"]) == {"own", "plain"}


@pytest.mark.parametrize("use", REFITS)
def test_a_ranker_that_was_fitted_with_binary_tasks_only(use, table):
    X, y = table
    two = y[["click"]].assign(stars=(y["stars"] > 2).astype(float))
    ranker = ShareBottom(**BUDGET).fit(X, two).set_params(task_kinds="regression")
    # One that is frozen is not fitted again.
    assert REFITS[use](FrozenEstimator(ranker)).fit(X, two).classes_
    if use == "CalibratedTasksCV":
        with pytest.raises(
            ValueError, match=r"but the tasks.*of the kinds.*regression"
        ):
            REFITS[use](ranker).fit(X, two)
    elif use == "OutputWeightSearchCV":
        kinds = REFITS[use](ranker).fit(X, two).task_kinds_
        assert [kind.name for kind in kinds] == ["regression"] * 2


@pytest.mark.parametrize("use", REFITS)
def test_what_has_no_probabilities_is_a_wrong_parameter(use, table):
    X, y = table
    with pytest.raises(ValueError, match=rf"'estimator'.* {use} must.*predict_proba"):
        REFITS[use](Perceptron()).fit(X, y["click"])


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
