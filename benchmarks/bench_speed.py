"""Fit skmtl and its peers on one table, interleaved, and print ratios beside AUC.

    python benchmarks/bench_speed.py --competitors skmtl deepctr

Each fit runs in a process of its own, in turn, for as many rounds as asked; what is
printed is the median. A peer that cannot live beside skmtl gets an interpreter of its
own: ``--python deepctr=PATH/bin/python``. Peers: ``pip install -e ".[bench]"``.

skmtl fits from a DataFrame, and its time includes encoding. The peers get arrays of
integer ids, and the time of encoding is not counted. ``bare`` is the same network in a
plain loop on encoded rows, ``floor`` only its matrix products.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
COMPETITORS = ["skmtl", "bare", "floor", "deepctr", "rechub"]


def measure(name: str, python: str, options: list[str], threads: int) -> dict:
    """One fit in a process of its own."""
    command = [python, str(HERE / "speed" / "measure.py"), name, *options]
    root = str(HERE.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    env = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONPATH": path,
    }
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    result: dict = json.loads(done.stdout.splitlines()[-1])
    return result


def table(found: dict[str, list[dict]]) -> list[str]:
    """Lines of the table: medians, ratios to skmtl round by round, AUC."""
    tasks = list(found["skmtl"][0]["auc"])
    head = f"{'':<10}{'rows/s':>10}{'skmtl ×':>9}{'peak MiB':>10}"
    lines = [head + "".join(f"{'AUC ' + task:>11}" for task in tasks)]
    ours = [run["rows_per_s"] for run in found["skmtl"]]
    for name, runs in found.items():
        speed = [run["rows_per_s"] for run in runs]
        ratio = median(a / b for a, b in zip(ours, speed, strict=True))
        memory = median(run["peak_mib"] for run in runs)
        areas = [median(run["auc"][task] for run in runs) for task in tasks]
        shown = "".join(
            f"{a:>11.4f}" if name != "floor" else f"{'':>11}" for a in areas
        )
        lines.append(
            f"{name:<10}{median(speed):>10,.0f}{ratio:>9.2f}{memory:>10,.0f}{shown}"
        )
    return lines


def main() -> None:
    """Run all rounds of all settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--competitors", nargs="+", default=COMPETITORS)
    parser.add_argument("--models", nargs="+", default=["mmoe", "share_bottom"])
    parser.add_argument("--batch-sizes", nargs="+", default=["512", "1024", "8192"])
    parser.add_argument("--rows", default="400000")
    parser.add_argument("--largest", default="200000", help="ids of the largest column")
    parser.add_argument("--epochs", default="1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", nargs="*", default=[], metavar="NAME=PATH")
    options = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in options.python)
    names = list(dict.fromkeys(["skmtl", *options.competitors]))
    for model in options.models:
        for size in options.batch_sizes:
            found = defaultdict(list)
            for seed in range(options.rounds):
                for name in names:
                    arguments = ["--model", model, "--batch-size", size]
                    arguments += ["--rows", options.rows, "--epochs", options.epochs]
                    arguments += ["--largest", options.largest, "--seed", str(seed)]
                    arguments += ["--threads", str(options.threads)]
                    python = pythons.get(name, sys.executable)
                    found[name].append(
                        measure(name, python, arguments, options.threads)
                    )
            print(f"\n{model}, batch {size}, {options.threads} thread(s)")
            print("\n".join(table(found)), flush=True)


if __name__ == "__main__":
    main()
