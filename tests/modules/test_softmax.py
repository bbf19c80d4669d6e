"""The softmax of gates against torch's own."""

import pytest
import torch

from skmtl.modules.sharing import softmax


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (7, 4), (9, 3, 8), (0, 3, 8)])
def test_equals_torch(shape):
    generator = torch.Generator().manual_seed(sum(shape))
    logits = 5 * torch.randn(shape, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    assert torch.allclose(softmax(logits), logits.softmax(dim=-1), rtol=1e-12)
    assert torch.autograd.gradcheck(softmax, logits)


def test_experts_left_out_get_no_weight_and_no_gradient():
    logits = torch.tensor([[0.5, -torch.inf, 1.5]], requires_grad=True)
    weights = softmax(logits)
    assert torch.equal(weights > 0, torch.tensor([[True, False, True]]))
    weights[0, 0].backward()
    assert logits.grad[0, 1] == 0
    assert logits.grad[0, 0] > 0


def test_strided_input():
    logits = torch.randn(3, 8, 20, generator=torch.Generator().manual_seed(0))
    turned = logits.permute(2, 0, 1)
    assert torch.allclose(softmax(turned), turned.softmax(dim=-1))


@pytest.mark.parametrize("n", range(1, 40, 3))
@pytest.mark.parametrize("n_experts", [2, 8, 33])
def test_same_bits_wherever_a_row_stands(n, n_experts):
    generator = torch.Generator().manual_seed(n)
    logits = 4 * torch.randn(n, 3, n_experts, generator=generator)
    order = torch.randperm(n, generator=generator)
    assert torch.equal(softmax(logits)[order], softmax(logits[order]))
    assert torch.equal(softmax(logits)[: n // 2 + 1], softmax(logits[: n // 2 + 1]))


def test_bf16_is_computed_in_float32():
    logits = torch.randn(9, 3, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = softmax(logits)
    assert torch.allclose(found, logits.float().softmax(dim=-1))
