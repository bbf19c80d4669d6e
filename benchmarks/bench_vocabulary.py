"""Time of a step by size of the vocabulary, with lazy and dense updates, and of a peer.

    python benchmarks/bench_vocabulary.py --largest 10000 100000 1000000 10000000

Steps are those of the second epoch: in the first, the memory of each row that is
touched for the first time is also cleared. Dense Adam and the peer update every row at
every step, so they get fewer rows to train on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from run import add_common, interpreters, measure


def main() -> None:
    """Run all sizes and print milliseconds of a step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--largest", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7]
    )
    parser.add_argument("--model", default="share_bottom")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dense-rows", type=int, default=20_480)
    parser.add_argument("--peers", nargs="*", default=["deepctr"])
    add_common(parser)
    options = parser.parse_args()
    print(f"{'ids':>12}{'lazy':>9}{'dense':>9}" + "".join(map(_cell, options.peers)))
    for largest in options.largest:
        rounds = [_round(options, largest, seed) for seed in range(options.rounds)]
        steps = [median(column) * 1e3 for column in zip(*rounds, strict=True)]
        print(f"{largest:>12,}" + "".join(f"{ms:>9.2f}" for ms in steps), flush=True)
    print("milliseconds a step")


def _cell(name: str) -> str:
    return f"{name:>9}"


def _round(options: argparse.Namespace, largest: int, seed: int) -> list[float]:
    """Seconds of a step: lazy, dense, each peer."""
    pythons = interpreters(options)
    size = options.batch_size

    def run(name: str, rows: int, **more) -> dict:
        asked = {"model": options.model, "batch_size": size, "largest": largest}
        asked |= {"rows": rows, "seed": seed, "predict_rows": 1000} | more
        return measure(name, options.threads, pythons, **asked)

    full = {"full_vocabulary": True}
    lazy = run("skmtl", options.rows, epochs=2, **full)["epoch_seconds"][1]
    found = [lazy / -(-options.rows // size)]
    rows = options.dense_rows
    dense = run("skmtl", rows, epochs=2, adam=True, **full)["epoch_seconds"][1]
    found.append(dense / -(-rows // size))
    for peer in options.peers:
        one, two = (run(peer, rows, epochs=n)["seconds"] for n in (1, 2))
        found.append((two - one) / -(-rows // size))
    return found


if __name__ == "__main__":
    main()
