"""skops dumps and loads estimators, with few types to trust."""

import numpy as np
import pytest

from skmtl import FixedOutputWeights, OutputWeightSearchCV
from skmtl.calibration import CalibratedTasksCV
from skmtl.persistence import trusted_types
from tests.persistence.conftest import (
    IDS,
    RANKERS,
    check_equal,
    small_ranker,
)

io = pytest.importorskip("skops.io")


def round_trip(estimator):
    data = io.dumps(estimator)
    untrusted = io.get_untrusted_types(data=data)
    assert set(untrusted) <= set(trusted_types())
    return io.loads(data, trusted=untrusted)


@pytest.mark.parametrize("name", RANKERS)
def test_rankers(name, table, unseen):
    ranker = small_ranker(name, categorical_features=IDS).fit(*table)
    loaded = round_trip(ranker)
    check_equal(loaded, ranker, unseen)


def test_encoder(fitted, unseen):
    encoder = fitted.encoder_
    np.testing.assert_array_equal(
        round_trip(encoder).transform(unseen), encoder.transform(unseen)
    )


def test_output_weights(fitted, table, unseen):
    fixed = FixedOutputWeights(fitted, [1, 2])
    search = OutputWeightSearchCV(fitted, weights=3, cv="prefit").fit(*table)
    calibrated = CalibratedTasksCV(fitted, cv="prefit").fit(*table)
    for one in (fixed, search, FixedOutputWeights(calibrated)):
        np.testing.assert_array_equal(
            round_trip(one).decision_function(unseen), one.decision_function(unseen)
        )


def test_in_a_pipeline(table):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X = table[0][["price", "age"]].fillna(0).to_numpy()
    pipeline = make_pipeline(StandardScaler(), small_ranker("MMoE")).fit(X, table[1])
    loaded = round_trip(pipeline)
    np.testing.assert_array_equal(
        loaded[-1].predict_task_proba(X), pipeline[-1].predict_task_proba(X)
    )


def test_around_other_classifiers(table):
    from sklearn.ensemble import RandomForestClassifier

    X = table[0][["price", "age"]].fillna(0).to_numpy()
    forest = RandomForestClassifier(3, random_state=0)
    fixed = FixedOutputWeights(forest, [1, 2]).fit(X, table[1].to_numpy())
    data = io.dumps(fixed)
    loaded = io.loads(data, trusted=io.get_untrusted_types(data=data))
    np.testing.assert_array_equal(
        loaded.decision_function(X), fixed.decision_function(X)
    )


def check_of_trees(untrusted, kind):
    """Which types are named beside those of skmtl: more before scikit-learn 1.7."""
    others = set(untrusted) - set(trusted_types())
    assert {kind, "TreePredictor"} <= {name.rpartition(".")[2] for name in others}
    assert {name.partition(".")[0] for name in others} <= {"skmtl", "sklearn", "_loss"}
    assert [name for name in others if name.startswith("skmtl.")] == [
        name for name in others if name.endswith(f".{kind}")
    ]


def test_scores_of_trees_before_a_ranker(table):
    """A pipeline with models of other libraries, whose types have to be trusted too."""
    from sklearn.pipeline import make_pipeline

    from skmtl.stacking import OutOfFoldScores

    X = table[0][["price", "age"]].fillna(0).to_numpy()
    pipeline = make_pipeline(
        OutOfFoldScores(cv=2, random_state=0), small_ranker("MMoE")
    ).fit(X, table[1])
    data = io.dumps(pipeline)
    untrusted = io.get_untrusted_types(data=data)
    check_of_trees(untrusted, "OutOfFoldScores")
    loaded = io.loads(data, trusted=untrusted)
    for one, other in zip(
        loaded.predict_proba(X), pipeline.predict_proba(X), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_blend_of_a_ranker_and_trees(table):
    from skmtl.stacking import BlendedRanker

    X = table[0][["price", "age"]].fillna(0).to_numpy()
    blend = BlendedRanker(small_ranker("MMoE"), cv=2, random_state=0).fit(X, table[1])
    data = io.dumps(blend)
    untrusted = io.get_untrusted_types(data=data)
    check_of_trees(untrusted, "BlendedRanker")
    loaded = io.loads(data, trusted=untrusted)
    np.testing.assert_array_equal(
        loaded.predict_task_proba(X), blend.predict_task_proba(X)
    )


def test_untrusted_is_refused(fitted):
    with pytest.raises(io.exceptions.UntrustedTypesFoundException, match="MMoE"):
        io.loads(io.dumps(fitted))


def test_callables_are_refused(table):
    def fade(progress):
        return 1 - progress

    ranker = small_ranker("MMoE", learning_rate_schedule=fade)
    with pytest.raises(ValueError, match=r"learning_rate_schedule is the function"):
        io.dumps(ranker)
