"""Equal hyperparameters resume a fit; others are refused and named."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import KFold, TimeSeriesSplit
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    Freezer,
    GradientNormClipping,
    Initializer,
    LRScheduler,
    ParamMapper,
    PrintLog,
    Unfreezer,
)
from skorch.utils import freeze_parameter, unfreeze_parameter
from torch import nn

from skmtl import (
    Checkpoint,
    MultiTaskRanker,
    OrdinalTask,
    PretrainedEmbedding,
    RegressionTask,
    ShareBottom,
)
from skmtl.embedders import Word2VecEmbedder
from skmtl.metrics import get_task_scorer, make_task_scorer
from skmtl.model_selection import TimeSplit
from skmtl.modules import ExpertMixture, ParallelTowers, ProductTowers, SharedBottom
from skmtl.training.checkpoint import _from_bytes
from skmtl.training.fingerprint import difference, settings_of
from skmtl.weighting import DynamicWeightAverage, GradNorm
from tests.rankers.conftest import make_impressions

SMALL = {
    "max_iter": 3,
    "random_state": 0,
    "categorical_features": ["user", "item"],
    "bottom_units": (4,),
    "tower_units": (4,),
    "embedding_dim": 2,
    "bin_dim": 2,
}


class KilledError(Exception):
    """Stands for the end of a process."""


class Kill(Callback):
    """End a fit in its last epoch."""

    def on_epoch_begin(self, net, **_):
        if len(net.history) == 3:
            raise KilledError


def half(progress):
    return 1.0 - progress / 2


def power(exponent, progress):
    return progress**exponent


def falling(exponent):
    return lambda progress: 1.0 - progress**exponent


def mean_score(estimator, X, y):
    return float(np.mean(estimator.predict_task_proba(X)))


def thaw(net):
    return freeze_parameter if len(net.history) == 1 else unfreeze_parameter


class Scorer:
    """A scorer with a parameter, and no way to tell it."""

    def __init__(self, sign):
        self.sign = sign

    def __call__(self, estimator, X, y):
        return self.sign * mean_score(estimator, X, y)


class Slots:
    """A schedule that keeps its parameter in a slot."""

    __slots__ = ("factor",)

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, progress):
        return self.factor


def vectors(scale=1.0):
    ids = [f"item-{k}" for k in range(200)]
    return pd.DataFrame(scale * np.ones((200, 2)) * np.arange(200)[:, None], index=ids)


def words(scale=1.0):
    models = pytest.importorskip("gensim.models")
    table = vectors(scale)
    found = models.KeyedVectors(2)
    found.add_vectors(table.index.tolist(), table.to_numpy())
    return found


def layer(weight, slope=0.0):
    made = nn.Sequential(nn.Linear(3, 2), nn.LeakyReLU(slope))
    nn.init.constant_(made[0].weight, weight)
    nn.init.zeros_(made[0].bias)
    return made


def long(last):
    return np.append(np.zeros(5000), last)


def solver(name, **params):
    aggregation = pytest.importorskip("torchjd.aggregation")
    return getattr(aggregation, name)(**params)


# A hyperparameter, and what makes a value and another that differs. The values of the
# first are made twice, as in two processes.
CASES = [
    ("tower_units", lambda: (8, 4), lambda: (8, 5)),
    ("tower_units", lambda: [8], lambda: [9]),
    ("tower_units", lambda: np.array([8, 4]), lambda: np.array([8, 5])),
    ("embedding_dim", lambda: np.int64(8), lambda: np.int64(9)),
    ("embedding_dim", lambda: "auto", lambda: 16),
    ("embedding_dim", lambda: {"user": 4}, lambda: {"user": np.int32(5)}),
    ("embeddings", lambda: {"item": vectors()}, lambda: {"item": vectors(2.0)}),
    ("embeddings", lambda: {"item": words()}, lambda: {"item": words(2.0)}),
    (
        "embeddings",
        lambda: {"item": ([1, 2], np.eye(2))},
        lambda: {"item": ([1, 3], np.eye(2))},
    ),
    (
        "embeddings",
        lambda: {"item": Word2VecEmbedder(embedding_dim=2)},
        lambda: {"item": Word2VecEmbedder(embedding_dim=3)},
    ),
    *(
        (
            "embeddings",
            lambda: {"item": PretrainedEmbedding(vectors())},
            lambda change=change: {"item": PretrainedEmbedding(vectors(), **change)},
        )
        for change in (
            {"mode": "frozen"},
            {"learning_rate_factor": np.float32(0.5)},
            {"projection": False},
            {"scale": 1.0},
        )
    ),
    ("pooling", lambda: "sum", lambda: "max"),
    ("pooling", lambda: ("attention", "item"), lambda: ("attention", "user")),
    ("pooling", lambda: {"h": ("attention", "item")}, lambda: {"h": "sum"}),
    ("bin_dim", lambda: 4, lambda: np.int8(5)),
    ("dropout", lambda: np.float32(0.1), lambda: np.float32(0.2)),
    ("task_kinds", lambda: "regression", lambda: "ordinal"),
    ("task_kinds", lambda: RegressionTask("squared"), lambda: RegressionTask("huber")),
    (
        "task_kinds",
        lambda: {"dwell": RegressionTask("tweedie", power=1.2)},
        lambda: {"dwell": RegressionTask("tweedie", power=1.3)},
    ),
    (
        "task_kinds",
        lambda: OrdinalTask(classes=["low", "high"]),
        lambda: OrdinalTask(classes=["high", "low"]),
    ),
    ("label_weight", lambda: 2.0, lambda: np.float64(3.0)),
    ("label_weight", lambda: "1:2", lambda: "balanced"),
    ("label_weight", lambda: ["1:2", 3.0], lambda: ["1:2", 4.0]),
    ("label_weight", lambda: {"click": 2}, lambda: {"click": 3}),
    (
        "label_weight",
        lambda: pd.Series({"click": 1.0, "cart": 2.0}),
        lambda: pd.Series({"click": 1.0, "cart": 3.0}),
    ),
    (
        "label_weight",
        lambda: pd.Series({"click": 1.0, "cart": 2.0}),
        lambda: pd.Series({"cart": 1.0, "click": 2.0}),
    ),
    ("loss_weight", lambda: np.array([1.0, 2.0]), lambda: np.array([1.0, 3.0])),
    ("loss_weight", lambda: long(1.0), lambda: long(2.0)),
    ("loss_weight", lambda: pd.Series([1.0, 2.0]), lambda: pd.Series([1.0, 3.0])),
    ("loss_weight", lambda: torch.ones(2), lambda: torch.zeros(2)),
    (
        "loss_weight",
        lambda: DynamicWeightAverage(temperature=2.0),
        lambda: DynamicWeightAverage(temperature=np.float32(3.0)),
    ),
    (
        "loss_weight",
        lambda: solver("MGDA", max_iters=50),
        lambda: solver("MGDA", max_iters=60),
    ),
    ("max_iter", lambda: np.int64(3), lambda: np.int64(4)),
    ("batch_size", lambda: np.int64(64), lambda: np.int64(128)),
    ("batch_size", lambda: "auto", lambda: 64),
    ("learning_rate", lambda: np.float64(0.01), lambda: np.float64(0.02)),
    ("learning_rate_schedule", lambda: "linear", lambda: "cosine"),
    ("learning_rate_schedule", lambda: half, lambda: abs),
    ("learning_rate_schedule", lambda: lambda p: 1 - p, lambda: lambda p: 1 - p / 2),
    ("learning_rate_schedule", lambda: falling(2), lambda: falling(3)),
    ("learning_rate_schedule", lambda: Slots(0.5), lambda: Slots(0.6)),
    (
        "learning_rate_schedule",
        lambda: functools.partial(power, 2),
        lambda: functools.partial(power, 3),
    ),
    ("average_weights", lambda: np.True_, lambda: np.False_),
    ("weight_decay", lambda: np.float32(0.1), lambda: np.float32(0.2)),
    ("optimizer", lambda: "adam", lambda: "sgd"),
    ("optimizer", lambda: torch.optim.NAdam, lambda: torch.optim.RAdam),
    (
        "optimizer",
        lambda: functools.partial(torch.optim.Adam, betas=(0.9, 0.99)),
        lambda: functools.partial(torch.optim.Adam, betas=(0.9, 0.98)),
    ),
    ("optimizer__betas", lambda: (0.9, np.float64(0.99)), lambda: (0.9, 0.98)),
    ("embedding_optimizer", lambda: "adam", lambda: "adagrad"),
    ("early_stopping", lambda: True, lambda: False),
    ("early_stopping", lambda: "auto", lambda: True),
    ("validation_fraction", lambda: np.float32(0.1), lambda: np.float32(0.2)),
    ("validation_split", lambda: KFold(3), lambda: KFold(4)),
    ("validation_split", lambda: TimeSeriesSplit(3), lambda: TimeSeriesSplit(4)),
    ("validation_split", lambda: TimeSplit(gap=1), lambda: TimeSplit(gap=2)),
    (
        "validation_split",
        lambda: [(np.arange(5000), np.arange(5000, 6000))],
        lambda: [(np.arange(5000), np.arange(5000, 6001))],
    ),
    ("scoring", lambda: "mean_auc", lambda: "min_auc"),
    ("scoring", lambda: make_task_scorer("auc"), lambda: make_task_scorer("log_loss")),
    ("scoring", lambda: get_task_scorer("auc:click"), lambda: get_task_scorer("auc")),
    ("scoring", lambda: mean_score, lambda: Scorer(1)),
    ("scoring", lambda: Scorer(1), lambda: Scorer(-1)),
    (
        "scoring",
        lambda: make_scorer(roc_auc_score),
        lambda: make_scorer(roc_auc_score, max_fpr=0.5),
    ),
    ("n_microbatches", lambda: 2, lambda: np.int64(4)),
    ("n_iter_no_change", lambda: np.int64(2), lambda: np.int64(3)),
    ("tol", lambda: np.float32(0.1), lambda: np.float32(0.2)),
    ("crosses", lambda: "fm", lambda: "dcn"),
    ("bias_features", lambda: ["position"], lambda: ["device"]),
    ("categorical_features", lambda: ["user"], lambda: ["item"]),
    (
        "categorical_features",
        lambda: np.array([True, False]),
        lambda: np.array([True, True]),
    ),
    ("categorical_features", lambda: pd.Index(["user"]), lambda: pd.Index(["item"])),
    ("categorical_features", lambda: [0], lambda: ["0"]),
    ("min_frequency", lambda: np.int64(2), lambda: np.int64(3)),
    ("max_categories", lambda: np.int64(20), lambda: None),
    ("share_embedding", lambda: {"h": "item"}, lambda: {"h": "user"}),
    ("max_length", lambda: 5, lambda: np.int64(6)),
    ("unknown_rate", lambda: np.float64(1.0), lambda: np.float64(2.0)),
    ("unknown_share", lambda: np.float64(0.1), lambda: np.float64(0.2)),
    ("new_id_share", lambda: np.float64(0.01), lambda: np.float64(0.02)),
    ("fallback", lambda: {"item": "category"}, lambda: {"item": "user"}),
    ("n_buckets", lambda: {"item": np.int64(10)}, lambda: {"item": np.int64(11)}),
    ("n_hashes", lambda: np.int64(1), lambda: np.int64(2)),
    ("n_bins", lambda: np.int64(8), lambda: np.int64(9)),
    ("interpolate_bins", lambda: True, lambda: False),
    ("bin_start", lambda: np.float32(0.1), lambda: np.float32(0.2)),
    ("bin_learning_rate_factor", lambda: np.float64(0.3), lambda: np.float64(0.4)),
    ("bin_flags", lambda: True, lambda: False),
    ("device", lambda: "cpu", lambda: "cuda"),
    ("precision", lambda: "float32", lambda: "bf16"),
    ("compile", lambda: False, lambda: True),
    ("record_gradients", lambda: False, lambda: np.True_),
    ("random_state", lambda: np.int64(0), lambda: np.int64(1)),
    (
        "callbacks",
        lambda: [GradientNormClipping(1.0)],
        lambda: [GradientNormClipping(np.float32(2.0))],
    ),
    (
        "callbacks",
        lambda: [("rate", LRScheduler("StepLR", step_size=np.int64(2)))],
        lambda: [("rate", LRScheduler("StepLR", step_size=3))],
    ),
    ("callbacks", lambda: [EarlyStopping()], lambda: [PrintLog()]),
    ("sharing", lambda: SharedBottom, lambda: ExpertMixture),
    (
        "sharing",
        lambda: functools.partial(ExpertMixture, n_experts=2),
        lambda: functools.partial(ExpertMixture, n_experts=3),
    ),
    ("sharing", lambda: layer(1.0), lambda: layer(2.0)),
    ("sharing", lambda: layer(1.0), lambda: layer(1.0, slope=0.1)),
    ("sharing__n_experts", lambda: np.int64(2), lambda: np.int64(3)),
    ("towers", lambda: ParallelTowers, lambda: ProductTowers),
    ("towers__units", lambda: (4,), lambda: (5,)),
]


def begun(name, value, folder):
    params = {"random_state": 0, name: value}
    checkpoint = Checkpoint(folder)
    checkpoint.begin(MultiTaskRanker(**params))
    checkpoint.fingerprint = checkpoint.settings
    return checkpoint


@pytest.mark.parametrize(
    ("name", "value", "other"), CASES, ids=[f"{k}-{c[0]}" for k, c in enumerate(CASES)]
)
def test_another_value_is_refused_and_named(name, value, other, tmp_path):
    first, again, changed = (begun(name, v(), tmp_path) for v in (value, value, other))
    again._check(first.fingerprint)
    with pytest.raises(ValueError, match=f"is of another fit: {name} was ") as error:
        changed._check(first.fingerprint)
    was, now = (
        str(error.value).split(f"{name} was ")[1].split(". Restore")[0].split(", is ")
    )
    assert was != now  # also where only the ends of long texts differ


def test_every_hyperparameter_is_tried():
    tried = {case[0] for case in CASES}
    left_out = {"verbose", "n_threads", "scratch_dir", "warm_start"}
    assert MultiTaskRanker().get_params().keys() == {
        name for name in tried | left_out if "__" not in name
    }


def test_numbers_of_numpy_are_those_of_python():
    one = ShareBottom(batch_size=64, learning_rate=0.01, average_weights=True)
    other = ShareBottom(
        batch_size=np.int64(64),
        learning_rate=np.float64(0.01),
        average_weights=np.True_,
    )
    assert settings_of(one) == settings_of(other)


PARAM_MAPPERS = [
    lambda: Freezer("towers*"),
    lambda: Unfreezer(["towers*"], at=2),
    lambda: Initializer("towers*", fn=nn.init.zeros_),
    lambda: ParamMapper("towers*", schedule=thaw),
]


@pytest.mark.parametrize("make", PARAM_MAPPERS)
def test_param_mappers_count_and_are_the_same_when_used_again(
    make, impressions, tmp_path
):
    first = ShareBottom(**SMALL, callbacks=[make(), Checkpoint(tmp_path), Kill()])
    before = settings_of(first)
    with pytest.raises(KilledError):
        first.fit(*impressions)
    assert settings_of(first) == before
    other = [[], [Freezer("bottom*")], [Freezer("towers*", at=3)]]
    for callbacks in other:
        ranker = ShareBottom(**SMALL, callbacks=[*callbacks, Checkpoint(tmp_path)])
        with pytest.raises(ValueError, match="is of another fit: callbacks was "):
            ranker.fit(*impressions)
    resumed = ShareBottom(**SMALL, callbacks=[make(), Checkpoint(tmp_path)])
    plain = ShareBottom(**SMALL, callbacks=[make()])
    np.testing.assert_array_equal(
        resumed.fit(*impressions).predict_task_proba(impressions[0]),
        plain.fit(*impressions).predict_task_proba(impressions[0]),
    )


def test_callbacks_that_show_or_are_used_again_do_not_count(impressions):
    steers = [GradientNormClipping(1.0), LRScheduler("StepLR", step_size=1)]
    shows = [PrintLog(sink=lambda line: None), Kill()]
    one = ShareBottom(**SMALL, callbacks=[*steers, *shows])
    before = settings_of(one)
    with pytest.raises(KilledError):
        one.fit(*impressions)
    assert settings_of(ShareBottom(**SMALL, callbacks=steers)) == before


def test_what_cannot_be_compared_is_refused_and_named(impressions, tmp_path):
    import threading

    lock = threading.Lock()
    schedule = functools.partial(lambda lock, progress: 1.0, lock)
    ranker = ShareBottom(
        **SMALL, learning_rate_schedule=schedule, callbacks=[Checkpoint(tmp_path)]
    )
    message = "cannot compare learning_rate_schedule=.*its _thread.lock cannot be read"
    with pytest.raises(ValueError, match=message):
        ranker.fit(*impressions)


def test_a_cycle_has_an_end():
    def recursive(progress):
        return 1.0 if progress > 0 else recursive(1.0)

    found = settings_of(ShareBottom(learning_rate_schedule=recursive))
    assert "recursive" in found["learning_rate_schedule"]


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        (1, 2, "was 1, is 2"),
        ("x" * 100, "x" * 101, f"was ...{'x' * 20}, is ...{'x' * 21}"),
        ("a" * 100, None, f"was {'a' * 60}..., is None"),
    ],
)
def test_differences_are_shown_where_they_are(was, now, expected):
    assert difference(was, now) == expected


RESUMED = {
    "numpy": {
        "learning_rate": np.logspace(-3, -2, 3)[1],
        "weight_decay": np.float32(0.1),
        "batch_size": np.int64(256),
        "max_iter": np.int64(3),
        "tol": np.float32(0.0),
        "n_iter_no_change": np.int64(2),
        "dropout": np.float32(0.1),
        "unknown_rate": np.float64(5.0),
        "unknown_share": np.float32(0.1),
        "bin_start": np.float64(0.1),
        "bin_learning_rate_factor": np.float64(0.5),
        "embedding_dim": np.int64(2),
        "n_bins": np.int64(8),
        "early_stopping": np.True_,
        "validation_fraction": np.float64(0.2),
        "random_state": np.int64(0),
        "optimizer__betas": (np.float64(0.9), np.float64(0.99)),
        "optimizer__eps": np.float64(1e-7),
        "bottom_units": np.array([4]),
    },
    "numpy, adagrad": {
        "embedding_optimizer": "adagrad",
        "learning_rate": np.float32(1),
    },
    "numpy, schedule": {"learning_rate_schedule": lambda p: np.float64(1 - p / 2)},
    "numpy, own class": {
        "optimizer": functools.partial(torch.optim.NAdam, eps=np.float64(1e-7))
    },
    "numpy, weighting": {"loss_weight": GradNorm(learning_rate=np.float64(0.01))},
    "numpy, table": {
        "embeddings": {
            "item": PretrainedEmbedding(
                vectors(), learning_rate_factor=np.float64(0.5), scale=np.float32(0.1)
            )
        }
    },
    "partial": {"learning_rate_schedule": functools.partial(power, 0.5)},
    "made scorer": {
        "early_stopping": True,
        "scoring": make_task_scorer("auc", average="min"),
    },
    "scorer by name": {"early_stopping": True, "scoring": get_task_scorer("auc:click")},
    "series": {"loss_weight": pd.Series({"cart": 2.0, "click": 1.0})},
    "kinds": {"task_kinds": {"cart": RegressionTask("huber")}},
}


@pytest.mark.parametrize("case", RESUMED)
def test_a_fit_is_saved_and_resumed(case, tmp_path):
    X, y = make_impressions(600)
    params = {**SMALL, **RESUMED[case]}
    expected = ShareBottom(**params).fit(X, y).predict_task(X)
    with pytest.raises(KilledError):
        ShareBottom(**params, callbacks=[Kill(), Checkpoint(tmp_path)]).fit(X, y)
    state = _from_bytes((tmp_path / "last.checkpoint").read_bytes())
    assert len(state["history"]) == 2
    ranker = ShareBottom(**params, callbacks=[Checkpoint(tmp_path)]).fit(X, y)
    np.testing.assert_array_equal(ranker.predict_task(X), expected)
    assert not list(tmp_path.iterdir())


def test_parts_made_by_partial_resume(tmp_path):
    X, y = make_impressions(600)
    params = {k: v for k, v in SMALL.items() if k != "bottom_units"}
    params["sharing"] = functools.partial(ExpertMixture, n_experts=2, expert_units=(4,))
    expected = MultiTaskRanker(**params).fit(X, y).predict_task(X)
    with pytest.raises(KilledError):
        MultiTaskRanker(**params, callbacks=[Kill(), Checkpoint(tmp_path)]).fit(X, y)
    ranker = MultiTaskRanker(**params, callbacks=[Checkpoint(tmp_path)]).fit(X, y)
    np.testing.assert_array_equal(ranker.predict_task(X), expected)


class Noting(torch.optim.SGD):
    """Keeps a function among its settings, which no file without code can hold."""

    def __init__(self, params, lr, weight_decay=0.0):
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            group["note"] = print


def test_what_could_not_be_read_is_not_written(tmp_path):
    X, y = make_impressions(600)
    ranker = ShareBottom(
        **SMALL, optimizer=Noting, callbacks=[Checkpoint(tmp_path / "run")]
    )
    with pytest.raises(ValueError, match="cannot save this fit: its optimiser"):
        ranker.fit(X, y)
    assert not (tmp_path / "run").exists()
