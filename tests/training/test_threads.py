"""Parts of a batch that threads compute at once give the bits of one thread."""

import pickle
import threading

import pytest
import torch
from numpy.testing import assert_array_equal
from skorch.callbacks import Callback, Freezer, LRScheduler
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from skmtl import MMoE, MultiTaskRanker, ShareBottom
from skmtl.training import computing, net, threads
from skmtl.training.computing import StepThreads
from skmtl.training.slices import Slices
from skmtl.weighting import StaticWeighting
from tests.rankers.makers import MAKERS
from tests.training.in_processes import LOG, PARTLY, WEIGHT, X, Y, own_bottom

OWN = {
    "batch_size": 100,
    "max_iter": 2,
    "embedding_dim": 4,
    "dropout": 0.1,
    "n_microbatches": 3,
    "random_state": 0,
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Take the last way, in which threads compute parts; count how often they do."""
    monkeypatch.setattr(StepThreads, "_on_trial", lambda self: self.candidates[-1])
    monkeypatch.setattr(computing, "_SMALL_STEP", 0)
    counted, every = [], threads.Crew.every

    def count(self, n, work):
        counted.append(n)
        return every(self, n, work)

    monkeypatch.setattr(threads.Crew, "every", count)
    yield counted
    assert not [one for one in threading.enumerate() if one.name.startswith("skmtl")]


def on_one_and_two(fitted):
    one, two = (fitted(n_threads=n)._levels(X) for n in (1, 2))
    assert_array_equal(one, two)


@pytest.mark.parametrize("name", MAKERS)
def test_every_ranker(name, at_once):
    on_one_and_two(lambda **own: MAKERS[name](**OWN, **own).fit(X, Y))
    # The others add a penalty of the whole batch.
    assert bool(at_once) == (name not in ("AITM", "SoftSharing"))


@pytest.mark.parametrize(
    "params",
    [
        {"loss_weight": "uncertainty"},
        {
            "loss_weight": "dynamic_weight_average",
            "optimizer": "sgd",
            "average_weights": True,
        },
        {"loss_weight": "random", "embedding_optimizer": "adam"},
        {"embedding_optimizer": "adagrad", "record_gradients": True},
        {"task_kinds": {"cart": "regression"}, "n_microbatches": 2},
        {"unknown_rate": 0.3, "n_microbatches": 7},
        {"n_threads": "auto"},
    ],
    ids=lambda params: next(iter(params)),
)
def test_settings(params, at_once, monkeypatch):
    monkeypatch.setattr(computing, "available_threads", lambda: 2)
    made = OWN | params
    on_one_and_two(lambda **own: MMoE(**own | made).fit(X, Y))
    assert at_once


def test_blocks_lists_weights_and_warm_starts(at_once, monkeypatch):
    monkeypatch.setattr(net, "_WHOLE_ROWS", 64)
    monkeypatch.setattr(net, "_BLOCK_ROWS", 32)

    def fitted(**own):
        ranker = MMoE(**OWN, **own, warm_start=True)
        for _ in range(2):
            ranker.fit(X, PARTLY, sample_weight=WEIGHT)
        return ranker

    on_one_and_two(fitted)
    assert at_once
    at_once.clear()
    ranker = MMoE(**OWN | {"batch_size": 1000, "max_iter": 1})
    levels = []
    for n_threads in (1, 2):
        ranker.set_params(n_threads=n_threads).fit(
            LOG.data, LOG.target[["click", "cart"]]
        )
        levels.append(ranker._levels(LOG.data))
    assert_array_equal(*levels)
    assert at_once


class Watches(Callback):
    """Might change a layer."""


class Hooked(Callback):
    def on_train_begin(self, net, **_):
        net.module_.towers.register_forward_hook(lambda *_: None)


class Sees(StaticWeighting):
    def backward(self, step):
        assert not hasattr(step, "cut")
        super().backward(step)


class Tanh(nn.Tanh):
    """Of a module that is not known."""


@pytest.mark.parametrize(
    "params",
    [
        {"loss_weight": "mgda"},
        {"loss_weight": "famo"},
        {"loss_weight": Sees([1.0, 2.0, 1.0])},
        {"callbacks": [Watches()]},
        {"callbacks": [Hooked()]},
        {"callbacks": [Freezer("towers*")]},
    ],
    ids=["gradients", "looks back", "own", "callback", "hook", "freezer"],
)
def test_what_could_tell_is_computed_by_one(params, at_once):
    on_one_and_two(lambda **own: MMoE(**own | OWN | params).fit(X, Y))
    assert not at_once


def test_hooks_of_all_layers_are_called_by_one(at_once):
    with register_module_forward_pre_hook(lambda *_: None):
        MMoE(**OWN, n_threads=2).fit(X, Y)
    assert not at_once


@pytest.mark.parametrize("layer", [nn.Tanh, Tanh])
def test_layers_of_others_are_computed_by_one(layer, at_once):
    made = {k: v for k, v in OWN.items() if k not in ("dropout", "embedding_dim")}
    bottom = MultiTaskRanker(sharing=own_bottom, sharing__layer=layer(), **made)
    on_one_and_two(lambda **own: bottom.set_params(**own).fit(X, Y))
    assert bool(at_once) == (layer is nn.Tanh)


def test_known_callbacks_do_not_matter(at_once):
    callbacks = [LRScheduler("StepLR", step_size=1)]
    ranker = MMoE(**OWN, n_threads=2, callbacks=callbacks).fit(X, Y)
    assert at_once
    pickle.loads(pickle.dumps(ranker))


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("place", [0, 1])
def test_an_error_in_a_part_ends_all_threads(error, place, monkeypatch):
    n_threads = torch.get_num_threads()
    forward = net.MultiTaskNet._forward

    def fails(self, part, *batch):
        if part.here.first == place * 50:
            raise error
        return forward(self, part, *batch)

    made = OWN | {"n_microbatches": 2}
    ranker = ShareBottom(**made, n_threads=2)
    with monkeypatch.context() as patched:
        patched.setattr(net.MultiTaskNet, "_forward", fails)
        with pytest.raises(error):
            ranker.fit(X, Y)
    assert torch.get_num_threads() == n_threads
    # The next fit is as if nothing had happened.
    expected = ShareBottom(**made, n_threads=1).fit(X, Y)._levels(X)
    assert_array_equal(ranker.fit(X, Y)._levels(X), expected)


def test_fits_in_several_threads():
    found = {}

    def fit(seed):
        ranker = MMoE(**OWN | {"random_state": seed}, n_threads=2).fit(X, Y)
        found[seed] = ranker._levels(X)

    at_work = [threading.Thread(target=fit, args=(seed,)) for seed in (1, 2)]
    for one in at_work:
        one.start()
    for one in at_work:
        one.join()
    for seed, levels in found.items():
        alone = MMoE(**OWN | {"random_state": seed}, n_threads=1).fit(X, Y)
        assert_array_equal(levels, alone._levels(X))
    assert len(found) == 2


def test_parts_of_a_pickle_have_no_threads():
    slices = Slices(2)
    slices.crew = threads.Crew(nn.Linear(1, 1), 2)
    slices.crew.every(2, lambda at: at)
    assert pickle.loads(pickle.dumps(slices)).crew is None
    slices.begin_pass(None)
