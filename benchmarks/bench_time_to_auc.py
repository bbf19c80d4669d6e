"""How much sooner skmtl reaches the best mean AUC that a peer reaches in its epochs.

    python benchmarks/bench_time_to_auc.py --epochs 1 2 3

Every competitor is fitted from scratch with each number of epochs, interleaved. The
script prints the mean test AUC over tasks and the time of the complete fit; then, for
each peer, its best AUC, the time it took, and the shortest time in which skmtl reaches
it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import fmean, median

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from run import add_common, interleaved


def main() -> None:
    """Fit, print, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", nargs="+", default=["deepctr", "rechub"])
    parser.add_argument("--model", default="mmoe")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 2, 3])
    add_common(parser)
    options = parser.parse_args()
    names = ["skmtl", *options.peers]
    reached: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    print(f"{'':<10}{'epochs':>7}{'seconds':>9}{'mean AUC':>10}")
    for epochs in options.epochs:
        asked = {"model": options.model, "batch_size": options.batch_size}
        found = interleaved(names, options, rows=options.rows, epochs=epochs, **asked)
        for name, runs in found.items():
            seconds = median(run["seconds"] for run in runs)
            area = median(fmean(run["auc"].values()) for run in runs)
            reached[name].append((area, seconds))
            print(f"{name:<10}{epochs:>7}{seconds:>9.1f}{area:>10.4f}", flush=True)
    for peer in options.peers:
        best, theirs = max(reached[peer])
        ours = [seconds for area, seconds in reached["skmtl"] if area >= best]
        said = f"{theirs / min(ours):.1f} × sooner" if ours else "not reached"
        print(f"{peer}: best mean AUC {best:.4f} after {theirs:.1f} s; skmtl {said}")


if __name__ == "__main__":
    main()
