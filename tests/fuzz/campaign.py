"""The areas, and how an area is run: as a test that fails, or for a tally."""

import math
import time

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz import (
    area_embedders,
    area_encoding,
    area_metrics,
    area_output_weights,
    area_rankers,
)
from tests.fuzz.outcomes import outcome

AREAS = {
    "metrics": area_metrics.case,
    "encoding": area_encoding.case,
    "fusing": area_output_weights.fusing,
    "searching": area_output_weights.searching,
    "rankers": area_rankers.case,
    "embedders": area_embedders.case,
}
# hypothesis remembers all inputs of a run, so that many are drawn in several runs.
_BLOCK = 200
_QUIET = {
    "database": None,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}


def in_suite(n, **options):
    """Settings of a test that draws the same n inputs each time."""
    return settings(max_examples=n, derandomize=True, **_QUIET, **options)


def run(area, n, *, first_seed, tally, seconds=math.inf):
    """Count the outcomes of n inputs; the same seed gives the same inputs.

    No more blocks of inputs begin after so many seconds.

    Returns
    -------
    int
        Inputs that were drawn: hypothesis ends early where it knows no others.
    """
    before = sum(tally.kinds.values())
    until = time.monotonic() + seconds
    for start in range(0, n, _BLOCK):
        if time.monotonic() > until:
            break
        _run_block(AREAS[area], min(_BLOCK, n - start), first_seed + start, tally)
    return sum(tally.kinds.values()) - before


def _run_block(case, n, block_seed, tally):
    @seed(block_seed)
    @settings(max_examples=n, phases=[Phase.generate], **_QUIET)
    @given(st.data())
    def block(data):
        tally.add(*outcome(case, data.draw))

    block()


def check(area, n):
    """Raise the first fault of n inputs, in its simplest form."""
    case = AREAS[area]

    @in_suite(n)
    @given(st.data())
    def one(data):
        _, fault = outcome(case, data.draw)
        if fault is not None:
            raise fault

    one()
