"""A metric over the output weights."""

import itertools

import numpy as np
import pandas as pd
import pytest

from skmtl.displays import OutputWeightsDisplay
from skmtl.displays._weight_axes import CORNERS, best_by_share, grid_of, place, shares

STEPS = np.linspace(0, 1, 6)


def grid(n_tasks):
    return np.array(list(itertools.product(STEPS, repeat=n_tasks)))[1:]


def hill(weights):
    """A score that depends on the shares only, as that of a fused score does."""
    parts = weights / weights.sum(axis=1, keepdims=True)
    top = np.linspace(1, 2, weights.shape[1])
    return 0.8 - ((parts - top / top.sum()) ** 2).sum(axis=1)


def star(ax):
    (found,) = [line for line in ax.lines if line.get_marker() == "*"]
    return found.get_xydata()[0]


def test_heat_map_holds_the_scores():
    weights = grid(2)
    scores = hill(weights)
    display = OutputWeightsDisplay(
        weights=weights,
        scores=scores,
        task_names=["click", "order"],
        metric="auc:order",
    ).plot(kind="heatmap")
    (ax,) = display.axes_
    (mesh,) = ax.collections
    shown = np.ma.filled(mesh.get_array(), np.nan)
    assert np.isnan(shown[0, 0])  # the all-zero point is not a candidate
    for (click, order), score in zip(weights, scores, strict=True):
        row, column = np.searchsorted(STEPS, [order, click])
        assert shown[row, column] == score
    assert star(ax).tolist() == weights[scores.argmax()].tolist()
    assert ax.get_xlabel() == "weight of click"
    assert ax.get_ylabel() == "weight of order"
    assert f"best {scores.max():.4f}" in ax.get_title()


def test_heat_map_of_the_two_weights_that_vary():
    weights = np.insert(grid(2), 1, 0.5, axis=1)
    display = OutputWeightsDisplay(weights=weights, scores=hill(weights)).plot()
    assert display.axes_[0].get_xlabel() == "weight of 0"
    assert display.axes_[0].get_ylabel() == "weight of 2"


def test_corners_of_the_triangle_are_single_tasks():
    np.testing.assert_allclose(place(np.eye(3)), CORNERS)
    sides = np.linalg.norm(CORNERS - CORNERS[[1, 2, 0]], axis=1)
    np.testing.assert_allclose(sides, 1)
    np.testing.assert_allclose(place([[1 / 3] * 3])[0], CORNERS.mean(axis=0))


def test_shares_know_no_scale():
    weights = np.random.default_rng(0).random((20, 3))
    np.testing.assert_array_equal(shares(weights * 7.3), shares(weights))
    np.testing.assert_allclose(shares(weights).sum(axis=1), 1)
    with pytest.raises(ValueError, match=r"\[0.0, -1.0\] at row 1"):
        shares([[1, 1], [0, -1]])


def test_triangle_has_its_ticks_where_the_shares_are():
    weights = grid(3)
    display = OutputWeightsDisplay(weights=weights, scores=hill(weights)).plot()
    (ax,) = display.axes_
    np.testing.assert_allclose(
        star(ax), place(shares(weights))[hill(weights).argmax()], atol=1e-9
    )
    ticks = [t for t in ax.texts if t.get_text().endswith("%")]
    assert len(ticks) == 12
    for tick in ticks:  # each lies just outside the side that belongs to its task
        point = np.append(tick.get_position(), 1)
        parts = np.linalg.solve(np.vstack([CORNERS.T, np.ones(3)]), point)
        task = (int(np.argmin(parts)) + 1) % 3
        assert parts.min() == pytest.approx(-0.05 / np.sqrt(0.75))
        value = int(tick.get_text()[:-1]) / 100
        assert parts[task] == pytest.approx(value + 0.025 / np.sqrt(0.75), abs=1e-9)


def test_two_tasks_are_a_curve_over_the_share():
    weights = grid(2)
    scores = hill(weights)
    display = OutputWeightsDisplay(
        weights=weights, scores=scores, task_names=["click", "order"],
        metric="auc:order", interval=(0.79, 0.81),
    ).plot()  # fmt: skip
    (ax,) = display.axes_
    assert ax.get_xlabel() == "share of order in the weights (the rest: click)"
    assert ax.get_ylabel() == "AUC of order"
    best = scores.argmax()
    assert star(ax).tolist() == [shares(weights)[best, 1], scores[best]]
    (points,) = [line for line in ax.lines if line.get_marker() == "."]
    share = shares(weights)[:, 1]
    np.testing.assert_array_equal(points.get_xdata(), np.sort(share))
    np.testing.assert_allclose(points.get_ydata(), scores[np.argsort(share)])
    labels = [t.get_text() for t in display.figure_.legends[0].get_texts()]
    assert "95 % interval of the best" in labels


def marked(ax, marker):
    (found,) = [line for line in ax.lines if line.get_marker() == marker]
    return {tuple(point) for point in found.get_xydata().round(6)}


