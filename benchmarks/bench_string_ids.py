"""Time and memory to encode a column of many string ids.

    python benchmarks/bench_string_ids.py --rows 10000000

Half of the rows have ids that occur once. Memory is the peak without the column itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from skmtl import TableEncoder

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from measure import start_of_peak, status_mib


def main() -> None:
    """Encode and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--kind", default="str", help="dtype of the column")
    options = parser.parse_args()
    n = options.rows
    ids = np.concatenate([np.arange(n // 2), np.arange(n - n // 2) % (n // 20)])
    column = pd.Series(ids).astype(str).radd("item-of-the-shop-")
    X = pd.DataFrame({"item": column.astype(options.kind)})
    del column
    encoder, before = TableEncoder(min_frequency=1), start_of_peak()
    start = time.perf_counter()
    table = encoder.fit(X).encode(X)
    seconds = time.perf_counter() - start
    peak = status_mib("VmHWM") - before
    assert len(np.unique(table.ids)) == n // 2, "ids collide"
    print(f"{n:,} rows of {options.kind}: {seconds:.1f} s, {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
