"""Time of one prediction for a service: one row, and 500 candidates.

    python benchmarks/bench_latency.py --competitors deepctr rechub
    python benchmarks/bench_latency.py --competitors --against v0.1.0 --processor-time

skmtl predicts from a DataFrame of strings and numbers, from rows as dictionaries, and
from a dictionary of columns; ``bare`` is the network alone on tensors, and peers
predict from encoded arrays. Each runs in its own process, interleaved; medians over
calls, then over rounds. With ``--against``, the version of a commit runs in turn with
this one. Use processor time on a machine that is not idle.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from run import add_common, interpreters, launch

ROOT = Path(__file__).parents[1]


@contextmanager
def trees(commit: str | None):
    """Folders of the versions to measure, by name."""
    if commit is None:
        yield {"skmtl": ROOT}
        return
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "before"
        git = ["git", "-C", str(ROOT), "worktree"]
        add = [*git, "add", "--detach", str(other), commit]
        subprocess.run(add, check=True, capture_output=True)
        try:
            yield {"skmtl": ROOT, "before": other}
        finally:
            subprocess.run([*git, "remove", "--force", str(other)], check=True)


def main() -> None:
    """Run all rounds and print milliseconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--competitors", nargs="*", default=["deepctr", "rechub"])
    parser.add_argument("--against", help="a commit")
    parser.add_argument("--model", default="mmoe")
    parser.add_argument("--processor-time", action="store_true")
    add_common(parser)
    options = parser.parse_args()
    found, pythons = defaultdict(list), interpreters(options)
    clock = options.processor_time
    with trees(options.against) as versions:
        for seed in range(options.rounds):
            for name in [*versions, "bare", *options.competitors]:
                asked = {"model": options.model, "seed": seed, "processor_time": clock}
                asked["tree"] = versions.get(name, ROOT)
                script = "skmtl" if name == "before" else name
                out = launch(script, options.threads, pythons, "latency", **asked)
                found[name].append(json.loads(out.splitlines()[-1]))
    print(f"{'':<20}{'1 row, ms':>11}{'÷ bare':>8}{'500 rows, ms':>14}{'÷ bare':>8}")
    bare = found["bare"]
    for name, runs in found.items():
        for form in dict.fromkeys(key.rpartition("_")[0] for key in runs[0]):
            line = f"{name if form == 'frame' else f'{name}, {form}':<20}"
            for size, width in ((1, 11), (500, 14)):
                times = [run[f"{form}_{size}"] for run in runs]
                ratios = [
                    t / b[f"frame_{size}"] for t, b in zip(times, bare, strict=True)
                ]
                line += f"{median(times):>{width}.3f}{median(ratios):>8.2f}"
            print(line)


if __name__ == "__main__":
    main()
