"""Fit skmtl and its peers on one table, interleaved, and print ratios and AUC.

    python benchmarks/bench_speed.py --competitors skmtl deepctr

Each fit runs in its own process, interleaved, for the requested number of rounds; the
results are medians. A peer that cannot be installed beside skmtl gets its own
interpreter: ``--python deepctr=PATH/bin/python``. Peers: ``pip install -e ".[bench]"``,
and ``pip install --no-deps LibMTL==1.1.5``; peers that are not installed are skipped.

skmtl fits from a DataFrame, and its time includes encoding and everything else that
`fit` does. The peers get arrays of integer ids, and the time of encoding is not
counted. ``bare`` is the same network, on the same products, in a plain loop over
encoded rows; ``floor`` only its matrix products, by torch's own BLAS.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from run import add_common, interleaved, launch, present

COMPETITORS = ["skmtl", "bare", "floor", "deepctr", "rechub", "libmtl"]


def table(found: dict[str, list[dict]]) -> list[str]:
    """Lines of the table: medians, ratios to skmtl round by round, AUC."""
    tasks = list(found["skmtl"][0]["auc"])
    head = f"{'':<10}{'rows/s':>10}{'skmtl ×':>9}{'peak MiB':>10}"
    head += f"{'predict/s':>12}{'skmtl ×':>9}"
    lines = [head + "".join(f"{'AUC ' + task:>11}" for task in tasks)]
    for name, runs in found.items():
        line = f"{name:<10}{middle(runs, 'rows_per_s'):>10,.0f}"
        line += f"{ratio(found, name, 'rows_per_s'):>9.2f}"
        line += f"{middle(runs, 'peak_mib'):>10,.0f}"
        if name != "floor":
            line += f"{middle(runs, 'predict_rows_per_s'):>12,.0f}"
            line += f"{ratio(found, name, 'predict_rows_per_s'):>9.2f}"
            areas = [median(run["auc"][task] for run in runs) for task in tasks]
            line += "".join(f"{area:>11.4f}" for area in areas)
        lines.append(line)
    return lines


def middle(runs: list[dict], what: str) -> float:
    return median(run[what] for run in runs)


def ratio(found: dict[str, list[dict]], name: str, what: str) -> float:
    pairs = zip(found["skmtl"], found[name], strict=True)
    return median(ours[what] / theirs[what] for ours, theirs in pairs)


def main() -> None:
    """Run all rounds of all settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--competitors", nargs="+", default=COMPETITORS)
    parser.add_argument("--models", nargs="+", default=["mmoe", "share_bottom"])
    parser.add_argument("--batch-sizes", nargs="+", default=["512", "1024", "8192"])
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--largest", type=int, default=200_000, help="ids of a column")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--predict-rows", type=int, default=100_000)
    parser.add_argument("--predict-batch-size", type=int, default=8192)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--profile", action="store_true", help="where a step's time is")
    add_common(parser)
    options = parser.parse_args()
    names = present(list(dict.fromkeys(["skmtl", *options.competitors])), options)
    passed = ("rows", "epochs", "largest", "predict_rows", "predict_batch_size")
    for model in options.models:
        for size in options.batch_sizes:
            asked = {name: getattr(options, name) for name in (*passed, "precision")}
            asked |= {"model": model, "batch_size": size}
            found = interleaved(names, options, **asked)
            print(f"\n{model}, batch {size}, {options.threads} thread(s)")
            print("\n".join(table(found)), flush=True)
            if options.profile:
                profile(model, size, options)


def profile(model: str, size: str, options: argparse.Namespace) -> None:
    """Print where the time of skmtl's steps goes."""
    asked = {"model": model, "batch_size": size, "largest": options.largest}
    print(launch("skmtl", options.threads, {}, "profile_step", **asked), flush=True)


if __name__ == "__main__":
    main()
