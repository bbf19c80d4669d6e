"""Losses, links, levels and intercepts of every kind of task, against references."""

import inspect

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import expit, softmax
from sklearn._loss import loss as sklearn_losses
from sklearn.linear_model import LogisticRegression, TweedieRegressor

from skmtl import BinaryTask, MulticlassTask, OrdinalTask, RegressionTask
from skmtl.modules import OrderedThresholds, ParallelTowers, with_thresholds
from skmtl.tasks import TaskKinds
from skmtl.tasks.arguments import kinds_by_task

# A loss, its link on scaled labels, and scikit-learn's.
REFERENCES = {
    "squared": (RegressionTask(), sklearn_losses.HalfSquaredError()),
    "huber": (RegressionTask("huber", delta=0.7), None),
    "quantile": (
        RegressionTask("quantile", quantile=0.8),
        sklearn_losses.PinballLoss(quantile=0.8),
    ),
    "poisson": (RegressionTask("poisson"), sklearn_losses.HalfPoissonLoss()),
    "gamma": (RegressionTask("gamma"), sklearn_losses.HalfGammaLoss()),
    "tweedie": (
        RegressionTask("tweedie", power=1.3),
        sklearn_losses.HalfTweedieLoss(power=1.3),
    ),
}


def labels_for(name, n, rng):
    values = rng.gamma(1.5, 2.0, n)
    if name in ("poisson", "tweedie"):
        values[rng.random(n) < 0.3] = 0.0
    return values


@pytest.mark.parametrize("name", REFERENCES)
def test_losses_are_those_of_scikit_learn_on_the_scale_of_the_outputs(name):
    rng = np.random.default_rng(0)
    kind, reference = REFERENCES[name]
    labels = labels_for(name, 300, rng)
    kind = kind.fit(labels, np.ones(300))
    outputs = rng.normal(size=300)
    scaled = (labels - kind.center_) / kind.scale_
    if name == "huber":
        error = np.abs(scaled - outputs)
        expected = np.where(error <= 0.7, error**2 / 2, 0.7 * (error - 0.35))
    else:
        expected = reference.loss(scaled, outputs)
        expected += reference.constant_to_optimal_zero(scaled)
    columns = torch.tensor(outputs)[:, None], torch.tensor(labels)[:, None]
    found = kind.make_loss([1.0])(*columns)[:, 0].numpy()
    assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert found.min() > -1e-9


@pytest.mark.parametrize("name", REFERENCES)
def test_gradients_of_losses(name):
    rng = np.random.default_rng(1)
    labels = labels_for(name, 7, rng)
    loss = REFERENCES[name][0].fit(labels, np.ones(7)).make_loss([1.0])
    z = torch.tensor(rng.normal(size=(7, 1)), requires_grad=True)
    assert torch.autograd.gradcheck(loss, (z, torch.tensor(labels)[:, None]))


def cumulative(n, n_classes, rng):
    score = rng.normal(size=(n, 1)) * 3
    return score - np.sort(rng.normal(size=n_classes - 1))


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_ordinal_loss_and_levels(n_classes):
    rng = np.random.default_rng(2)
    kind = OrdinalTask().read(np.arange(n_classes), "stars")[0]
    outputs = cumulative(200, n_classes, rng)
    labels = rng.integers(n_classes, size=200)
    above = np.hstack([np.ones((200, 1)), expit(outputs), np.zeros((200, 1))])
    proba = above[:, :-1] - above[:, 1:]
    (found,) = kind.probabilities(kind.predict(outputs))
    assert_allclose(found, proba, atol=1e-12)
    loss = kind.make_loss([1.0])
    z = torch.tensor(outputs, requires_grad=True)
    y = torch.tensor(labels, dtype=torch.float64)[:, None]
    expected = -np.log(proba[np.arange(200), labels])
    assert_allclose(loss(z, y).detach()[:, 0], expected, rtol=1e-9)
    assert torch.autograd.gradcheck(loss, (z[:9].detach().requires_grad_(), y[:9]))


