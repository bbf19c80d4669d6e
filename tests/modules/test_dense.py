"""Dense layers: torch's own, with the same bits on any number of threads."""

import pytest
import torch

from skmtl.modules.layers import Dense


def step(layer, x, direction):
    layer.zero_grad()
    out = layer(x)
    (out * direction).sum().backward()
    return [out.detach(), *(p.grad.clone() for p in layer.parameters())]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n_units", range(1, 20))
def test_equals_linear_and_itself_on_other_threads(n_units, bias, set_threads):
    torch.manual_seed(n_units)
    layer = Dense(50, n_units, bias=bias)
    linear = torch.nn.Linear(50, n_units, bias=bias)
    with torch.no_grad():
        linear.weight.copy_(layer.weight.t())
        if bias:
            linear.bias.copy_(layer.bias)
    x, direction = torch.randn(32, 50), torch.randn(32, n_units)
    set_threads(1)
    one = step(layer, x, direction)
    set_threads(2)
    for found, expected in zip(step(layer, x, direction), one, strict=True):
        assert torch.equal(found, expected)
    out, weight, *rest = step(linear, x, direction)
    for found, expected in zip(one, [out, weight.t(), *rest], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
