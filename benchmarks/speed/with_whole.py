"""skmtl with whole batches of any size, to measure the gain of blocks."""

import sys

from with_skmtl import fit as fit_in_blocks
from with_skmtl import more, predict, prepare

from skmtl.training import net as _net

__all__ = ["fit", "more", "predict", "prepare"]


def fit(data, options):
    _net._WHOLE_ROWS = sys.maxsize
    return fit_in_blocks(data, options)
