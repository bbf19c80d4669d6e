"""Time, memory and scratch space of fits on Parquet files, as the rows grow.

    python benchmarks/bench_out_of_core.py --rows 2000000 20000000
    python benchmarks/bench_out_of_core.py --rows 2000000 --memory
    python benchmarks/bench_out_of_core.py --rows 300000 --order

Logs come from ``make_funnel`` in parts; a fit on a source never has its log whole in
memory. Each fit has a process of its own. Peak memory is that of the process, less what
it has before the fit: for a fit in memory, the table is not counted. With ``--memory``
the same rows are also fitted in memory: epochs from piles are compared with epochs
there, by processor time. With ``--order`` the log is sorted by label and user, and
there are several piles (``--pile-bytes``). The AUC on other rows is compared with that
of fits on the same table in memory, which shuffle it whole, over ``--seeds`` seeds
each, all in one process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from skorch.callbacks import Callback

from skmtl import MMoE, ShareBottom
from skmtl.datasets import make_funnel
from skmtl.sources import ParquetFiles
from skmtl.training import piles, source_fit

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from measure import start_of_peak, status_mib

PART = 500_000
TASKS = ["click", "cart", "order"]
IDS = ["user_id", "item_id", "category_id", "device", "hour", "position"]
MODELS = {"mmoe": MMoE, "share_bottom": ShareBottom}


def make_part(seed: int, n_rows: int) -> pd.DataFrame:
    """Some rows; the ids are the same in all parts."""
    log = make_funnel(
        n_rows, n_users=100_000, n_items=50_000, zipf_exponent=0.8, random_state=seed
    )
    frame = log.data.join(log.target)
    frame["device"] = frame["device"].astype(str)
    return frame.astype(dict.fromkeys(["user_id", "item_id", "category_id"], "int64"))


def write(folder: Path, n_rows: int) -> None:
    """Write a log in files of up to `PART` rows."""
    for k, start in enumerate(range(0, n_rows, PART)):
        part = make_part(k, min(PART, n_rows - start))
        part.to_parquet(folder / f"{k:05d}.parquet", row_group_size=100_000)


class EpochTimes(Callback):
    """Processor seconds of each epoch."""

    def on_epoch_begin(self, net: object, **_: object) -> None:
        self.begun = time.process_time()

    def on_epoch_end(self, net: object, **_: object) -> None:
        self.times = [*getattr(self, "times", []), time.process_time() - self.begun]


def measure(folder: str, where: str, model: str, epochs: int, batch: int) -> None:
    """Fit in this process, and print what it took as JSON."""
    times, passes = EpochTimes(), {}
    for name in ("_count", "_scatter"):
        timed(name, passes)
    ranker = MODELS[model](
        categorical_features=IDS,
        max_iter=epochs,
        batch_size=batch,
        early_stopping=False,
        n_threads=1,
        callbacks=[times],
        random_state=0,
    )
    frame = None if where == "source" else pd.read_parquet(folder)
    before, begun = start_of_peak(), time.process_time()
    if frame is None:
        ranker.fit(folder, y=TASKS)
    else:
        ranker.fit(frame.drop(columns=TASKS), frame[TASKS])
    found = {
        "seconds": time.process_time() - begun,
        "peak_mib": status_mib("VmHWM") - before,
        "epochs": times.times,
        **passes,
    }
    print(json.dumps(found))


def timed(name: str, found: dict[str, float]) -> None:
    """Note the processor seconds of a pass."""
    method = getattr(source_fit.SourceFit, name)

    def timed_method(self: object, *args: object) -> object:
        begun = time.process_time()
        out = method(self, *args)
        found[name] = time.process_time() - begun
        if name == "_scatter":
            found["row_bytes"] = 4.0 * out[0].layout.width
            found["n_piles"] = len(out[0].sizes)
        return out

    setattr(source_fit.SourceFit, name, timed_method)


def run(folder: str, where: str, options: argparse.Namespace) -> dict:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--worker", where, "--folder", folder]
    command += ["--model", options.model, "--epochs", str(options.epochs)]
    command += ["--batch-size", str(options.batch_size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def growth(options: argparse.Namespace) -> None:
    """Print a line for each number of rows."""
    print(
        f"{'rows':>12}{'where':>8}{'pass 1':>9}{'pass 2':>9}{'epoch':>9}"
        f"{'passes/epoch':>14}{'rows/s':>10}{'peak MiB':>10}{'B/row':>7}{'piles':>7}"
    )
    for n_rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), n_rows)
            for where in ["source", *(["memory"] if options.memory else [])]:
                one = run(folder, where, options)
                epoch = float(np.median(one["epochs"]))
                first, second = one.get("_count", 0.0), one.get("_scatter", 0.0)
                print(
                    f"{n_rows:>12,}{where:>8}{first:>9.1f}{second:>9.1f}{epoch:>9.1f}"
                    f"{(first + second) / epoch:>14.3f}{n_rows / epoch:>10,.0f}"
                    f"{one['peak_mib']:>10,.0f}{one.get('row_bytes', 0):>7.0f}"
                    f"{one.get('n_piles', 0):>7}",
                    flush=True,
                )


def order(options: argparse.Namespace) -> None:
    """Compare fits on a sorted log with fits on the same table in memory."""
    passes: dict[str, float] = {}
    timed("_scatter", passes)
    # One pile would be the fit in memory, to the last bit.
    piles.PILE_BYTES = options.pile_bytes
    both = make_part(0, options.rows[0] + 200_000)
    both = both.sample(frac=1.0, random_state=0, ignore_index=True)
    test, frame = both[:200_000], both[200_000:]
    frame = frame.sort_values(["click", "user_id"], ignore_index=True)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "sorted.parquet"
        frame.to_parquet(path, row_group_size=20_000)
        found: dict[str, list[list[float]]] = {"memory": [], "source": []}
        for seed in range(options.seeds):
            ranker = MODELS[options.model](
                categorical_features=IDS,
                max_iter=options.epochs,
                early_stopping=False,
                n_threads=1,
                random_state=seed,
            )
            for where, aucs in found.items():
                if where == "source":
                    ranker.fit(ParquetFiles(path), y=TASKS)
                else:
                    ranker.fit(frame.drop(columns=TASKS), frame[TASKS])
                proba = ranker.predict_task_proba(test.drop(columns=TASKS))
                aucs.append([auc(test[t], proba[:, k]) for k, t in enumerate(TASKS)])
        print(f"{passes['n_piles']} piles")
        for where, aucs in found.items():
            mean, sd = np.mean(aucs, axis=0), np.std(aucs, axis=0, ddof=1)
            parts = (
                f"{task} {m:.4f} ± {s:.4f}"
                for task, m, s in zip(TASKS, mean, sd, strict=True)
            )
            print(f"{where:>8}: {', '.join(parts)}")


def auc(label: pd.Series, score: np.ndarray) -> float:
    """ROC AUC."""
    from skmtl.metrics import roc_auc

    return float(roc_auc(label.to_numpy(), score))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000])
    parser.add_argument("--model", choices=list(MODELS), default="mmoe")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--memory", action="store_true", help="compare with memory")
    parser.add_argument("--order", action="store_true", help="a sorted log")
    parser.add_argument("--seeds", type=int, default=10, help="of --order")
    parser.add_argument("--pile-bytes", type=int, default=2**20, help="of --order")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        measure(
            options.folder,
            options.worker,
            options.model,
            options.epochs,
            options.batch_size,
        )
    elif options.order:
        order(options)
    else:
        growth(options)


if __name__ == "__main__":
    main()
