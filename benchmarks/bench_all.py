"""How much faster or slower is this version of skmtl than another one?

    python benchmarks/bench_all.py --against v0.1.0 --json runs/today.json
    python benchmarks/bench_all.py --compare runs/yesterday.json runs/today.json

The working tree and a commit run in turn, each in its own process, on one thread, for
some rounds. A ratio is the processor time of the working tree divided by that of the
commit in the same round: above 1 is slower. The interval is that of the median over
the rounds. Two files that were made against the same commit can be compared, also if
they are from different machines: a case is named if the intervals of its ratios do not
overlap.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import binom

ROOT = Path(__file__).parents[1]
CASES = Path(__file__).parent / "speed" / "cases.py"


def git(*arguments: str) -> str:
    """What git prints of the repository."""
    run = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    )
    return run.stdout.strip()


def measured(tree: Path, rows: int) -> dict[str, dict[str, object]]:
    """The cases of the version in a folder."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    env = {**os.environ, "PYTHONPATH": str(tree), **dict.fromkeys(names, "1")}
    command = [sys.executable, str(CASES), str(rows)]
    run = subprocess.run(command, env=env, cwd=tree, stdout=subprocess.PIPE, check=True)
    found: dict[str, dict[str, object]] = json.loads(run.stdout)
    return found


def median_interval(values: list[float], level: float = 0.9) -> tuple[float, float]:
    """A distribution-free interval of the median: order statistics.

    Its true level is at least `level` if there are enough rounds, five for 90 %.
    """
    ordered, n = np.sort(values), len(values)
    low = max(int(binom.ppf((1 - level) / 2, n, 0.5)) - 1, 0)
    return float(ordered[low]), float(ordered[n - 1 - low])


def run(options: argparse.Namespace) -> dict[str, object]:
    """Measure both versions in turn."""
    times: dict[str, list[list[float]]] = {}
    aucs: dict[str, list[object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "other"
        git("worktree", "add", "--detach", str(other), options.against)
        try:
            for turn in range(options.rounds):
                order = [ROOT, other] if turn % 2 else [other, ROOT]
                found = {tree: measured(tree, options.rows) for tree in order}
                for name in found[ROOT].keys() & found[other].keys():
                    pair = [found[tree][name] for tree in (ROOT, other)]
                    times.setdefault(name, []).append([p["seconds"] for p in pair])
                    aucs[name] = [p.get("auc") for p in pair]
                print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
        finally:
            git("worktree", "remove", "--force", str(other))
    cases = {}
    for name, pairs in sorted(times.items()):
        ratios = [mine / theirs for mine, theirs in pairs]
        low, high = median_interval(ratios)
        cases[name] = {
            "ratio": float(np.median(ratios)),
            "low": low,
            "high": high,
            "seconds": float(np.median([mine for mine, _ in pairs])),
            "auc": aucs[name],
        }
    return {
        "commit": git("describe", "--always", "--dirty"),
        "against": git("rev-parse", options.against),
        "machine": f"{platform.processor() or platform.machine()}, "
        f"{os.cpu_count()} processors, Python {platform.python_version()}",
        "rounds": options.rounds,
        "rows": options.rows,
        "cases": cases,
    }


def show(found: dict[str, object]) -> None:
    """Print a table, and mark what differs beyond the noise."""
    print(f"{found['commit']} / {found['against']}: {found['machine']}")
    for name, case in found["cases"].items():
        differs = case["low"] > 1.0 or case["high"] < 1.0
        mark = ("slower" if case["ratio"] > 1 else "faster") if differs else ""
        auc = "" if case["auc"][0] is None else f"  AUC {case['auc']}"
        interval = f"{case['ratio']:.3f} [{case['low']:.3f}, {case['high']:.3f}]"
        print(f"{name:32s} {interval}  {case['seconds']:8.4f} s {mark:6s}{auc}")


def compare(before: dict[str, object], after: dict[str, object]) -> bool:
    """Print what changed between two runs; whether something is slower."""
    if before["against"] != after["against"]:
        raise SystemExit(
            f"The runs are against {before['against']} and {after['against']}. Measure "
            "both against the same commit."
        )
    slower = False
    for name in before["cases"].keys() & after["cases"].keys():
        was, now = before["cases"][name], after["cases"][name]
        if now["low"] > was["high"] or now["high"] < was["low"]:
            change = now["ratio"] / was["ratio"]
            print(
                f"{name}: {change:.2f} of the time ({was['ratio']} to {now['ratio']})"
            )
            slower = slower or change > 1
    if not slower:
        print("Nothing is slower beyond the noise.")
    return slower


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", help="a commit")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--json", type=Path, help="where to write the ratios")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    options = parser.parse_args()
    if options.compare:
        before, after = (json.loads(path.read_text()) for path in options.compare)
        sys.exit(compare(before, after))
    if not options.against:
        parser.error("give --against COMMIT, or --compare BEFORE AFTER")
    found = run(options)
    show(found)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
