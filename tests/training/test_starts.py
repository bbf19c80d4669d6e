"""Fits that continue from the last one."""

import pickle

import pytest

from skmtl.weighting import GradNorm
from tests.rankers.makers import small_mmoe


def test_warm_start_goes_on(impressions):
    X, y = impressions
    ranker = small_mmoe(warm_start=True).fit(X, y)
    before = ranker.net_.history[-1, "train_loss"]
    ranker.fit(X, y)
    assert ranker.n_iter_ == 6
    assert ranker.net_.history[-1, "train_loss"] < before
    tables = ranker.net_.module_.embedding.ids.tables
    trained = [o.param_groups[0]["params"][0] for o in ranker.net_.all_optimizers[1:]]
    assert [id(t) for t in trained] == [id(t) for t in tables]
    with pytest.raises(ValueError, match="warm_start continues with the tasks"):
        ranker.fit(X, y.rename(columns={"cart": "order"}))
    assert ranker.n_iter_ == 6


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_going_on_with_another_step(impressions, method):
    X, y = impressions
    # The last weights; their average would lag behind the step that is measured.
    params = {"learning_rate_schedule": "cosine", "average_weights": False}
    ranker = small_mmoe(warm_start=True, loss_weight=GradNorm(), **params).fit(X, y)

    def rates(groups, what):
        return sorted({g[what] for g in groups})

    def change(**params):
        """How far the towers go, and the groups of parameters."""
        again = pickle.loads(pickle.dumps(ranker)).set_params(max_iter=1, **params)
        getattr(again, method)(X, y)
        groups = [g for o in again.net_.all_optimizers for g in o.param_groups]
        after = again.net_.module_.towers.state_dict()
        before = ranker.net_.module_.towers.state_dict()
        moved = [(after[name] - before[name]).abs().max() for name in after]
        return float(max(moved)), groups

    usual, groups = change()
    # Bins learn slower, and GradNorm has a rate of its own.
    assert rates(groups, "initial_lr") == pytest.approx([1.5e-3, 5e-3, 0.025])
    slow, groups = change(learning_rate=5e-6, weight_decay=0.5)
    assert rates(groups, "initial_lr") == pytest.approx([1.5e-6, 5e-6, 0.025])
    assert {g["weight_decay"] for g in groups} == {0.5, 0.0}
    assert slow < 0.01 * usual
    _, groups = change(learning_rate_schedule="constant")
    assert rates(groups, "lr") == pytest.approx([1.5e-3, 5e-3, 0.025])
