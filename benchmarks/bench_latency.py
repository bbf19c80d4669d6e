"""Time of one prediction for a service: one row, and 500 candidates.

    python benchmarks/bench_latency.py --competitors deepctr rechub

skmtl predicts from a DataFrame of strings and numbers, ``bare`` is the network alone on
tensors, and peers predict from encoded arrays. Each runs in its own process,
interleaved; medians over calls, then over rounds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from run import add_common, interpreters, launch


def main() -> None:
    """Run all rounds and print milliseconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--competitors", nargs="*", default=["deepctr", "rechub"])
    parser.add_argument("--model", default="mmoe")
    add_common(parser)
    options = parser.parse_args()
    found, pythons = defaultdict(list), interpreters(options)
    for seed in range(options.rounds):
        for name in ["skmtl", "bare", *options.competitors]:
            asked = {"model": options.model, "seed": seed}
            out = launch(name, options.threads, pythons, "latency", **asked)
            found[name].append(json.loads(out.splitlines()[-1]))
    print(f"{'':<10}{'1 row, ms':>11}{'÷ bare':>8}{'500 rows, ms':>14}{'÷ bare':>8}")
    bare = found["bare"]
    for name, runs in found.items():
        line = f"{name:<10}"
        for key, width in (("ms_1", 11), ("ms_500", 14)):
            times = [run[key] for run in runs]
            ratios = [t / b[key] for t, b in zip(times, bare, strict=True)]
            line += f"{median(times):>{width}.3f}{median(ratios):>8.2f}"
        print(line)


if __name__ == "__main__":
    main()
