"""Products of dense layers against float64, forward and backward."""

from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn import functional as F

from skmtl.modules import layers as layers_module
from skmtl.modules.layers import linear, stacks
from skmtl.modules.sharing import mixed_layer

available = pytest.mark.skipif(
    not layers_module._available(), reason="torch was built without oneDNN"
)


def gradients(function, arguments, out_gradient):
    out = function(*arguments)
    return out, *torch.autograd.grad(out, arguments, out_gradient)


def single(batch, width, n_units, generator):
    x = torch.randn(batch, width, generator=generator)
    weight = torch.randn(width, n_units, generator=generator)
    bias = torch.randn(n_units, generator=generator)
    return x, weight, bias


def several(batch, width, n_units, generator):
    x = torch.randn(3, batch, width, generator=generator)
    weight = torch.randn(3, width, n_units, generator=generator)
    bias = torch.randn(3, 1, n_units, generator=generator)
    return x, weight, bias


def two_layers(batch, width, n_units, generator):
    x, weight, bias = several(batch, width, n_units, generator)
    weight = weight / width**0.5
    return x, weight, bias, *several(1, n_units, 4, generator)[1:]


def experts(batch, width, n_units, generator):
    x, weight, bias = single(batch, width, 2 * n_units, generator)
    return x, weight, bias, torch.rand(batch, 3, 2, generator=generator)


def one_for_all(batch, width, n_units, generator):
    x, *layers = two_layers(batch, width, n_units, generator)
    return x[:1], *layers


def units(batch, width, n_units, generator):
    x, weight, bias, *last = one_for_all(batch, width, n_units, generator)
    return x, weight, bias, *(p[..., :1] for p in last)


def their_stacks(x, *layers):
    x = x.expand(3, -1, -1)
    for k in range(0, len(layers), 2):
        x = torch.baddbmm(layers[k + 1], x, layers[k]).relu()
    return x


def two_of_ours(x, w, b, v, c):
    return stacks(x, [(w, b, True), (v, c, True)])


def their_mixture(x, weight, bias, mixture):
    hidden = (x @ weight + bias).relu().unflatten(1, (2, -1))
    return torch.einsum("bte,bew->btw", mixture, hidden)


# What is tested, its meaning in plain torch, and random arguments.
KINDS = [
    (linear, lambda x, w, b: F.linear(x, w.t(), b), single),
    (partial(linear, relu=True), lambda x, w, b: (x @ w + b).relu(), single),
    (
        lambda x, w, b: stacks(x, [(w, b, False)]),
        lambda x, w, b: torch.baddbmm(b, x, w),
        several,
    ),
    (lambda x, w, b: stacks(x, [(w, b, True)]), their_stacks, several),
    (two_of_ours, their_stacks, two_layers),
    (two_of_ours, their_stacks, one_for_all),
    (two_of_ours, their_stacks, units),
    (mixed_layer, their_mixture, experts),
]
# Where oneDNN, asked at once, sums in another order on another number of threads.
LONG = [(8192, 1, 1), (20_000, 3, 8), (20_000, 8, 64), (65_536, 8, 1)]
SHAPES = [(1, 1, 1), (1, 30, 7), (1, 128, 64), (1, 330, 200), (7, 3, 128), (64, 330, 5)]
SHAPES += [(300, 17, 24), (33, 64, 1)]


@available
@pytest.mark.parametrize(("ours", "theirs", "make"), KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_float64(ours, theirs, make, shape):
    generator = torch.Generator().manual_seed(sum(shape))
    arguments = [a.requires_grad_() for a in make(*shape, generator)]
    assert layers_module.uses_onednn(arguments[0])
    g = torch.randn(ours(*arguments).shape, generator=generator)
    found = gradients(ours, arguments, g)
    exact = [a.detach().double().requires_grad_() for a in arguments]
    expected = gradients(theirs, exact, g.double())
    for a, b in zip(found, expected, strict=True):
        # Rounding of a sum of up to 330 products.
        assert_allclose(a.detach(), b.detach(), rtol=1e-5, atol=2e-4)
    with torch.no_grad():
        assert torch.equal(ours(*arguments), found[0])


@available
@pytest.mark.parametrize("limit", [0, 2**19])
def test_layers_of_one_input_equal_those_of_its_copies(limit, monkeypatch):
    monkeypatch.setattr(layers_module, "_IN_CACHE", limit)
    x, *layers = (
        a.requires_grad_() for a in units(70, 30, 20, torch.Generator().manual_seed(0))
    )
    g = torch.randn(3, 70, 1, generator=torch.Generator().manual_seed(1))
    found = gradients(two_of_ours, [x, *layers], g)
    copies = x.detach().repeat(3, 1, 1).requires_grad_()
    out, of_copies, *rest = gradients(two_of_ours, [copies, *layers], g)
    expected = [out, of_copies.sum(0, keepdim=True), *rest]
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a.detach(), b.detach(), rtol=1e-5, atol=1e-5)


