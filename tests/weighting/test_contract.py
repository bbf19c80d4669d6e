"""What every strategy owes to the trainer, to scikit-learn and to a batch with gaps.

The strategies come from the registry, so that a new one is tried without a line here.
"""

import copy
import inspect
import io
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

import skmtl
import skmtl.weighting
from skmtl.weighting import (
    GradientWeighting,
    GradNorm,
    LossWeighting,
    StaticWeighting,
    TorchJDScalarizer,
    TorchJDWeighting,
    get_strategy,
    get_strategy_names,
)
from tests.rankers.conftest import make_impressions
from tests.weighting.conftest import (
    TASKS,
    dense,
    gramians,
    make_batch,
    make_module,
    make_step,
    take_step,
)

NAMES = get_strategy_names()
GRADIENT = [n for n in NAMES if isinstance(get_strategy(n), GradientWeighting)]
# What their papers say, where it is not what most do.
MAY_BE_NEGATIVE = {"imtl_g", "aligned_mtl"}
WEIGHS_TOWERS_TOO = {"gradnorm"}


def start(strategy, n_tasks=3, initial=0.7):
    weighting = get_strategy(strategy).start([f"task{t}" for t in range(n_tasks)])
    weighting.double()
    weighting.begin(lambda: torch.full((n_tasks,), initial, dtype=torch.float64))
    return weighting


def test_the_trainer_knows_no_strategy():
    X, y = make_impressions(60)
    net = skmtl.ShareBottom(max_iter=1).fit(X, y).net_
    source = inspect.getsource(inspect.getmodule(type(net)))
    names = [type(get_strategy(name)).__name__ for name in NAMES]
    assert not [name for name in [*NAMES, *names] if f"{name}" in source]
    assert not re.search(r"isinstance\([\w.]*weighting", source)


def test_the_guide_and_the_api_page_list_every_strategy():
    docs = Path(skmtl.__file__).parents[1] / "docs"
    if not docs.exists():
        pytest.skip("the documentation is not there")
    guide = (docs / "user_guide" / "loss_weights.rst").read_text()
    table = guide.partition("what it does")[2].partition("*step*")[0]
    rows = re.findall(r'^``"(\w+)"``', table, flags=re.MULTILINE)
    assert sorted(rows) == NAMES
    api = (docs / "api.rst").read_text()
    assert not [n for n in skmtl.weighting.__all__ if not re.search(rf"\b{n}\b", api)]


