"""The README's first command."""

import contextlib
import io
import re
import textwrap

import numpy as np
import pandas as pd
import pytest

import skmtl
from skmtl.__main__ import NEXT, choose, main
from skmtl.datasets import make_funnel


@pytest.mark.long
def test_main_prints_a_table_and_what_to_do_next(capsys):
    main(["--max-iter", "1"])
    out = capsys.readouterr().out
    number = r"(0\.\d+) \[(0\.\d+), (0\.\d+)\]"
    for name in ("ShareBottom", "MMoE", "ChainedMMoE"):
        found = re.search(rf"^{name} +{number} +{number} +\d+\.\d$", out, re.M)
        assert found, out
        income, low, high, married, *_ = map(float, found.groups())
        assert low < income < high
        assert income > 0.88
        assert married > 0.93
    assert "100%" in out  # the progress bar
    choice = re.search(r"^Choose (\w+): ", out, re.M)[1]
    assert textwrap.indent(NEXT.format(ranker=choice), "    ") in out


def draws(*gaps):
    """AUC of three rankers and two tasks, `gaps` behind the last one in each draw."""
    noise = np.random.default_rng(0).normal(0, 0.01, (201, 1, 2))
    own = np.random.default_rng(1).normal(0, 0.001, (201, 3, 2))
    return 0.8 + noise + own - np.array([*gaps, 0.0])[:, None]


@pytest.mark.parametrize(
    ("gaps", "choice", "why"),
    [
        ((0.0, 0.0), "A", "the fastest, and B and C are not significantly better"),
        ((0.02, 0.0), "B", "the fastest that is not significantly worse, and C is not"),
        ((0.02, 0.02), "C", "the others are significantly worse"),
    ],
)
def test_the_fastest_that_is_not_significantly_worse_is_chosen(gaps, choice, why):
    seconds = pd.Series({"A": 1.0, "B": 2.0, "C": 3.0})
    found, reasons = choose(draws(*gaps), seconds)
    assert found == choice
    assert why in reasons


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A table of impressions as CSV and as Parquet, and new rows, in a folder."""
    log = make_funnel(2500, cart_rate=0.05, random_state=0)
    table = log.data.drop(columns="category_id").assign(time=log.timestamp)
    table = table.join(log.target[["click", "cart"]])
    monkeypatch.chdir(tmp_path)
    table.sample(frac=1, random_state=0).to_csv("table.csv", index=False)
    table.to_parquet("table.parquet")
    log.data.drop(columns="category_id")[:50].to_csv("new.csv", index=False)
    return table


OPTIONS = ["--tasks", "click,cart", "--ids", "user_id,item_id", "--time", "time"]
OPTIONS += ["--max-iter", "1", "--ranker", "ShareBottom"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_is_fitted_saved_and_predicted(files, capsys, kind):
    pytest.importorskip("safetensors")
    main(["fit", f"table.{kind}", *OPTIONS, "--quiet"])
    out = capsys.readouterr().out
    assert "2,000 training rows, 500 test rows (the latest by 'time')" in out
    latest = files.sort_values("time", kind="stable")[2000:]
    shown = re.search(r"^cart +(\d+) +0\.\d+ +0\.\d+ +0\.\d+$", out, re.M)
    assert int(shown[1]) == latest["cart"].sum()
    ranker = skmtl.load("ranker.safetensors")
    assert ranker.encoder_.categorical_names_[:2] == ["user_id", "item_id"]
    if kind == "parquet":  # ids were integers; those of a CSV file are read as strings
        return
    main(["predict", "ranker.safetensors", "new.csv", "--output", "proba.csv"])
    found = pd.read_csv("proba.csv")
    ids = dict.fromkeys(ranker.encoder_.categorical_names_, "category")
    wanted = ranker.predict_task_proba(pd.read_csv("new.csv", dtype=ids))
    assert list(found.columns) == ["click", "cart"]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    capsys.readouterr()
    main(["predict", "ranker.safetensors", "new.csv"])
    assert len(capsys.readouterr().out.splitlines()) == 51


def test_columns_that_are_not_there_are_named(files):
    pytest.importorskip("safetensors")
    with pytest.raises(SystemExit, match=r"no columns \['order', 'user'\]"):
        main(["fit", "table.csv", "--tasks", "click,order", "--ids", "user"])
    with pytest.raises(SystemExit):
        main(["fit", "table.csv", "--tasks", "click", "--ranker", "GBM"])


def test_rows_without_a_time_are_refused(files):
    pytest.importorskip("safetensors")
    files["time"] = files["time"].where(files.index != 3)
    files.to_csv("gap.csv", index=False)
    with pytest.raises(SystemExit, match=r"'time' has no time in row 3 of gap\.csv"):
        main(["fit", "gap.csv", *OPTIONS])


@pytest.mark.parametrize("size", ["0", "1", "-2", "nan"])
def test_the_share_of_test_rows_lies_between_0_and_1(capsys, size):
    with pytest.raises(SystemExit):
        main(["fit", "table.csv", "--tasks", "click", f"--test-size={size}"])
    assert f"must lie between 0 and 1, found {size}" in capsys.readouterr().err


def test_the_next_lines_run(tmp_path, monkeypatch):
    log = make_funnel(2500, cart_rate=0.05, random_state=0)
    table = log.data.drop(columns="category_id").assign(time=log.timestamp)
    table = table.join(log.target[["click", "order"]])
    # The report needs both classes, and the fit ten positives.
    table.loc[table.index[[*range(10), -3, -2, -1]], "order"] = 1
    monkeypatch.chdir(tmp_path)
    table.to_csv("table.csv", index=False)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(NEXT.format(ranker="ShareBottom"), {})
    assert re.search(r"^click +\d+ +0\.\d+ +0\.\d+ +0\.\d+$", printed.getvalue(), re.M)
