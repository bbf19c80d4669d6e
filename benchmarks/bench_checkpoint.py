"""What saving the state of a fit costs: fits without and with a Checkpoint, in turn.

    python benchmarks/bench_checkpoint.py --rounds 3

The table is that of bench_speed.py, MMoE has the default layers, and the numbers of
rows and epochs are such that a fit takes about a minute of one core. Fits follow one
another in this process, in another order each round: without, with ``every="10min"``,
which compares the fit with what was saved but saves nothing within a minute, and after
each epoch. Prints the processor time of each way, the ratio to the fit without in the
same round, the number of saves and their size, and the processor and wall time of what
the callback does.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from skmtl import Checkpoint, MMoE

sys.path.insert(0, str(Path(__file__).parent / "speed"))

from workload import make_workload

WAYS = ["none", "10min", "epoch"]


class Timed(Checkpoint):
    """Notes what its saves take."""

    def __init__(self, path, *, every):
        super().__init__(path, every=every)
        self.wall = self.cpu = 0.0
        self.sizes = []

    def resume(self, net, table, valid):
        with self._clocks():
            return super().resume(net, table, valid)

    def _save(self, net):
        with self._clocks():
            super()._save(net)
        self.sizes.append((Path(self.path) / "last.checkpoint").stat().st_size)

    @contextlib.contextmanager
    def _clocks(self):
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


def fit(X, y, params, every):
    """Processor time of a fit, and its callbacks."""
    with tempfile.TemporaryDirectory() as folder:
        callbacks = [] if every == "none" else [Timed(folder, every=every)]
        start = time.process_time()
        MMoE(**params, callbacks=callbacks).fit(X, y)
        return time.process_time() - start, callbacks


def main() -> None:
    """Take the times, and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--largest", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    X, y = make_workload(options.rows, options.largest).frame(test=False)
    params = {
        "categorical_features": [name for name in X if name.startswith("id")],
        "max_iter": options.epochs,
        "early_stopping": False,
        "random_state": 0,
        "n_threads": 1,
    }
    fit(X[:20_000], y[:20_000], params | {"max_iter": 1}, "epoch")
    ratios: dict[str, list[float]] = {way: [] for way in options.ways}
    for k in range(options.rounds):
        first = k % len(options.ways)
        order = [*options.ways[first:], *options.ways[:first]]
        found = {way: fit(X, y, params, way) for way in order}
        for way in options.ways:
            took, callbacks = found[way]
            ratios[way].append(took / found[options.ways[0]][0])
            print(f"{way:>6} {took:6.1f} s  {ratios[way][-1]:5.3f}", flush=True)
            for one in callbacks:
                share = one.cpu / (took - one.cpu)
                print(
                    f"       {len(one.sizes)} saves, {sum(one.sizes) / 1e6:.1f} MB: "
                    f"{one.cpu:.2f} s, {share:.2%} of the rest of the fit; "
                    f"{one.wall:.2f} s of wall time",
                    flush=True,
                )
    print({way: round(median(found), 3) for way, found in ratios.items()})


if __name__ == "__main__":
    main()
