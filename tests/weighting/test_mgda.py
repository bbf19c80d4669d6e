"""The shortest vector in the hull, against every face; what MGDA promises."""

from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skmtl.weighting import MGDA, StochasticMGDA
from skmtl.weighting._mgda import min_norm
from tests.weighting.conftest import gramians

CASES = [(n, seed, k) for n in range(2, 9) for seed in range(3) for k in range(4)]


def gramian_of(case):
    n, seed, k = case
    return list(gramians(n, seed))[k]


def by_faces(K):
    """Least squared length over all faces of the hull, by solving each."""
    n, best = len(K), np.inf
    for size in range(1, n + 1):
        for face in map(list, combinations(range(n), size)):
            sub = K[np.ix_(face, face)]
            system = np.block([[sub, np.ones((size, 1))], [np.ones((1, size)), 0.0]])
            alpha = np.linalg.lstsq(system, np.append(np.zeros(size), 1.0))[0][:-1]
            if (alpha > -1e-12).all() and abs(alpha.sum() - 1) < 1e-9:
                alpha = alpha.clip(min=0)
                best = min(best, alpha @ sub @ alpha)
    return best


@pytest.mark.parametrize("case", CASES, ids=str)
def test_min_norm_point(case):
    K = gramian_of(case)
    alpha = min_norm(torch.from_numpy(K)).numpy()
    assert (alpha >= 0).all()
    assert alpha.sum() == pytest.approx(1, abs=1e-12)
    shortest = K.diagonal().min()
    assert alpha @ K @ alpha == pytest.approx(by_faces(K), abs=1e-8 * shortest)
    # Every gradient reaches at least as far along it as it is long, to 1e-8 of the
    # product of the lengths.
    slack = 1e-8 * np.sqrt(K.diagonal() * shortest)
    assert (K @ alpha >= alpha @ K @ alpha - slack).all()


def test_two_tasks_by_hand():
    K = torch.tensor([[4.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    assert_allclose(min_norm(K), [0.25, 0.75])  # (2 - 1) / (4 + 2 - 2)
    # The shorter lies within the shadow of the longer: it alone.
    K = torch.tensor([[9.0, 2.0], [2.0, 1.0]], dtype=torch.float64)
    assert_allclose(min_norm(K), [0.0, 1.0])
    same = torch.ones(2, 2, dtype=torch.float64)
    assert_allclose(min_norm(same), [0.5, 0.5])


def weights_of(weighting, K, losses, initial=None):
    names = [f"task{t}" for t in range(len(K))]
    weighting.start(names)
    weighting.begin(lambda: torch.as_tensor(initial))
    return weighting.weigh(torch.from_numpy(K), torch.from_numpy(losses)).numpy()


@pytest.mark.parametrize("case", CASES[::5], ids=str)
@pytest.mark.parametrize("normalization", ["none", "l2", "loss", "loss+"])
@pytest.mark.parametrize("prefer", [False, True])
def test_no_task_is_made_worse(case, normalization, prefer):
    K = gramian_of(case)
    n = len(K)
    rng = np.random.default_rng(case[1])
    losses = rng.uniform(0.1, 2.0, n)
    preference = rng.uniform(0.2, 3.0, n) if prefer else np.ones(n)
    w = weights_of(MGDA(normalization=normalization, preference=preference), K, losses)
    assert (w >= 0).all()
    assert w.sum() == pytest.approx(n)
    scale = {
        "none": np.ones(n),
        "l2": np.sqrt(K.diagonal()),
        "loss": losses,
        "loss+": losses * np.sqrt(K.diagonal()),
    }[normalization] * preference
    # All losses fall at rates of at least the same multiple of their scales.
    rates = K @ w / scale
    common = w @ K @ w / (w @ scale)
    assert rates.min() >= common * (1 - 1e-6) - 1e-9 * np.abs(rates).max()


def test_a_loss_of_large_numbers_gets_everything_by_norm_and_loss_alone():
    K, scale = np.array([[1.0, 0.3], [0.3, 1.0]]), np.array([1e3, 1.0])
    shares = {}
    for normalization in ("l2", "loss", "loss+"):
        weighting = MGDA(normalization=normalization)
        w = weights_of(weighting, K * np.outer(scale, scale), scale) * scale
        shares[normalization] = w[0] / w.sum()
    assert shares["l2"] == shares["loss"] == pytest.approx(0.5)
    assert shares["loss+"] == 1.0


@pytest.mark.parametrize("normalization", ["l2", "loss+"])
def test_a_scaled_loss_makes_no_task_worse(normalization):
    K = gramian_of((4, 0, 0))
    losses = np.array([0.5, 0.2, 1.0, 0.1])
    scale = np.array([1000.0, 1.0, 1.0, 0.01])
    plain = weights_of(MGDA(normalization=normalization), K, losses)
    scaled = weights_of(
        MGDA(normalization=normalization),
        K * np.outer(scale, scale),
        losses * (scale if normalization == "loss+" else 1),
    )
    if normalization == "l2":
        ratio = scaled * scale / plain
        assert_allclose(ratio, ratio[0])
    direction = scaled * scale
    g = np.linalg.cholesky(K)
    assert min(g @ (direction @ g)) > 0


def test_by_the_norm_two_tasks_get_a_half_each_whatever_the_conflict():
    losses, norms = np.array([0.6, 0.4]), np.array([2.0, 1.0])
    shares = {"l2": [], "loss+": []}
    for cosine in (-0.9, 0.0, 0.9):
        K = np.outer(norms, norms) * np.array([[1.0, cosine], [cosine, 1.0]])
        for normalization, found in shares.items():
            w = weights_of(MGDA(normalization=normalization), K, losses) * norms
            found.append(w[0] / w.sum())
    assert shares["l2"] == pytest.approx([0.5] * 3)
    # This one looks at the conflict, and favours the task of the larger loss.
    assert 0.5 < shares["loss+"][0] < shares["loss+"][1] < shares["loss+"][2]


def test_stochastic_mgda_divides_by_the_initial_losses():
    K = gramian_of((5, 1, 0))
    losses = np.ones(5)
    initial = np.array([0.6, 0.2, 0.05, 1.0, 3.0])
    w = weights_of(StochasticMGDA(), K, losses, initial)
    alpha = min_norm(torch.from_numpy(K / np.outer(initial, initial))).numpy()
    expected = alpha / initial
    assert_allclose(w, 5 * expected / expected.sum(), rtol=1e-6)


def test_preference_moves_along_the_pareto_set():
    """Two quadratics: the point reached moves from one minimum to the other."""
    ends = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    reached = []
    for first in (0.2, 0.5, 0.8):
        weighting = MGDA(normalization="none", preference=[first, 1 - first])
        weighting.start(["left", "right"])
        x = torch.tensor([0.0, 2.0], dtype=torch.float64)
        for _ in range(2000):
            g = 2 * (x - ends)
            losses = (x - ends).square().sum(dim=1)
            x = x - 0.002 * weighting.weigh(g @ g.t(), losses) @ g
        assert abs(x[1]) < 1e-3  # on the Pareto set
        reached.append(float(x[0]))
    assert reached[0] > 0.1
    assert reached[1] == pytest.approx(0, abs=1e-6)
    assert reached[2] == pytest.approx(-reached[0], abs=1e-6)


def test_unknown_normalization():
    with pytest.raises(ValueError, match=r"normalization='l3' of MGDA must be one of"):
        MGDA(normalization="l3").start(["click"])
