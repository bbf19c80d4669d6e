"""Repeat every study, two at a time, and print how long each took.

    SKMTL_DATA_HOME=... python benchmarks/studies/run_all.py

Every study runs in its own process with one thread, and overwrites its files next to
this one; ``--only NAME`` runs some of them. Studies without an entry in `ARGUMENTS` are
run once, as they are.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
# The longest first, so that the last one to run is a short one.
ARGUMENTS = {
    "loss_weights": ["--jobs 1"],
    "transfer": ["census --rows 50000", "taobao", "funnel --rows 40000 --seeds 1"],
    "cold_start": ["--table funnel --epochs 4", "--table taobao --epochs 4"],
    "correlated_tasks": ["eight_tasks", "8x16", "4x64"],
    "ranking": ["--tables funnel taobao"],
}


def commands(only: list[str]) -> list[list[str]]:
    names = {p.stem for p in HERE.glob("[!_]*.py")} - {Path(__file__).stem}
    if unknown := set(only) - names:
        raise SystemExit(f"No study is called {unknown}; there are {sorted(names)}.")
    order = [*ARGUMENTS, *sorted(names - set(ARGUMENTS))]
    chosen = [name for name in order if name in (only or names)]
    return [
        [f"{name}.py", *arguments.split()]
        for name in chosen
        for arguments in ARGUMENTS.get(name, [""])
    ]


def run(command: list[str]) -> tuple[str, float, int]:
    """Run a study; its output goes to the screen when it is done, in one piece."""
    start = time.perf_counter()
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, str(HERE / command[0]), *command[1:]],
        env=os.environ | one_thread | {"MPLBACKEND": "Agg"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    name, seconds = " ".join(command), time.perf_counter() - start
    print(f"== {name}: {seconds:.0f} s\n{done.stdout}", flush=True)
    return name, seconds, done.returncode


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2, help="studies at a time")
    parser.add_argument("--only", nargs="+", default=[], help="names of studies")
    options = parser.parse_args()
    start = time.perf_counter()
    with ThreadPoolExecutor(options.jobs) as pool:
        done = list(pool.map(run, commands(options.only)))
    for name, seconds, status in done:
        print(f"{seconds:6.0f} s  {name}{'  FAILED' if status else ''}")
    print(f"{time.perf_counter() - start:6.0f} s  all")
    if any(status for *_, status in done):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
