"""Every architecture gets the gradient of its whole loss, under any weighting."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

import skmtl
from skmtl import MultiTaskRanker
from skmtl.training.batches import tensor_table
from skmtl.weighting import StaticWeighting, Step

RANKERS = sorted(
    name
    for name in skmtl.__all__
    if isinstance(getattr(skmtl, name), type)
    and issubclass(getattr(skmtl, name), MultiTaskRanker)
    and name != "MultiTaskRanker"
)
FEW = {"max_iter": 1, "embedding_dim": 4, "n_bins": 8, "random_state": 0}


@pytest.mark.parametrize("name", RANKERS)
def test_one_step_equals_automatic_differentiation(name, impressions):
    X, y = impressions
    ranker = getattr(skmtl, name)(**FEW, categorical_features=["user", "item"])
    ranker.fit(X, y)
    labels = y.to_numpy(np.float32, copy=True)
    table = ranker.encoder_.encode(X)
    weight = np.ones(labels.shape)
    Xi, (yi, wi, _) = tensor_table(table, labels, weight, "cpu").rows(slice(0, 300))
    module, losses_of = ranker.net_.module_, ranker.net_.criterion_.task_losses
    weighting = StaticWeighting([0.5, 2.0]).start(list(y))

    module.zero_grad()
    logits = module(**Xi)
    loss = torch.tensor([0.5, 2.0]) @ losses_of(logits, yi, wi)
    penalty = module.penalty(logits, wi)
    (loss if penalty is None else loss + penalty).backward()
    expected = gradients(module)

    module.zero_grad()
    representation, mixture = module.split(**Xi)
    step = Step(module, representation, mixture)
    logits = module.towers(step.cut)
    step.losses = losses_of(logits, yi, wi)
    penalty = module.penalty(logits, wi)
    if penalty is not None:
        step.add(penalty)
    weighting.backward(step)
    found = gradients(module)

    assert found.keys() == expected.keys()
    for parameter, gradient in expected.items():
        assert_allclose(found[parameter], gradient, atol=1e-6, err_msg=parameter)


# Every ranker with one strategy, and the kinds of network with each: a mixture,
# connected towers, and parts that share nothing.
STRATEGIES = ["mgda", "gradnorm", "uncertainty"]
PAIRS = {(name, STRATEGIES[at % 3]) for at, name in enumerate(RANKERS)}
PAIRS |= {(name, s) for name in ("MMoE", "ChainedMMoE", "STEM") for s in STRATEGIES}


@pytest.mark.parametrize(("name", "loss_weight"), sorted(PAIRS))
def test_every_architecture_trains_under_strategies(name, loss_weight, impressions):
    X, y = impressions
    ranker = getattr(skmtl, name)(**FEW, loss_weight=loss_weight)
    ranker.set_params(categorical_features=["user", "item"], learning_rate=0.02)
    ranker.fit(X, y)
    assert np.isfinite(ranker.loss_weight_).all()
    # One score for both tasks cannot follow each of them.
    assert ranker.score(X, y) > (0.55 if name == "PooledTask" else 0.6)


def gradients(module):
    return {
        name: p.grad.to_dense().clone().numpy()
        for name, p in module.named_parameters()
        if p.grad is not None and p.grad.to_dense().any()
    }