@pytest.mark.parametrize("kind", ["heatmap", "ternary"])
def test_constraints_and_interval_are_marked_at_the_candidates(kind):
    weights = grid(3)
    if kind == "heatmap":
        weights[:, 2] = 1.0
    scores, parts = hill(weights), shares(weights)
    feasible, low = parts[:, 0] >= 0.3, 0.75
    display = OutputWeightsDisplay(
        weights=weights, scores=scores, feasible=feasible, interval=(low, 0.81)
    ).plot(kind=kind)
    (ax,) = display.axes_
    points = (weights[:, :2] if kind == "heatmap" else place(parts)).round(6)
    below = feasible & (scores < low)
    assert 0 < below.sum() < feasible.sum()
    assert marked(ax, ".") == {tuple(point) for point in points[below]}
    assert marked(ax, "x") == {tuple(point) for point in points[~feasible]}
    labels = [t.get_text() for t in display.figure_.legends[0].get_texts()]
    assert labels[1:] == [
        "below the 95 % interval of the best", "violates a constraint"
    ]  # fmt: skip
    best = np.argmax(np.where(feasible, scores, -1))
    np.testing.assert_allclose(star(ax), points[best], atol=1e-6)


def test_nothing_is_coloured_between_candidates():
    weights = grid(3)
    weights = weights[(weights > 0).all(axis=1)]  # no candidate near a corner
    display = OutputWeightsDisplay(weights=weights, scores=hill(weights)).plot()
    (dots,) = display.axes_[0].collections
    found = {tuple(point) for point in dots.get_offsets().round(6)}
    assert found == {tuple(point) for point in place(shares(weights)).round(6)}


@pytest.mark.parametrize("n_tasks", [1, 4, 8])
def test_profiles_for_any_number_of_tasks(n_tasks):
    weights = np.random.default_rng(0).random((300, n_tasks))
    scores = hill(weights) if n_tasks > 1 else np.full(300, 0.7)
    scores[::7] = np.nan
    display = OutputWeightsDisplay(weights=weights, scores=scores).plot()
    assert len(display.axes_) == n_tasks
    best = np.nanargmax(scores)
    for task, ax in enumerate(display.axes_):
        x, y = star(ax)
        assert x == pytest.approx(shares(weights)[best, task])
        assert y == scores[best]


def test_best_by_share():
    share = np.array([0.01, 0.02, 0.3, 0.31, 0.9])
    x, y = best_by_share(share, np.array([1.0, 2.0, 5.0, 4.0, np.nan]))
    assert x.tolist() == [0.02, 0.3]
    assert y.tolist() == [2.0, 5.0]


def test_scattered_and_degenerate_candidates():
    rng = np.random.default_rng(0)
    weights = rng.random((40, 2))
    assert grid_of(*weights.T, hill(weights))[2].shape == (40, 40)
    OutputWeightsDisplay(weights=weights, scores=hill(weights)).plot()
    line = np.column_stack([STEPS[1:], STEPS[1:], np.linspace(1, 0, 5)])
    scores = np.array([0.1, np.nan, 0.3, 0.2, 0.1])
    display = OutputWeightsDisplay(weights=line, scores=scores).plot(kind="ternary")
    np.testing.assert_allclose(star(display.axes_[0]), place(shares(line))[2])


def test_eight_tasks_with_long_names_fit(long_names, outside):
    rng = np.random.default_rng(0)
    for n in (2, 3, 8):
        weights = rng.random((200, n))
        display = OutputWeightsDisplay(
            weights=weights, scores=hill(weights), task_names=long_names[-n:],
            metric=f"auc:{long_names[2]}", interval=(0.7, 0.9),
            feasible=weights[:, 0] > 0.1,
        ).plot()  # fmt: skip
        assert not outside(display.figure_)


class Search:
    """A fitted search, as far as the display sees it."""

    task_names_ = ("click", "order")
    best_index_, refit, scoring = 1, True, "auc:order"
    cv_results_ = {  # noqa: RUF012
        "param_click": np.ma.array([1.0, 0.0, 1.0]),
        "param_order": np.ma.array([0.0, 1.0, 1.0]),
        "mean_test_score": np.array([0.5, 0.7, 0.6]),
        "feasible": np.array([True, True, False]),
    }

    def bootstrap_intervals(self, n_resamples, *, random_state=None):
        assert (n_resamples, random_state) == (50, 3)
        return pd.DataFrame({"low": [0.65], "high": [0.75]}, index=["best"])


def test_from_search():
    display = OutputWeightsDisplay.from_search(Search(), n_resamples=50, random_state=3)
    assert display.metric == "auc:order"
    assert display.interval == (0.65, 0.75)
    title = display.plot().axes_[0].get_title()
    assert title == "AUC of order\nbest 0.7000, 95 % interval 0.6500 to 0.7500"
    assert star(display.axes_[0]).tolist() == [1.0, 0.7]
    with pytest.raises(ValueError, match=r"no metric 'auc'; it has \['score'\]"):
        OutputWeightsDisplay.from_search(Search(), metric="auc")


def test_what_does_not_fit_is_refused():
    weights = grid(3)
    display = OutputWeightsDisplay(weights=weights, scores=hill(weights))
    with pytest.raises(ValueError, match="needs 2 weights, found 3"):
        display.plot(kind="heatmap")
    with pytest.raises(ValueError, match="kind must be one of"):
        display.plot(kind="map")
    with pytest.raises(ValueError, match="a score for each candidate"):
        OutputWeightsDisplay(weights=weights, scores=[1.0]).plot()
    with pytest.raises(ValueError, match="No candidate has a score"):
        OutputWeightsDisplay(
            weights=weights, scores=hill(weights), feasible=np.zeros(len(weights))
        ).plot()
