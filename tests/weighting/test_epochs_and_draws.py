"""Dynamic weight average and random weights against TorchJD and their formulas."""

import numpy as np
import pytest
import torch

from skmtl.weighting import DynamicWeightAverage, RandomLossWeighting


@pytest.mark.parametrize("temperature", [0.5, 2.0])
@pytest.mark.parametrize("n_tasks", [2, 5])
def test_dynamic_weight_average_equals_torchjd(temperature, n_tasks):
    scalarization = pytest.importorskip("torchjd.scalarization")
    rng = np.random.default_rng(n_tasks)
    ours = DynamicWeightAverage(temperature=temperature).start(map(str, range(n_tasks)))
    theirs = scalarization.DWA(temperature)
    for _ in range(5):
        losses = torch.from_numpy(rng.uniform(0.1, 1.0, n_tasks)).float()
        torch.testing.assert_close(ours(losses), theirs(losses))
        ours.after_epoch(losses)
        theirs.step()


def test_dynamic_weight_average_by_hand():
    weighting = DynamicWeightAverage(temperature=1.0).start(["a", "b"])
    assert weighting.current().tolist() == [1.0, 1.0]
    weighting.after_epoch(torch.tensor([1.0, 0.5]))
    assert weighting.current().tolist() == [1.0, 1.0]
    weighting.after_epoch(torch.tensor([0.5, 0.5]))
    expected = 2 * np.exp([0.5, 1.0]) / np.exp([0.5, 1.0]).sum()
    assert weighting.current().numpy() == pytest.approx(expected)


def test_dynamic_weight_average_without_a_label():
    weighting = DynamicWeightAverage().start(["a", "b"])
    for losses in ([1.0, 0.0], [1.0, 0.0], [1.0, 0.0]):
        weighting.after_epoch(torch.tensor(losses))
    assert weighting.current().tolist() == [1.0, 1.0]


def test_dynamic_weight_average_refuses_temperatures():
    with pytest.raises(ValueError, match=r"temperature of .* above 0, found 0"):
        DynamicWeightAverage(temperature=0).start(["a"])


def test_random_weights_are_the_softmax_of_normal_numbers():
    weighting = RandomLossWeighting().start(["a", "b", "c"])
    torch.manual_seed(3)
    losses = torch.tensor([0.5, 0.2, 0.1], requires_grad=True)
    weighting(losses).backward()
    torch.manual_seed(3)
    expected = 3 * torch.randn(3).softmax(dim=0)
    torch.testing.assert_close(losses.grad, expected)
    scalarization = pytest.importorskip("torchjd.scalarization")
    torch.manual_seed(3)
    theirs = scalarization.Random()(losses)
    torch.testing.assert_close(torch.dot(losses, expected), 3 * theirs)
