"""Several metrics against each other."""

import numpy as np
import pytest

from skmtl.displays import ParetoFrontDisplay


def candidates(n_metrics, n_tasks=3):
    weights = np.vstack(
        [np.eye(n_tasks), np.random.default_rng(0).random((60, n_tasks))]
    )
    parts = weights / weights.sum(axis=1, keepdims=True)
    return weights, 1 - (parts[:, :n_metrics] - 0.8) ** 2


def test_front_ends_and_choice_are_drawn():
    weights, scores = candidates(2)
    display = ParetoFrontDisplay(
        scores=scores, metric_names=["auc:a", "auc:b"], weights=weights,
        task_names=["a", "b", "c"], best_index=9,
    ).plot()  # fmt: skip
    (ax,) = display.axes_
    assert display.ends_ == {"a": 0, "b": 1, "c": 2}
    lines = {line.get_marker(): line.get_xydata() for line in ax.lines}
    np.testing.assert_array_equal(lines["o"], scores[display.front_])
    np.testing.assert_array_equal(lines["."], scores)
    np.testing.assert_array_equal(lines["*"], scores[[9]])
    for marker, task in zip("s^D", range(3), strict=True):
        np.testing.assert_array_equal(lines[marker], scores[[task]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("AUC of a", "AUC of b")


def test_what_lies_on_one_place_stays_visible():
    scores = np.array([[0.9, 0.2], [0.2, 0.9], [0.2, 0.9]])
    display = ParetoFrontDisplay(
        scores=scores, metric_names=["x", "y"], weights=np.eye(3),
        task_names=["a", "b", "c"], best_index=0,
    ).plot()  # fmt: skip
    lines = {line.get_marker(): line for line in display.axes_[0].lines}
    chosen, end = lines["*"], lines["s"]
    assert chosen.get_xydata().tolist() == end.get_xydata().tolist()
    assert chosen.get_markersize() > end.get_markersize()
    assert chosen.get_zorder() < end.get_zorder()
    # Two ends at the same place have one marker that names both.
    assert "D" not in lines
    labels = [t.get_text() for t in display.figure_.legends[0].get_texts()]
    assert labels[2:] == ["only a", "only b,\nonly c", "chosen"]


def test_a_panel_for_each_pair_of_metrics(outside, long_names):
    weights, scores = candidates(3, n_tasks=8)
    display = ParetoFrontDisplay(
        scores=scores, metric_names=[f"auc:{name}" for name in long_names[:3]],
        weights=weights, task_names=long_names,
    ).plot()  # fmt: skip
    assert len(display.axes_) == 3
    assert len(display.ends_) == 8
    assert not outside(display.figure_)


class Search:
    """A fitted search, as far as the display sees it."""

    task_names_, best_index_ = ("a", "b"), 1
    cv_results_ = {  # noqa: RUF012
        "param_a": np.ma.array([1.0, 0.5]),
        "param_b": np.ma.array([0.0, 1.0]),
        "mean_test_x": np.array([0.5, 0.7]),
        "mean_test_y": np.array([0.6, 0.4]),
    }


def test_from_search():
    display = ParetoFrontDisplay.from_search(Search()).plot()
    assert display.metric_names == ["x", "y"]
    assert display.front_.tolist() == [1, 0]
    assert display.ends_ == {"a": 0}
    with pytest.raises(ValueError, match="needs two metrics"):
        ParetoFrontDisplay.from_search(Search(), metrics=["x"])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="a column for each of at least two"):
        ParetoFrontDisplay(scores=[[1.0, 2]], metric_names=["x"]).plot()
    with pytest.raises(ValueError, match="a row for each of the 1 candidates"):
        ParetoFrontDisplay(
            scores=[[1.0, 2]], metric_names=["x", "y"], weights=[[1], [2]]
        ).plot()
