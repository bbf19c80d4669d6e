import os

import numpy as np
import pytest

from skmtl.datasets import fetch_user_behavior

HOUR = 3600
START = 1512057600  # 2017-11-30 16:00 UTC, midnight of 1 December in China


def write(home, events, end="\n"):
    folder = home / "taobao_ub_sample"
    folder.mkdir(exist_ok=True)
    lines = "\n".join(",".join(map(str, event)) for event in events)
    (folder / "UserBehavior.csv").write_text(lines + end)


EVENTS = [
    (7, 30, 1, "cart", START),  # before its first view
    (7, 30, 1, "pv", START + HOUR),
    (7, 30, 1, "pv", START + 2 * HOUR),
    (7, 31, 2, "buy", START),  # never viewed
    (7, 32, 1, "fav", START + 9 * HOUR),
    (7, 32, 1, "pv", START + 9 * HOUR),
    (8, 30, 1, "pv", START + 30 * HOUR),
    (8, 30, 1, "buy", START + 60 * HOUR),
    (5, 33, 1, "pv", START + 48 * HOUR),
]


def test_a_row_is_a_viewed_pair_at_its_first_view(tmp_path):
    write(tmp_path, EVENTS)
    views = fetch_user_behavior(data_home=tmp_path)
    assert views.data["user_id"].tolist() == [7, 7, 8, 5]
    assert views.data["item_id"].tolist() == [30, 32, 30, 33]
    assert views.data["hour"].tolist() == [1, 9, 6, 0]
    assert views.data["weekday"].tolist() == [4, 4, 5, 6]
    assert views.target.to_numpy().tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [0, 0, 0],
    ]
    dtypes = views.data.dtypes.astype(str).tolist()
    assert dtypes == ["category"] * 3 + ["int64"] * 2
    assert views.timestamp.astype(str).tolist()[0] == "2017-12-01 01:00:00"
    assert views.target_names == ["cart", "fav", "buy"]
    assert list(views.frame) == ["timestamp", *views.feature_names, *views.target_names]


def test_events_before_the_first_view_can_be_left_out(tmp_path):
    write(tmp_path, EVENTS)
    X, y = fetch_user_behavior(data_home=tmp_path, after_view=True, return_X_y=True)
    assert y.sum().to_dict() == {"cart": 0, "fav": 1, "buy": 1}
    assert len(X) == 4


def test_split_by_day_in_china(tmp_path):
    write(tmp_path, EVENTS)
    parts = fetch_user_behavior(data_home=tmp_path, return_splits=True)
    users = {name: part.data["user_id"].tolist() for name, part in parts.items()}
    assert users == {"train": [7, 7], "validation": [8], "test": [5]}
    tuples = fetch_user_behavior(
        data_home=tmp_path, return_splits=True, return_X_y=True
    )
    assert [len(y) for _, y in tuples] == [2, 1, 1]


@pytest.mark.parametrize(
    ("last", "n_rows"),
    [
        ((9, 30, 1, "pv"), 4),
        ((9, 30, 1, "pv", 15120), 4),
        ((9, 30, 1, "pv", START), 5),  # whole, although no newline ends it
    ],
)
def test_a_cut_last_line_is_left_out(tmp_path, last, n_rows):
    write(tmp_path, [*EVENTS, last], end="")
    assert len(fetch_user_behavior(data_home=tmp_path).data) == n_rows


@pytest.mark.parametrize("wrong", [(9, 30, 1, "pv"), (9, 30, 1, "view", START)])
def test_a_wrong_line_is_named(tmp_path, wrong):
    write(tmp_path, [EVENTS[0], wrong, *EVENTS])
    with pytest.raises(ValueError, match=r"UserBehavior.csv, line 2: expected user"):
        fetch_user_behavior(data_home=tmp_path)


def test_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(OSError, match=r"UserBehavior\.csv is missing.*dataset/649"):
        fetch_user_behavior(data_home=tmp_path)


@pytest.mark.skipif(
    "SKMTL_DATA_HOME" not in os.environ, reason="SKMTL_DATA_HOME is not set"
)
def test_published_sample():
    views = fetch_user_behavior()
    assert len(views.data) == 59_902
    rates = views.target.mean().to_numpy()
    np.testing.assert_allclose(rates, [0.0370, 0.0134, 0.0191], atol=5e-5)
    assert not views.data.isna().any(axis=None)
