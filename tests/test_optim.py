"""Optimisers and learning rates."""

import pytest
import torch

from skmtl._optim import dense_optimizer, schedule


def test_dense_adam_is_fused():
    optimizer = dense_optimizer("adam", [torch.nn.Parameter(torch.ones(2))], 0.1, 0.0)
    assert optimizer.defaults["fused"]


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
