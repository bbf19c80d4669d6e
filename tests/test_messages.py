"""Messages show strings and numbers of numpy as those of Python."""

import inspect

import numpy as np
import pandas as pd
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from skmtl import metrics, tasks, weighting
from skmtl._messages import shown
from skmtl.calibration import CalibratedTasksCV
from skmtl.embedders import GraphSAGEEmbedder, Word2VecEmbedder
from skmtl.model_selection import MultiTaskStratifiedKFold, TimeSplit
from skmtl.output_weights import FixedOutputWeights, OutputWeightSearchCV
from tests.rankers.makers import MAKERS

NO, USER, ONE = np.str_("nope"), np.str_("user"), np.float64(-1.5)
# What is wrong for one hyperparameter or another.
WRONG = [
    {NO: np.int64(3)},
    {USER: ONE},
    {USER: NO},
    {np.int64(7): np.int64(1)},
    [NO],
    [USER, USER],
    NO,
    ONE,
    np.array(["nope"]),
    [np.float64(1), np.float64(2), ONE],
]
TAKE_NAMES = [
    "embedding_dim", "embeddings", "share_embedding", "fallback", "n_buckets",
    "pooling", "task_kinds", "categorical_features", "bias_features", "scoring",
    "optimizer", "embedding_optimizer", "label_weight", "loss_weight",
    "validation_split", "device", "crosses", "learning_rate_schedule",
]  # fmt: skip


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    users = rng.choice(["u1", "u2", "u3"], 100)
    X = pd.DataFrame({"user": users, "item": users, "x": rng.normal(size=100)})
    return X, pd.DataFrame({"click": X.x > 0, "cart": X.x > 1}).astype(int)


def check_plain(call):
    """Call what may raise; the message names no type of numpy."""
    try:
        call()
    except InvalidParameterError:  # the message is that of scikit-learn
        return
    except (ValueError, TypeError) as error:
        # What numpy says when it converts is its own.
        said = str(error).partition("could not convert")[0]
        assert "np." not in said, said


@pytest.mark.parametrize("name", TAKE_NAMES)
def test_hyperparameters_of_rankers(log, name):
    for wrong in WRONG:
        ranker = MAKERS["MMoE"](max_iter=1, **{name: wrong})
        check_plain(lambda ranker=ranker: ranker.fit(*log))


def test_orders_of_tasks(log):
    for wrong in WRONG:
        ranker = MAKERS["AITM"](max_iter=1, task_order=wrong)
        check_plain(lambda ranker=ranker: ranker.fit(*log))


def test_tables(log):
    X, y = log
    fitted = MAKERS["MMoE"](max_iter=1).fit(X, y)
    row = {np.str_("useer"): "u1", np.str_("item"): "u2", np.str_("x"): 1.0}
    with pytest.raises(ValueError, match="has no 'user', but 'useer', which"):
        fitted.predict([row, X.iloc[0].to_dict()])
    columns = {USER: X.user, np.str_("item"): X.item, np.str_("x"): X.x[:9]}
    with pytest.raises(ValueError, match=r"\{'user': 100, 'item': 100, 'x': 9\}"):
        fitted.predict(columns)


def test_metrics_and_searches(log):
    X, y = log
    fitted = MAKERS["MMoE"](max_iter=1).fit(X, y)
    proba = fitted.predict_task_proba(X)
    search, scorer = OutputWeightSearchCV, metrics.make_task_scorer
    for call in [
        lambda: scorer(NO),
        lambda: scorer("auc", average=NO),
        lambda: scorer("auc", task=NO)(fitted, X, y),
        lambda: metrics.task_report(y, proba, interval=NO),
        lambda: metrics.task_report(y, proba, level=np.float64(2)),
        lambda: metrics.task_report(y, proba, k=np.int64(-2)),
        lambda: search(fitted, scoring=NO).fit(X, y),
        lambda: search(fitted, refit=NO).fit(X, y),
        lambda: search(fitted, terms=[NO]).fit(X, y),
        lambda: search(fitted, constraints={NO: 1.0}).fit(X, y),
        lambda: search(fitted, constraints={np.str_("auc"): NO}).fit(X, y),
        lambda: FixedOutputWeights(fitted, {NO: 1.0}).fit(X, y),
        lambda: FixedOutputWeights(fitted, [NO, ONE]).fit(X, y),
        lambda: CalibratedTasksCV(fitted, cv="prefit", n_jobs=np.int64(2)).fit(X, y),
        lambda: fitted.partial_fit(X, y, classes=[NO, USER]),
    ]:
        with pytest.raises((ValueError, TypeError)):
            call()
        check_plain(call)


def test_splitters_tasks_and_embedders(log):
    X = log[0].assign(item=np.roll(log[0].item, 1))
    for call in [
        lambda: MultiTaskStratifiedKFold(np.int64(1)),
        lambda: TimeSplit(np.int64(0)),
        lambda: tasks.BinaryTask(ranking=NO),
        lambda: tasks.RegressionTask("quantile", quantile=np.float64(2)),
        lambda: Word2VecEmbedder(group_column=NO).fit(X),
        lambda: GraphSAGEEmbedder(n_neighbors=[np.int64(-1)]).fit(X),
    ]:
        with pytest.raises(ValueError, match=r".+"):
            call()
        check_plain(call)


@pytest.mark.parametrize("name", weighting.get_strategy_names())
def test_strategies(log, name):
    kind = type(weighting.get_strategy(name))
    for parameter in inspect.signature(kind).parameters:
        for wrong in (NO, np.float64(-3)):
            ranker = MAKERS["MMoE"](max_iter=1)
            check_plain(
                lambda ranker=ranker, given={parameter: wrong}: ranker.set_params(
                    loss_weight=kind(**given)
                ).fit(*log)
            )


def test_shown():
    nested = {np.str_("a"): [np.float32(0.5), (np.int8(1), np.True_)], "b": None}
    assert shown(nested) == "{'a': [0.5, (1, True)], 'b': None}"
    assert shown(np.longdouble(0.5)) == "0.5"
    assert shown(np.array([1.5])) == "array([1.5])"
    # As integers they would lack their unit.
    day = np.datetime64("2020-01-01T00:00:00", "ns")
    assert "2020-01-01" in shown(day)
    assert shown([np.timedelta64(7, "ns")]) == "[np.timedelta64(7,'ns')]"
