"""fit and predict on tables as people have them."""

import inspect
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from skmtl import ChainedMMoE, MMoE, rankers
from skmtl.weighting import GradNorm

SMALL = {
    "max_iter": 3,
    "random_state": 0,
    "categorical_features": ["user", "item"],
    "tower_units": (8,),
    "batch_size": 64,
}
OWN = {"bottom_units": (16,), "expert_units": (16,), "n_experts": 3}
KINDS = [getattr(rankers, name) for name in rankers.__all__]


def small(kind):
    """A maker of a ranker that trains in a moment."""
    known = inspect.signature(kind).parameters
    own = {name: value for name, value in OWN.items() if name in known}
    if "n_experts" in known:
        own["bottom_units"] = ()
    return lambda **k: kind(**{**SMALL, **own, **k})


MAKERS = {kind.__name__: small(kind) for kind in KINDS if not inspect.isabstract(kind)}
small_mmoe = MAKERS["MMoE"]


@pytest.fixture(params=MAKERS)
def maker(request):
    return MAKERS[request.param]


def test_learns_and_speaks_the_multioutput_convention(maker, impressions):
    X, y = impressions
    ranker = maker(max_iter=8)
    if hasattr(ranker, "gate_dropout"):
        ranker.set_params(gate_dropout=0.2)
    ranker.fit(X, y)
    assert ranker.score(X, y) > 0.8
    proba = ranker.predict_proba(X)
    assert [p.shape for p in proba] == [(len(X), 2)] * 2
    table = ranker.predict_task_proba(X)
    assert_array_equal(table[:, 1], proba[1][:, 1])
    assert_array_equal(ranker.predict(X), (table > 0.5).astype(int))
    assert list(ranker.task_names_) == ["click", "cart"]
    assert [list(c) for c in ranker.classes_] == [[0, 1], [0, 1]]
    expected = np.mean([roc_auc_score(y.iloc[:, t], table[:, t]) for t in range(2)])
    assert ranker.score(X, y) == pytest.approx(expected)


def test_set_output_gives_a_frame(impressions):
    X, y = impressions
    X = X.set_axis(X.index + 7)
    frame = small_mmoe().set_output(transform="pandas").fit(X, y).predict_task_proba(X)
    assert list(frame.columns) == ["click", "cart"]
    assert frame.index.equals(X.index)
    with pytest.raises(ValueError, match="transform must be"):
        small_mmoe().set_output(transform="polars")


def test_pandas_polars_and_reordered_frames_agree(maker, impressions):
    X, y = impressions
    X_polars = pl.DataFrame(
        {name: [None if pd.isna(v) else v for v in X[name]] for name in X}
    )
    expected = maker().fit(X, y).predict_task_proba(X)
    ranker = maker().fit(X_polars, pl.DataFrame(y.to_dict("list")))
    assert_array_equal(ranker.predict_task_proba(X_polars), expected)
    assert_array_equal(ranker.predict_task_proba(X[X.columns[::-1]]), expected)
    assert_array_equal(ranker.predict_task_proba(X.assign(extra=1)), expected)


def test_one_row_one_column_and_five_tasks():
    from tests.rankers.conftest import make_impressions

    X, y = make_impressions(600, n_tasks=5)
    ranker = small_mmoe().fit(X, y)
    one = ranker.predict_task_proba(X.iloc[[3]])
    assert one.shape == (1, 5)
    assert one == pytest.approx(ranker.predict_task_proba(X)[[3]], abs=1e-6)
    only = MMoE(max_iter=1, random_state=0).fit(X[["item"]], y)
    assert only.predict_task_proba(X[["item"]]).shape == (600, 5)


