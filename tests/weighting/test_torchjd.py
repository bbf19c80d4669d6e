"""What TorchJD solves: plugged in without a change, and checked on its own terms."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skmtl import MMoE
from skmtl.weighting import (
    IMTLG,
    AlignedMTL,
    CAGrad,
    LossWeighting,
    NashMTL,
    PCGrad,
    TorchJDScalarizer,
    TorchJDWeighting,
    get_strategy,
)
from tests.rankers.conftest import make_impressions
from tests.weighting.conftest import (
    TASKS,
    dense,
    gramians,
    make_batch,
    make_module,
    take_step,
)

jd = pytest.importorskip("torchjd.aggregation")
scalarization = pytest.importorskip("torchjd.scalarization")

CASES = [(n, seed, k) for n in (2, 3, 5, 8) for seed in range(2) for k in range(4)]
NAMED = [PCGrad, CAGrad, IMTLG, AlignedMTL, NashMTL]


def gramian_of(case):
    n, seed, k = case
    return list(gramians(n, seed))[k]


def weigh(weighting, K, losses=None):
    weighting.start([f"task{t}" for t in range(len(K))])
    losses = np.ones(len(K)) if losses is None else losses
    return weighting.weigh(torch.from_numpy(K), torch.from_numpy(losses)).numpy()


def root(K):
    values, vectors = torch.linalg.eigh(torch.from_numpy(K))
    return vectors * values.clamp(min=0).sqrt()


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("strategy", [CAGrad, IMTLG, AlignedMTL])
def test_equals_torchjd_on_the_gramian(case, strategy):
    K = gramian_of(case)
    K = K / K.diagonal().mean()
    solver = {
        CAGrad: lambda: jd.CAGradWeighting(c=0.5),
        IMTLG: jd.IMTLGWeighting,
        AlignedMTL: jd.AlignedMTLWeighting,
    }[strategy]()
    expected = solver(torch.from_numpy(K))
    assert_allclose(weigh(strategy(), K), expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_pcgrad_equals_torchjd_and_a_projection_of_vectors(case):
    K = gramian_of(case)
    torch.manual_seed(0)
    found = weigh(PCGrad(), K)
    torch.manual_seed(0)
    expected = jd.PCGradWeighting()(torch.from_numpy(K))
    assert_allclose(found, expected, rtol=1e-8)
    if len(K) == 2:  # one order only
        g = root(K).numpy()
        total = sum(
            g[i] - min(0.0, g[i] @ g[j]) / (g[j] @ g[j]) * g[j]
            for i, j in itertools.permutations(range(2))
        )
        assert_allclose(found @ g, total, atol=1e-9 * np.abs(g).max())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_imtl_g_projects_alike_on_all_unit_gradients(case):
    K = gramian_of(case)
    w = weigh(IMTLG(), K)
    assert w.sum() == pytest.approx(1)
    projections = K @ w / np.sqrt(K.diagonal())
    if np.linalg.matrix_rank(K, tol=1e-9 * K.max()) == len(K):
        assert_allclose(projections, projections[0], rtol=1e-4)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_aligned_gradients_are_a_multiple_of_the_closest_rotation(case):
    K = gramian_of(case)
    if np.linalg.matrix_rank(K) < len(K):
        pytest.skip("the rotation is unique for independent gradients only")
    w = weigh(AlignedMTL(), K)
    g = root(K).numpy()
    u, s, vt = np.linalg.svd(g)
    expected = s.min() * np.ones(len(K)) / len(K) @ (u @ vt)
    assert_allclose(w @ g, expected, rtol=1e-4, atol=1e-6 * s.min())


def unbounded():
    return NashMTL(max_norm=0.0, update_weights_every=1)


@pytest.mark.parametrize("case", [c for c in CASES if c[2] != 2], ids=str)
def test_nash_equals_torchjd(case):
    K = gramian_of(case)
    K = K / K.diagonal().mean()
    solver = jd.NashMTL(len(K), max_norm=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cvxpy's, of how TorchJD states its programs
        expected = solver.weighting(root(K))
    found = weigh(NashMTL(update_weights_every=1), K)
    # Its iteration ends at 1e-3, from where rounding decides.
    assert_allclose(found, expected, rtol=5e-3, atol=1e-6)


def test_nash_solves_its_equation():
    """``K a = 1 / a``, up to the scale of K, where gradients do not conflict."""
    rng = np.random.default_rng(0)
    g = rng.normal(size=(3, 20)) + 1.0
    K = g @ g.T / 20
    a = weigh(unbounded(), K)
    products = a * (K @ a)
    assert_allclose(products, products.mean(), rtol=0.01)


@pytest.mark.parametrize("strategy", [CAGrad, IMTLG, AlignedMTL, PCGrad])
def test_a_task_without_a_gradient_is_as_if_it_were_not_there(strategy):
    K = gramian_of((4, 1, 0))
    with_gap = np.zeros((5, 5))
    at = [0, 1, 3, 4]
    with_gap[np.ix_(at, at)] = K
    torch.manual_seed(0)
    expected = weigh(strategy(), K)
    torch.manual_seed(0)
    found = weigh(strategy(), with_gap)
    assert_allclose(found[at], expected, rtol=1e-6)
    assert np.isfinite(found).all()


def test_nash_with_a_task_without_a_gradient():
    rng = np.random.default_rng(0)
    g = rng.normal(size=(3, 20)) + 0.5
    K = g @ g.T
    with_gap = np.zeros((4, 4))
    at = [0, 2, 3]
    with_gap[np.ix_(at, at)] = K
    alone, found = weigh(unbounded(), K), weigh(unbounded(), with_gap)[at]
    assert np.isfinite(found).all()
    assert_allclose(found / found[0], alone / alone[0], rtol=0.02)


@pytest.mark.parametrize("strategy", NAMED)
def test_no_gradient_at_all(strategy):
    assert_allclose(weigh(strategy(), np.zeros((3, 3))), 1.0)


@pytest.mark.parametrize("strategy", NAMED)
def test_short_gradients_are_weighed_like_long_ones(strategy):
    K = gramian_of((3, 0, 0))
    found = []
    for scale in (1.0, 1e-8):
        torch.manual_seed(0)
        found.append(weigh(strategy(), K * scale))
    assert_allclose(found[0], found[1], rtol=1e-4)


@pytest.mark.parametrize("strategy", NAMED)
def test_preference_raises_the_share_of_a_task(strategy):
    K = gramian_of((3, 0, 0))
    shares = []
    for first in (1.0, 4.0):
        torch.manual_seed(0)
        w = weigh(strategy(preference=[first, 1.0, 1.0]), K)
        shares.append(w[0] / np.abs(w).sum())
    assert shares[1] > shares[0]


def test_instances_of_torchjd_are_taken():
    K = gramian_of((3, 0, 1))
    for instance, expected in (
        (jd.CAGradWeighting(c=0.2), jd.CAGradWeighting(c=0.2)),
        (jd.CAGrad(c=0.3), jd.CAGradWeighting(c=0.3)),
        (jd.MeanWeighting(), jd.MeanWeighting()),
        (jd.MGDA(epsilon=1e-6), jd.MGDAWeighting(epsilon=1e-6)),
    ):
        weighting = get_strategy(instance)
        assert isinstance(weighting, TorchJDWeighting)
        assert weighting.solver is not instance
        scaled = torch.from_numpy(K / K.diagonal().mean())
        assert_allclose(weigh(weighting, K), expected(scaled), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("solver", ["upgrad", torch.nn.Linear(2, 2), None])
def test_what_is_not_a_solver_is_refused(solver):
    with pytest.raises(ValueError, match="solver must be a weighting of TorchJD"):
        TorchJDWeighting(solver).start(TASKS)
    with pytest.raises(TypeError, match="must be a scalarizer of TorchJD"):
        TorchJDScalarizer(solver).start(TASKS)


# What TorchJD exports, by how the rankers take it: an instance that works, the reason
# why it is refused, or None for a base class.
COORDINATES = "looks at the coordinates"
NO_WEIGHTS = "weights for the tasks"
AGGREGATION = {
    "Aggregator": None,
    "WeightedAggregator": None,
    "GramianWeightedAggregator": None,
    "Weighting": None,
    "AlignedMTL": lambda a: a(),
    "AlignedMTLWeighting": lambda a: a(scale_mode="median"),
    "CAGrad": lambda a: a(c=0.5),
    "CAGradWeighting": lambda a: a(c=0.5),
    "CRMOGMWeighting": lambda a: a(jd.MGDAWeighting()),
    "ConFIG": NO_WEIGHTS,
    "Constant": lambda a: a(torch.tensor([1.0, 2.0, 3.0])),
    "ConstantWeighting": lambda a: a(torch.tensor([1.0, 2.0, 3.0])),
    "DualProj": lambda a: a(),
    "DualProjWeighting": lambda a: a(pref_vector=torch.tensor([1.0, 2.0, 1.0])),
    "ExcessMTL": COORDINATES,
    "ExcessMTLWeighting": COORDINATES,
    "FairGrad": lambda a: a(alpha=1.0),
    "FairGradWeighting": lambda a: a(alpha=2.0),
    "GradDrop": NO_WEIGHTS,
    "GradVac": lambda a: a(),
    "GradVacWeighting": lambda a: a(beta=0.1),
    "IMTLG": lambda a: a(),
    "IMTLGWeighting": lambda a: a(),
    "Krum": lambda a: a(n_byzantine=0),
    "KrumWeighting": lambda a: a(n_byzantine=0, n_selected=2),
    "MGDA": lambda a: a(),
    "MGDAWeighting": lambda a: a(epsilon=1e-4),
    "Mean": lambda a: a(),
    "MeanWeighting": lambda a: a(),
    "MoDoWeighting": COORDINATES,
    "NashMTL": lambda a: a(n_tasks=3),
    "PCD": lambda a: a(),
    "PCDWeighting": lambda a: a(tau=torch.tensor([0.1, 0.2])),
    "PCGrad": lambda a: a(),
    "PCGradWeighting": lambda a: a(),
    "Random": lambda a: a(),
    "RandomWeighting": lambda a: a(),
    "SDMGradWeighting": COORDINATES,
    "Sum": lambda a: a(),
    "SumWeighting": lambda a: a(),
    "TrimmedMean": NO_WEIGHTS,
    "UPGrad": lambda a: a(),
    "UPGradWeighting": lambda a: a(pref_vector=torch.tensor([1.0, 2.0, 1.0])),
}
SCALARIZATION = {
    "Scalarizer": None,
    "COSMOS": lambda s: s(0.1, torch.tensor([1.0, 1.0, 2.0])),
    "Constant": lambda s: s(torch.tensor([1.0, 1.0, 2.0])),
    "DWA": lambda s: s(),
    "FAMO": "Pass loss_weight='famo'",
    "GeometricMean": lambda s: s(),
    "IMTLL": lambda s: s(3),
    "Mean": lambda s: s(),
    "PBI": lambda s: s(0.5, torch.tensor([1.0, 1.0, 2.0])),
    "Random": lambda s: s(),
    "STCH": lambda s: s(0.1),
    "Sum": lambda s: s(),
    "UW": lambda s: s(3),
}
MAKE_REFUSED = {
    "TrimmedMean": lambda a: a(trim_number=1),
    "FAMO": lambda s: s(3),
}


def test_all_that_torchjd_exports_is_listed():
    """One that a new release adds is tried here before the documentation names it."""
    assert sorted(AGGREGATION) == sorted(jd.__all__)
    assert sorted(SCALARIZATION) == sorted(scalarization.__all__)


EXPORTS = [
    *((jd, name, how) for name, how in AGGREGATION.items()),
    *((scalarization, name, how) for name, how in SCALARIZATION.items()),
]
USABLE = [(m, name, how) for m, name, how in EXPORTS if callable(how)]


@pytest.mark.parametrize(
    ("module", "name", "reason"), [one for one in EXPORTS if isinstance(one[2], str)]
)
def test_refused_with_the_reason(module, name, reason):
    made = MAKE_REFUSED.get(name, lambda cls: cls())(getattr(module, name))
    with pytest.raises(ValueError, match=reason) as error:
        get_strategy(made).start(TASKS)
    assert name.removesuffix("Weighting") in str(error.value)


@pytest.mark.parametrize(("module", "name", "make"), USABLE)
def test_what_works_trains(module, name, make):
    """With gaps in the labels, which leave some batches without a task."""
    weighting = get_strategy(make(getattr(module, name))).start(TASKS)
    weighting.begin(lambda: torch.full((3,), 0.7))
    network = make_module("experts").float()  # as a ranker's, and the tensors above
    for seed in range(4):
        X, y = make_batch(seed=seed)
        X["numeric"], y = X["numeric"].float(), y.float()
        weight = torch.ones_like(y)
        weight[:, seed % 3] = seed > 1
        take_step(network, weighting, X, y, weight)
        weights = weighting.current()
        assert weights.shape == (3,)
        assert weights.isfinite().all()
        assert (weights != 0).any()
        assert all(dense(p.grad).isfinite().all() for p in network.parameters())
    weighting.after_epoch(torch.tensor([0.5, 0.5, 0.5]))


@pytest.mark.parametrize(
    ("module", "name", "make"), [one for one in USABLE if one[0] is jd]
)
def test_sees_what_torchjd_would_see(module, name, make):
    """The weights are those that TorchJD gives for the gradients themselves."""
    K = gramian_of((3, 0, 0))
    K = K / K.diagonal().mean()
    solver = make(getattr(module, name))
    torch.manual_seed(0)
    own = solver.weighting if isinstance(solver, jd.WeightedAggregator) else solver
    takes_matrix = isinstance(solver, jd.WeightedAggregator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cvxpy's, of how TorchJD states its programs
        expected = own(root(K) if takes_matrix else torch.from_numpy(K))
    torch.manual_seed(0)
    found = weigh(get_strategy(make(getattr(module, name))), K)
    assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-6)


def test_a_weighting_of_matrices_gets_one():
    """Also where it is not wrapped in an aggregator, or is wrapped in another one."""
    K = gramian_of((3, 0, 0))
    K = K / K.diagonal().mean()
    expected = jd.MGDAWeighting(epsilon=1e-6)(torch.from_numpy(K))
    inner = jd.MGDA(epsilon=1e-6).weighting
    for solver in (inner, jd.CRMOGMWeighting(inner)):
        assert_allclose(weigh(get_strategy(solver), K), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "solver",
    [
        jd.ConstantWeighting(torch.ones(2)),
        jd.UPGrad(pref_vector=torch.ones(4)),
        jd.KrumWeighting(n_byzantine=1),
        scalarization.UW(2),
        scalarization.COSMOS(0.1, torch.ones(2)),
    ],
    ids=str,
)
def test_what_was_made_for_other_tasks_is_refused_before_training(solver):
    with pytest.raises(ValueError, match="cannot be used for 3 tasks"):
        get_strategy(solver).start(TASKS)


def test_upgrad_and_dualproj_improve_every_task():
    """Neither moves against the gradient of any task, however they conflict."""
    for seed, k in itertools.product(range(3), range(4)):
        K = gramian_of((5, seed, k))
        for solver in (jd.UPGradWeighting(), jd.DualProjWeighting()):
            w = weigh(get_strategy(solver), K)
            # The solver regularises the Gramian by 1e-4.
            assert (K @ w >= -1e-3 * np.abs(K).max()).all()
    # Two tasks by hand: each gradient is projected off the other, and the mean taken.
    g = np.array([[1.0, 0.0], [-1.0, 1.0]])
    w = weigh(get_strategy(jd.UPGradWeighting()), g @ g.T)
    projected = [np.array([0.5, 0.5]), np.array([0.0, 1.0])]
    assert_allclose(w @ g, np.mean(projected, axis=0), atol=1e-3)


def test_upgrad_in_a_ranker():
    X, y = make_impressions(200)
    small = {"max_iter": 1, "random_state": 0, "embedding_dim": 4}
    for solver in (jd.UPGradWeighting(), jd.DualProj()):
        ranker = MMoE(loss_weight=solver, **small).fit(X, y)
        # The mean, and what its projections add to it.
        assert (ranker.history_["loss_weight"] >= 0.5 - 1e-6).all()
        assert np.isfinite(ranker.predict_task_proba(X)).all()


def test_a_solver_that_fails_in_a_step_warns_and_keeps_the_weights():
    class Fails(jd.Weighting):
        times = 0

        def forward(self, stat):
            self.times += 1
            if self.times > 1:
                raise ValueError("matrix G is not positive definite")
            return torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)

    weighting = TorchJDWeighting(Fails()).start(TASKS).double()
    network = make_module("experts")
    take_step(network, weighting, *make_batch())
    with pytest.warns(RuntimeWarning, match="Fails of TorchJD found no weights.*G is"):
        take_step(network, weighting, *make_batch(seed=2))
    assert weighting.current().tolist() == [3.0, 1.0, 2.0]


def test_errors_of_code_are_not_hidden():
    class Wrong(jd.Weighting):
        def forward(self, stat):
            return stat.no_such_attribute

    with pytest.raises(AttributeError, match="no_such_attribute"):
        TorchJDWeighting(Wrong()).start(TASKS)


def test_a_fit_leaves_the_users_solver_alone():
    solver = jd.CRMOGMWeighting(jd.MGDAWeighting())
    weighting = TorchJDWeighting(solver).start(TASKS).double()
    take_step(make_module("experts"), weighting, *make_batch())
    assert solver._lambda is None
    assert weighting.inner.weighting._lambda is not None


def step_of(losses):
    class Step:
        def through_towers(self, weights):
            self.weights = weights

        def descend(self):
            pass

    step = Step()
    step.losses = losses
    return step


def test_scalarizers_are_taken():
    weighting = get_strategy(scalarization.GeometricMean()).start(["a", "b"])
    assert isinstance(weighting, TorchJDScalarizer)
    weighting.begin(lambda: torch.tensor([0.5, 0.5]))
    step = step_of(torch.tensor([0.4, 0.1]))
    weighting.backward(step)
    # d sqrt(ab) / da = sqrt(b / a) / 2
    torch.testing.assert_close(step.weights, torch.tensor([0.25, 1.0]))
    # The last loss stands for one that was not observed.
    step = step_of(torch.tensor([0.9, 0.0]))
    weighting.backward(step)
    assert step.weights[1] == 0
    assert float(step.weights[0]) == pytest.approx((0.1 / 0.9) ** 0.5 / 2)


def test_scalarizers_learn_and_step():
    weighting = get_strategy(scalarization.UW(2)).start(["a", "b"])
    assert len(list(weighting.parameters())) == 1
    weighting.backward(step_of(torch.tensor([0.4, 0.1])))
    assert next(weighting.parameters()).grad.abs().sum() > 0
    average = get_strategy(scalarization.DWA(1.0)).start(["a", "b"])
    for losses in ([1.0, 1.0], [0.5, 1.0], [0.5, 1.0]):
        average.backward(step_of(torch.tensor(losses)))
        average.after_epoch(torch.tensor(losses))
    assert average.current()[0] < average.current()[1]


@pytest.mark.parametrize("strategy", NAMED)
def test_pickles_after_use(strategy):
    weighting = strategy()
    expected = weigh(weighting, gramian_of((3, 0, 0)))
    again = pickle.loads(pickle.dumps(weighting))
    assert isinstance(again, LossWeighting)
    assert again.get_params() == weighting.get_params()
    assert np.isfinite(expected).all()


def test_missing_extra_names_it(monkeypatch):
    import importlib

    real = importlib.import_module

    def fail(name, *args):
        if name.startswith("torchjd"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ImportError, match=r'pip install "skmtl\[jd\]"'):
        PCGrad().start(TASKS)


def test_missing_solver_names_the_extra_too(monkeypatch):
    from torchjd import _mixins

    monkeypatch.setattr(_mixins, "find_spec", lambda name: None)
    for strategy in (CAGrad, NashMTL):
        with pytest.raises(ImportError, match=r'pip install "skmtl\[jd\]"'):
            strategy().start(TASKS)
