"""The displays of output weights on a real search."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from skmtl import OutputWeightSearchCV
from skmtl.displays import OutputWeightsDisplay, ParetoFrontDisplay

METRICS = ["auc:click", "auc:cart"]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 4))
    labels = X[:, :3] + rng.normal(size=(600, 3)) > [0, 0.5, 1.5]
    return X, pd.DataFrame(labels.astype(int), columns=["click", "cart", "order"])


def search(**settings):
    model = RandomForestClassifier(n_estimators=8, max_depth=3, random_state=0)
    return OutputWeightSearchCV(model, cv=2, weights=5, **settings)


def test_a_constrained_search_with_its_interval(table):
    found = search(
        scoring="auc:cart", constraints={"auc:click": (">=", 0.95, "relative")}
    ).fit(*table)
    display = OutputWeightsDisplay.from_search(found, n_resamples=20, random_state=0)
    low, high = display.interval
    assert low < found.best_score_ < high
    assert display.metric == "auc:cart"
    display.plot()
    (star,) = [ln for ln in display.axes_[0].lines if ln.get_marker() == "*"]
    share = found.best_weights_ / found.best_weights_.sum()
    np.testing.assert_allclose(
        star.get_xydata()[0], [share[1] + share[2] / 2, share[2] * np.sqrt(0.75)]
    )
    assert np.array_equal(display.feasible, found.cv_results_["feasible"])


def test_the_front_is_that_of_the_search(table):
    found = search(scoring=METRICS, refit="auc:cart").fit(*table)
    display = ParetoFrontDisplay.from_search(found).plot()
    scores = np.asarray(display.scores)[display.front_]
    assert {tuple(s) for s in scores} == {tuple(s) for s in found.pareto_scores_}
    assert list(display.ends_) == ["click", "cart", "order"]
    for task, row in display.ends_.items():
        weights = found.cv_results_["params"][row]
        assert [name for name, w in weights.items() if w] == [task]
    for display in (OutputWeightsDisplay, ParetoFrontDisplay):
        with pytest.raises(TypeError, match=r"SearchCV has no results .* a fitted"):
            display.from_search(OutputWeightSearchCV(None))
    with pytest.raises(ValueError, match="'auc:cart', which selected"):
        OutputWeightsDisplay.from_search(found, metric="auc:click", n_resamples=5)


@pytest.mark.parametrize("kind", ["halving", "continuous"])
def test_other_searches(table, kind):
    found = search(scoring="auc:cart", search=kind, random_state=0).fit(*table)
    display = OutputWeightsDisplay.from_search(found).plot()
    assert f"{found.best_score_:.4f}" in display.axes_[0].get_title()


def test_progress_bar_shows_the_folds(table, capsys):
    bar = pytest.importorskip("sklearn.callback").ProgressBar(
        max_propagation_depth=None
    )
    search(scoring="auc:cart").set_callbacks(bar).fit(*table)
    assert "OutputWeightSearchCV" in capsys.readouterr().out
