"""Which part of a grid search is spent on encoding its tables.

    python benchmarks/bench_search.py --model ShareBottom --epochs 1

``GridSearchCV`` encodes the training rows of a fold again for each candidate, and the
test rows for each score. One over the rest is the most that a search could gain if
encoded tables were kept. Processor time, one thread.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from sklearn.model_selection import GridSearchCV, KFold

import skmtl
from skmtl import TableEncoder

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from workload import make_workload

KINDS = {"str": "str", "object": object, "category": "category"}


class Clock:
    """Processor time spent in some methods of a class."""

    def __init__(self, kind: type, names: list[str]) -> None:
        self.seconds, self.depth = 0.0, 0
        for name in names:
            setattr(kind, name, self.timed(getattr(kind, name)))

    def timed(self, method: Callable[..., object]) -> Callable[..., object]:
        """The same method, whose calls count unless one counts already."""

        def call(*args: object, **kwargs: object) -> object:
            self.depth += 1
            start = time.process_time()
            try:
                return method(*args, **kwargs)
            finally:
                self.depth -= 1
                self.seconds += (time.process_time() - start) * (self.depth == 0)

        return call


def main() -> None:
    """Search and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--model", default="ShareBottom")
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    X, y = make_workload(options.rows).frame(test=False, strings=True)
    ids = [name for name in X if name.startswith("id")]
    ranker = getattr(skmtl, options.model)(
        max_iter=options.epochs, early_stopping=False, n_threads=1, random_state=0
    )
    rates = [0.001 * 1.1**k for k in range(options.candidates)]
    search = GridSearchCV(ranker, {"learning_rate": rates}, cv=KFold(2), refit=False)
    clock = Clock(TableEncoder, ["fit", "fit_encode", "encode"])
    for name, dtype in KINDS.items():
        table = X.astype(dict.fromkeys(ids, dtype))
        clock.seconds, start = 0.0, time.process_time()
        search.fit(table, y.astype(int))
        total = time.process_time() - start
        share = clock.seconds / total
        print(
            f"{options.model}, {options.epochs} epoch(s), ids of {name}: "
            f"{total:.1f} s, encoding {clock.seconds:.2f} s, {share:.1%}; without it "
            f"{1 / (1 - share):.2f} x as fast",
            flush=True,
        )


if __name__ == "__main__":
    main()