def test_ordinal_loss_of_far_scores_is_finite():
    kind = OrdinalTask().read([1, 2, 3], "stars")[0]
    z = torch.tensor([[80.0, 79.0], [-80.0, -81.0]], requires_grad=True)
    losses = kind.make_loss([1.0])(z.repeat(2, 1), torch.tensor([[0.0], [2], [1], [1]]))
    losses.sum().backward()
    assert losses.isfinite().all()
    assert z.grad.isfinite().all()
    assert_allclose(losses[:2, 0].detach(), [80.0, 81.0], rtol=1e-5)


def test_thresholds_keep_their_order_and_start_at_the_rates():
    rates = torch.tensor([0.9, 0.5, 0.49, 0.02])
    head = OrderedThresholds(n_classes=5)
    head.start_at(rates)
    assert_allclose(head(torch.zeros(1, 1)).sigmoid().detach()[0], rates, rtol=1e-4)
    with torch.no_grad():
        head.steps.normal_(std=20)
        head.first.normal_(std=20)
    assert (head(torch.zeros(1, 1)).diff() <= 0).all()


def test_multiclass_loss_and_levels():
    rng = np.random.default_rng(3)
    kind = MulticlassTask().read(["a", "b", "c"], "reason")[0]
    outputs = rng.normal(size=(50, 6))  # two tasks of the kind
    labels = rng.integers(3, size=(50, 2))
    expected = np.hstack([softmax(outputs[:, :3], 1), softmax(outputs[:, 3:], 1)])
    assert_allclose(kind.predict(outputs), expected, rtol=1e-12)
    own = expected.reshape(50, 2, 3)
    chosen = np.take_along_axis(own, labels[:, :, None], axis=2)[:, :, 0]
    z = torch.tensor(outputs, requires_grad=True)
    y = torch.tensor(labels, dtype=torch.float64)
    loss = kind.make_loss([1.0, 1.0])
    assert_allclose(loss(z, y).detach(), -np.log(chosen), rtol=1e-9)
    assert torch.autograd.gradcheck(loss, (z[:5].detach().requires_grad_(), y[:5]))


KINDS = {
    **{name: kind for name, (kind, _) in REFERENCES.items() if name != "quantile"},
    "log1p": RegressionTask(transform="log1p"),
    "raw": RegressionTask(transform=None),
    "raw poisson": RegressionTask("poisson", transform=None),
    "binary": BinaryTask(),
    "ordinal": OrdinalTask(),
    "multiclass": MulticlassTask(),
}


def some_labels(name, n, rng):
    if name == "binary":
        return (rng.random(n) < 0.2).astype(float)
    if name in ("ordinal", "multiclass"):
        return rng.choice([1.0, 2.0, 4.0], size=n, p=[0.6, 0.3, 0.1])
    return labels_for(name.removeprefix("raw "), n, rng)


def fitted(name, values, weight):
    kind, labels, _ = KINDS[name].read(values, "task")
    labels = labels.astype(np.float64)
    return kind.fit(labels, weight), labels


@pytest.mark.parametrize("name", KINDS)
def test_the_intercept_makes_mean_levels_equal_observed_means(name):
    rng = np.random.default_rng(4)
    n, weight = 4000, np.random.default_rng(5).gamma(2.0, size=4000)
    kind, labels = fitted(name, some_labels(name, n, rng), weight)
    means = np.average(kind.indicators(labels), axis=0, weights=weight)
    z = rng.normal(size=(kind.n_outputs, n)).astype(np.float32)
    if name == "ordinal":
        z = np.ascontiguousarray(cumulative(n, 3, rng).T, dtype=np.float32)
    shift = kind.intercept([(z, np.ones(kind.n_outputs), weight)], means)
    levels = kind.predict(z.T.astype(np.float64) + shift)
    assert_allclose(np.average(levels, axis=0, weights=weight), means, rtol=1e-7)
    if name == "ordinal":
        assert (np.diff(levels, axis=1) <= 0).all()


@pytest.mark.parametrize("name", KINDS)
def test_the_intercept_takes_a_regression_estimator(name):
    rng = np.random.default_rng(6)
    n = 3000
    kind, labels = fitted(name, some_labels(name, n, rng), np.ones(n))
    means = kind.indicators(labels).mean(axis=0)
    if name == "ordinal":
        then = cumulative(n, 3, rng).T
    else:
        then = rng.normal(size=(kind.n_outputs, n)) / 2
    now = then + 0.1
    few, share = slice(0, 500), np.full(kind.n_outputs, 0.7)
    parts = [
        (then, share, np.ones(n)),
        (now[:, few], np.ones(kind.n_outputs), np.ones(500)),
        (then[:, few], -share, np.ones(500)),
    ]
    shift = kind.intercept(parts, means)
    found = sum(s * kind.predict(z.T + shift).mean(axis=0) for z, s, _ in parts)
    assert_allclose(found, means, rtol=1e-6)


