"""The README's first command."""

import contextlib
import io
import re
import textwrap

import numpy as np
import pandas as pd
import pytest

from skmtl.__main__ import NEXT, choose, main
from skmtl.datasets import make_funnel


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
        ((0.0, 0.0), "A", "B and C not significantly better"),
        ((0.02, 0.0), "B", "C not significantly better"),
        ((0.02, 0.02), "C", "the others are significantly worse"),
    ],
)
def test_the_fastest_that_is_not_significantly_worse_is_chosen(gaps, choice, why):
    seconds = pd.Series({"A": 1.0, "B": 2.0, "C": 3.0})
    found, reasons = choose(draws(*gaps), seconds)
    assert found == choice
    assert why in reasons


def test_the_next_lines_run(tmp_path, monkeypatch):
    log = make_funnel(6000, random_state=0)
    table = log.data.drop(columns="category_id").assign(time=log.timestamp)
    table = table.join(log.target[["click", "order"]])
    table.loc[table.index[-3:], "order"] = 1  # the report needs both classes
    monkeypatch.chdir(tmp_path)
    table.to_csv("table.csv", index=False)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(NEXT.format(ranker="ShareBottom"), {})
    assert re.search(r"^click +\d+ +0\.\d+ +0\.\d+ +0\.\d+$", printed.getvalue(), re.M)
