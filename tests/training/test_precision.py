"""Layers that tasks share in bf16, and compiled."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skmtl import MMoE, ShareBottom


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 8))
    y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    return X, y


@pytest.mark.parametrize("ranker", [ShareBottom, MMoE])
def test_bf16_learns_the_same(ranker, table):
    X, y = table
    quick = {"random_state": 0, "batch_size": 128}
    full = ranker(**quick).fit(X, y)
    half = ranker(**quick, precision="bf16").fit(X, y)
    assert {p.dtype for p in half.net_.module_.parameters()} == {torch.float32}
    difference = np.abs(full.predict_task_proba(X) - half.predict_task_proba(X))
    assert 0 < difference.mean() < 0.01
    assert half.score(X, y) == pytest.approx(full.score(X, y), abs=0.002)


def test_only_what_is_shared_is_in_bf16(table):
    X, y = table
    ranker = MMoE(random_state=0, precision="bf16", max_iter=1).fit(X, y)
    module, seen = ranker.net_.module_, {}

    def note(name):
        def hook(part, arguments, out):
            seen[name] = out.dtype

        return hook

    parts = {"sharing": module.sharing, "towers": module.towers}
    hooks = [part.register_forward_hook(note(n)) for n, part in parts.items()]
    ranker.predict_task_proba(X)
    for hook in hooks:
        hook.remove()
    assert seen == {"sharing": torch.bfloat16, "towers": torch.float32}


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a compiler")
@pytest.mark.filterwarnings("ignore")  # torch warns of its own tracing
def test_compiled_layers_give_the_same(table):
    X, y = table
    few = {"random_state": 0, "max_iter": 1, "n_experts": 2, "learning_rate": 1e-3}
    few["batch_size"] = 256
    plain = MMoE(**few).fit(X, y)
    compiled = MMoE(**few, compile=True).fit(X, y)
    assert set(compiled.net_.module_._compiled) == {"forward", "mix"}
    proba = compiled.predict_task_proba(X)
    assert_allclose(proba, plain.predict_task_proba(X), atol=1e-4)
    again = pickle.loads(pickle.dumps(compiled))
    assert again.net_.module_._compiled == {}
    assert_allclose(again.predict_task_proba(X), proba, atol=1e-6)
