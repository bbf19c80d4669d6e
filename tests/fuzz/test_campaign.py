"""A small part of the campaign, and that it finds what it is for."""

import numpy as np
import pytest

from skmtl.metrics import roc_auc
from tests.fuzz import campaign
from tests.fuzz.machine import RankerLife
from tests.fuzz.outcomes import Case, ClearError, FaultError, Tally, outcome

# Inputs that take a second or two of each area.
IN_SUITE = {
    "metrics": 60,
    "encoding": 40,
    "fusing": 100,
    "searching": 10,
    "rankers": 15,
    "embedders": 20,
}


@pytest.mark.parametrize("area", IN_SUITE)
def test_no_faults(area):
    campaign.check(area, IN_SUITE[area])


def test_every_area_has_a_part_in_the_suite():
    assert IN_SUITE.keys() == campaign.AREAS.keys()


TestRankerLife = RankerLife.TestCase
TestRankerLife.settings = campaign.in_suite(4, stateful_step_count=8)


def unexplained(c):
    c.tried(lambda: [][1])


def nameless(c):
    c.values("price")
    c.naming("score")
    c.tried(roc_auc, [0, 1], [0.5, np.nan])


def clear(c):
    c.values("0")
    c.tried(roc_auc, [0, 1], [0.5, np.nan])


def refuses_an_equal_input(c):
    c.values("0")
    c.must("again", roc_auc, [0, 1], [0.5, np.nan])


def differs(c):
    c.equal("twice", np.array([1.0, np.nan]), np.array([1.0, 2.0]))


def has_another_shape(c):
    c.equal("twice", np.ones(2), np.ones((2, 1)))


def does_not_hold(c):
    c.holds("a sum", 1 + 1 == 3)


@pytest.mark.parametrize(
    ("area", "kind"),
    [
        (unexplained, "unexplained"),
        (nameless, "unexplained"),
        (clear, "clear error"),
        (refuses_an_equal_input, "wrong"),
        (differs, "wrong"),
        (has_another_shape, "wrong"),
        (does_not_hold, "wrong"),
        (lambda c: c.quoted.absent, "wrong"),
        (lambda c: c.equal("twice", [1, np.nan], [1, np.nan]), "ok"),
        (lambda c: c.allowed(roc_auc, [0, 1], [0.5]), "unexplained"),
    ],
)
def test_outcomes(area, kind):
    found, fault = outcome(area, draw=None)
    assert found == kind
    assert (fault is None) == (kind in ("ok", "clear error"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Column 'price' must hold numbers.", True),
        ("Columns ['id', 'price'] share a name.", True),
        ("The price must be a number.", False),
        ("Task '0' holds the labels [2].", True),
        ("A label in row 0 is not 0 or 1.", False),
        ("The 'groups' parameter must be an array.", True),
        ("groups has 3 rows, and X_new 4.", True),
        ("Give groups=None.", True),
        ("All groups are empty.", False),
        ("Give a larger n_splits.", True),
        ("Found arrays with inconsistent numbers of samples: [3, 2]", False),
    ],
)
def test_what_names_an_input(text, named):
    case = Case(None)
    case.values("price", "0")
    case.naming("groups", "n_splits")
    assert case.is_named(text) == named


def test_faults_are_counted_raised_and_shown(monkeypatch):
    monkeypatch.setitem(campaign.AREAS, "metrics", differs)
    tally = Tally()
    n = campaign.run("metrics", 3, first_seed=0, tally=tally)
    assert tally.kinds["wrong"] == n > 0
    assert "differs: twice" in str(tally)
    with pytest.raises(FaultError, match="differs: twice"):
        campaign.check("metrics", 1)


def test_the_same_seed_draws_the_same_inputs(monkeypatch):
    seen = []

    def area(c):
        seen.append(c.draw(campaign.st.integers(0, 10**6)))
        if seen[-1] % 2:
            raise ClearError

    monkeypatch.setitem(campaign.AREAS, "metrics", area)
    first, second = Tally(), Tally()
    campaign.run("metrics", 20, first_seed=5, tally=first)
    half = list(seen)
    campaign.run("metrics", 20, first_seed=5, tally=second)
    assert seen == half * 2
    assert first.kinds == second.kinds
