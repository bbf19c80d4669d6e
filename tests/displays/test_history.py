"""Training, epoch by epoch."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skmtl import MMoE, ShareBottom
from skmtl.displays import HistoryDisplay
from skmtl.displays._history_table import history_table


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(900, 3)), columns=list("abc"))
    y = (X.to_numpy()[:, :2] + rng.normal(size=(900, 2)) > 0).astype(int)
    return X, pd.DataFrame(y, columns=["click", "order"])


@pytest.fixture(scope="module")
def fits(table):
    shared = {"max_iter": 5, "random_state": 0, "tower_units": ()}
    stopped = ShareBottom(
        bottom_units=(8,), early_stopping=True, scoring="mean_auc", **shared
    )
    plain = MMoE(n_experts=2, expert_units=(8,), **shared)
    return {"with validation": stopped.fit(*table), "without": plain.fit(*table)}


def frame(names, n=6, seed=0):
    rng = np.random.default_rng(seed)
    rows = pd.MultiIndex.from_product([range(1, n + 1), names])
    out = pd.DataFrame(
        {"epoch": rows.get_level_values(0), "task": rows.get_level_values(1)}
    )
    for column in ("train_loss", "valid_loss", "loss_weight"):
        out[column] = rng.random(len(out))
    return out


def test_lines_are_what_the_net_recorded(fits):
    display = HistoryDisplay.from_estimator(fits).plot(["loss", "auc", "loss_weight"])
    history = fits["with validation"].net_.history
    for t, task in enumerate(["click", "order"]):
        for part in ("train", "valid"):
            for metric in ("loss", "auc"):
                line = display.lines_[metric, task, "with validation", part]
                wanted = [epoch[f"{part}_task_{metric}"][t] for epoch in history]
                assert line.get_ydata().tolist() == wanted
                assert line.get_xdata().tolist() == [e["epoch"] for e in history]
        weight = display.lines_["loss_weight", task, "with validation", ""]
        assert weight.get_ydata().tolist() == [
            epoch["loss_weight"][t] for epoch in history
        ]
        assert ("loss", task, "without", "train") in display.lines_
        assert ("loss", task, "without", "valid") not in display.lines_
    labels = [ax.get_ylabel() for ax in display.axes_]
    assert labels == ["loss (nats)"] * 2 + ["ROC AUC"] * 2 + ["loss weight"] * 2
    assert {ax.get_xlabel() for ax in display.axes_} == {"epoch"}


def test_the_best_epoch_is_where_validation_was_best(fits):
    display = HistoryDisplay.from_estimator(fits).plot("auc")
    history = fits["with validation"].net_.history
    best = 1 + int(np.argmax([epoch["valid_score"] for epoch in history]))
    assert display.best_epochs == {"with validation": best}
    for t, ax in enumerate(display.axes_):
        (star,) = [line for line in ax.lines if line.get_marker() == "*"]
        assert star.get_xdata().tolist() == [best]
        assert star.get_ydata().tolist() == [history[best - 1]["valid_task_auc"][t]]


def test_score_has_one_panel(fits):
    display = HistoryDisplay.from_estimator(fits["with validation"]).plot("score")
    (ax,) = display.axes_
    assert ax.get_title() == "all tasks"
    history = fits["with validation"].net_.history
    assert ax.lines[0].get_ydata().tolist() == history[:, "valid_score"]


def test_rankers_are_found_in_pipelines_and_searches(fits, table):
    ranker = fits["without"]
    direct = HistoryDisplay.from_estimator(ranker).histories
    inside = HistoryDisplay.from_estimator(make_pipeline(ranker)).histories
    assert list(direct) == list(inside) == ["MMoE"]
    pd.testing.assert_frame_equal(direct["MMoE"], inside["MMoE"])
    search = GridSearchCV(ranker, {"max_iter": [1]}, cv=2).fit(*table)
    assert len(HistoryDisplay.from_estimator(search).histories["MMoE"]) == 2
    with pytest.raises(TypeError, match="MMoE contains no fitted ranker"):
        HistoryDisplay.from_estimator(MMoE())


def test_gradient_norms_are_read_from_gramians():
    class Net:
        history = (
            {"epoch": 1, "train_task_loss": [1, 1], "gramian": [[9.0, 2], [2, 16.0]]},
            {"epoch": 2, "train_task_loss": [1, 1]},
        )

    class Ranker:
        net_, task_names_ = Net(), ("a", "b")

    norms = history_table(Ranker())["gradient_norm"].tolist()
    assert norms == pytest.approx([3, 4, np.nan, np.nan], nan_ok=True)


def test_fits_and_parts_differ_without_colour(fits):
    display = HistoryDisplay.from_estimator(
        {"a": fits["with validation"], "b": fits["without"]}
    ).plot()
    look = {
        key[2:]: (line.get_linestyle(), line.get_marker(), line.get_markerfacecolor())
        for key, line in display.lines_.items()
    }
    assert len(set(look.values())) == len(look)
    assert look["a", "train"][0] != look["a", "valid"][0]
    assert look["a", "train"][1] != look["b", "train"][1]


def test_the_legend_names_each_look_once(fits):
    display = HistoryDisplay.from_estimator(fits).plot(["loss_weight", "loss"])
    (legend,) = display.figure_.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "without",
        "with validation, training",
        "with validation, validation",
        "without, training",
        "best epoch",
    ]


def test_eight_tasks_with_long_names_fit(long_names, outside):
    tables = {f"fit number {i} with a long name": frame(long_names) for i in range(3)}
    display = HistoryDisplay.from_history(tables).plot(["loss", "loss_weight"])
    assert len(display.axes_) == 16
    assert not outside(display.figure_)


def test_panels_of_the_caller_are_used():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2)
    display = HistoryDisplay.from_history(frame(["a", "b", "c"]))
    assert display.plot(tasks=["a", "c"], ax=axes).figure_ is figure
    assert [ax.get_title() for ax in axes] == ["a", "c"]
    with pytest.raises(ValueError, match=r"needs 3 panel\(s\), but ax has 2"):
        display.plot(ax=axes)


def test_unknown_names_are_refused():
    display = HistoryDisplay.from_history(frame(["a"]))
    with pytest.raises(ValueError, match=r"task 'b'; they have \['a'\]"):
        display.plot(tasks=["b"])
    with pytest.raises(ValueError, match=r"task 'bc'; they have \['a'\]"):
        display.plot(tasks="bc")
    with pytest.raises(ValueError, match=r"Name some of \['a'\]"):
        display.plot(tasks=[])
    with pytest.raises(ValueError, match=r"'gradient_norm'.*record_gradients=True"):
        display.plot("gradient_norm")
    with pytest.raises(ValueError, match=r"'fit' lacks the columns \['task'\]"):
        HistoryDisplay.from_history(pd.DataFrame({"epoch": [1]}))
