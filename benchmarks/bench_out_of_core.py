"""Time, memory and scratch space of fits on Parquet files, as the rows grow.

    python benchmarks/bench_out_of_core.py --rows 2000000 20000000
    python benchmarks/bench_out_of_core.py --rows 2000000 --memory
    python benchmarks/bench_out_of_core.py --rows 300000 --order
    python benchmarks/bench_out_of_core.py --rows 1000000 10000000 100000000 \
        --attributes 15 --batch-size 8192 --log /data/log --scratch /data/scratch
    python benchmarks/bench_out_of_core.py --vocabulary 100000 1000000 --strings

Logs come from ``make_funnel`` in parts; a fit on a source never has its log whole in
memory. Each fit has a process of its own. Peak memory is that of the process, less what
it has before the fit: for a fit in memory, the table is not counted. With ``--memory``
the same rows are also fitted in memory: epochs from piles are compared with epochs
there, by processor time. With ``--order`` the log is sorted by label and user, and
there are several piles (``--pile-bytes``). The AUC on other rows is compared with that
of fits on the same table in memory, which shuffle it whole, over ``--seeds`` seeds
each, all in one process.

With ``--users 20000`` all ids occur among two million rows, so that memory grows with
the rows alone. ``--attributes`` adds ids to the six of the log: properties of users and
of items with 50 to 200,000 values. ``--log`` keeps the files, and the next run reads
those that it finds there; smaller logs are the first files of larger ones. Times are
processor time, and the last column is the time of the whole fit by the clock.

``--vocabulary`` fits tables of one column, in which each of so many ids comes twice.
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
# Odd, so that no two ids have the same attribute in all of them.
_MULTIPLIER = 0x9E3779B1
MODELS = {"mmoe": MMoE, "share_bottom": ShareBottom}


def make_part(
    seed: int, n_rows: int, n_attributes: int = 0, n_users: int = 100_000
) -> pd.DataFrame:
    """Some rows; the ids are the same in all parts."""
    log = make_funnel(
        n_rows,
        n_users=n_users,
        n_items=n_users // 2,
        zipf_exponent=0.8,
        random_state=seed,
    )
    frame = log.data.join(log.target)
    frame["device"] = frame["device"].astype(str)
    frame = frame.astype(dict.fromkeys(["user_id", "item_id", "category_id"], "int64"))
    for k, size in enumerate(attribute_sizes(n_attributes)):
        whose = frame["user_id" if k % 2 else "item_id"].to_numpy()
        frame[f"attribute_{k}"] = (whose * _MULTIPLIER + k * 7919) % 2**31 % size
    return frame


def attribute_sizes(n: int) -> list[int]:
    """Numbers of values."""
    return np.geomspace(50, 200_000, n).astype(int).tolist()


def write(folder: Path, n_rows: int, n_attributes: int, n_users: int) -> list[str]:
    """Write a log in files of up to `PART` rows; those that are there stay."""
    paths = []
    for k, start in enumerate(range(0, n_rows, PART)):
        n = min(PART, n_rows - start)
        path = folder / f"{k:05d}-{n}-{n_attributes}-{n_users}.parquet"
        paths.append(str(path))
        if not path.exists():
            part = make_part(k, n, n_attributes, n_users)
            begun = path.with_suffix(".part")
            part.to_parquet(begun, row_group_size=100_000)
            begun.rename(path)
    return paths


def write_ids(path: Path, n_ids: int, *, strings: bool) -> None:
    """Write a log in which every id comes twice, in blocks of new ids."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, writer = np.random.default_rng(0), None
    for first in range(0, n_ids, PART):
        ids = rng.permutation(np.repeat(np.arange(first, min(first + PART, n_ids)), 2))
        frame = pd.DataFrame({"user_id": ids, "price": rng.normal(size=len(ids))})
        if strings:
            frame["user_id"] = "user-" + frame["user_id"].astype(str)
        for task in TASKS:
            frame[task] = rng.integers(0, 2, len(ids))
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def vocabulary(options: argparse.Namespace) -> None:
    """Print a line for each number of ids."""
    print(f"{'ids':>12}{'parameters':>14}{'after pass 1':>14}{'peak MiB':>10}")
    for n_ids in options.vocabulary:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ids.parquet"
            write_ids(path, n_ids, strings=options.strings)
            one = run([str(path)], "source", options)
        counted = one["_count_mib"] - one["before_mib"]
        print(
            f"{n_ids:>12,}{one['parameters']:>14,}{counted:>14,.0f}"
            f"{one['peak_mib']:>10,.0f}",
            flush=True,
        )


