"""Time of an epoch in several processes against one, on one machine.

    python benchmarks/bench_processes.py --rows 200000 --rounds 3

Fits of one process and of several alternate. Each process has one thread and the same
table: 20 ids, of 50 to 200,000 values, and three numbers. An epoch is timed without its
encoding, by the clock and by the processor time of the first process, and the shortest
of each setting is compared. Where other work keeps the processors busy, the processes
wait for each other, and processor time tells more. Probabilities are compared with
those of one process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

SIZES = np.geomspace(50, 200_000, 20).astype(int)


def make_table(n_rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ids with a few frequent values and many rare ones, and two tasks."""
    rng = np.random.default_rng(0)
    columns = {
        f"id_{k}": (size ** rng.random(n_rows)).astype(np.int64) - 1
        for k, size in enumerate(SIZES)
    }
    columns |= {f"number_{k}": rng.normal(size=n_rows) for k in range(3)}
    X = pd.DataFrame(columns)
    effect = X["number_0"] + np.sin(X["id_3"]) + np.cos(X["id_9"])
    tasks = {"click": 2.0, "order": 3.5}
    y = {name: effect - b > rng.logistic(size=n_rows) for name, b in tasks.items()}
    return X, pd.DataFrame(y).astype(int)


def fit(model: str, n_rows: int, batch_size: int, file: str) -> None:
    """Fit in this process, which may be one of several; the first writes."""
    import torch
    import torch.distributed as dist
    from skorch.callbacks import Callback

    import skmtl

    class Processor(Callback):
        """Processor time of each epoch."""

        def on_epoch_begin(self, net: object, **_: object) -> None:
            begun.append(time.process_time())

        def on_epoch_end(self, net: object, **_: object) -> None:
            busy.append(time.process_time() - begun[-1])

    begun: list[float] = []
    busy: list[float] = []

    torch.set_num_threads(1)
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    X, y = make_table(n_rows)
    ids = [name for name in X if name.startswith("id_")]
    ranker = getattr(skmtl, model)(
        categorical_features=ids,
        batch_size=batch_size,
        max_iter=3,
        early_stopping=False,
        random_state=0,
        callbacks=[Processor()],
    )
    ranker.fit(X, y)
    if int(os.environ.get("RANK", 0)) == 0:
        epochs = [epoch["dur"] for epoch in ranker.net_.history]
        proba = np.asarray(ranker.predict_task_proba(X[:2000])).tolist()
        outcome = {"epoch": min(epochs), "busy": min(busy), "proba": proba}
        Path(file).write_text(json.dumps(outcome))
    if dist.is_initialized():
        dist.destroy_process_group()


def outcome_of(n_processes: int, arguments: list[str]) -> dict[str, object]:
    launch = []
    if n_processes > 1:
        launch = ["-m", "torch.distributed.run", "--standalone"]
        launch += ["--nproc-per-node", str(n_processes)]
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "outcome.json")
        subprocess.run(
            [sys.executable, *launch, __file__, "--fit", *arguments, file],
            check=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        found: dict[str, object] = json.loads(Path(file).read_text())
        return found


def main() -> None:
    if sys.argv[1:2] == ["--fit"]:
        model, n_rows, batch_size, file = sys.argv[2:]
        fit(model, int(n_rows), int(batch_size), file)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", nargs="+", default=["MMoE", "ShareBottom"])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(
        "model        batch  processes  clock (s)  ratio  busy (s)  ratio  difference"
    )
    for model in asked.models:
        for size in asked.batch_sizes:
            arguments = [model, str(asked.rows), str(size)]
            found: dict[int, list[dict[str, object]]] = {}
            for _ in range(asked.rounds):
                for n in asked.processes:
                    found.setdefault(n, []).append(outcome_of(n, arguments))
            report(model, size, found)


def report(model: str, size: int, found: dict[int, list[dict[str, object]]]) -> None:
    first = next(iter(found.values()))
    for n, outcomes in found.items():
        line = f"{model:12} {size:5}  {n:9}"
        for key in ("epoch", "busy"):
            here, alone = (min(one[key] for one in of) for of in (outcomes, first))
            line += f"  {here:8.2f}  {alone / here:5.2f}"
        p, q = (np.array(one[0]["proba"]) for one in (first, outcomes))
        print(f"{line}  {np.abs(p - q).max():.1e}")


if __name__ == "__main__":
    main()
