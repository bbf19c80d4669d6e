"""What a ranker says of its network."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn

from skmtl import ChainedMMoE, MMoE, ShareBottom, SingleTask

RANKERS = [
    ShareBottom(bottom_units=(24, 12), tower_units=(6,)),
    MMoE(n_experts=3, expert_units=(12, 7), tower_units=()),
    ChainedMMoE(n_experts=3, expert_units=(12,), tower_units=(6,)),
    ShareBottom(crosses="fm", crosses__dim=5, bottom_units=(4,)),
    SingleTask(crosses="dcn", crosses__rank=2, bottom_units=(4,)),
]


def fitted(ranker, X, y):
    return clone(ranker).set_params(max_iter=1, random_state=0).fit(X, y)


@pytest.mark.parametrize("ranker", RANKERS, ids=lambda r: type(r).__name__)
def test_numbers_of_parameters_add_up(ranker, impressions):
    ranker = fitted(ranker, *impressions)
    total = sum(p.numel() for p in ranker.net_.module_.parameters())
    lines = ranker.summary().splitlines()
    assert lines[0] == f"{type(ranker).__name__}: 2 tasks, 4 columns, {total:,} " + (
        "parameters"
    )
    assert lines[1] == "Tasks: click, cart"
    counts = {}
    for line in lines[4:]:
        top = not line.startswith(" ")
        counts.setdefault(top, []).append(int(line.split()[-1].replace(",", "")))
    assert sum(counts[True]) == sum(counts[False]) == total
    assert len({len(line) for line in lines[3:]}) == 1, "columns do not line up"


def test_shapes_are_those_of_the_hyperparameters(impressions):
    summary = fitted(RANKERS[1], *impressions).summary()
    output = {line.split()[0]: line for line in summary.splitlines()[4:]}
    assert "(2, rows, 7)" in output["sharing"]
    assert "(rows, 36)" in output["first"]
    assert "(3, rows, 7)" in output["rest"]
    assert "(rows, 6)" in output["gates"]
    assert "(rows, 2)" in output["towers"]


TABLES = ("bins", "ids")


def test_crosses_have_their_names_and_shapes(impressions):
    X, y = impressions
    bottom = ShareBottom(bottom_units=(4,), embedding_dim=4, bias_features=["position"])
    plain = rows(fitted(bottom, X, y))
    width = int(plain["embedding"].split("(rows, ")[1].split(")")[0])
    for crosses, name, wider in [
        ("dcn", "CrossNetwork", width),
        ("fm", "FactorizationMachine", width + 3),
        (lambda width: nn.Linear(width, 7), "Linear", 7),
    ]:
        ranker = fitted(bottom.set_params(crosses=crosses), X, y)
        crossed = rows(ranker)
        assert f"{name} (rows, {wider})" in crossed["crosses"]
        assert "crosses: " + name in ranker._repr_html_()
        assert [crossed[part] for part in TABLES] == [plain[part] for part in TABLES]
    single = fitted(SingleTask(crosses="dcn", bottom_units=(4,)), X, y)
    assert "2 × CrossNetwork" in rows(single)["crosses"]


def rows(ranker):
    """Lines of a summary by the names of parts; those of the bias tower come last."""
    lines = reversed(ranker.summary().splitlines()[4:])
    return {line.split()[0]: " ".join(line.split()) for line in lines}


def test_arrays_and_one_column_of_labels(impressions):
    X, y = impressions
    ranker = fitted(RANKERS[0], X[["price", "position"]].to_numpy(), y["click"])
    assert ranker.summary().startswith("ShareBottom: 1 task, 2 columns, ")


def test_looking_changes_nothing(impressions):
    X, y = impressions
    ranker = fitted(RANKERS[1], X, y)
    before = ranker.predict_task_proba(X)
    ranker.summary()
    ranker._repr_html_()
    assert np.array_equal(ranker.predict_task_proba(X), before)
    assert not any(m._forward_hooks for m in ranker.net_.module_.modules())


def test_a_network_that_is_not_there_has_no_summary():
    with pytest.raises(NotFittedError):
        MMoE().summary()
    assert "MMoE" in MMoE()._repr_html_()


def test_the_diagram_shows_the_network(impressions):
    X, y = impressions
    ranker = fitted(RANKERS[1], X, y)
    total = sum(p.numel() for p in ranker.net_.module_.parameters())
    for estimator in (
        ranker,
        make_pipeline(ranker),
        GridSearchCV(ranker, {"max_iter": [1]}, cv=2).fit(X, y),
    ):
        page = estimator._repr_html_()
        assert f"{total:,} parameters" in page
        assert "sharing: ExpertMixture" in page
        assert "output (2, rows, 7)" in page
