"""What the gates do: utilisation, collapse, dead experts, similarity."""

import warnings
from inspect import isabstract

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.stats import entropy, ortho_group

from skmtl import PLE, MMoE, ShareBottom, rankers
from skmtl.inspection import GateWarning, expert_similarity, gate_report
from skmtl.inspection._gates import _linear_cka
from tests.rankers.conftest import make_impressions
from tests.rankers.makers import ON_IMPRESSIONS

SMALL = {
    **ON_IMPRESSIONS,
    "max_iter": 2,
    "batch_size": 128,
    "tower_units": (8,),
    "expert_units": (16,),
}


KINDS = [getattr(rankers, name) for name in rankers.__all__]
GATED = [k for k in KINDS if issubclass(k, rankers.GatedRanker) and not isabstract(k)]


@pytest.fixture(scope="module")
def table():
    return make_impressions(3000)


@pytest.mark.parametrize("kind", GATED)
def test_weights_and_report_of_every_gated_ranker(table, kind):
    X, y = table
    ranker = kind(**SMALL).fit(X, y)
    weights = ranker.gate_weights(X)
    assert weights.shape == (3000, 2, len(ranker.expert_names_))
    assert ranker.expert_outputs(X).shape == (3000, len(ranker.expert_names_), 16)
    assert_allclose(weights.sum(axis=2), 1, rtol=1e-5)
    # The mixture that the towers read is the one that is shown.
    module = ranker.net_.module_
    rows = ranker.encoder_.encode(X[:50]).as_dict()
    block = {name: torch.from_numpy(x) for name, x in rows.items()}
    with torch.inference_mode():
        mixed = module.representation(**block)
    expected = np.einsum("bte,bew->tbw", weights[:50], ranker.expert_outputs(X[:50]))
    assert_allclose(mixed.numpy(), expected, rtol=1e-4, atol=1e-5)

    report = gate_report(ranker, X)
    assert_allclose(report.groupby("task")["weight"].sum(), 1, rtol=1e-5)
    assert_allclose(report.groupby("task")["top_share"].sum(), 1)
    for t, task in enumerate(["click", "cart"]):
        rows = report[report["task"] == task]
        names = ranker.expert_names_.tolist()
        at = [names.index(e) for e in rows["expert"]]
        own = weights[:, t, at].astype(float)
        assert_allclose(rows["weight"], own.mean(axis=0), rtol=1e-6)
        assert_allclose(rows["weight_std"], own.std(axis=0), rtol=1e-6)
        expected = entropy(own, axis=1).mean() / np.log(len(at))
        assert_allclose(rows["entropy"], expected, rtol=1e-5)
    # Names are those of the network, whatever is set before the next fit.
    sizes = [name for name in ranker.get_params() if name.endswith("_experts")]
    ranker.set_params(**dict.fromkeys(sizes, 7))
    assert ranker.expert_names_.tolist() == names


def test_ple_reports_own_and_shared_experts_only(table):
    X, y = table
    ranker = PLE(n_task_experts=1, n_shared_experts=2, n_levels=2, **SMALL).fit(X, y)
    report = gate_report(ranker, X)
    assert report.loc[report["task"] == "cart", "expert"].tolist() == [
        "cart 0",
        "shared 0",
        "shared 1",
    ]


def fitted(table, n_experts=3):
    return MMoE(n_experts=n_experts, **SMALL).fit(*table)


def test_a_collapsed_gate_is_named(table):
    ranker = fitted(table)
    with torch.no_grad():
        ranker.net_.module_.sharing.gates.bias[4] += 30.0  # task cart, expert 1
    with pytest.warns(GateWarning, match=r"task 'cart' has collapsed: expert '1' has"):
        report = gate_report(ranker, table[0])
    rows = report[report["task"] == "cart"]
    assert rows["entropy"].max() < 0.01
    assert rows["top_share"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", ["collapsed_above", "dead_below"])
@pytest.mark.parametrize("bound", [-0.1, 95, np.nan])
def test_bounds_are_shares(table, name, bound):
    ranker = fitted(table)
    with pytest.raises(ValueError, match=rf"{name} must be in \[0, 1\]"):
        gate_report(ranker, table[0], **{name: bound})


def test_dead_experts_are_named(table):
    ranker = fitted(table)
    with torch.no_grad():
        ranker.net_.module_.sharing.gates.bias[[2, 5]] -= 30.0  # no gate reads 2
        ranker.net_.module_.sharing.first[0].bias[:16] -= 1e3  # 0 has died
    with pytest.warns(GateWarning, match=r"experts \['0', '2'\] are dead"):
        report = gate_report(ranker, table[0])
    assert report["active"].tolist() == [False, True, True] * 2


def test_one_expert_is_no_collapse(table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = gate_report(fitted(table, n_experts=1), table[0])
    assert report["weight"].tolist() == [1, 1]


def test_rankers_without_gates_are_refused(table):
    ranker = ShareBottom(max_iter=1, categorical_features=["user", "item"]).fit(*table)
    for report in (gate_report, expert_similarity):
        with pytest.raises(TypeError, match="ShareBottom has no gates"):
            report(ranker, table[0])


def test_similarity_of_a_ranker(table):
    X, _ = table
    ranker = fitted(table)
    found = expert_similarity(ranker, X)
    assert found.index.tolist() == found.columns.tolist() == ["0", "1", "2"]
    assert_allclose(np.diag(found), 1)
    assert (found.to_numpy() < 0.999).sum() == 6
    some = expert_similarity(ranker, X, max_rows=500)
    assert abs(some - found).max(axis=None) < 0.1


def test_cka_equals_its_definition_and_its_invariances():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 40, 5))
    rotated = 3 * a @ ortho_group.rvs(5, random_state=0) + 7
    found = _linear_cka(np.stack([a, b, rotated, np.ones((40, 5))], axis=1))
    centre = np.eye(40) - 1 / 40
    ka, kb = (centre @ (x @ x.T) @ centre for x in (a, b))
    expected = (ka * kb).sum() / np.linalg.norm(ka) / np.linalg.norm(kb)
    assert found[0, 1] == pytest.approx(expected, rel=1e-10)
    assert found[0, 2] == pytest.approx(1, rel=1e-10)
    assert np.isnan(found[3]).all()
