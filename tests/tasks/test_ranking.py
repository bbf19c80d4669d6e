"""Losses of the order within lists, beside sums written in numpy."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import expit

from skmtl import BinaryTask
from skmtl.tasks import TaskKinds
from skmtl.tasks.ranking import make_list_loss, rows_of_lists
from skmtl.training.criterion import TaskLosses

K = 3  # positions that count in NDCG


def pairwise(z, y, w):
    """Sum over the positive rows of one list."""
    negative = w * (1 - y)
    if not negative.any():
        return 0.0
    of_positive = [np.average(np.log1p(np.exp(z - z_i)), weights=negative) for z_i in z]
    return (w * y) @ of_positive


def listwise(z, y, w):
    p = expit(z)
    return (w * y) @ -np.log(p / (w @ p)) if (w * y).any() else 0.0


def jrc(z, y, w):
    """With the logits of a positive and a negative, as in the paper."""
    if not w.any():
        return 0.0
    logits = {1: z[:, 0] + z[:, 1], 0: z[:, 1]}
    share = {c: np.exp(f) / (w @ np.exp(f)) for c, f in logits.items()}
    rows = zip(y.astype(int), range(len(y)), w, strict=True)
    return sum(-weight * np.log(share[label][i]) for label, i, weight in rows)


def dcg(order, y):
    return sum(y[i] / np.log2(2 + place) for place, i in enumerate(order[:K]))


def lambdarank(z, y, w):
    """Every pair, and the NDCG before and after its rows change places."""
    seen = w > 0
    z, y, w = z[seen], y[seen], w[seen]
    if len(set(y)) < 2:
        return 0.0
    order = list(np.argsort(-z))
    before, best = dcg(order, y), dcg(list(np.argsort(-y)), y)
    mean = w[y == 0].mean()
    total = 0.0
    for i in np.flatnonzero(y == 1):
        for j in np.flatnonzero(y == 0):
            swapped = [{i: j, j: i}.get(row, row) for row in order]
            change = abs(dcg(swapped, y) - before) / best
            total += w[i] * w[j] / mean * change * np.log1p(np.exp(z[j] - z[i]))
    return total


def ndcg_loss2(z, y, w):
    """Every pair, by the distance of its rows."""
    seen = w > 0
    z, y, w = z[seen], y[seen], w[seen]
    if len(set(y)) < 2:
        return 0.0
    position = np.argsort(np.argsort(-z)) + 1
    best, mean = dcg(list(np.argsort(-y)), y), w[y == 0].mean()
    total = 0.0
    for i in np.flatnonzero(y == 1):
        for j in np.flatnonzero(y == 0):
            distance = abs(position[i] - position[j])
            part = 1 / np.log2(1 + distance) - 1 / np.log2(2 + distance)
            if (lower := max(position[i], position[j])) > K:
                part /= 1 - 1 / np.log2(1 + lower)
            loss = np.log1p(np.exp(z[j] - z[i]))
            total += w[i] * w[j] / mean * part / best * loss
    return total


REFERENCES = {
    "pairwise": pairwise, "listwise": listwise, "jrc": jrc, "lambdarank": lambdarank,
    "ndcg_loss2": ndcg_loss2,
}  # fmt: skip


def make_loss(name, factor=1.0):
    return make_list_loss(name, factor=factor, k=K)


def make_batch(name="pairwise", n=60, n_lists=9, seed=0):
    """Lists of several lengths, in any order; the last has no positive of task 1."""
    rng = np.random.default_rng(seed)
    lists = np.append(rng.integers(n_lists, size=n - 1), 100)
    y = (rng.random((n, 2)) < 0.4).astype(float)
    y[lists == 0, 1] = 0
    y[lists == 1, 1] = 1
    w = rng.gamma(1.0, size=(n, 2)) * (rng.random((n, 2)) < 0.8)
    w[lists == 2, 0] = 0  # no label at all
    n_outputs = 4 if name == "jrc" else 2
    return rng.normal(size=(n, n_outputs)) * 3, y, w, lists


def expected(name, z, y, w, lists):
    of_task = np.split(z, 2, axis=1)
    of_task = of_task if name == "jrc" else [one[:, 0] for one in of_task]
    sums = [
        [REFERENCES[name](of_task[t][own], y[own, t], w[own, t]) for t in range(2)]
        for own in (lists == one for one in np.unique(lists))
    ]
    return np.sum(sums, axis=0) / len(y)


def tensors(*arrays):
    return [torch.from_numpy(a) for a in arrays]


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_sums_over_lists(name, weighted):
    z, y, w, lists = make_batch(name)
    given = tensors(z, y, w, lists)
    if not weighted:
        w, given[2] = np.ones_like(w), None
    found = make_loss(name)(*given)
    assert_allclose(found, expected(name, z, y, w, lists), rtol=1e-12)
    assert (found > 0).all()
    assert_allclose(make_loss(name, 0.25)(*given), found / 4)


@pytest.mark.parametrize("name", REFERENCES)
def test_gradients(name):
    z, y, w, lists = tensors(*make_batch(name, 20, 3))
    loss = make_loss(name)
    z.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, y, w, lists), z)


@pytest.mark.parametrize("name", ["pairwise", "listwise", "jrc"])
def test_a_weight_is_a_number_of_rows(name):
    z, y, _, lists = make_batch(name)
    times = np.random.default_rng(1).integers(3, size=len(z))
    w = np.repeat(times[:, None], 2, axis=1).astype(float)
    found = make_loss(name)(*tensors(z, y, w, lists)) * len(z)
    rows = np.repeat(np.arange(len(z)), times)
    z, y, lists = tensors(z[rows], y[rows], lists[rows])
    assert_allclose(found, make_loss(name)(z, y, None, lists) * len(rows))


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("value", [-200.0, 0.0, 200.0])
def test_extreme_and_empty_lists_have_finite_losses_and_gradients(name, value):
    n_outputs = 2 if name == "jrc" else 1
    z = torch.full((8, n_outputs), value, requires_grad=True)
    lists = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3])
    y = torch.tensor([1.0, 0, 0, 1, 1, 1, 0, 0])[:, None]
    for w in (None, torch.ones(8, 1), torch.zeros(8, 1)):
        z.grad = None
        loss = make_loss(name)(z + torch.linspace(-1, 1, 8)[:, None], y, w, lists)
        loss.sum().backward()
        assert loss.isfinite().all()
        assert z.grad.isfinite().all()


def test_more_positions_than_rows():
    batch = tensors(*make_batch("lambdarank"))
    found = [
        make_list_loss("lambdarank", factor=1.0, k=k)(*batch) for k in (60, 10**12)
    ]
    assert found[0].equal(found[1])


def test_true_probabilities_minimise_both_losses():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.6, size=5)
    every = ((np.arange(32)[:, None] >> np.arange(5)) & 1).astype(float)
    chance = np.prod(np.where(every == 1, p, 1 - p), axis=1)

    def mean(z, name):
        losses = [REFERENCES[name](z, y, np.ones(5)) for y in every]
        return chance @ losses

    found = minimize(mean, rng.normal(size=5), args=("listwise",), tol=1e-10).x
    assert_allclose(expit(found) / expit(found).sum(), p / p.sum(), rtol=1e-3)
    # The pairwise loss does not change if all log-odds rise alike.
    found = minimize(mean, rng.normal(size=5), args=("pairwise",), tol=1e-10).x
    truth = np.log(p / (1 - p))
    assert_allclose(found - found.mean(), truth - truth.mean(), atol=1e-3)


def test_true_probabilities_minimise_jrc():
    """With any logits for negatives that are those of the rows among all negatives."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.6, size=4)
    every = ((np.arange(16)[:, None] >> np.arange(4)) & 1).astype(float)
    chance = np.prod(np.where(every == 1, p, 1 - p), axis=1)

    def mean(z):
        z = z.reshape(4, 2)
        log_p = -np.log1p(np.exp(np.where(every == 1, -1, 1) * z[:, 0])).sum(axis=1)
        return chance @ [jrc(z, y, np.ones(4)) for y in every] - chance @ log_p

    found = minimize(mean, rng.normal(size=8), tol=1e-10).x.reshape(4, 2)
    assert_allclose(expit(found[:, 0]), p, rtol=1e-3)


