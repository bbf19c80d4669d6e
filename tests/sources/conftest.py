import numpy as np
import pandas as pd
import pytest

from skmtl.datasets import make_funnel


def small_funnel(n_rows, **sizes):
    rates = {"cart_rate": 0.05, "order_rate": 0.02}
    return make_funnel(n_rows, history_length=5, random_state=0, **rates, **sizes)


@pytest.fixture
def parts(tmp_path):
    """A log in three files, and the same log in memory."""
    log = small_funnel(6000, n_users=300, n_items=200)
    frame = log.data.join(log.target)
    frame["user_id"] = frame["user_id"].astype(np.int64)
    frame["item_id"] = "item" + frame["item_id"].astype(str)
    frame["history"] = [[f"item{i}" for i in items] for items in frame["history"]]
    frame["w"] = np.random.default_rng(0).integers(1, 4, len(frame)).astype(float)
    return write_parts(frame, tmp_path / "log"), frame


def write_parts(frame: pd.DataFrame, folder, n_parts: int = 3):
    folder.mkdir()
    for k, rows in enumerate(np.array_split(np.arange(len(frame)), n_parts)):
        part = frame.iloc[rows].reset_index(drop=True)
        part.to_parquet(folder / f"{k}.parquet", row_group_size=700)
    return folder


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A folder of a log, and its table; labels have gaps."""
    folder = tmp_path_factory.mktemp("log")
    made = small_funnel(3000, n_users=200, n_items=100)
    frame = made.data.join(made.target.astype(float))
    rng = np.random.default_rng(0)
    frame["device"] = frame["device"].astype(str)
    frame["w"] = rng.integers(1, 4, len(frame)).astype(float)
    frame.loc[rng.random(len(frame)) < 0.1, "order"] = np.nan
    for k, rows in enumerate(np.array_split(np.arange(len(frame)), 3)):
        frame.iloc[rows].to_parquet(folder / f"{k}.parquet", row_group_size=400)
    return folder, pd.read_parquet(folder)
