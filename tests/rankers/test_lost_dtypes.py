"""Meta-estimators that turn tables into arrays, whose columns have no dtypes."""

import json

import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import make_pipeline

from skmtl import MMoE
from tests.rankers.conftest import make_impressions

SMALL = {
    "max_iter": 1,
    "random_state": 0,
    "expert_units": (8,),
    "tower_units": (4,),
}
ASKED = r"columns \[0, 3\] hold integers.*pass categorical_features=\[0, 1, 3\]"


@pytest.fixture(scope="module")
def table():
    return make_impressions(400)


def test_bagging_gives_arrays_of_objects(table):
    X, y = table
    bagging = BaggingClassifier(MMoE(**SMALL), n_estimators=1, random_state=0)
    with pytest.warns(UserWarning, match=ASKED):
        bagging.fit(X, y["click"])
    told = MMoE(categorical_features=[0, 1], **SMALL)
    bagging.set_params(estimator=told).fit(X, y["click"])
    assert list(bagging.estimators_[0].encoder_.categorical_names_) == [0, 1]


def test_a_column_transformer_without_set_output_does(table):
    X, y = table
    columns = ColumnTransformer([("all", "passthrough", list(X))])
    with pytest.warns(UserWarning, match=ASKED):
        make_pipeline(columns, MMoE(**SMALL)).fit(X, y)
    kept = columns.set_output(transform="pandas").set_params(
        verbose_feature_names_out=False
    )
    pipeline = make_pipeline(kept, MMoE(categorical_features=["user", "item"], **SMALL))
    names = pipeline.fit(X, y)[-1].encoder_.categorical_names_
    assert list(names) == ["user", "item"]


def test_rows_from_json_do(table):
    X, y = table
    rows = json.loads(X.to_json(orient="values"))
    with pytest.warns(UserWarning, match=ASKED):
        MMoE(**SMALL).fit(rows, y)
    records = json.loads(X.to_json(orient="records"))
    named = MMoE(categorical_features=["user", "item"], **SMALL).fit(records, y)
    assert list(named.encoder_.categorical_names_) == ["user", "item"]


def test_a_chain_of_classifiers_takes_numbers_only(table):
    """scikit-learn refuses strings there; ids as numbers have to be named."""
    X, y = table
    chain = ClassifierChain(MMoE(categorical_features=[0], **SMALL))
    with pytest.raises(ValueError, match="could not convert string to float"):
        chain.fit(X.fillna({"item": "none"}), y)
    chain.fit(X[["user", "position"]], y)
    assert [one.encoder_.categorical_names_ for one in chain.estimators_] == [[0], [0]]
