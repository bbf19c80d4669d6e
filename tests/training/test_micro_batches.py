"""Batches in micro-batches are trained on as whole ones are, but for rounding."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from skmtl import BinaryTask, MMoE, MultiTaskRanker
from skmtl.training.slices import tree_sum
from skmtl.weighting import StaticWeighting
from tests.rankers.conftest import make_impressions
from tests.rankers.test_step_of_architectures import FEW
from tests.training.in_processes import own_bottom

X, Y = make_impressions(331)


def levels(**params):
    ranker = MMoE(**FEW | {"batch_size": 100, "max_iter": 2}, **params)
    return ranker.fit(X, Y)._levels(X)


@pytest.mark.parametrize("n", [2, 7])
def test_micro_batches_are_as_the_whole_batch(n):
    whole, parts = levels(dropout=0.1), levels(dropout=0.1, n_microbatches=n)
    assert_allclose(parts, whole, atol=1e-5)
    assert not np.array_equal(parts, whole)


def test_one_is_the_whole_batch():
    assert_array_equal(levels(n_microbatches=1), levels())


def test_more_than_rows_of_the_last_batch():
    assert_allclose(levels(n_microbatches=40), levels(), atol=1e-4)


class Adds(StaticWeighting):
    """Adds a penalty of a parameter, that of a step."""

    def backward(self, step):
        step.add(9 * step.module.towers.output.bias.square().sum())
        super().backward(step)

    def ahead(self):
        return None


def test_penalties_of_a_strategy_count_once():
    whole = levels(optimizer="sgd", loss_weight=Adds([1.0, 2.0]))
    parts = levels(optimizer="sgd", loss_weight=Adds([1.0, 2.0]), n_microbatches=3)
    assert_allclose(parts, whole, atol=1e-5)
    assert np.abs(whole - levels(optimizer="sgd", loss_weight=[1.0, 2.0])).max() > 1e-4


class AddsOfLosses(Adds):
    """Two penalties, of the losses of the batch."""

    def backward(self, step):
        step.add(20 * step.losses.square().sum())
        step.add(5 * step.losses.sum() ** 2)
        StaticWeighting.backward(self, step)


def test_penalties_of_the_losses_are_those_of_the_whole_batch():
    weighting = AddsOfLosses([1.0, 2.0])
    whole = levels(optimizer="sgd", loss_weight=weighting)
    parts = levels(optimizer="sgd", loss_weight=weighting, n_microbatches=3)
    assert_allclose(parts, whole, atol=1e-5)
    assert np.abs(whole - levels(optimizer="sgd", loss_weight=[1.0, 2.0])).max() > 1e-4


def test_more_parts_than_rows_are_refused():
    with pytest.raises(ValueError, match=r"Batches of 100 rows .* in 101 parts"):
        levels(n_microbatches=101)


class Cuts(StaticWeighting):
    def backward(self, step):
        step.add(step.cut.square().mean())


def test_what_needs_the_whole_batch_is_refused():
    with pytest.raises(AttributeError, match="no 'cut': its batch is computed in par"):
        levels(loss_weight=Cuts([1.0, 2.0]), n_microbatches=2)
    norm = MultiTaskRanker(sharing=own_bottom, n_microbatches=2)
    norm.set_params(sharing__layer=nn.BatchNorm1d(8))
    with pytest.raises(ValueError, match=r"a part of the batch. Use LayerNorm"):
        norm.fit(X, Y)
    ranker = MMoE(n_microbatches=2, task_kinds={"cart": BinaryTask("pairwise")})
    with pytest.raises(ValueError, match="2 processes or micro-batches share it"):
        ranker.fit(X, Y, groups=X["user"])


def test_a_tree_adds_neighbours():
    tree = tree_sum(np.array([1e8, 1.0, -1e8, 1.0], np.float32))
    assert tree == np.float32(1e8 + 1) + np.float32(-1e8 + 1)
    assert tree_sum(["a", "b", "c"]) == "abc"