@pytest.mark.parametrize(
    "strategy", [*NAMES, StaticWeighting([0.5, 0.1, 3.0])], ids=str
)
def test_weights_said_ahead_are_the_derivatives(strategy):
    """And they are said ahead by all whose weights do not depend on the step."""
    weighting = start(strategy, initial=0.2)
    for _ in range(3):
        weighting.after_epoch(torch.rand(3, dtype=torch.float64))
    if weighting.apart:
        assert weighting.ahead() is None
        return
    found = []
    for _ in range(2):
        losses = torch.rand(3, dtype=torch.float64).requires_grad_()
        found += torch.autograd.grad(weighting(losses), losses)
    if weighting.ahead() is None:
        assert not torch.equal(*found)
        return
    for one in found:
        torch.testing.assert_close(one, weighting.ahead(), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_hyperparameters_travel(name):
    strategy = get_strategy(name)
    names = list(inspect.signature(type(strategy)).parameters)
    assert list(strategy.get_params()) == names
    for again in (
        clone(strategy),
        copy.deepcopy(strategy),
        pickle.loads(pickle.dumps(strategy)),
        eval(repr(strategy), vars(skmtl.weighting)),
    ):
        assert type(again) is type(strategy)
        assert repr(again) == repr(strategy)
        assert again is not strategy
    for parameter in names:
        assert strategy.set_params(**strategy.get_params()) is strategy
        with pytest.raises(ValueError, match=f"has no parameter 'no_{parameter}'"):
            strategy.set_params(**{f"no_{parameter}": 1})


ARGUMENTS = [
    (name, argument)
    for name in NAMES
    for argument in get_strategy(name).get_params()
    if argument != "preference"
]


@pytest.mark.parametrize("wrong", [{}, "wrong", np.nan, -1.5, [0.5], True], ids=str)
@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_every_argument_is_checked(name, argument, wrong):
    weighting = get_strategy(name).set_params(**{argument: wrong})
    with pytest.raises((ValueError, TypeError), match=rf"\b{argument}\b") as error:
        weighting.start(TASKS)
    # The sentence names the strategy and shows what was found.
    assert type(weighting).__name__ in str(error.value)
    assert repr(wrong) in str(error.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_tasks", [1, 2, 8])
def test_any_number_of_tasks(name, n_tasks):
    module = make_module("experts", n_tasks)
    weighting = start(name, n_tasks)
    for seed in range(3):
        X, y = make_batch(n_tasks, seed=seed)
        take_step(module, weighting, X, y)
        assert weighting.current().shape == (n_tasks,)
        for p in module.parameters():
            assert dense(p.grad).isfinite().all()
            assert p.grad.abs().sum() > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["bottom", "experts", "chained"])
def test_a_batch_without_a_label_for_a_task(name, kind):
    """The other tasks are updated, the task's own tower is not, nothing is NaN."""
    module = make_module(kind)
    X, y = make_batch()
    weight = torch.ones_like(y)
    weight[:, 2] = 0
    weighting = start(name)
    take_step(module, weighting, X, y, weight)
    weighting.after_epoch(torch.tensor([0.5, 0.5, 0.0]))
    assert weighting.current().isfinite().all()
    assert all(dense(p.grad).isfinite().all() for p in module.parameters())
    shared = next(iter(module.sharing.parameters()))
    assert shared.grad.abs().sum() > 0
    if kind != "chained":
        bias = module.towers.output.bias.grad
        assert (bias[:2] != 0).all()
        assert (bias[2] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_any_label(name):
    """Nothing is learnt from it, by the network or by the strategy."""
    module = make_module("experts")
    X, y = make_batch()
    weighting = start(name)
    before = [p.clone() for p in (*module.parameters(), *weighting.parameters())]
    weights = weighting.current().clone()
    take_step(module, weighting, X, y, torch.zeros_like(y))
    after = [*module.parameters(), *weighting.parameters()]
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other.detach())
    assert weighting.current().isfinite().all()
    if list(weighting.parameters()):
        torch.testing.assert_close(weighting.current(), weights)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_positive_unless_the_paper_says_otherwise(name):
    found = []
    for K in gramians(3, 0):
        weighting = start(name)
        if name in GRADIENT and name not in WEIGHS_TOWERS_TOO:
            losses = torch.rand(3, dtype=torch.float64)
            found.append(weighting.weigh(torch.from_numpy(K), losses))
        else:
            module = make_module("bottom")
            for seed in range(5):
                take_step(module, weighting, *make_batch(seed=seed))
                found.append(weighting.current())
    negative = any((weights < 0).any() for weights in found)
    assert negative == (name in MAY_BE_NEGATIVE)


@pytest.mark.parametrize("name", [n for n in GRADIENT if n not in WEIGHS_TOWERS_TOO])
def test_towers_follow_their_papers(name):
    """Weights scale what is shared; the towers keep their own losses' gradient."""
    module = make_module("experts")
    X, y = make_batch()
    plain = make_step(module, X, y)
    plain.losses.sum().backward()
    expected = [p.grad.clone() for p in module.towers.parameters()]
    module.zero_grad()
    weighting = start(name)
    weighting.backward(make_step(module, X, y))
    for p, g in zip(module.towers.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, g)


@pytest.mark.parametrize("name", GRADIENT)
@pytest.mark.parametrize("at", ["last_shared_layer", "shared_parameters"])
def test_gradients_may_be_taken_elsewhere(name, at):
    """The weights are those of the Gramian there."""
    module = make_module("experts")
    X, y = make_batch()
    found = []
    for place in (at, "representation"):
        module.zero_grad()
        torch.manual_seed(0)
        weighting = start(get_strategy(name).set_params(at=place))
        weighting.backward(make_step(module, X, y))
        assert all(dense(p.grad).isfinite().all() for p in module.parameters())
        assert module.embedding.ids.tables[0].grad.abs().sum() > 0
        own = [p.grad for p in weighting.parameters()]
        found.append(torch.cat([weighting.current(), *own]))
    assert not torch.allclose(*found, rtol=1e-6)


EXTREMES = [
    np.diag([1e-300, 1.0, 1e300]),
    np.ones((3, 3)),
    np.full((3, 3), 1e-320),
    np.full((3, 3), 1e308),
    np.diag([np.inf, 1.0, 1.0]),
    np.full((3, 3), np.nan),
    -np.ones((3, 3)) + 2 * np.eye(3),  # not a Gramian
    np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]),
]


