"""Optimisers and learning rates."""

import pytest
import torch

from skmtl.training import optimizers
from skmtl.training.optimizers import dense_optimizer, schedule
from tests.rankers.makers import small_mmoe


@pytest.fixture(params=["fused", "public"])
def _kernel(request, monkeypatch):
    """With torch's private kernel, and as with a torch that has none."""
    if request.param == "public":
        monkeypatch.setattr(optimizers, "_FUSED", None)
    elif optimizers._FUSED is None:
        pytest.skip("this torch has no such kernel")


@pytest.mark.usefixtures("_kernel")
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_dense_adam_is_adamw_of_torch(decay):
    generator = torch.Generator().manual_seed(3)
    start = [torch.randn(s, generator=generator) for s in ((4, 3), (3,), (2, 3, 1))]
    ours, theirs = ([torch.nn.Parameter(p.clone()) for p in start] for _ in range(2))
    optimizers = [
        dense_optimizer("adam", [{"params": ours}], 0.1, decay),
        torch.optim.AdamW([{"params": theirs}], 0.1, weight_decay=decay),
    ]
    for step in range(5):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
        if step == 2:  # a layer that a step passes by
            ours[1].grad = theirs[1].grad = None
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.usefixtures("_kernel")
@pytest.mark.parametrize("turned", ["gradient", "parameter"])
def test_a_gradient_laid_out_otherwise(turned):
    generator = torch.Generator().manual_seed(0)
    start, gradients = torch.randn(2, 5, 7, generator=generator)
    if turned == "parameter":
        start = start.t().contiguous().t()
    else:
        gradients = gradients.t().contiguous().t()
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    assert ours.stride() != gradients.stride()
    for optimizer in (
        dense_optimizer("adam", [ours], 0.1, 0.0),
        torch.optim.AdamW([theirs], 0.1, weight_decay=0.0, foreach=False),
    ):
        for _ in range(2):
            ours.grad = theirs.grad = gradients
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("name", "middle", "end"),
    [("constant", 1, 1), ("linear", 0.5, 0), ("cosine", 0.5, 0), (lambda p: 2, 2, 2)],
)
def test_schedules(name, middle, end):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    plan = schedule(optimizer, name, steps=10)
    rates = []
    for _ in range(10):
        optimizer.step()
        plan.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[4] == pytest.approx(middle, abs=1e-6)
    assert rates[9] == pytest.approx(end, abs=1e-6)


def test_bins_learn_at_their_own_rate(impressions):
    X, y = impressions
    factors = {}
    for factor in (0.3, 1.0):
        ranker = small_mmoe(bin_learning_rate_factor=factor, random_state=0).fit(X, y)
        bins = ranker.net_.module_.embedding.bins
        groups = ranker.net_.all_optimizers[0].param_groups
        factors[factor] = {
            round(group["lr"] / ranker.learning_rate, 9)
            for group in groups
            if any(p is bins for p in group["params"])
        }
        listed = [id(p) for group in groups for p in group["params"]]
        assert len(listed) == len(set(listed))
    assert factors == {0.3: {0.3}, 1.0: {1.0}}