def test_in_a_pipeline_and_a_grid_search(impressions):
    X, y = impressions
    scale = make_column_transformer(
        (StandardScaler(), ["price", "position"]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    pipeline = make_pipeline(scale, small_mmoe(max_iter=2))
    grid = {"mmoe__n_experts": [2, 4], "mmoe__gate_dropout": [0.0, 0.3]}
    search = GridSearchCV(pipeline, grid, scoring="roc_auc", cv=KFold(2)).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.6


def test_cross_val_predict_is_the_same_in_two_processes(impressions):
    X, y = impressions
    alone, apart = (
        cross_val_predict(
            small_mmoe(), X, y, cv=KFold(2), method="predict_proba", n_jobs=n_jobs
        )
        for n_jobs in (1, 2)
    )
    for one, two in zip(alone, apart, strict=True):
        assert_array_equal(one, two)


def test_same_seed_same_bits_here_and_in_another_process(maker, impressions):
    X, y = impressions
    expected = maker(dropout=0.1).fit(X, y).predict_task_proba(X)
    assert_array_equal(maker(dropout=0.1).fit(X, y).predict_task_proba(X), expected)
    other = maker(dropout=0.1, random_state=1).fit(X, y).predict_task_proba(X)
    assert not np.array_equal(other, expected)


def test_same_bits_in_a_fresh_interpreter(impressions, tmp_path):
    X, y = impressions
    ranker = small_mmoe()
    joblib.dump((ranker, X, y), tmp_path / "in.joblib")
    code = (
        "import sys, joblib; r, X, y = joblib.load(sys.argv[1]);"
        "joblib.dump(r.fit(X, y).predict_task_proba(X), sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "in.joblib", tmp_path / "out.joblib"],
        check=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    expected = ranker.fit(X, y).predict_task_proba(X)
    assert_array_equal(joblib.load(tmp_path / "out.joblib"), expected)


def test_same_bits_in_threads(impressions):
    X, y = impressions

    def proba(_):
        return small_mmoe(max_iter=1, dropout=0.1).fit(X, y).predict_task_proba(X)

    state = torch.get_rng_state()
    expected = proba(0)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(proba, range(8)):
            assert_array_equal(found, expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_global_state_is_left_alone(impressions):
    X, y = impressions
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    small_mmoe(dropout=0.2).fit(X, y).predict_proba(X)
    assert torch.equal(before[0], torch.get_rng_state())
    assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert (threads, dtype) == (torch.get_num_threads(), torch.get_default_dtype())


def test_clone_pickle_joblib_and_frozen(maker, impressions, tmp_path):
    X, y = impressions
    ranker = maker().fit(X, y)
    expected = ranker.predict_task_proba(X)
    assert not hasattr(clone(ranker), "net_")
    again = pickle.loads(pickle.dumps(ranker))
    assert_array_equal(again.predict_task_proba(X), expected)
    joblib.dump(ranker, tmp_path / "ranker.joblib")
    again = joblib.load(tmp_path / "ranker.joblib")
    assert_array_equal(again.predict_task_proba(X), expected)
    frozen = FrozenEstimator(ranker).fit(X, y)
    assert_array_equal(frozen.predict_proba(X)[0][:, 1], expected[:, 0])


def test_unobserved_labels_count_in_no_loss(maker, impressions):
    X, y = impressions
    # Where there is no click, rankers that multiply know that there is no cart.
    seen = (np.arange(len(y)) % 3 > 0) | (y["click"] == 0).to_numpy()
    masked = y.astype(float)
    masked.loc[~seen, "cart"] = np.nan
    scrambled = masked.copy()
    weight = np.ones(y.shape)
    weight[~seen, 1] = 0
    scrambled["cart"] = np.where(seen, masked["cart"], 1 - y["cart"])
    by_nan = maker().fit(X, masked).predict_task_proba(X)
    by_weight = maker().fit(X, scrambled, sample_weight=weight).predict_task_proba(X)
    assert_array_equal(by_nan, by_weight)
    assert np.isfinite(by_nan).all()


def test_whole_epoch_without_a_label_for_a_task(maker, impressions):
    X, y = impressions
    y = y.astype(float).assign(order=np.nan)
    with pytest.warns(UserWarning, match="Task 'order' has no observed label"):
        ranker = maker().fit(X, y)
    proba = ranker.predict_task_proba(X)
    assert (proba[:, 2] == 0.5).all()
    assert np.isfinite(proba).all()
    assert ranker.score(X, y) > 0.6


def test_y_without_any_label_is_refused(impressions):
    X, y = impressions
    with pytest.raises(ValueError, match=r"y holds only NaN for the tasks \['click'"):
        small_mmoe().fit(X, y * np.nan)


@pytest.mark.parametrize("value", [0, 1])
def test_one_class_gives_the_prior_with_a_warning(impressions, value):
    X, y = impressions
    with pytest.warns(UserWarning, match="Task 'order' has one class only"):
        ranker = small_mmoe().fit(X, y.assign(order=value))
    assert (ranker.predict_task_proba(X)[:, 2] == value).all()
    assert list(ranker.classes_[2]) == [0, 1]


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"PooledTask"}))
def test_label_weights_leave_probabilities_true(impressions, name):
    X, y = impressions
    rates = y.mean().to_numpy()
    intercepts = {}
    for weight in (1, 10, 100):
        ranker = MAKERS[name](label_weight=weight).fit(X, y)
        mean = ranker.predict_task_proba(X).mean(axis=0)
        assert mean == pytest.approx(rates, rel=0.01)
        intercepts[weight] = ranker.intercept_
    if name in ("MMoE", "ChainedMMoE"):
        # The shift of the loss, log(weight), does the work. The intercept that is
        # fitted last undoes what memorised rows add, about the same at any weight.
        assert abs(intercepts[1]).max() < 0.6
        for weight in (10, 100):
            moved = abs(intercepts[weight] - intercepts[1]).max()
            assert moved < 0.1 * np.log(weight)


def test_loss_weight_zero_leaves_a_task_untrained(impressions):
    X, y = impressions
    weights = {"click": 1.0, "cart": 0.0}
    ranker = small_mmoe(loss_weight=weights).fit(X, y)
    flipped = y.assign(cart=1 - y["cart"])
    other = small_mmoe(loss_weight=weights).fit(X, flipped)
    assert list(ranker.loss_weight_) == [1, 0]
    assert_array_equal(
        ranker.predict_task_proba(X)[:, 0], other.predict_task_proba(X)[:, 0]
    )


def test_chained_probabilities_never_rise(impressions):
    X, y = impressions
    y = y.assign(order=y["cart"] * (X["position"] > 4).astype(int))
    ranker = ChainedMMoE(
        **SMALL,
        chain_probability=True,
        label_weight={"click": 50, "cart": 1, "order": 1},
    ).fit(X, y)
    click, cart, order = ranker.predict_task_proba(X).T
    assert (order <= cart).all()
    assert (cart <= click).all()


def test_warm_start_goes_on(impressions):
    X, y = impressions
    ranker = small_mmoe(warm_start=True).fit(X, y)
    before = ranker.net_.history[-1, "train_loss"]
    ranker.fit(X, y)
    assert ranker.n_iter_ == 6
    assert ranker.net_.history[-1, "train_loss"] < before
    tables = ranker.net_.module_.embedding.ids.tables
    trained = [o.param_groups[0]["params"][0] for o in ranker.net_.all_optimizers[1:]]
    assert [id(t) for t in trained] == [id(t) for t in tables]
    with pytest.raises(ValueError, match="warm_start continues with the tasks"):
        ranker.fit(X, y.rename(columns={"cart": "order"}))
    assert ranker.n_iter_ == 6


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_going_on_with_another_step(impressions, method):
    X, y = impressions
    ranker = small_mmoe(warm_start=True, loss_weight=GradNorm()).fit(X, y)

    def change(**params):
        """How far the towers go, and the groups of parameters."""
        again = pickle.loads(pickle.dumps(ranker)).set_params(max_iter=1, **params)
        getattr(again, method)(X, y)
        groups = [g for o in again.net_.all_optimizers for g in o.param_groups]
        after = again.net_.module_.towers.state_dict()
        before = ranker.net_.module_.towers.state_dict()
        moved = [(after[name] - before[name]).abs().max() for name in after]
        return float(max(moved)), groups

    usual, groups = change()
    assert {g["initial_lr"] for g in groups} == {5e-3, 0.025}  # GradNorm has its own
    slow, groups = change(learning_rate=5e-6, weight_decay=0.5)
    assert {g["initial_lr"] for g in groups} == {5e-6, 0.025}
    assert {g["weight_decay"] for g in groups} == {0.5, 0.0}
    assert slow < 0.01 * usual
    _, groups = change(learning_rate_schedule="constant")
    assert {g["lr"] for g in groups} == {5e-3, 0.025}


@pytest.mark.parametrize("scoring", [None, "roc_auc"])
def test_early_stopping_restores_the_best_weights(impressions, scoring):
    X, y = impressions
    ranker = small_mmoe(
        max_iter=60, learning_rate=0.02, early_stopping=True, scoring=scoring
    )
    ranker.fit(X[:1000], y[:1000], X_val=X[1000:], y_val=y[1000:])
    assert ranker.n_iter_ < 60
    key = "valid_loss" if scoring is None else "valid_score"
    values = np.array(ranker.net_.history[:, key])
    best = values.min() if scoring is None else values.max()
    if scoring is None:
        # What training watches comes before the intercept is refitted.
        proba = expit(logit(ranker.predict_task_proba(X[1000:])) - ranker.intercept_)
        truth = y[1000:].to_numpy()
        loss = -(truth * np.log(proba) + (1 - truth) * np.log(1 - proba)).mean(0).sum()
        assert loss == pytest.approx(best, rel=1e-4)
    else:
        assert ranker.score(X[1000:], y[1000:]) == pytest.approx(best, abs=1e-9)


def test_early_stopping_sets_rows_aside(impressions):
    X, y = impressions
    ranker = small_mmoe(max_iter=50, learning_rate=0.02, early_stopping=True).fit(X, y)
    assert ranker.n_iter_ < 50
    assert "valid_task_loss" in ranker.net_.history[-1]


def test_diverging_loss_keeps_the_last_good_weights(impressions):
    X, y = impressions

    def explode(progress):
        return 1.0 if progress < 0.5 else 1e30

    ranker = small_mmoe(max_iter=4, learning_rate_schedule=explode, optimizer="sgd")
    with pytest.warns(ConvergenceWarning, match="Try a smaller learning_rate"):
        ranker.fit(X, y)
    assert 1 <= ranker.n_iter_ < 4
    assert np.isfinite(ranker.predict_task_proba(X)).all()
    assert ranker.score(X, y) > 0.5


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("loss_weight", [None, "uncertainty", "gradnorm"])
def test_training_goes_on_after_a_loss_that_diverged(
    impressions, loss_weight, optimizer
):
    X, y = impressions

    def explode(progress):
        return 1.0 if progress < 0.4 else 1e12

    how = {"loss_weight": loss_weight, "optimizer": optimizer, "warm_start": True}
    ranker = small_mmoe(max_iter=4, learning_rate_schedule=explode, **how)
    with pytest.warns(ConvergenceWarning, match="Try a smaller learning_rate"):
        ranker.fit(X, y)
    kept = ranker.loss_weight_
    assert ranker.n_iter_ == 1
    assert (kept > 1e-3).all()
    assert (kept < 1e3).all()
    assert not any(one.state for one in ranker.net_.all_optimizers)
    score = ranker.score(X, y)
    ranker.set_params(learning_rate_schedule="constant", max_iter=2).fit(X, y)
    assert ranker.n_iter_ == 3
    assert ranker.score(X, y) > score


def test_diverging_at_once_leaves_the_fitted_ranker(impressions):
    X, y = impressions
    ranker = small_mmoe().fit(X, y)
    expected = ranker.predict_task_proba(X)
    ranker.set_params(learning_rate=1e30, optimizer="sgd")
    with pytest.raises(ValueError, match=r"task '(click|cart)' is no longer a finite"):
        ranker.fit(X, y)
    assert_array_equal(ranker.predict_task_proba(X), expected)


class Interrupt(Callback):
    """Press Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, **_):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_interrupted_fit_keeps_whole_epochs(impressions, early_stopping):
    X, y = impressions
    how = {"learning_rate_schedule": "constant", "early_stopping": early_stopping}
    expected = small_mmoe(max_iter=2, **how).fit(X, y)
    ranker = small_mmoe(max_iter=9, callbacks=[Interrupt(3)], warm_start=True, **how)
    with pytest.warns(ConvergenceWarning, match="interrupted after 2 whole epochs"):
        ranker.fit(X, y)
    assert ranker.n_iter_ == 2
    pd.testing.assert_frame_equal(ranker.history_, expected.history_)
    assert_array_equal(ranker.predict_task_proba(X), expected.predict_task_proba(X))
    assert ranker.set_params(callbacks=None, max_iter=1).fit(X, y).n_iter_ == 3


def test_an_interrupted_fit_keeps_the_loss_weights_of_whole_epochs(impressions):
    how = {"learning_rate_schedule": "constant", "loss_weight": "uncertainty"}
    expected = small_mmoe(max_iter=2, **how).fit(*impressions)
    ranker = small_mmoe(max_iter=9, callbacks=[Interrupt(3)], **how)
    with pytest.warns(ConvergenceWarning, match="interrupted after 2 whole epochs"):
        ranker.fit(*impressions)
    assert_array_equal(ranker.loss_weight_, expected.loss_weight_)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_interrupted_at_once_leaves_the_fitted_ranker(impressions, method):
    X, y = impressions
    ranker = small_mmoe(warm_start=True)
    getattr(ranker, method)(X, y)
    expected, n_iter = ranker.predict_task_proba(X), ranker.n_iter_
    ranker.set_params(callbacks=[Interrupt(n_iter + 1)])
    with pytest.raises(KeyboardInterrupt):
        getattr(ranker, method)(X, y)
    assert ranker.n_iter_ == n_iter
    assert_array_equal(ranker.predict_task_proba(X), expected)
    with pytest.raises(KeyboardInterrupt):
        getattr(clone(ranker.set_params(callbacks=[Interrupt(1)])), method)(X, y)


def test_scikit_learn_callbacks_see_every_epoch(impressions):
    class Recorder:
        def __init__(self):
            self.names = []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            self.names.append("teardown")

        def on_fit_task_begin(self, estimator, context):
            self.names.append(f"begin {context.task_name}")

        def on_fit_task_end(self, estimator, context):
            return self.names.count("begin epoch") == 2

    recorder = Recorder()
    X, y = impressions
    ranker = small_mmoe(max_iter=50).set_callbacks(recorder).fit(X, y)
    assert recorder.names[:2] == ["begin fit", "begin epoch"]
    assert recorder.names[-1] == "teardown"
    assert ranker.n_iter_ == 2


def test_skorch_callbacks_run(impressions):
    class Count(Callback):
        seen: list[int] = []  # noqa: RUF012

        def on_epoch_end(self, net, **_):
            self.seen.append(len(net.history))

    X, y = impressions
    small_mmoe(callbacks=[Count()]).fit(X, y)
    assert Count.seen == [1, 2, 3]


@pytest.mark.parametrize("entry", [3, ("name", 3), dict, (Callback(), "name")])
def test_callbacks_that_are_none_are_refused(impressions, entry):
    with pytest.raises(TypeError, match=r"callbacks\[1\] must be a callback of skorch"):
        small_mmoe(callbacks=[("mine", Callback), entry]).fit(*impressions)


def test_trains_where_gradients_are_off(impressions):
    X, y = impressions
    expected = small_mmoe().fit(X, y).predict_task_proba(X)
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            ranker = small_mmoe().fit(X, y)
        assert_array_equal(ranker.predict_task_proba(X), expected)
        ranker.partial_fit(X, y)


def test_verbose_prints_a_line_per_epoch(impressions, capsys):
    X, y = impressions
    small_mmoe(verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "click" in lines[0]
    assert "cart" in lines[0]
    small_mmoe().fit(X, y)
    assert not capsys.readouterr().out


BAD = [
    (lambda X, y: (X[:0], y[:0]), "empty|0 sample"),
    (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
    (lambda X, y: (X, y.replace({"cart": {1: 2}})), "'cart' holds the labels"),
    (lambda X, y: (X.assign(price=np.inf), y), "column 'price'"),
    (lambda X, y: (X.assign(item=[{1}] * len(X)), y), "'item' holds a set"),
    (lambda X, y: (X, y.assign(cart=np.inf)), "infinity: task 'cart'"),
    (lambda X, y: (X, y.set_axis(["a", "a"], axis=1)), "same name"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD)
def test_bad_tables_are_refused_before_fitting(impressions, spoil, message):
    X, y = impressions
    ranker = small_mmoe().fit(X, y)
    expected = ranker.predict_task_proba(X)
    with pytest.raises((ValueError, TypeError), match=message):
        ranker.fit(*spoil(X, y))
    assert_array_equal(ranker.predict_task_proba(X), expected)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"label_weight": {"klick": 2}}, r"label_weight names \['klick'\]"),
        ({"label_weight": {"click": 2}}, r"no value for the tasks \['cart'\]"),
        ({"label_weight": [1, 0]}, "label_weight of task 'cart' is 0"),
        ({"loss_weight": 0}, "loss_weight is 0 for every task"),
        ({"loss_weight": [1, 2, 3]}, "there are 2 tasks"),
        ({"expert_units": ()}, "expert_units needs at least 1"),
        ({"tower_units": (0,)}, "tower_units must hold widths"),
        ({"categorical_features": ["nothing"]}, "not a column of X"),
        ({"gate_dropout": 1.0}, "gate_dropout"),
    ],
)
def test_bad_hyperparameters_are_refused(impressions, params, message):
    with pytest.raises(ValueError, match=message):
        small_mmoe(**params).fit(*impressions)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (lambda n: -np.ones(n), "negative weight in row 0"),
        (lambda n: np.zeros(n), "zero for all rows"),
        (lambda n: np.full(n, np.nan), "NaN or infinity"),
        (lambda n: np.ones((n, 3)), "sample_weight has shape"),
    ],
)
def test_bad_weights_are_refused(impressions, weight, message):
    X, y = impressions
    with pytest.raises(ValueError, match=message):
        small_mmoe().fit(X, y, sample_weight=weight(len(X)))


def test_predict_names_the_column_that_is_missing(impressions):
    X, y = impressions
    ranker = small_mmoe().fit(X, y)
    with pytest.raises(ValueError, match=r"lacks columns .*\['price'\]"):
        ranker.predict_proba(X.drop(columns="price"))


def test_unseen_ids_get_a_sensible_score(impressions):
    X, y = impressions
    ranker = small_mmoe(max_iter=8).fit(X, y)
    proba = ranker.predict_task_proba(X.assign(item="never seen"))
    assert abs(proba.mean(axis=0) - y.mean().to_numpy()).max() < 0.2


def test_integer_id_columns_are_pointed_out(impressions):
    X, y = impressions
    X = X.rename(columns={"user": "user_id"})
    with pytest.warns(UserWarning, match=r"\['user_id'\] are named like ids"):
        MMoE(max_iter=1, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MMoE(max_iter=1, categorical_features=["user_id", "item"]).fit(X, y)


def test_y_val_alone_is_refused(impressions):
    X, y = impressions
    with pytest.raises(ValueError, match="y_val is given without X_val"):
        small_mmoe().fit(X, y, y_val=y)


def test_weights_for_validation_alone_are_refused(impressions):
    X, y = impressions
    with pytest.raises(ValueError, match="sample_weight_val is given without X_val"):
        small_mmoe().fit(X, y, sample_weight_val=np.ones(len(X)))


@pytest.mark.parametrize("label", ["no", "yes"])
def test_validation_rows_of_one_label_count_as_what_they_are(impressions, label):
    X, y = impressions
    named = y["click"].map({0: "no", 1: "yes"})
    rows = named == label
    expected = small_mmoe().fit(X, y["click"], X_val=X[rows], y_val=y["click"][rows])
    ranker = small_mmoe().fit(X, named, X_val=X[rows], y_val=named[rows])
    pd.testing.assert_frame_equal(ranker.history_, expected.history_)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda y: y.map({0: "no", 1: "perhaps"}), r"'perhaps', which is not one of"),
        (lambda y: y * np.nan, "y_val holds only NaN"),
    ],
)
def test_bad_labels_for_validation_are_refused(impressions, spoil, message):
    X, y = impressions
    named = y["click"].map({0: "no", 1: "yes"})
    with pytest.raises(ValueError, match=message):
        small_mmoe().fit(X, named, X_val=X, y_val=spoil(y["click"]))


def test_score_matches_tasks_by_name(impressions):
    X, y = impressions
    ranker = small_mmoe().fit(X, y)
    assert ranker.score(X, y[["cart", "click"]]) == ranker.score(X, y)
    with pytest.raises(ValueError, match=r"fitted on the tasks \['click', 'cart'\]"):
        ranker.score(X, y.rename(columns={"cart": "order"}))
    assert small_mmoe().fit(X, y.to_numpy()).score(X, y) == ranker.score(X, y)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_weights_match_tasks_by_name(impressions, frame):
    X, y = impressions
    rng = np.random.default_rng(0)
    weight = pd.DataFrame(rng.random(y.shape), columns=list(y))
    turned = frame({name: weight[name].to_numpy() for name in ("cart", "click")})
    ranker = small_mmoe(max_iter=1).fit(X, y, weight.to_numpy())
    again = small_mmoe(max_iter=1).fit(X, y, turned)
    assert_array_equal(again.predict_task_proba(X), ranker.predict_task_proba(X))
    assert ranker.score(X, y, turned) == ranker.score(X, y, weight.to_numpy())


def test_score_weighs_rows_and_tasks(impressions):
    X, y = impressions
    ranker = small_mmoe().fit(X, y)
    weight = np.random.default_rng(0).integers(0, 3, y.shape)
    proba = ranker.predict_task_proba(X)
    expected = [
        roc_auc_score(y[task], proba[:, t], sample_weight=weight[:, t])
        for t, task in enumerate(y)
    ]
    assert ranker.score(X, y, weight) == pytest.approx(np.mean(expected))
    for bad, message in ((weight[:-1], "has shape"), (weight - 1, "negative weight")):
        with pytest.raises(ValueError, match=message):
            ranker.score(X, y, bad)


def test_binary_labels_of_any_kind(impressions):
    X, y = impressions
    label = np.where(y["click"] == 1, "yes", "no")
    ranker = small_mmoe().fit(X, label)
    assert list(ranker.classes_) == ["no", "yes"]
    proba = ranker.predict_proba(X)
    assert proba.shape == (len(X), 2)
    assert set(ranker.predict(X)) <= {"no", "yes"}
    assert ranker.score(X, label) > 0.6
    column = small_mmoe().fit(X, y[["click"]])
    assert_array_equal(column.predict_proba(X), proba)
    assert list(column.task_names_) == ["click"]


def test_frame_of_nullable_labels(impressions):
    X, y = impressions
    expected = small_mmoe().fit(X, y).predict_task_proba(X)
    nullable = small_mmoe().fit(X, y.astype("Int64")).predict_task_proba(X)
    assert_array_equal(nullable, expected)
    assert isinstance(y, pd.DataFrame)