@pytest.mark.filterwarnings("ignore:.*found no weights in a step:RuntimeWarning")
@pytest.mark.parametrize("name", GRADIENT)
@pytest.mark.parametrize("losses", [[1.0, 1.0, 1.0], [np.inf, 0.0, 1e-300]], ids=str)
@pytest.mark.parametrize("K", EXTREMES, ids=range(len(EXTREMES)))
def test_no_gramian_raises_a_solvers_error(name, losses, K):
    """Weights that were not found are NaN, and those of the step before stay."""
    if name in WEIGHS_TOWERS_TOO:
        pytest.skip("it solves nothing")
    weighting = start(name)
    found = weighting.weigh(
        torch.from_numpy(K), torch.tensor(losses, dtype=torch.float64)
    )
    assert found.shape == (3,)
    assert found.isfinite().all() or found.isnan().any() or found.isinf().any()


def test_a_solver_that_fails_leaves_the_weights_of_the_step_before():
    class Fails(GradientWeighting):
        def solve(self, gramian, losses, active):
            self.times = getattr(self, "times", 0) + 1
            if self.times == 1:
                return torch.tensor([0.5, 1.0, 1.5])
            if self.times == 2:
                return torch.full_like(losses, torch.nan)
            error = (
                np.linalg.LinAlgError if self.times == 3 else torch.linalg.LinAlgError
            )
            raise error("no")

    weighting = start(Fails())
    X, y = make_batch()
    module = make_module("bottom")
    for _ in range(4):
        module.zero_grad()
        weighting.backward(make_step(module, X, y))
        assert weighting.current().tolist() == [0.5, 1.0, 1.5]
    assert all(dense(p.grad).isfinite().all() for p in module.parameters())


PREFERENCES = [
    ([1.0, 2.0], r"preference has shape \(2,\).*3 tasks"),
    ([1, 0, 1], "must be finite and above 0"),
    ([1, float("nan"), 1], "must be finite and above 0"),
    (["a", 1, 2], "preference must hold numbers"),
    ({"click": 1, "cart": 2}, r"preference has no value for the tasks \['order'\]"),
    ({"click": 1, "cart": 2, "buy": 3}, r"preference names \['buy'\], which are not"),
    (pd.Series([1, 2, 3]), r"names \['0', '1', '2'\].*preference.tolist\(\)"),
    (pd.Series([1, 2, 3, 4], [*TASKS, "cart"]), "preference names a task twice"),
    (2.0, "preference has shape"),
    (object(), "preference must hold numbers"),
]


@pytest.mark.parametrize("name", GRADIENT)
@pytest.mark.parametrize(("preference", "message"), PREFERENCES)
def test_bad_preferences(name, preference, message):
    with pytest.raises(ValueError, match=message):
        get_strategy(name).set_params(preference=preference).start(TASKS)


@pytest.mark.parametrize(
    "preference",
    [
        [1, 1, 4],
        (1, 1, 4),
        np.array([1, 1, 4]),
        torch.tensor([1, 1, 4]),
        {"order": 4, "click": 1, "cart": 1},
        pd.Series({"order": 4, "click": 1, "cart": 1}),
    ],
    ids=lambda p: type(p).__name__,
)
def test_preferences_by_name_and_by_order_agree(preference):
    weighting = GradNorm(preference=preference).start(TASKS)
    assert weighting.preference_.tolist() == pytest.approx([0.5, 0.5, 2.0])
    assert weighting.reference().tolist() == weighting.preference_.tolist()


def test_unknown_strategies_list_the_known_ones():
    with pytest.raises(ValueError, match=r"'gradnom' is not a known.*'gradnorm'"):
        get_strategy("gradnom")
    for wrong in (torch.nn.Linear(2, 1), object(), GradNorm):
        with pytest.raises(ValueError, match="is not a loss weighting"):
            get_strategy(wrong)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"shape \(2,\), but there are 3 tasks"),
        ([1.0, 2.0, -1.0], ValueError, "finite and at least 0"),
        ([1.0, 2.0, np.inf], ValueError, "finite and at least 0"),
        (["a", "b", "c"], TypeError, r"must be numbers.*\['click', 'cart', 'order'\]"),
        ({"click": 1.0}, ValueError, r"no value for the tasks \['cart', 'order'\]"),
        (pd.Series([1.0, 2.0, 3.0]), ValueError, r"matched by its index"),
    ],
)
def test_static_weights_must_fit(weights, error, message):
    with pytest.raises(error, match=message):
        StaticWeighting(weights).start(TASKS)