def test_rows_of_lists_in_any_order():
    at, there = rows_of_lists(torch.tensor([7, 2, 7, 5, 2, 7]))
    assert at.tolist() == [[1, 4, 0], [3, 0, 0], [0, 2, 5]]
    assert there.int().sum(dim=1).tolist() == [2, 1, 3]


def test_task_losses_add_the_loss_of_the_ranked_tasks():
    z, y, w, lists = make_batch()
    kinds = TaskKinds([BinaryTask("pairwise", ranking_weight=2.0), BinaryTask()])
    losses = TaskLosses(kinds, [3.0, 1.0]).double()
    plain = TaskLosses(TaskKinds([BinaryTask()] * 2), [3.0, 1.0]).double()
    z, y, w, lists = tensors(z, y, w, lists)
    point = plain(z, y, w)
    assert_allclose(losses(z, y, w), point)  # without lists
    order = expected("pairwise", *(a.numpy() for a in (z, y, w, lists)))
    assert_allclose(losses(z, y, w, lists), point + torch.tensor([2 * order[0], 0.0]))


def test_kinds_say_what_they_are():
    assert repr(BinaryTask()) == "BinaryTask()"
    ranked = BinaryTask("listwise", ranking_weight=0.5)
    assert repr(ranked) == "BinaryTask(ranking='listwise', ranking_weight=0.5)"
    assert ranked == BinaryTask("listwise", ranking_weight=0.5)
    assert ranked != BinaryTask("listwise")
    with pytest.raises(ValueError, match=r"must be one of \(None, 'pairwise', 'listw"):
        BinaryTask("ndcg")
    assert repr(BinaryTask("lambdarank", k=5)) == (
        "BinaryTask(ranking='lambdarank', k=5)"
    )
    for wrong in (0, 2.5, "10", None, True):
        with pytest.raises(ValueError, match="k must be an integer above 0, found"):
            BinaryTask("lambdarank", k=wrong)
    for wrong in (0, -1.0, np.inf, np.nan, "1", True):
        with pytest.raises(ValueError, match="ranking_weight must be a number between"):
            BinaryTask("listwise", ranking_weight=wrong)
    # They equal the defaults.
    with pytest.raises(ValueError, match="ranking_weight must be a number between"):
        BinaryTask(ranking_weight=True)
    with pytest.raises(ValueError, match="k must be an integer above 0, found"):
        BinaryTask(k=10.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ranking": "pairwise", "k": 3}, "k=3 has no effect: it is for ranking in"),
        ({"k": 3}, r"k=3 has no effect.*\('lambdarank', 'ndcg_loss2'\)"),
        ({"ranking_weight": 2.0}, "ranking_weight=2.0 has no effect.*'pairwise'"),
    ],
)
def test_arguments_without_effect_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        BinaryTask(**given)
    assert BinaryTask("ndcg_loss2", k=3).make_list_loss().k == 3


def test_tasks_of_files_from_before_rankings():
    old = BinaryTask.__new__(BinaryTask)
    assert old == BinaryTask()
    assert repr(old) == "BinaryTask()"
    assert old.make_list_loss() is None
    assert not old.needs_groups
