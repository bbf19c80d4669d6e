"""Time of an epoch in several processes against one, on one machine.

    python benchmarks/bench_processes.py --rows 200000 --rounds 3
    python benchmarks/bench_processes.py --rows 100000 --batch-sizes 8192 --rounds 2
    python benchmarks/bench_processes.py --models MMoE --rows 65536 \
        --batch-sizes 512 2048 8192 --processes 1 2 4 --model
    python benchmarks/bench_processes.py --models AITM MMoE --rows 24000 \
        --batch-sizes 64 --epochs 1 --rounds 1 --nudge --microbatches

Fits of one process and of several alternate. Each process has one thread and the same
table: 20 ids, of 50 to 200,000 values, and three numbers. An epoch is timed without its
encoding, by the clock and by the processor time of the first process, and the shortest
of each setting is compared. Where other work keeps the processors busy, the processes
wait for each other, and processor time tells more. Probabilities are compared with
those of one process.

With ``--model`` the processor time of a step is predicted: a constant and a time per
row from the fits in one process, of two batch sizes at least, and what is exchanged at
the speed of the exchanges of two processes. Then that of clusters, whose network can
carry ``--network`` bytes per second, with batches of the last size.

With ``--nudge`` there is one more fit in one process, whose first weights are changed
by their last bit: what rounding alone does to the outcome. With ``--microbatches`` fits
in one process have as many micro-batches as there are processes in another setting, so
that no probability should differ from that of the processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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


def fit(
    model: str,
    n_rows: int,
    batch_size: int,
    n_epochs: int,
    nudge: bool,
    n_microbatches: int | None,
    file: str,
) -> None:
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

    class Nudge(Callback):
        """Another last bit of all weights."""

        def on_train_begin(self, net: object, **_: object) -> None:
            for p in net.module_.parameters():
                p.data = torch.nextafter(p.data, torch.full_like(p, torch.inf))

    begun: list[float] = []
    busy: list[float] = []
    exchanged = Exchanged()

    torch.set_num_threads(1)
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    X, y = make_table(n_rows)
    ids = [name for name in X if name.startswith("id_")]
    ranker = getattr(skmtl, model)(
        categorical_features=ids,
        batch_size=batch_size,
        max_iter=n_epochs,
        early_stopping=False,
        random_state=0,
        n_microbatches=n_microbatches,
        callbacks=[Processor(), *([Nudge()] if nudge else [])],
    )
    ranker.fit(X, y)
    if int(os.environ.get("RANK", 0)) == 0:
        epochs = [epoch["dur"] for epoch in ranker.net_.history]
        proba = np.asarray(ranker.predict_task_proba(X[:2000])).tolist()
        n_steps = -(-n_rows // batch_size)
        outcome = {
            "epoch": min(epochs),
            "busy": min(busy),
            "proba": proba,
            "step": min(busy) / n_steps,
            "exchange": exchanged.seconds / (n_epochs * n_steps),
            "reduced": exchanged.n_bytes["_reduced"] / (n_epochs * n_steps),
            "gathered": exchanged.n_bytes["_gathered"] / (n_epochs * n_steps),
        }
        Path(file).write_text(json.dumps(outcome))
    if dist.is_initialized():
        dist.destroy_process_group()


class Exchanged:
    """What a process sends, and the processor time that it takes."""

    def __init__(self) -> None:
        self.n_bytes = dict.fromkeys(("_reduced", "_gathered"), 0)
        self.seconds = 0.0
        for name in self.n_bytes:
            self.watch(name)

    def watch(self, name: str) -> None:
        from skmtl.training.processes import ProcessGroup

        method = getattr(ProcessGroup, name)

        def exchange(group: object, x: object) -> object:
            begun = time.process_time()
            found = method(group, x)
            self.seconds += time.process_time() - begun
            self.n_bytes[name] += x.nbytes
            return found

        setattr(ProcessGroup, name, exchange)


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
        model, n_rows, batch_size, n_epochs, change, file = sys.argv[2:]
        numbers = int(n_rows), int(batch_size), int(n_epochs)
        parts = int(change) if change.isdigit() else None
        fit(model, *numbers, change == "nudge", parts, file)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", nargs="+", default=["MMoE", "ShareBottom"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--nudge", action="store_true", help="what rounding does")
    parser.add_argument("--microbatches", action="store_true", help="the same bits")
    parser.add_argument("--model", action="store_true", help="predict more processes")
    parser.add_argument("--network", type=float, default=1.25e9, help="bytes/s")
    asked = parser.parse_args()
    print(
        "model        batch  processes  clock (s)  ratio  busy (s)  ratio  difference"
    )
    for model in asked.models:
        of_sizes: dict[int, dict[int, dict[str, float]]] = {}
        for size in asked.batch_sizes:
            arguments = [model, str(asked.rows), str(size), str(asked.epochs)]
            found: dict[int, list[dict[str, object]]] = {}
            for _ in range(asked.rounds):
                for n in asked.processes:
                    outcome = outcome_of(n, [*arguments, "-"])
                    found.setdefault(n, []).append(outcome)
            report(model, size, found)
            if asked.nudge:
                nudged = outcome_of(1, [*arguments, "nudge"])
                print(
                    f"another last bit in one process: {difference(found, nudged):.1e}"
                )
            for n in asked.processes if asked.microbatches else []:
                if n > 1:
                    parts = outcome_of(1, [*arguments, str(n)])
                    apart = difference({n: found[n]}, parts)
                    print(f"{n} processes, {n} micro-batches in one: {apart:.1e}")
            of_sizes[size] = {n: best(of) for n, of in found.items()}
        if asked.model:
            predict(of_sizes, asked.network)


def best(outcomes: list[dict[str, object]]) -> dict[str, float]:
    """The smallest of each number."""
    keys = ("step", "exchange", "reduced", "gathered")
    return {key: min(float(one[key]) for one in outcomes) for key in keys}


def predict(found: dict[int, dict[int, dict[str, float]]], network: float) -> None:
    """Compare steps with a model of them, and say what it gives for clusters."""
    sizes = list(found)
    steps = np.array([found[size][1]["step"] for size in sizes])
    rate, constant = np.polyfit(sizes, steps, 1, w=1 / steps)
    two = [found[size][2] for size in sizes]
    speed = sum(map(sent(2), two)) / sum(one["exchange"] for one in two)
    print(
        f"a step takes {1e3 * constant:.1f} ms and {1e6 * rate:.1f} us for each row; "
        f"exchanges here {speed / 1e9:.2f} GB/s\n"
        "batch  processes  reduced (MB)  gathered (MB)  step (ms)  predicted (ms)"
    )
    for size, of_size in found.items():
        for n, one in of_size.items():
            predicted = constant + rate * size / n + sent(n)(one) / speed
            print(
                f"{size:5}  {n:9}  {one['reduced'] / 1e6:12.2f}  "
                f"{one['gathered'] / 1e6:13.2f}  {1e3 * one['step']:9.1f}  "
                f"{1e3 * predicted:14.1f}"
            )
    # Rows of tables that a process touches grow with its part of the batch, but slower.
    size, one = sizes[-1], two[-1]
    power = np.polyfit(
        np.log([m / 2 for m in sizes]), np.log([m["gathered"] for m in two]), 1
    )[0]
    print(f"bytes gathered grow as rows ** {power:.2f}\nmachines  step (ms)  speed-up")
    alone = constant + rate * size
    for n in (1, 2, 4, 8, 16, 32):
        gathered = one["gathered"] * (2 / n) ** power
        there = {"reduced": one["reduced"], "gathered": gathered}
        step = constant + rate * size / n + sent(n)(there) / network
        print(f"{n:8}  {1e3 * step:9.1f}  {alone / step:8.2f}")


def sent(n: int) -> Callable[[dict[str, float]], float]:
    """Bytes that a process sends to add up and to gather, if they go round a ring."""
    return lambda one: (n - 1) * (2 / n * one["reduced"] + one["gathered"])


def report(model: str, size: int, found: dict[int, list[dict[str, object]]]) -> None:
    first = next(iter(found.values()))
    for n, outcomes in found.items():
        line = f"{model:12} {size:5}  {n:9}"
        for key in ("epoch", "busy"):
            here, alone = (min(one[key] for one in of) for of in (outcomes, first))
            line += f"  {here:8.2f}  {alone / here:5.2f}"
        print(f"{line}  {difference(found, outcomes[0]):.1e}", flush=True)


def difference(
    found: dict[int, list[dict[str, object]]], other: dict[str, object]
) -> float:
    """Between probabilities of a fit and of the first one, at most."""
    first = next(iter(found.values()))[0]
    p, q = (np.array(one["proba"]) for one in (first, other))
    return float(np.abs(p - q).max())


if __name__ == "__main__":
    main()