def test_static_weights_by_name():
    weights = pd.Series({"order": 3.0, "click": 1.0, "cart": 2.0})
    for given in (weights, weights.to_dict()):
        assert StaticWeighting(given).start(TASKS).current().tolist() == [1, 2, 3]


def test_a_strategy_of_ones_own():
    """One that defines `forward` alone is weighed by the derivatives of its scalar."""

    class Square(LossWeighting):
        def forward(self, losses):
            return losses.square().sum()

    module = make_module("chained")
    X, y = make_batch()
    step = make_step(module, X, y)
    weighting = start(Square())
    weighting.backward(step)
    torch.testing.assert_close(weighting.current(), 2 * step.losses.detach())
    found = [dense(p.grad).clone() for p in module.parameters()]
    module.zero_grad()
    plain = make_step(module, X, y)
    plain.losses.square().sum().backward()
    plain.representation.backward(plain.cut.grad)
    for g, p in zip(found, module.parameters(), strict=True):
        torch.testing.assert_close(g, dense(p.grad))


def with_memory():
    """Those of TorchJD that remember, which have no name of ours."""
    jd = pytest.importorskip("torchjd.aggregation")
    scalarization = pytest.importorskip("torchjd.scalarization")
    return {
        "GradVac": jd.GradVacWeighting(),
        "aggregator of GradVac": jd.GradVac(),
        "PCD": jd.PCDWeighting(),
        "aggregator of PCD": jd.PCD(),
        "CRMOGM": jd.CRMOGMWeighting(jd.MGDAWeighting()),
        "CRMOGM of PCD": jd.CRMOGMWeighting(jd.PCDWeighting()),
        "NashMTL": jd.NashMTL(3, update_weights_every=2),
        "DWA": scalarization.DWA(1.0),
        "UW": scalarization.UW(3),
        "IMTLL": scalarization.IMTLL(3),
        "GeometricMean": scalarization.GeometricMean(),
    }


def train(weighting, module, seeds):
    """Some steps and the ends of epochs: weights of each, and the parameters after."""
    found = []
    for seed in seeds:
        torch.manual_seed(seed)
        X, y = make_batch(seed=seed)
        weight = torch.ones_like(y)
        weight[:, seed % 3] = seed % 4 > 0  # now and then a task has no label
        step = take_step(module, weighting, X, y, weight)
        if seed % 2:
            weighting.after_epoch(step.losses.detach())
        found.append(weighting.current().clone())
    parameters = [*module.parameters(), *weighting.parameters()]
    return [*found, *(p.detach().clone() for p in parameters)]


@pytest.mark.filterwarnings("ignore:.*found no weights in a step:RuntimeWarning")
@pytest.mark.parametrize("n_before", [1, 8])
@pytest.mark.parametrize("name", [*NAMES, *with_memory()])
def test_all_state_is_in_the_state_dict(name, n_before):
    """What continues from a copy of it ends with the same bits."""
    strategy = name if name in NAMES else with_memory()[name]
    weighting, module = start(strategy), make_module("experts")
    train(weighting, module, range(n_before))
    file = io.BytesIO()
    torch.save(weighting.state_dict(), file)
    assert all(torch.is_tensor(value) for value in weighting.state_dict().values())

    fresh, twin = start(strategy, initial=0.3), copy.deepcopy(module)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    fresh.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert torch.equal(torch.get_rng_state(), state)  # loading draws nothing
    seeds = range(n_before, n_before + 7)
    expected = train(weighting, module, seeds)
    for one, other in zip(train(fresh, twin, seeds), expected, strict=True):
        assert torch.equal(one, other)

    # Back again, as after a loss that diverged.
    weighting.load_state_dict(torch.load(io.BytesIO(file.getvalue())))
    torch.testing.assert_close(
        dict(weighting.state_dict()),
        dict(torch.load(io.BytesIO(file.getvalue()))),
        equal_nan=True,
    )


def test_the_kinds_of_torchjd_are_tried():
    kinds = {type(get_strategy(one)) for one in with_memory().values()}
    assert kinds == {TorchJDWeighting, TorchJDScalarizer}
