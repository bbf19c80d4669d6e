"""Gates and experts."""

import numpy as np
import pandas as pd
import pytest

from skmtl import MMoE
from skmtl.displays import ExpertSimilarityDisplay, GateWeightsDisplay


class Gated:
    """A ranker with gates, as far as the display sees it."""

    net_ = object()
    task_names_ = np.array(["click", "order"], dtype=object)
    expert_names_ = ("shared 0", "shared 1", "click 0")

    def gate_weights(self, X):
        return np.asarray(X)


@pytest.fixture
def weights():
    return np.random.default_rng(0).dirichlet([1, 2, 5], size=(200, 2))


def test_boxes_are_quantiles(weights):
    display = GateWeightsDisplay.from_estimator(Gated(), weights).plot()
    wanted = np.percentile(weights, [5, 25, 50, 75, 95], axis=0)
    np.testing.assert_allclose(display.quantiles_, wanted)
    np.testing.assert_allclose(display.means_, weights.mean(axis=0))
    assert [ax.get_title() for ax in display.axes_] == ["click", "order"]
    ax = display.axes_[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == list(Gated.expert_names_)
    medians = [line for line in ax.lines if line.get_linewidth() == 1.8]
    drawn = [line.get_xdata()[0] for line in medians]
    np.testing.assert_allclose(drawn, wanted[2, 0])
    labels = [t.get_text() for t in display.figure_.legends[0].get_texts()]
    assert labels == [
        "middle half of the rows", "90 % of the rows", "median", "mean",
        "equal weights",
    ]  # fmt: skip


def test_experts_that_a_task_does_not_read_have_no_box(weights):
    weights[:, 0, 1] = 0
    display = GateWeightsDisplay(gate_weights=weights).plot()
    assert [len(ax.patches) for ax in display.axes_] == [2, 3]
    dashed = [a.get_linestyle() == "--" for a in display.axes_[0].lines]
    assert display.axes_[0].lines[dashed.index(True)].get_xdata()[0] == 1 / 2


def test_an_expert_that_few_rows_use_has_a_box(weights):
    weights[4:, 0, 1] = 0
    display = GateWeightsDisplay(gate_weights=weights).plot()
    assert not display.quantiles_[:, 0, 1].any()
    assert [len(ax.patches) for ax in display.axes_] == [3, 3]


def test_means_in_one_table(weights):
    display = GateWeightsDisplay.from_estimator(Gated(), weights).plot(kind="mean")
    (ax,) = display.axes_
    shown = np.reshape([float(t.get_text()) for t in ax.texts], (2, 3))
    np.testing.assert_allclose(shown, weights.mean(axis=0), atol=0.005)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("expert", "task")
    weights[:, 0, 1] = 0
    blank = GateWeightsDisplay(gate_weights=weights).plot(kind="mean")
    assert len(blank.axes_[0].texts) == 5


@pytest.mark.skipif(not hasattr(MMoE, "gate_weights"), reason="no gate_weights here")
def test_gates_of_a_fitted_ranker():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    y = (X[:, :2] > 0).astype(int)
    ranker = MMoE(n_experts=3, max_iter=1, random_state=0).fit(X, y)
    display = GateWeightsDisplay.from_estimator(ranker, X).plot()
    np.testing.assert_allclose(display.means_.sum(axis=1), 1, rtol=1e-5)
    assert len(display.axes_) == 2


@pytest.mark.parametrize("kind", ["box", "mean"])
def test_eight_tasks_and_many_experts_fit(long_names, outside, kind):
    rng = np.random.default_rng(0)
    experts = [f"{task} {i}" for task in long_names for i in range(2)]
    display = GateWeightsDisplay(
        gate_weights=rng.dirichlet(np.ones(16), size=(50, 8)),
        task_names=long_names,
        expert_names=experts,
    ).plot(kind=kind)
    assert not outside(display.figure_)


def test_bad_gate_weights_are_refused(weights):
    with pytest.raises(TypeError, match="has no gates"):
        GateWeightsDisplay.from_estimator(type("Plain", (), {"net_": 1})(), None)
    with pytest.raises(ValueError, match="n_samples, n_tasks, n_experts"):
        GateWeightsDisplay(gate_weights=weights[0]).plot()
    with pytest.raises(ValueError, match="task_names must have 2 names"):
        GateWeightsDisplay(gate_weights=weights, task_names=["a"]).plot()
    with pytest.raises(ValueError, match="'box' or 'mean'"):
        GateWeightsDisplay(gate_weights=weights).plot(kind="violin")


def test_similarities_are_shown_with_their_names(outside, long_names):
    values = np.corrcoef(np.random.default_rng(0).normal(size=(8, 5))) ** 2
    values[0, 1] = values[1, 0] = np.nan
    table = pd.DataFrame(values, long_names, long_names)
    display = ExpertSimilarityDisplay(similarity=table).plot()
    shown = [float(t.get_text()) for t in display.ax_.texts]
    np.testing.assert_allclose(shown, values[np.isfinite(values)], atol=0.005)
    assert [t.get_text().replace("\n", "") for t in display.ax_.get_yticklabels()] == (
        long_names
    )
    assert not outside(display.figure_)
    with pytest.raises(ValueError, match="one row and one column per expert"):
        ExpertSimilarityDisplay(similarity=values[:2]).plot()
