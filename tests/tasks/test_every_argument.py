"""Labels, weights, groups and scores of every container, at every entry."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose
from sklearn.ensemble import RandomForestClassifier

from skmtl import MMoE, OutputWeightSearchCV, fuse
from skmtl.calibration import CalibratedTasksCV
from skmtl.metrics import group_roc_auc, ndcg, roc_auc, task_report
from tests.versions import ARROW_WEIGHTS

N = 300
RNG = np.random.default_rng(0)
X = pd.DataFrame({"a": RNG.integers(0, 9, N).astype(str), "b": RNG.random(N)})
LABELS = RNG.integers(0, 2, (N, 2)).astype(float)
SCORES, WEIGHTS = RNG.random((N, 2)), RNG.random((N, 2))
ROWS, GROUPS = RNG.random(N), RNG.integers(0, 20, N)
NAMES = ["click", "cart"]
FOREST = RandomForestClassifier(5, random_state=0)
SMALL = {"expert_units": (4,), "tower_units": (), "max_iter": 1, "random_state": 0}

TABLES = {
    "pandas": lambda a: pd.DataFrame(a, columns=NAMES),
    "other index": lambda a: pd.DataFrame(a, columns=NAMES, index=np.arange(N)[::-1]),
    "polars": lambda a: pl.DataFrame(a, schema=NAMES),
    "arrow": lambda a: pa.table(dict(zip(NAMES, a.T, strict=True))),
    "record batch": lambda a: pa.record_batch(dict(zip(NAMES, a.T, strict=True))),
    "mapping": lambda a: dict(zip(NAMES, a.T, strict=True)),
    "rows": lambda a: a.tolist(),
}
COLUMNS = {
    "list of arrays": lambda a: list(a.T),
    "list of Series": lambda a: [
        pd.Series(c, name=n) for c, n in zip(a.T, NAMES, strict=True)
    ],
    "list of ChunkedArrays": lambda a: [pa.chunked_array([c[:9], c[9:]]) for c in a.T],
}
ONE = {
    "list": lambda a: a.tolist(),
    "Series": pd.Series,
    "other index": lambda a: pd.Series(a, index=np.arange(N)[::-1]),
    "polars": pl.Series,
    "arrow": pa.array,
    "chunked": lambda a: pa.chunked_array([a[:9], a[9:]]),
    "arrow in pandas": lambda a: pd.Series(a).astype(
        pd.ArrowDtype(pa.from_numpy_dtype(a.dtype))
    ),
    "one column": lambda a: pd.DataFrame({"only": a}),
    "one column of polars": lambda a: pl.DataFrame({"only": a}),
    "one column of an array": lambda a: a[:, None],
}


def fitted(y=LABELS, **fit):
    return MMoE(**SMALL).fit(X, y, **fit).predict_task_proba(X)


def validated(y=LABELS, weight=None):
    ranker = MMoE(**SMALL).fit(X, LABELS, X_val=X, y_val=y, sample_weight_val=weight)
    return ranker.history_["valid_loss"]


def searched(y=LABELS, **params):
    search = OutputWeightSearchCV(FOREST, weights=3, cv=2, scoring="mean_auc")
    return search.fit(X[["b"]], y, **params).best_score_


def calibrated(y=LABELS, **params):
    model = CalibratedTasksCV(FOREST, cv=2).fit(X[["b"]], y, **params)
    return model.predict_task_proba(X[["b"]])


RANKER = MMoE(**SMALL).fit(X, LABELS)
OF_LABELS = {
    "fit": fitted,
    "validation": validated,
    "score": lambda y: RANKER.score(X, y),
    "search": searched,
    "calibration": calibrated,
}
OF_TABLES = OF_LABELS | {
    "roc_auc": lambda y: roc_auc(y, SCORES),
    "task_report": lambda y: task_report(y, SCORES)["roc_auc"],
}


@pytest.mark.parametrize("entry", OF_TABLES)
@pytest.mark.parametrize("container", TABLES)
def test_labels_in_tables(entry, container):
    use = OF_TABLES[entry]
    y = TABLES[container](LABELS)
    if entry == "validation" and container != "rows":
        # Tasks are named alike in y and y_val.
        ranker = MMoE(**SMALL).fit(X, y, X_val=X, y_val=y)
        assert_allclose(ranker.history_["valid_loss"], use(LABELS))
        return
    assert_allclose(use(y), use(LABELS))


@pytest.mark.parametrize("entry", OF_LABELS)
@pytest.mark.parametrize("container", ["list of arrays", "list of ChunkedArrays"])
def test_labels_in_a_list_of_columns(entry, container):
    use = OF_LABELS[entry]
    assert_allclose(use(COLUMNS[container](LABELS)), use(LABELS))


def test_names_of_a_list_of_columns():
    ranker = MMoE(**SMALL).fit(X, COLUMNS["list of Series"](LABELS))
    assert ranker.task_names_.tolist() == NAMES


@pytest.mark.parametrize("container", TABLES)
def test_scores_in_tables(container):
    scores = TABLES[container](SCORES)
    assert_allclose(roc_auc(LABELS, scores), roc_auc(LABELS, SCORES))
    assert_allclose(fuse(scores, [1, 2]), fuse(SCORES, [1, 2]))
    expected = task_report(LABELS, SCORES)["log_loss"]
    assert_allclose(task_report(LABELS, scores)["log_loss"], expected)


def test_scores_in_a_list_of_columns_are_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"2 rows, but y has 300.*np\.column_stack"):
        roc_auc(LABELS, list(SCORES.T))


OF_WEIGHTS = {
    "fit": lambda w: fitted(sample_weight=w),
    "validation": lambda w: validated(weight=w),
    "score": lambda w: RANKER.score(X, LABELS, w),
    "calibration": lambda w: calibrated(sample_weight=w),
    "roc_auc": lambda w: roc_auc(LABELS, SCORES, sample_weight=w),
    "search": lambda w: searched(sample_weight=w),
}


@pytest.mark.parametrize("entry", OF_WEIGHTS)
@pytest.mark.parametrize("container", ONE)
def test_weights_of_rows(entry, container):
    use = OF_WEIGHTS[entry]
    given = entry in ("search", "calibration")
    if given and container in ("arrow", "chunked") and not ARROW_WEIGHTS:
        pytest.skip("The classifier inside reads no weights of Arrow.")
    if given and container.startswith("one column"):
        # The weights go to a classifier of scikit-learn as they are.
        with pytest.raises(ValueError, match="Sample weights must be 1D"):
            use(ONE[container](ROWS))
        return
    assert_allclose(use(ONE[container](ROWS)), use(ROWS))


@pytest.mark.parametrize("container", [*TABLES, *COLUMNS])
def test_weights_of_rows_and_tasks(container):
    weights = {**TABLES, **COLUMNS}[container](WEIGHTS)
    y = pd.DataFrame(LABELS, columns=NAMES)
    assert_allclose(fitted(y, sample_weight=weights), fitted(y, sample_weight=WEIGHTS))


@pytest.mark.parametrize("container", ["pandas", "polars", "arrow", "mapping"])
def test_weights_of_tasks_go_by_name(container):
    y = pd.DataFrame(LABELS, columns=NAMES)
    table = TABLES[container](WEIGHTS)
    other = {
        "pandas": lambda: table[NAMES[::-1]],
        "polars": lambda: table.select(NAMES[::-1]),
        "arrow": lambda: table.select(NAMES[::-1]),
        "mapping": lambda: {name: table[name] for name in NAMES[::-1]},
    }[container]()
    assert_allclose(fitted(y, sample_weight=other), fitted(y, sample_weight=WEIGHTS))


@pytest.mark.parametrize("container", ONE)
def test_groups(container):
    groups = ONE[container](GROUPS)
    assert_allclose(
        group_roc_auc(LABELS, SCORES, groups), group_roc_auc(LABELS, SCORES, GROUPS)
    )
    one = LABELS[:, 0], SCORES[:, 0]
    assert_allclose(ndcg(*one, groups), ndcg(*one, GROUPS))


QUERY = pl.DataFrame(LABELS, schema=NAMES).lazy()


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("y", lambda: fitted(QUERY)),
        ("y", lambda: searched(QUERY)),
        ("y", lambda: calibrated(QUERY)),
        ("y_val", lambda: validated(QUERY)),
        ("sample_weight", lambda: fitted(sample_weight=QUERY)),
        ("score", lambda: roc_auc(LABELS, QUERY)),
    ],
)
def test_queries_are_refused_by_the_name_of_the_argument(name, use):
    with pytest.raises(TypeError, match=rf"^{name} is a polars LazyFrame.*collect\(\)"):
        use()
