"""What every strategy owes to the trainer, to scikit-learn and to a batch with gaps."""

import copy
import inspect
import pickle

import pytest
import torch
from sklearn.base import clone

import skmtl.training.net
import skmtl.weighting
from skmtl.weighting import (
    GradientWeighting,
    GradNorm,
    LossWeighting,
    StaticWeighting,
    get_strategy,
    get_strategy_names,
)
from tests.weighting.conftest import (
    TASKS,
    dense,
    make_batch,
    make_module,
    make_step,
)

NAMES = get_strategy_names()


def start(strategy, n_tasks=3, initial=0.7):
    weighting = get_strategy(strategy).start([f"task{t}" for t in range(n_tasks)])
    weighting.double()
    weighting.begin(lambda: torch.full((n_tasks,), initial, dtype=torch.float64))
    return weighting


def test_the_trainer_knows_no_strategy():
    source = inspect.getsource(skmtl.training.net)
    names = [type(get_strategy(name)).__name__ for name in NAMES]
    assert not [name for name in [*NAMES, *names] if f"{name}" in source]
    assert "isinstance" not in source


def test_names():
    assert NAMES == [
        "aligned_mtl",
        "cagrad",
        "dynamic_weight_average",
        "gradnorm",
        "imtl_g",
        "mgda",
        "nash_mtl",
        "pcgrad",
        "random",
        "stochastic_mgda",
        "uncertainty",
    ]


@pytest.mark.parametrize(
    "strategy", [*NAMES, StaticWeighting([0.5, 0.0, 3.0])], ids=str
)
def test_weights_said_ahead_are_the_derivatives(strategy):
    weighting = start(strategy, initial=0.2)
    for _ in range(3):
        weighting.after_epoch(torch.rand(3, dtype=torch.float64))
    ahead = weighting.ahead()
    if ahead is None:
        assert strategy not in ("dynamic_weight_average", "uncertainty")
        return
    assert not weighting.apart
    assert len(ahead.unique()) > 1 or strategy == "uncertainty"
    losses = torch.rand(3, dtype=torch.float64).requires_grad_()
    (found,) = torch.autograd.grad(weighting(losses), losses)
    torch.testing.assert_close(found, ahead, rtol=0, atol=0)


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


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_tasks", [1, 2, 8])
def test_any_number_of_tasks(name, n_tasks):
    module = make_module("experts", n_tasks)
    weighting = start(name, n_tasks)
    for seed in range(3):
        X, y = make_batch(n_tasks, seed=seed)
        module.zero_grad()
        weighting.backward(make_step(module, X, y))
        weighting.after_step()
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
    weighting.backward(make_step(module, X, y, weight))
    weighting.after_step()
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
    module = make_module("experts")
    X, y = make_batch()
    weighting = start(name)
    before = weighting.current().clone()
    weighting.backward(make_step(module, X, y, torch.zeros_like(y)))
    weighting.after_step()
    assert weighting.current().isfinite().all()
    assert all((dense(p.grad) == 0).all() for p in module.parameters())
    if name in ("uncertainty", "gradnorm"):
        torch.testing.assert_close(weighting.current(), before)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_positive_where_the_paper_says_so(name):
    if name == "imtl_g":
        pytest.skip("its weights may be negative")
    module = make_module("bottom")
    weighting = start(name)
    for seed in range(5):
        X, y = make_batch(seed=seed)
        weighting.backward(make_step(module, X, y))
        assert (weighting.current() >= 0).all()


GRADIENT = [n for n in NAMES if isinstance(get_strategy(n), GradientWeighting)]


@pytest.mark.parametrize("name", [n for n in GRADIENT if n != "gradnorm"])
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
    module = make_module("experts")
    X, y = make_batch()
    weighting = start(get_strategy(name).set_params(at=at))
    weighting.backward(make_step(module, X, y))
    assert all(dense(p.grad).isfinite().all() for p in module.parameters())
    assert module.embedding.ids.tables[0].grad.abs().sum() > 0


@pytest.mark.parametrize("name", GRADIENT)
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"preference": [1.0, 2.0]}, r"preference has shape \(2,\).*3 tasks"),
        ({"preference": [1, 0, 1]}, "must be finite and above 0"),
        ({"preference": [1, float("nan"), 1]}, "must be finite and above 0"),
        ({"preference": ["a", 1, 2]}, "preference must hold numbers"),
        ({"preference": {"click": 1, "cart": 2}}, r"\['order'\] differ"),
        ({"preference": 2.0}, "preference has shape"),
        ({"at": "nowhere"}, "at='nowhere' of .* must be one of"),
    ],
)
def test_bad_hyperparameters(name, params, message):
    with pytest.raises(ValueError, match=message):
        get_strategy(name).set_params(**params).start(TASKS)


def test_preferences_by_name_and_by_order_agree():
    by_name = GradNorm(preference={"order": 4, "click": 1, "cart": 1}).start(TASKS)
    assert by_name.preference_.tolist() == pytest.approx([0.5, 0.5, 2.0])
    assert by_name.reference().tolist() == by_name.preference_.tolist()
    assert GradNorm(preference=[1, 1, 4]).start(TASKS).preference_.tolist() == (
        by_name.preference_.tolist()
    )


def test_unknown_strategies_list_the_known_ones():
    with pytest.raises(ValueError, match=r"'gradnom' is not known.*'gradnorm'"):
        get_strategy("gradnom")
    for wrong in (torch.nn.Linear(2, 1), object(), GradNorm):
        with pytest.raises(ValueError, match="is no loss weighting"):
            get_strategy(wrong)


def test_static_weights_must_fit():
    with pytest.raises(ValueError, match=r"shape \(2,\), but there are 3 tasks"):
        StaticWeighting([1.0, 2.0]).start(TASKS)


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
    make_step(module, X, y)
    plain = make_step(module, X, y)
    plain.losses.square().sum().backward()
    plain.representation.backward(plain.cut.grad)
    for g, p in zip(found, module.parameters(), strict=True):
        torch.testing.assert_close(g, dense(p.grad))


def test_a_solver_that_fails_leaves_the_weights_of_the_step_before():
    class Fails(GradientWeighting):
        def solve(self, gramian, losses, active):
            return torch.full_like(losses, torch.nan)

    weighting = start(Fails())
    X, y = make_batch()
    module = make_module("bottom")
    weighting.backward(make_step(module, X, y))
    assert weighting.current().tolist() == [1.0, 1.0, 1.0]
    assert all(dense(p.grad).isfinite().all() for p in module.parameters())
