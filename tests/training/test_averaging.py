"""Average of the weights along training."""

import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from skorch.callbacks import Callback

from skmtl import ESMM, MMoE, ShareBottom
from skmtl.datasets import make_funnel
from skmtl.metrics import log_loss
from skmtl.training import optimizers
from skmtl.training.optimizers import WeightAverage

FEW = {
    "max_iter": 3,
    "batch_size": 128,
    "tower_units": (4,),
    "learning_rate_schedule": "constant",
    "average_weights": True,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def data():
    log = make_funnel(2000, cart_rate=0.04, order_rate=0.02, random_state=0)
    return log.data, log.target


class Weights(Callback):
    """Keep the weights after every step of training."""

    def __init__(self):
        self.seen = []

    def on_batch_end(self, net, training, **_):
        if training:
            state = net.module_.state_dict()
            self.seen.append({k: v.clone().double() for k, v in state.items()})


def steps_of(average, weight, values):
    for value in values:
        weight.data.fill_(value)
        average.after_step()


def test_every_step_counts_the_same():
    weight = torch.nn.Parameter(torch.zeros(3))
    average = WeightAverage([weight])
    average.every = 1
    steps_of(average, weight, range(1, 11))
    average.show()
    assert_allclose(weight.detach().numpy(), np.full(3, 5.5), rtol=1e-6)


def test_a_reading_stands_for_the_steps_before_it():
    weight = torch.nn.Parameter(torch.zeros(2))
    average = WeightAverage([weight])
    average.every = 4
    steps_of(average, weight, range(1, 11))
    average.show()
    # Read after 4, 8 and, to be shown, 10 steps.
    expected = (4 * 4 + 4 * 8 + 2 * 10) / 10
    assert_allclose(weight.detach().numpy(), np.full(2, expected), rtol=1e-6)


def test_training_continues_from_its_own_weights():
    weight = torch.nn.Parameter(torch.zeros(2))
    average = WeightAverage([weight])
    steps_of(average, weight, [1.0, 3.0])
    for _ in range(2):  # a second call changes nothing
        average.show()
    assert_allclose(weight.detach().numpy(), 3.0)  # one reading, for both steps
    for _ in range(2):
        average.hide()
    steps_of(average, weight, [9.0])
    average.show()
    assert_allclose(weight.detach().numpy(), (2 * 3 + 9) / 3, rtol=1e-6)
    average.hide()
    assert_array_equal(weight.detach().numpy(), 9.0)


def test_large_tables_are_read_seldom():
    small, large = (
        WeightAverage([torch.nn.Parameter(torch.zeros(n))]) for n in (10, 2**23)
    )
    assert (small.every, large.every) == (8, 16)


@pytest.mark.parametrize("ranker", [ShareBottom, MMoE, ESMM])
def test_a_fit_leaves_the_mean_of_all_steps(ranker, data, monkeypatch):
    monkeypatch.setattr(optimizers, "_READ_EVERY", 1)
    X, y = data
    weights = Weights()
    params = FEW | {"callbacks": [weights]}
    if ranker is ESMM:
        y = y[["click", "order"]]
    fitted = ranker(**params).fit(X, y)
    state = fitted.net_.module_.state_dict()
    assert len(weights.seen) == 3 * 16
    moved = 0
    for name, value in state.items():
        mean = torch.stack([one[name] for one in weights.seen]).mean(dim=0)
        assert_allclose(value.numpy(), mean.numpy(), atol=1e-5)
        moved += not np.allclose(value.numpy(), weights.seen[-1][name].numpy())
    assert moved > 3


def test_validation_and_kept_weights_are_those_of_the_average(data):
    X, y = data
    fitted = ShareBottom(**FEW).fit(X[:1500], y[:1500], X_val=X[1500:], y_val=y[1500:])
    fitted.intercept_ = np.zeros(3)
    table = fitted.history_[fitted.history_.epoch == fitted.best_iter_]
    predicted = fitted.predict_task_proba(X[1500:])
    for task, name in enumerate(y):
        loss = log_loss(y[name][1500:], predicted[:, task])
        assert_allclose(loss, table.valid_loss.iloc[task], rtol=1e-5)


def test_same_bits_again_and_after_pickling(data):
    X, y = data
    first, second = (MMoE(**FEW).fit(X, y) for _ in range(2))
    assert_array_equal(first.predict_task_proba(X), second.predict_task_proba(X))
    for one in (first, second):
        one.set_params(warm_start=True)
    restored = pickle.loads(pickle.dumps(first)).fit(X, y)
    assert_array_equal(
        restored.predict_task_proba(X), second.fit(X, y).predict_task_proba(X)
    )


def test_partial_fit_averages_within_a_call(data, monkeypatch):
    monkeypatch.setattr(optimizers, "_READ_EVERY", 1)
    X, y = data
    weights = Weights()
    ranker = ShareBottom(**FEW | {"callbacks": [weights]})
    for rows in (slice(0, 1000), slice(1000, 2000)):
        weights.seen.clear()
        ranker.partial_fit(X[rows], y[rows])
    name = "towers.output.bias"
    state = ranker.net_.module_.state_dict()
    assert name in state, list(state)
    mean = torch.stack([one[name] for one in weights.seen]).mean(dim=0)
    assert_allclose(state[name].numpy(), mean.numpy(), atol=1e-5)
    assert not np.allclose(state[name].numpy(), weights.seen[-1][name].numpy())


def test_a_divergence_leaves_the_last_average(data):
    X, y = data

    class Explode(Callback):
        def on_epoch_begin(self, net, **_):
            if len(net.history) == 3:
                for group in net.optimizer_.param_groups:
                    group["lr"] = 1e30

    params = FEW | {"max_iter": 4, "callbacks": [Explode()]}
    with pytest.warns(UserWarning, match="2 whole epochs"):
        stopped = ShareBottom(**params).fit(X, y)
    whole = ShareBottom(**FEW | {"max_iter": 2}).fit(X, y)
    assert_array_equal(stopped.predict_task_proba(X), whole.predict_task_proba(X))