@pytest.mark.parametrize("name", [*KINDS, "quantile"])
def test_training_starts_near_the_means(name):
    rng = np.random.default_rng(7)
    all_kinds = KINDS | {"quantile": REFERENCES["quantile"][0]}
    kind, labels, _ = all_kinds[name].read(some_labels(name, 1000, rng), "task")
    kind = kind.fit(labels.astype(float), np.ones(1000))
    kinds = TaskKinds([kind])
    means = kind.indicators(labels).mean(axis=0)
    towers = ParallelTowers(n_tasks=1, width=3, units=[], n_outputs=[kind.n_scores])
    towers = with_thresholds(towers, [kind.n_thresholds], n_scores=kinds.n_scores)
    towers.start_at(torch.from_numpy(kinds.first_rates(means, 1000)).float())
    outputs = towers(torch.zeros(1, 2, 3)).detach().double().numpy()
    found = kind.predict(outputs)[0]
    expected = means
    if name == "log1p":
        expected = np.expm1(np.log1p(labels).mean())
    assert_allclose(found, expected, rtol=0.02, atol=2e-3)


def test_expected_grades_and_their_names():
    kind = OrdinalTask().read([1.0, 2.5, 5.0], "stars")[0]
    levels = np.array([[0.5, 0.2], [1.0, 1.0]])
    assert_allclose(kind.expected(levels)[:, 0], [0.5 + 0.3 * 2.5 + 0.2 * 5, 5.0])
    assert kind.decide(levels)[:, 0].tolist() == [1.0, 5.0]
    words = OrdinalTask(classes=["low", "mid", "high"]).read(["mid"], "size")[0]
    assert_allclose(words.expected(levels)[:, 0], [0.7, 2.0])
    kinds = TaskKinds([BinaryTask(), MulticlassTask().read([3, 7], "r")[0]])
    assert kinds.column_names(np.array(["click", "r"])) == ["click", "r_3", "r_7"]
    table = kinds.expected(np.array([[0.5, 0.1, 0.9]]))
    assert table.tolist() == [[0.5, 0.1, 0.9]]