@available
@pytest.mark.parametrize(("ours", "theirs", "make"), KINDS)
def test_views_and_broadcast_gradients(ours, theirs, make):
    generator = torch.Generator().manual_seed(0)
    arguments = list(make(20, 6, 5, generator))
    x = arguments[0]
    arguments[0] = x.transpose(-1, -2).contiguous().transpose(-1, -2)
    arguments = [a.requires_grad_() for a in arguments]
    g = torch.ones(()).expand(ours(*arguments).shape)
    found, expected = (gradients(f, arguments, g) for f in (ours, theirs))
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a.detach(), b.detach(), rtol=1e-5, atol=1e-5)


@available
@pytest.mark.parametrize(("ours", "theirs", "make"), KINDS)
@pytest.mark.parametrize(
    "shape", [*SHAPES[1:], (1024, 338, 10), (1500, 256, 128), *LONG]
)
def test_same_bits_on_any_number_of_threads(ours, theirs, make, shape, set_threads):
    generator = torch.Generator().manual_seed(sum(shape))
    arguments = [a.requires_grad_() for a in make(*shape, generator)]
    g = torch.randn(ours(*arguments).shape, generator=generator)
    results = []
    for n in (1, 2):
        set_threads(n)
        results.append(gradients(ours, arguments, g))
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("ours", "theirs", "make"), KINDS)
def test_other_types_take_torchs_way(ours, theirs, make):
    arguments = [a.double() for a in make(9, 4, 3, torch.Generator().manual_seed(0))]
    assert not layers_module.uses_onednn(arguments[0])
    assert torch.equal(ours(*arguments), theirs(*arguments))
    empty = make(0, 4, 3, torch.Generator())
    assert torch.equal(ours(*empty), theirs(*empty))


@available
def test_only_what_is_needed_is_computed():
    x, weight, bias = single(8, 4, 3, torch.Generator().manual_seed(0))
    weight.requires_grad_()
    linear(x, weight, bias).sum().backward()
    assert x.grad is None
    assert bias.grad is None
    assert_allclose(weight.grad, np.tile(x.sum(0)[:, None], 3), rtol=1e-5)


@pytest.mark.parametrize(("ours", "theirs", "make"), KINDS)
def test_nan_comes_through(ours, theirs, make):
    arguments = make(9, 4, 3, torch.Generator().manual_seed(0))
    arguments[1][..., 0, 0] = torch.nan
    found = ours(*arguments)
    assert torch.equal(found.isnan(), theirs(*arguments).isnan())
    assert found.isnan().any()


@available
def test_more_axes_than_two():
    x, weight, bias = single(24, 4, 3, torch.Generator().manual_seed(0))
    found = linear(x.reshape(2, 3, 4, 4), weight, bias)
    assert torch.equal(found.reshape(24, 3), linear(x, weight, bias))


@pytest.mark.parametrize(("ours", "theirs", "make"), KINDS)
def test_second_derivatives_are_right_or_refused(ours, theirs, make):
    single = make(9, 4, 3, torch.Generator().manual_seed(0))
    if layers_module.uses_onednn(single[0]):
        out = ours(*(a.clone().requires_grad_() for a in single)).square().sum()
        with pytest.raises(NotImplementedError, match="no second derivatives"):
            out.backward(create_graph=True)
    double = [a.double().requires_grad_() for a in single]
    found, expected = [], []
    for function, results in ((ours, found), (theirs, expected)):
        out = function(*double).square().sum()
        slopes = torch.autograd.grad(out, double, create_graph=True)
        lengths = sum(slope.square().sum() for slope in slopes)
        results += torch.autograd.grad(lengths, double)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
