"""Batches, history and divergence."""

import numpy as np
import pytest
import torch

from skmtl.modules import Towers
from skmtl.tasks import binary_kinds
from skmtl.training.batches import Batches, TensorTable
from skmtl.training.criterion import DivergedError, TaskLosses
from skmtl.training.net import MultiTaskNet
from skmtl.weighting import StaticWeighting


class First(Towers):
    """Towers that read the representation of the first task."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, representation):
        return self.layer(representation[0])


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
        self.towers = First(self.layer)

    def forward(self, numeric):
        return self.layer(numeric)

    def split(self, numeric):
        return numeric.expand(2, *numeric.shape), torch.ones(1, 2, 1)

    def biased(self, logits, inputs):
        return logits

    def penalty(self, logits, weight):
        return None

    def id_tables(self):
        return []

    def own_rates(self):
        return []


def table(n=50):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=generator)
    y = (torch.rand(n, 2, generator=generator) < 0.4).float()
    return TensorTable({"numeric": x}, y, torch.ones(n, 2))


def net(**kwargs):
    torch.manual_seed(0)
    return MultiTaskNet(
        Linear(),
        criterion__weighting=StaticWeighting([1.0, 2.0]).start(["click", "order"]),
        criterion__losses=TaskLosses(binary_kinds(2), [1.0, 3.0]),
        batch_size=16,
        verbose=0,
        **{"train_split": None, "lr": 0.01, "max_epochs": 2, **kwargs},
    ).initialize()


def test_a_pass_reads_every_row_once_in_a_new_order():
    data = table()
    torch.manual_seed(1)
    passes = [
        torch.cat([y for _, (y, _, _) in Batches(data, 16, shuffle=True)])
        for _ in range(2)
    ]
    torch.manual_seed(1)
    again = torch.cat([y for _, (y, _, _) in Batches(data, 16, shuffle=True)])
    assert len(Batches(data, 16, shuffle=True)) == 4
    assert torch.equal(passes[0], again)
    assert not torch.equal(passes[0], passes[1])
    for one in passes:
        assert torch.equal(one.sum(dim=0), data.y.sum(dim=0))


@pytest.mark.parametrize("batch_size", [1000, 8192, 30_000])
def test_batches_are_slices_of_one_order(batch_size):
    """However many of them are gathered at once."""
    n = 20_000
    column = torch.arange(n)
    data = TensorTable({"ids": column[:, None]}, column[:, None].float(), None)
    torch.manual_seed(0)
    batches = list(Batches(data, batch_size, shuffle=True))
    torch.manual_seed(0)
    order = torch.randperm(n) if batch_size < n else column
    for (X, (y, weight, _)), at in zip(batches, order.split(batch_size), strict=True):
        assert torch.equal(X["ids"][:, 0], at)
        assert torch.equal(y[:, 0], at.float())
        assert weight is None


def test_history_holds_the_loss_of_every_task():
    from skorch.helper import predefined_split

    data, other = table(), table(33)
    trained = net(train_split=predefined_split(other))
    trained.partial_fit(data)
    with torch.no_grad():
        logits = trained.module_(**other.X)
        expected = trained.criterion_.task_losses(logits, other.y, other.weight)
    last = trained.history[-1]
    assert last["valid_task_loss"] == pytest.approx(expected.tolist(), rel=1e-5)
    assert last["valid_loss"] == pytest.approx(float(expected[0] + 2 * expected[1]))
    assert last["loss_weight"] == [1.0, 2.0]
    assert len(last["train_task_loss"]) == 2


def test_a_task_without_labels_has_no_loss():
    from skorch.helper import predefined_split

    data, other = table(), table(33)
    other.weight[:, 1] = 0.0
    trained = net(train_split=predefined_split(other))
    trained.partial_fit(data)
    click, cart = trained.history[-1]["valid_task_loss"]
    assert np.isnan(cart)
    assert trained.history[-1]["valid_loss"] == pytest.approx(click)


def test_skorch_keeps_the_best_epoch(tmp_path):
    from skorch.callbacks import Checkpoint
    from skorch.helper import predefined_split

    keep = Checkpoint(dirname=tmp_path, load_best=True)
    trained = net(
        train_split=predefined_split(table(33)), callbacks=[keep], max_epochs=5
    )
    trained.partial_fit(table())
    losses = trained.history[:, "valid_loss"]
    best = [loss < min([np.inf, *losses[:k]]) for k, loss in enumerate(losses)]
    assert trained.history[:, "valid_loss_best"] == best
    assert (tmp_path / "params.pt").exists()


def test_divergence_names_the_task_before_the_step_is_taken():
    data = table()
    data.weight[:, 1] = torch.nan
    fresh = net()
    before = fresh.module_.layer.weight.detach().clone()
    with pytest.raises(DivergedError) as error:
        fresh.partial_fit(data)
    assert error.value.task == 1
    assert torch.equal(fresh.module_.layer.weight, before)