def test_ordered_categoricals_give_their_order():
    column = pd.Series(
        pd.Categorical(["bad", None, "good"], ["bad", "fair", "good"], ordered=True)
    )
    kind, labels, observed = OrdinalTask().read(column, "quality")
    assert kind.labels.tolist() == ["bad", "fair", "good"]
    assert labels.tolist() == [0, 0, 2]
    assert observed.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (RegressionTask("poisson"), [1, -2.0], "label -2, but loss='poisson' needs"),
        (
            RegressionTask("gamma"),
            [1, 0.0],
            "needs labels above 0",
        ),
        (RegressionTask(transform="log1p"), [1, -1.0], "transform='log1p' needs"),
        (RegressionTask(), ["a", "b"], "'t' is a regression, whose labels are numbers"),
        (RegressionTask(), [1, np.inf], "infinity or a value.*: task 't'"),
        (RegressionTask(), [2.0**40, 2.0**40 + 1], "float32 cannot represent"),
        (
            RegressionTask(),
            [1.0, 1e39],
            r"'t' holds the label 1e\+39.*too large for fl",
        ),
        (RegressionTask(), [-1e39, 1.0], r"holds the label -1e\+39.*Divide the labels"),
        (RegressionTask(), [1, 10**400], "'t' is a regression.*too large"),
        (BinaryTask(), [1, 10**400], "'t' is binary.*too large"),
        (OrdinalTask(), np.array(["b", "c"]), "such as 'b', whose order"),
        (OrdinalTask(), ["a", "b"], "whose order is not known"),
        (
            OrdinalTask(classes=[1, 2]),
            [1, 3],
            "label 3, which is not one",
        ),
        (OrdinalTask(), [np.nan, np.nan], "no observed label"),
        (OrdinalTask(), np.arange(2000.0), "2,000 different labels"),
        (MulticlassTask(), [1.5, 2.25], "Unknown label type: continuous"),
        (MulticlassTask(), [1, "a"], "labels of several types"),
        (BinaryTask(), [0, 5.0], r"holds the labels \[5.0\] .*task_kinds=\{'t'"),
        (BinaryTask(), ["x"], "'t' is binary"),
    ],
)
def test_refusals_of_labels_name_the_task(kind, values, message):
    column = np.array(values, dtype=object) if "a" in values else np.asarray(values)
    with pytest.raises(ValueError, match=message):
        kind.read(column, "t")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RegressionTask("mse"), "loss must be one of"),
        (lambda: RegressionTask(transform="log"), "transform must be one of"),
        (lambda: RegressionTask("gamma", transform="log1p"), "logarithm twice"),
        (lambda: RegressionTask("quantile", quantile=1), "quantile must be a number"),
        (lambda: RegressionTask("tweedie", power=2), "power must be a number"),
        (lambda: RegressionTask("huber", delta="1"), "delta must be a number"),
        (lambda: RegressionTask("tweedie", power=True), "power must be a number"),
        (lambda: RegressionTask(quantile=0.9), "no effect: it is for loss='quantile'"),
        (lambda: RegressionTask("gamma", power=1.2), "power=1.2 has no effect"),
        (lambda: RegressionTask(delta=2.0), "no effect: it is for loss='huber'"),
        (lambda: OrdinalTask(classes=[1]), "at least two different"),
        (lambda: MulticlassTask(classes=["a", "a"]), "at least two different"),
        (lambda: kinds_by_task("count", ["a"]), "'count' is not a kind of task"),
        (lambda: kinds_by_task({"b": "ordinal"}, ["a"]), "not tasks. The tasks are"),
    ],
)
def test_refusals_of_kinds(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("values", [[0.1], [0.1, 0.1, np.nan, 0.1], [1e9 / 3] * 3])
def test_equal_labels_that_float32_rounds_are_taken(values):
    _, labels, observed = RegressionTask().read(values, "t")
    assert_allclose(labels[observed], values[0])


def test_few_rows_may_be_more_alike_than_those_that_were_fitted():
    near = [100.1, 100.10001]
    kind = RegressionTask().fit(np.array([1.0, 200.0]), np.ones(2))
    assert_allclose(kind.read(near, "t")[1], near)
    with pytest.raises(ValueError, match="float32 cannot represent"):
        RegressionTask().read(near, "t")


def test_the_nearest_class_where_declared_ones_do_not_rise():
    for classes in ([4, 3, 2, 1], [2, 5, 1], [1, 2, 3]):
        kind = OrdinalTask(classes=classes).read(classes, "t")[0]
        expected = np.linspace(0, 6, 50)
        distance = np.abs(expected[:, None] - np.array(classes))
        assert_allclose(kind.nearest(expected), distance.argmin(axis=1))


@pytest.mark.parametrize(
    "values", [[3, 1.5, 1], [True, False], np.array([3, 1], dtype=np.int8)]
)
def test_ordinal_numbers_among_objects_are_numbers(values):
    found = OrdinalTask().read(np.array([*values, None], dtype=object), "t")
    kind, labels, observed = found
    assert kind.labels.dtype.kind in "biuf"
    assert_allclose(kind.labels, np.unique(values))
    assert_allclose(kind.grades[labels[:-1].astype(int)], np.asarray(values, float))
    assert observed.tolist() == [True] * len(values) + [False]


def test_announced_classes():
    kind = OrdinalTask().with_classes([3, np.nan, 1], "t")
    assert kind.labels.tolist() == [1, 3]
    words = MulticlassTask().with_classes(["b", None, "a"], "t")
    assert words.labels.tolist() == ["a", "b"]
    names = ["low", "medium", "high"]
    with pytest.raises(ValueError, match=r"'t' is ordinal.*'high', whose order is not"):
        OrdinalTask().with_classes(names, "t")
    ordered = pd.Categorical(names, names, ordered=True)
    assert OrdinalTask().with_classes(ordered, "t").labels.tolist() == names
    declared = OrdinalTask(classes=names).with_classes(names, "t")
    assert declared.read(["high"], "t")[1].tolist() == [2.0]


def test_names_and_objects_of_kinds():
    kinds = kinds_by_task(
        {"b": "ordinal", "c": RegressionTask("huber")}, ["a", "b", "c"]
    )
    assert kinds == [BinaryTask(), OrdinalTask(), RegressionTask("huber")]
    assert kinds[2] != RegressionTask("huber", delta=2.0)
    assert repr(RegressionTask("tweedie", power=1.2)) == (
        "RegressionTask(loss='tweedie', power=1.2)"
    )
    # As strings and floats are that come from a file: equal, and not the same.
    read = RegressionTask("".join(["squ", "ared"]), delta=float("1.35"))
    assert repr(read) == "RegressionTask()"
    with pytest.raises(TypeError, match="found 3"):
        kinds_by_task({"a": 3}, ["a"])


# Linear models trained by these losses find what scikit-learn's do.
def descend(kind, X, labels, n_steps=300):
    towers = ParallelTowers(
        n_tasks=1, width=X.shape[1], units=[], n_outputs=[kind.n_scores]
    )
    towers = with_thresholds(towers, [kind.n_thresholds], n_scores=[kind.n_scores])
    towers.double()
    loss = kind.make_loss([1.0])
    x, y = torch.tensor(X)[None], torch.tensor(labels)[:, None]
    optimizer = torch.optim.LBFGS(
        towers.parameters(), max_iter=n_steps, line_search_fn="strong_wolfe",
        tolerance_grad=1e-10, tolerance_change=1e-14,
    )  # fmt: skip

    def closure():
        optimizer.zero_grad()
        value = loss(towers(x), y).mean()
        value.backward()
        return value

    optimizer.step(closure)
    with torch.no_grad():
        return kind.predict(towers(x).numpy())


@pytest.mark.parametrize(
    ("name", "power"), [("poisson", 1), ("gamma", 2), ("tweedie", 1.3)]
)
def test_a_linear_model_is_the_tweedie_regressor(name, power):
    rng = np.random.default_rng(8)
    X = rng.normal(size=(400, 3))
    labels = rng.gamma(2.0, np.exp(X @ [0.3, -0.2, 0.1]))
    if name == "poisson":
        labels = rng.poisson(labels).astype(float)
    kind = REFERENCES[name][0].fit(labels, np.ones(400))
    reference = TweedieRegressor(
        power=power, alpha=0, link="log", tol=1e-10, max_iter=5000
    )
    expected = reference.fit(X, labels).predict(X)
    assert_allclose(descend(kind, X, labels)[:, 0], expected, rtol=1e-3)


def test_a_linear_multiclass_model_is_the_logistic_regression():
    rng = np.random.default_rng(9)
    X = rng.normal(size=(300, 2))
    labels = (X @ rng.normal(size=(2, 3)) + rng.gumbel(size=(300, 3))).argmax(axis=1)
    kind = MulticlassTask().read(labels, "t")[0]
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(X, labels)
    found = descend(kind, X, labels.astype(float))
    assert_allclose(found, reference.predict_proba(X), atol=1e-4)


def test_a_linear_ordinal_model_is_that_of_statsmodels():
    ordinal = pytest.importorskip("statsmodels.miscmodels.ordinal_model")
    rng = np.random.default_rng(10)
    X = rng.normal(size=(400, 2))
    noise = rng.logistic(size=400)
    labels = np.digitize(X @ [1.0, -0.5] + noise, [-1.0, 0.5, 2.0])
    kind = OrdinalTask().read(labels, "t")[0]
    model = ordinal.OrderedModel(labels, X, distr="logit")
    expected = model.fit(method="bfgs", disp=False, gtol=1e-8).predict()
    (found,) = kind.probabilities(descend(kind, X, labels.astype(float)))
    assert_allclose(found, expected, atol=1e-4)


def test_signatures_are_not_read_at_each_comparison(monkeypatch):
    assert BinaryTask() == BinaryTask()
    monkeypatch.setattr(inspect, "signature", None)
    assert BinaryTask() == BinaryTask()
    assert BinaryTask("pairwise") != BinaryTask()
    assert len(TaskKinds([BinaryTask()] * 3).groups) == 1
