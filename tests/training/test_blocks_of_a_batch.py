"""Large batches are trained on block by block, with the gradient of the whole batch."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.nn.modules.module import register_module_forward_pre_hook

import skmtl
from skmtl import MMoE, PretrainedEmbedding, ShareBottom
from skmtl.modules import Embedding, ParallelTowers
from skmtl.training import net as nets
from skmtl.training.batches import tensor_table
from skmtl.weighting import DynamicWeightAverage, StaticWeighting, Uncertainty
from tests.rankers.conftest import make_impressions
from tests.rankers.test_step_of_architectures import FEW, RANKERS, gradients

N_ROWS, BLOCK = 450, 100  # in blocks of 90
# A penalty may look at the whole batch.
WHOLE = {"AITM", "SoftSharing"}


class Rooted(Uncertainty):
    """Has weights that hang on the losses, where those of its parent do not."""

    def forward(self, losses):
        return losses.sqrt().sum()


class OtherBackward(StaticWeighting):
    def backward(self, step):
        step.add(step.cut.square().mean())
        super().backward(step)


class Apart(StaticWeighting):
    apart = True


class NotFinite(StaticWeighting):
    def begin(self, measure):
        self.fixed[0] = torch.nan


class Backwards(DynamicWeightAverage):
    """Says other weights ahead than it has."""

    def ahead(self):
        return self.weights.flip(0) + 1


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(nets, "_BLOCK_ROWS", BLOCK)
    monkeypatch.setattr(nets, "_WHOLE_ROWS", 2 * BLOCK)


def table_and_batch(ranker, X, y):
    ranker.fit(X, y)
    labels = y.to_numpy(np.float32, copy=True)
    weight = (~np.isnan(labels)).astype(float)
    table = ranker.encoder_.encode(X)
    return tensor_table(table, np.nan_to_num(labels), weight, "cpu")


def step_of(net, batch):
    """Gradients, what a step reports, and the rows of each way forward."""
    net, sizes = copy.deepcopy(net), []
    net.schedules_ = []
    forward = net._forward

    def counted(part, Xi, yi, *more):
        sizes.append(len(yi))
        return forward(part, Xi, yi, *more)

    net._forward = counted
    found = net.train_step(batch)
    every = gradients(net.module_)
    own = net.criterion_.weighting
    every |= {
        f"weighting.{k}": p.grad.numpy()
        for k, p in own.named_parameters()
        if p.grad is not None
    }
    assert not found["y_pred"].requires_grad or len(sizes) == 1  # it would hold memory
    return every, found, sizes


def with_missing(X, y):
    y = y.astype(float)
    y.iloc[:250, 1] = np.nan
    return X, y


def assert_same_step(found, expected):
    (found, of_blocks, _), (expected, of_whole, _) = found, expected
    assert found.keys() == expected.keys()
    for parameter, gradient in expected.items():
        assert_allclose(
            found[parameter], gradient, atol=1e-6, rtol=1e-4, err_msg=parameter
        )
    for what in ("loss", "task_losses", "weights", "y_pred", "gramian"):
        if of_whole[what] is None:
            assert of_blocks[what] is None
            continue
        of_block, whole = of_blocks[what].detach(), of_whole[what].detach()
        assert_allclose(of_block, whole, rtol=1e-4, err_msg=what)


# Every ranker, and every kind of weight for the ranker with all parts.
WEIGHTS = [{"click": 0.5, "cart": 3.0}, "uncertainty", "dynamic_weight_average"]
PAIRS = [(name, WEIGHTS[at % 3]) for at, name in enumerate(RANKERS) if name != "MMoE"]


@pytest.mark.parametrize(
    ("name", "loss_weight"), [*PAIRS, *(("MMoE", w) for w in WEIGHTS)], ids=str
)
def test_blocks_give_the_gradient_of_the_whole(
    name, loss_weight, monkeypatch, small_blocks
):
    X, y = with_missing(*make_impressions(N_ROWS, seed=3))
    ranker = getattr(skmtl, name)(**FEW, loss_weight=loss_weight, batch_size=100)
    ranker.set_params(categorical_features=["user", "item"])
    batch = table_and_batch(ranker, X, y).rows(slice(0, N_ROWS))
    found = step_of(ranker.net_, batch)
    assert found[2] == ([N_ROWS] if name in WHOLE else 5 * [90])
    monkeypatch.setattr(nets, "_WHOLE_ROWS", N_ROWS)
    expected = step_of(ranker.net_, batch)
    assert expected[2] == [N_ROWS]
    assert_same_step(found, expected)


@pytest.mark.parametrize("optimizer", ["lazy_adam", "adagrad"])
def test_lists_widths_and_hashes(optimizer, monkeypatch, small_blocks):
    X, y = with_missing(*make_impressions(N_ROWS, seed=4))
    rng = np.random.default_rng(4)
    item = X["item"].to_numpy()
    X["seen"] = pd.Series([list(rng.choice(item, k)) for k in rng.integers(0, 5, 450)])
    ranker = MMoE(
        **FEW | {"embedding_dim": {"user": 3, "item": 4}},
        categorical_features=["user", "item", "seen"],
        share_embedding={"seen": "item"},
        pooling={"seen": ("attention", "item")},
        n_buckets={"user": 16},
        n_hashes=2,
        embedding_optimizer=optimizer,
    )
    batch = table_and_batch(ranker, X, y).rows(slice(0, N_ROWS))
    found = step_of(ranker.net_, batch)
    assert len(found[2]) == 5
    assert len([name for name in found[0] if "tables" in name]) == 2
    monkeypatch.setattr(nets, "_WHOLE_ROWS", N_ROWS)
    assert_same_step(found, step_of(ranker.net_, batch))


@pytest.mark.parametrize(
    "settings",
    [
        {"loss_weight": "mgda"},
        {"loss_weight": "gradnorm"},
        {"loss_weight": "random"},
        {"loss_weight": Rooted()},
        {"loss_weight": OtherBackward([1.0, 2.0])},
        {"loss_weight": Apart([1.0, 2.0])},
        {"embedding_optimizer": "adam"},
    ],
    ids=str,
)
def test_whole_batches_where_blocks_will_not_do(settings, small_blocks):
    X, y = make_impressions(N_ROWS)
    ranker = ShareBottom(**FEW, **settings, categorical_features=["user", "item"])
    batch = table_and_batch(ranker, X, y).rows(slice(0, N_ROWS))
    *_, sizes = step_of(ranker.net_, batch)
    assert sizes == [N_ROWS]


def test_fits_are_alike(monkeypatch):
    X, y = make_impressions(2000)
    ranker = MMoE(**FEW | {"max_iter": 3}, batch_size=700, unknown_rate=5)
    ranker.set_params(categorical_features=["user", "item"])
    whole = ranker.fit(X, y).predict_task_proba(X)
    monkeypatch.setattr(nets, "_BLOCK_ROWS", 100)
    monkeypatch.setattr(nets, "_WHOLE_ROWS", 200)
    blocks = ranker.fit(X, y).predict_task_proba(X)
    assert_allclose(blocks, whole, rtol=1e-3)
    assert not np.array_equal(blocks, whole)  # or nothing was tested


def test_nothing_sees_a_large_batch_whole():
    """Neither training nor validation, nor what the intercept is fitted on."""
    X, y = make_impressions(100_000)
    ranker = ShareBottom(**FEW, batch_size=20_000, early_stopping=True)
    ranker.set_params(categorical_features=["user", "item"], n_bins=0)
    sizes = []

    def note(module, arguments):
        if isinstance(module, ParallelTowers):
            sizes.append(arguments[0].shape[1])

    with register_module_forward_pre_hook(note):
        ranker.fit(X, y)
    assert max(sizes) == 2000  # ten blocks
    # Each row once, and again one of the batches from which the intercept comes.
    assert sum(sizes) == 100_000 + 20_000


def test_weights_that_were_not_those_said_ahead(small_blocks):
    X, y = make_impressions(N_ROWS)
    ranker = ShareBottom(**FEW, loss_weight=Backwards(), batch_size=N_ROWS)
    with pytest.raises(RuntimeError, match=r"ahead\(\) gave \[2.0, 2.0\]"):
        ranker.fit(X, y)


def test_divergence_is_seen_before_the_step(small_blocks):
    X, y = make_impressions(N_ROWS)
    ranker = ShareBottom(**FEW, batch_size=225, learning_rate=1e30)
    with pytest.raises(ValueError, match="no longer a finite number"):
        ranker.fit(X, y)


def test_weights_that_are_not_finite(small_blocks):
    X, y = make_impressions(N_ROWS)
    ranker = ShareBottom(**FEW, batch_size=225, loss_weight=NotFinite([1.0, 1.0]))
    with pytest.raises(ValueError, match="no longer a finite number"):
        ranker.fit(X, y)


def test_same_bits_on_any_number_of_threads(set_threads):
    # So many rows, that those of a batch taken whole are other ones on two threads.
    X, y = make_impressions(70_000)
    ranker = ShareBottom(**FEW, dropout=0.1, batch_size=70_000)
    expected = ranker.fit(X, y).predict_task_proba(X)
    set_threads(1 if torch.get_num_threads() > 1 else 2)
    assert_array_equal(ranker.fit(X, y).predict_task_proba(X), expected)


def test_a_step_taken_has_no_gradients_apart():
    step = nets.StepTaken(y := StaticWeighting([1.0, 2.0]).start("ab").fixed, y)
    for ask in (
        step.gramian,
        lambda: step.through_towers(y, apart=True),
        lambda: step.descend(y),
        lambda: step.add(y.sum().requires_grad_()),
    ):
        with pytest.raises(RuntimeError, match=r"Let the weighting's ahead\(\) return"):
            ask()


def test_a_task_without_labels_in_the_batch(monkeypatch, small_blocks):
    X, y = make_impressions(N_ROWS)
    ranker = ShareBottom(**FEW, loss_weight="uncertainty", batch_size=100)
    table = table_and_batch(ranker, X, y)
    table.weight = torch.ones_like(table.y)
    table.weight[:, 0] = 0
    batch = table.rows(slice(0, N_ROWS))
    found = step_of(ranker.net_, batch)
    monkeypatch.setattr(nets, "_WHOLE_ROWS", N_ROWS)
    assert_same_step(found, step_of(ranker.net_, batch))
    assert found[0]["weighting.log_variance"].tolist()[0] == 0


@pytest.mark.parametrize("name", ["ShareBottom", "MMoE", "ChainedMMoE", "SingleTask"])
def test_gradients_are_recorded_in_blocks(name, monkeypatch, small_blocks):
    X, y = with_missing(*make_impressions(N_ROWS))
    ranker = getattr(skmtl, name)(**FEW, record_gradients=True, batch_size=100)
    batch = table_and_batch(ranker, X, y).rows(slice(0, N_ROWS))
    found = step_of(ranker.net_, batch)
    assert found[2] == 5 * [90]
    assert found[1]["gramian"].diagonal().min() > 0
    monkeypatch.setattr(nets, "_WHOLE_ROWS", N_ROWS)
    assert_same_step(found, step_of(ranker.net_, batch))


def test_recording_draws_the_same_dropout(small_blocks):
    X, y = make_impressions(N_ROWS)
    ranker = MMoE(**FEW, dropout=0.3, batch_size=N_ROWS)
    ranker.set_params(categorical_features=["user", "item"], max_iter=3)
    proba = [
        ranker.set_params(record_gradients=record).fit(X, y).predict_task_proba(X)
        for record in (False, True)
    ]
    assert_allclose(*proba, rtol=1e-5)


def test_rows_of_tables_are_summed_within_each_block(small_blocks):
    X, y = make_impressions(N_ROWS)
    ranker = ShareBottom(**FEW, categorical_features=["user", "item"])
    table = table_and_batch(ranker, X, y)
    net = ranker.net_
    net.schedules_ = []
    net.train_step(table.rows(slice(0, N_ROWS)))
    blocks = table.X["ids"].split(90)
    n_rows = sum(len(block.unique()) for block in blocks)
    assert net.module_.id_tables()[0][0].grad._nnz() == n_rows


@pytest.mark.parametrize("mode", ["init", "frozen"])
def test_pretrained_tables(mode, monkeypatch, small_blocks):
    X, y = make_impressions(N_ROWS)
    some = X["item"].value_counts().index[::2]
    vectors = pd.DataFrame(np.random.default_rng(0).normal(size=(len(some), 6)), some)
    table = PretrainedEmbedding(vectors, mode=mode, learning_rate_factor=0.5)
    ranker = ShareBottom(**FEW, embeddings={"item": table}, batch_size=100)
    ranker.set_params(categorical_features=["user", "item"])
    batch = table_and_batch(ranker, X, y).rows(slice(0, N_ROWS))
    found = step_of(ranker.net_, batch)
    n_own = sum("own_tables" in name for name in found[0])
    assert n_own == (3 if mode == "init" else 2)
    monkeypatch.setattr(nets, "_WHOLE_ROWS", N_ROWS)
    assert_same_step(found, step_of(ranker.net_, batch))


def test_other_devices_take_whole_batches(small_blocks):
    X, y = make_impressions(N_ROWS)
    net = ShareBottom(**FEW).fit(X, y).net_
    assert net._weights_ahead(N_ROWS) is not None
    net.device = "cuda"
    assert net._weights_ahead(N_ROWS) is None


class Known(Embedding):
    """An embedding whose tables have dense gradients."""

    sparse = False


def test_an_embedding_of_ones_own_is_taken_whole():
    X, y = make_impressions(N_ROWS)
    module = ShareBottom(**FEW).fit(X, y).net_.module_
    assert module.takes_blocks()
    module.embedding = Known()
    assert not module.takes_blocks()
    module.embedding = Embedding()
    assert module.takes_blocks()


@pytest.mark.parametrize(
    ("n_rows", "sizes"), [(4097, [1366, 1366, 1365]), (8192, 4 * [2048])]
)
def test_blocks_are_even(n_rows, sizes):
    size = nets._even(n_rows)
    assert [len(part) for part in torch.zeros(n_rows).split(size)] == sizes