class EpochTimes(Callback):
    """Processor seconds of each epoch."""

    def on_epoch_begin(self, net: object, **_: object) -> None:
        self.begun = time.process_time()

    def on_epoch_end(self, net: object, **_: object) -> None:
        self.times = [*getattr(self, "times", []), time.process_time() - self.begun]


def measure(options: argparse.Namespace) -> None:
    """Fit in this process, and print what it took as JSON."""
    paths = json.loads(sys.stdin.read())
    times, passes = EpochTimes(), {}
    for name in ("_count", "_scatter"):
        timed(name, passes)
    attributes = [f"attribute_{k}" for k in range(options.attributes)]
    ids = ["user_id"] if options.vocabulary else IDS + attributes
    ranker = MODELS[options.model](
        categorical_features=ids,
        max_iter=options.epochs,
        batch_size=options.batch_size,
        early_stopping=False,
        n_threads=1,
        callbacks=[times],
        scratch_dir=options.scratch,
        verbose=options.verbose,
        random_state=0,
    )
    in_memory = options.worker == "memory"
    frame = pd.concat(map(pd.read_parquet, paths)) if in_memory else None
    before, begun, clock = start_of_peak(), time.process_time(), time.perf_counter()
    if frame is None:
        ranker.fit(paths, y=TASKS)
    else:
        ranker.fit(frame.drop(columns=TASKS), frame[TASKS])
    found = {
        "seconds": time.process_time() - begun,
        "clock": time.perf_counter() - clock,
        "before_mib": before,
        "peak_mib": status_mib("VmHWM") - before,
        "epochs": times.times,
        "parameters": sum(p.numel() for p in ranker.net_.module_.parameters()),
        **passes,
    }
    print(json.dumps(found))


def timed(name: str, found: dict[str, float]) -> None:
    """Note the processor seconds of a pass, and its memory and disk space."""
    method = getattr(source_fit.SourceFit, name)

    def timed_method(self: object, *args: object) -> object:
        begun = time.process_time()
        out = method(self, *args)
        found[name] = time.process_time() - begun
        found[f"{name}_mib"] = status_mib("VmHWM")
        if name == "_scatter":
            files = Path(out[0].folder).iterdir()
            found["scratch"] = sum(file.stat().st_size for file in files)
            found["n_piles"] = len(out[0].sizes)
        return out

    setattr(source_fit.SourceFit, name, timed_method)


def run(paths: list[str], where: str, options: argparse.Namespace) -> dict:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--worker", where, *sys.argv[1:]]
    done = subprocess.run(
        command, input=json.dumps(paths), capture_output=True, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def growth(options: argparse.Namespace) -> None:
    """Print a line for each number of rows."""
    print(
        f"{'rows':>12}{'where':>8}{'pass 1':>9}{'pass 2':>9}{'epoch':>9}"
        f"{'passes/epoch':>14}{'rows/s':>10}{'peak MiB':>10}{'B/row':>7}{'on disk':>9}"
        f"{'piles':>7}{'clock':>9}"
    )
    for n_rows in options.rows:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(options.log or temporary)
            folder.mkdir(exist_ok=True)
            paths = write(folder, n_rows, options.attributes, options.users)
            on_disk = sum(Path(path).stat().st_size for path in paths)
            for where in ["source", *(["memory"] if options.memory else [])]:
                one = run(paths, where, options)
                epoch = float(np.median(one["epochs"]))
                first, second = one.get("_count", 0.0), one.get("_scatter", 0.0)
                print(
                    f"{n_rows:>12,}{where:>8}{first:>9.1f}{second:>9.1f}{epoch:>9.1f}"
                    f"{(first + second) / epoch:>14.3f}{n_rows / epoch:>10,.0f}"
                    f"{one['peak_mib']:>10,.0f}{one.get('scratch', 0) / n_rows:>7.0f}"
                    f"{on_disk / n_rows:>9.1f}{one.get('n_piles', 0):>7}"
                    f"{one['clock']:>9.0f}",
                    flush=True,
                )
            if options.verbose:
                print(json.dumps(one), flush=True)


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
    parser.add_argument("--attributes", type=int, default=0, help="more ids")
    parser.add_argument("--users", type=int, default=100_000, help="twice the items")
    parser.add_argument("--log", help="folder for the files, which stay there")
    parser.add_argument("--scratch", help="folder for the piles")
    parser.add_argument("--verbose", type=int, default=0, help="all that is measured")
    parser.add_argument("--vocabulary", type=int, nargs="+", help="numbers of ids")
    parser.add_argument("--strings", action="store_true", help="of --vocabulary")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        measure(options)
    elif options.vocabulary:
        vocabulary(options)
    elif options.order:
        order(options)
    else:
        growth(options)


if __name__ == "__main__":
    main()
