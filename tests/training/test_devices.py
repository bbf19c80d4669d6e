"""Where tensors lie, and how batches get there."""

import pytest
import torch

from skmtl import ShareBottom
from skmtl.modules.ragged import Bags, Ragged
from skmtl.training import batches as batching
from skmtl.training import computing as devices
from skmtl.training.batches import Batches, TensorTable


def table(n=10):
    lists = Ragged(torch.arange(2 * n), torch.arange(0, 2 * n + 1, 2))
    X = {"ids": torch.arange(n)[:, None], "bags": Bags([lists])}
    return TensorTable(X, torch.ones(n, 2), None)


def test_free_memory_is_known():
    assert devices.free_bytes("cpu") > 2**20
    assert devices.free_bytes("meta") is None


def test_sizes_add_up():
    assert devices.size_in_bytes((table().X, None)) == 8 * (10 + 20 + 11)


def test_a_table_that_fits_lies_on_the_device():
    moved = table().to("meta")
    assert moved.y.device.type == moved.X["ids"].device.type == "meta"
    (bag,) = moved.X["bags"]
    assert bag.values.device.type == "meta"
    assert moved.device is None


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_of_one_that_does_not_are_sent(shuffle, monkeypatch):
    monkeypatch.setattr(batching, "fits", lambda n_bytes, device: False)
    kept = table().to("meta")
    assert kept.y.device.type == "cpu"
    batches = list(Batches(kept, 4, shuffle=shuffle))
    assert len(batches) == 3
    for X, (y, weight, _) in batches:
        assert X["ids"].device.type == y.device.type == "meta"
        assert weight is None
        (bag,) = X["bags"]
        assert bag.offsets.device.type == "meta"
        assert len(bag) == len(y)


def test_memory_is_not_asked_for_on_the_processor(monkeypatch):
    monkeypatch.setattr(batching, "fits", lambda n_bytes, device: False)
    assert table().to("cpu").device is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_pinned_batches_on_a_gpu(monkeypatch):
    monkeypatch.setattr(batching, "fits", lambda n_bytes, device: False)
    kept = table().to("cuda")
    seen = [X["ids"].cpu() for X, _ in Batches(kept, 4, shuffle=False)]
    assert torch.equal(torch.cat(seen), table().X["ids"])


def test_a_seed_on_the_processor_leaves_gpus_alone(monkeypatch):
    torch.manual_seed(3)
    expected = torch.rand(4)
    seeds = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    before = torch.get_rng_state()
    with devices.seeded(3, "cpu"):
        assert torch.equal(torch.rand(4), expected)
        with devices.seeded(5, "cpu"):
            torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert seeds == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_seed_on_a_gpu_leaves_generators_as_they_were():
    before = torch.cuda.get_rng_state_all()
    with devices.seeded(3, "cuda"):
        found = torch.rand(4, device="cuda")
    with devices.seeded(3, "cuda"):
        assert torch.equal(torch.rand(4, device="cuda"), found)
    assert all(map(torch.equal, before, torch.cuda.get_rng_state_all()))


@pytest.mark.parametrize("device", ["cuda:99", "no such device", "xpu", "meta"])
def test_a_device_that_is_not_there(device):
    if device == "xpu" and torch.xpu.is_available():
        pytest.skip("it is there")
    with pytest.raises(ValueError, match=f"device='{device}' cannot be used.*'cpu'"):
        devices.check_device(device)
    with pytest.raises(ValueError, match="cannot be used here"):
        ShareBottom(device=device).fit([[0.0], [1.0]], [0, 1])
    devices.check_device("cpu")
