"""Random numbers of a fit: its own, whatever other threads draw."""

import pickle
import threading

import pytest
import torch
from numpy.testing import assert_array_equal
from skorch.callbacks import Callback
from torch import nn

from skmtl import MMoE, MultiTaskRanker, ShareBottom
from skmtl.modules.draws import (
    Dropout,
    draws_from_here,
    generator_of,
    generator_states,
    own_generators,
    set_generator_states,
)
from tests.rankers.conftest import make_impressions
from tests.rankers.makers import ON_IMPRESSIONS

DRAWING = {**ON_IMPRESSIONS, "max_iter": 2, "dropout": 0.2, "embedding_dim": 4}


@pytest.fixture(scope="module")
def table():
    return make_impressions(300)


@pytest.mark.parametrize("shape", [(3, 4), (2, 5, 3), (0, 2)])
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_drops_what_that_of_torch_does(shape, p):
    x = torch.randn(shape).transpose(0, 1)
    torch.manual_seed(3)
    expected = nn.Dropout(p)(x)
    with own_generators(3, "cpu"):
        found = Dropout(p)(x)
    assert torch.equal(found, expected)
    assert torch.equal(Dropout(p).eval()(x), x)


def test_a_dropout_of_all_gives_zeros():
    x = torch.randn(4, 3, requires_grad=True)
    with own_generators(3, "cpu"):
        found = Dropout(1.0)(x)
    assert torch.equal(found, torch.zeros(4, 3))
    found.sum().backward()
    assert torch.equal(x.grad, torch.zeros(4, 3))


def test_generators_are_those_of_a_seed_and_of_one_thread():
    assert generator_of("cpu") is None
    torch.manual_seed(7)
    expected = torch.rand(3)
    seen = []
    with own_generators(7, "cpu"):
        assert torch.equal(torch.rand(3, generator=generator_of("cpu")), expected)
        thread = threading.Thread(target=lambda: seen.append(generator_of("cpu")))
        thread.start()
        thread.join()
        again = draws_from_here("cpu")
        first = torch.rand(3, generator=generator_of("cpu"))
        states = generator_states("cpu")
        with again():
            second = torch.rand(3, generator=generator_of("cpu"))
        third = torch.rand(3, generator=generator_of("cpu"))
        set_generator_states("cpu", states)
        fourth = torch.rand(3, generator=generator_of("cpu"))
    assert torch.equal(first, second)
    assert torch.equal(third, fourth)
    assert not torch.equal(first, third)
    assert seen == [None]
    assert generator_of("cpu") is None


class Draw(Callback):
    """Stands for another thread that draws at every step."""

    __module__ = "skmtl.tests"  # known, so that the fit keeps to its own generators

    def __init__(self):
        self.drawn = []

    def on_batch_end(self, net, **kwargs):
        self.drawn.append(torch.rand(1).item())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gate_dropout": 0.2},
        {"loss_weight": "random"},
        {"early_stopping": True},
        {"loss_weight": "gradnorm"},
        {"loss_weight": "famo"},
    ],
    ids=str,
)
def test_draws_of_others_change_no_fit_and_no_fit_changes_theirs(table, settings):
    X, y = table
    ranker = MMoE(**DRAWING, **settings)
    expected = ranker.fit(X, y).predict_task_proba(X)
    draw = Draw()
    torch.manual_seed(11)
    found = ranker.set_params(callbacks=[draw]).fit(X, y).predict_task_proba(X)
    assert_array_equal(found, expected)
    torch.manual_seed(11)
    assert draw.drawn == [torch.rand(1).item() for _ in draw.drawn]
    assert draw.drawn


class Noisy(nn.Module):
    """A part of a user's own, with torch's dropout."""

    def __init__(self, n_tasks, width, units=(8,), dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 8), nn.Dropout(0.5))
        self.n_tasks, self.width = n_tasks, 8

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize(
    "ranker",
    [
        MultiTaskRanker(sharing=Noisy, max_iter=1, random_state=0),
        MMoE(max_iter=1, random_state=0, callbacks=[Callback()]),
        ShareBottom(max_iter=1, random_state=0, loss_weight="pcgrad"),
    ],
)
def test_parts_of_others_draw_the_same_and_leave_the_global_generator(ranker, table):
    X, y = table
    torch.manual_seed(1)
    before = torch.get_rng_state()
    expected = ranker.fit(X, y).predict_task_proba(X)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert_array_equal(ranker.fit(X, y).predict_task_proba(X), expected)


def test_fits_in_threads_neither_wait_nor_mix(table):
    """Each starts before any ends, which a lock around training would not allow."""
    X, y = table
    expected = ShareBottom(**DRAWING).fit(X, y).predict_task_proba(X)
    together = threading.Barrier(3, timeout=60)

    class Meet(Callback):
        __module__ = "skmtl.tests"

        def on_train_begin(self, net, **kwargs):
            together.wait()

    found = [None] * 3

    def fit(place):
        ranker = ShareBottom(**DRAWING, callbacks=[Meet()])
        found[place] = ranker.fit(X, y).predict_task_proba(X)

    threads = [threading.Thread(target=fit, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        assert_array_equal(one, expected)


def test_the_default_dtype_stays_float32_until_the_last_thread_is_done():
    from skmtl.training.computing import own_defaults

    torch.set_default_dtype(torch.float64)
    try:
        first, second = own_defaults("cpu"), own_defaults("cpu")
        with first:
            second.__enter__()
        assert torch.get_default_dtype() == torch.float32
        second.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_processor_with_an_index_is_the_processor(table, tmp_path):
    """torch pickles tensors of "cpu:0", and does not load them again."""
    X, y = table
    expected = ShareBottom(**DRAWING).fit(X, y)
    ranker = ShareBottom(**DRAWING, device="cpu:0").fit(X, y)
    assert ranker.device == "cpu:0"
    twin = pickle.loads(pickle.dumps(ranker))
    ranker.save(tmp_path / "ranker")
    for one in (ranker, twin, type(ranker).load(tmp_path / "ranker")):
        assert_array_equal(one.predict_task_proba(X), expected.predict_task_proba(X))
    proba = twin.partial_fit(X, y).predict_task_proba(X)
    assert_array_equal(proba, expected.partial_fit(X, y).predict_task_proba(X))
