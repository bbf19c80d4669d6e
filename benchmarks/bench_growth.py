"""How time and memory of a fit grow with the rows of the table.

    python benchmarks/bench_growth.py --rows 100000 1000000 10000000

Peak memory of the fit excludes the table of the caller. It is compared with the size of
the encoded table, including labels, and of the model with the state of its optimiser.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from run import add_common, interleaved


def main() -> None:
    """Fit tables of each size, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000]
    )
    parser.add_argument("--model", default="share_bottom")
    parser.add_argument("--batch-size", type=int, default=1024)
    add_common(parser)
    options = parser.parse_args()
    head = f"{'rows':>12}{'seconds':>10}{'µs a row':>10}{'peak MiB':>10}"
    print(head + f"{'data + model':>14}{'ratio':>7}")
    for rows in options.rows:
        asked = {"model": options.model, "batch_size": options.batch_size}
        runs = interleaved(["skmtl"], options, rows=rows, **asked)["skmtl"]
        seconds = median(run["seconds"] for run in runs)
        peak = median(run["peak_mib"] for run in runs)
        kept = median(run["encoded_mib"] + 3 * run["model_mib"] for run in runs)
        print(
            f"{rows:>12,}{seconds:>10.1f}{seconds / rows * 1e6:>10.1f}{peak:>10,.0f}"
            f"{kept:>14,.0f}{peak / kept:>7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
