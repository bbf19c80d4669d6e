"""Figures are closed, and can be asked whether all of their text fits."""

from itertools import pairwise

import matplotlib.pyplot as plt
import pytest

LONG = [
    "click",
    "add_to_cart",
    "order_within_seven_days_of_the_impression",
    "return",
    "review written by the customer",
    "share_with_friends",
    "subscribe_to_newsletter",
    "x",
]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def misfits(figure):
    """What leaves the figure, and names at neighbouring ticks that overlap."""
    figure.canvas.draw()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    out = []
    if drawn.x0 < 0 or drawn.y0 < 0 or drawn.x1 > width or drawn.y1 > height:
        out.append(f"{drawn.extents} in {width} x {height}")
    for ax in figure.axes:
        low, high = sorted(ax.get_ylim())
        # Panels that share an axis show its names once.
        ticks = zip(ax.get_yticks(), ax.get_yticklabels(), strict=False)
        seen = [t.get_window_extent() for y, t in ticks if low <= y <= high]
        out += [
            f"{ax.get_title()}: {a} overlaps {b}"
            for a, b in pairwise(sorted(seen, key=lambda box: box.y0))
            if a.width and b.width and a.y1 > b.y0 + 1
        ]
    return out


@pytest.fixture
def long_names():
    return LONG


@pytest.fixture
def outside():
    return misfits
