"""The command line of skmtl.

- ``python -m skmtl`` compares three rankers on a table of the package.
- ``python -m skmtl fit TABLE --tasks CLICK,ORDER`` fits a ranker on a CSV or Parquet
  file, prints a report on held-out rows and saves the ranker.
- ``python -m skmtl predict RANKER TABLE`` writes the probabilities of new rows.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import train_test_split

from skmtl import ChainedMMoE, MMoE, MultiTaskRanker, ShareBottom, load, rankers
from skmtl._extras import import_extra
from skmtl._sklearn import HAS_CALLBACKS
from skmtl._typing import ColumnName
from skmtl.datasets import load_adult
from skmtl.metrics import roc_auc, task_report

Floats = npt.NDArray[np.float64]
RANKERS: tuple[type[MultiTaskRanker], ...] = (ShareBottom, MMoE, ChainedMMoE)
RANKER_NAMES = [name for name in rankers.__all__ if name != "MultiTaskRanker"]
INTERVAL = [0.025, 0.975]

NEXT = """\
import pandas as pd
from skmtl import {ranker}
from skmtl.metrics import task_report

ids = {{"user_id": "category", "item_id": "category"}}
table = pd.read_csv("table.csv", dtype=ids).sort_values("time")
tasks = ["click", "order"]  # columns of 0 and 1; empty if not observed
X, y = table.drop(columns=["time", *tasks]), table[tasks]
n = len(X) * 4 // 5  # test on the most recent fifth
ranker = {ranker}(random_state=0).fit(X[:n], y[:n])
report = task_report(y[n:], ranker.predict_task_proba(X[n:]))
print(report[["positives", "roc_auc", "roc_auc_low", "roc_auc_high"]])
"""


def compare(
    max_iter: int, *, progress: bool
) -> tuple[pd.DataFrame, dict[str, object], pd.Series]:
    """Fit the rankers; return test labels, and probabilities and seconds of each."""
    X, y = load_adult(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    proba, seconds = {}, {}
    for kind in RANKERS:
        ranker = kind(max_iter=max_iter, random_state=0)
        if progress:
            _show_progress(ranker)
        start = time.perf_counter()
        ranker.fit(X_train, y_train)
        seconds[kind.__name__] = time.perf_counter() - start
        proba[kind.__name__] = ranker.predict_task_proba(X_test)
    return y_test, proba, pd.Series(seconds)


def _show_progress(ranker: MultiTaskRanker) -> None:
    if HAS_CALLBACKS:
        from sklearn.callback import ProgressBar

        ranker.set_callbacks(ProgressBar())
    else:
        ranker.set_params(verbose=1)


def bootstrap(y: pd.DataFrame, proba: dict[str, Any]) -> Floats:
    """Compute AUC ``(1 + 200, n_rankers, n_tasks)``, first on the rows themselves.

    All rankers are evaluated on the same resamples, so their differences are paired.
    """
    rng, n = np.random.default_rng(0), len(y)
    # A resample is a count of each row, passed as its weight: no rows are copied.
    counts = [np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(200)]
    labels = y.to_numpy()
    return np.array(
        [
            [roc_auc(labels, p, sample_weight=count) for p in proba.values()]
            for count in [None, *counts]
        ]
    )


def auc_table(tasks: list[str], auc: Floats, seconds: pd.Series) -> str:
    """Format the AUC of every task with its interval, one line per ranker."""
    low, high = np.quantile(auc[1:], INTERVAL, axis=0)
    rows = {
        name: {
            f"AUC {task}": f"{auc[0, r, t]:.4f} [{low[r, t]:.4f}, {high[r, t]:.4f}]"
            for t, task in enumerate(tasks)
        }
        | {"seconds": f"{seconds[name]:.1f}"}
        for r, name in enumerate(seconds.index)
    }
    return pd.DataFrame(rows).T.to_string()


def choose(auc: Floats, seconds: pd.Series) -> tuple[str, str]:
    """Choose the fastest ranker that is not significantly worse than the best."""
    mean = auc.mean(axis=2)  # over the tasks
    best = int(mean[0].argmax())
    behind = mean - mean[:, [best]]
    low, high = np.quantile(behind[1:], INTERVAL, axis=0)
    lines = [f"Mean AUC minus that of {seconds.index[best]}:"]
    for r, name in enumerate(seconds.index):
        if r != best:
            value = f"{behind[0, r]:+.4f} [{low[r]:+.4f}, {high[r]:+.4f}]"
            lines.append(f"  {name:<12} {value}")
    equal = seconds[high >= 0]  # the interval of the best itself is [0, 0]
    choice = str(equal.idxmin())
    others = [name for name in equal.index if name != choice]
    if others:
        verb = "is" if len(others) == 1 else "are"
        # A faster one may be left out, since it is worse.
        of = "" if len(equal) == len(seconds) else " that is not significantly worse"
        named = " and ".join(others)
        why = f"the fastest{of}, and {named} {verb} not significantly better."
    else:
        why = "the others are significantly worse."
    return choice, "\n".join([*lines, f"Choose {choice}: {why}"])


def read_table(path: str, ids: Sequence[ColumnName]) -> pd.DataFrame:
    """Read a CSV or Parquet file; ids are categories even if they are numbers."""
    if path.endswith((".parquet", ".pq")):
        table = pd.read_parquet(path)
        return table.astype({name: "category" for name in ids if name in table})
    return pd.read_csv(path, dtype=dict.fromkeys(ids, "category"))


def fit(options: argparse.Namespace) -> None:
    """Fit a ranker on a file, report on held-out rows, and save it."""
    # Raises before the fit, which may take long, if the file could not be saved.
    import_extra("safetensors", "safe", "python -m skmtl fit")
    table = read_table(options.table, options.ids)
    time_column = [] if options.time is None else [options.time]
    named = [*options.tasks, *options.ids, *time_column]
    missing = [name for name in named if name not in table]
    if missing:
        raise SystemExit(
            f"{options.table} has no columns {missing}. It has {list(table.columns)}."
        )
    if options.time is None:
        order = np.random.default_rng(0).permutation(len(table))
        how = "random"
    else:
        times = pd.to_datetime(table[options.time])
        if times.isna().any():
            raise SystemExit(
                f"Column {options.time!r} has no time in row {times.isna().argmax()} "
                f"of {options.table}. Fill it in, or leave the row out."
            )
        # Stable: rows of one moment keep the order of the file.
        order = np.argsort(times, kind="stable")
        how = f"the latest by {options.time!r}"
    table = table.iloc[order]
    # The time is not an input: test rows have times that training never saw, and text
    # in a CSV would be read as ids.
    X, y = table.drop(columns=[*options.tasks, *time_column]), table[options.tasks]
    n = round(len(X) * (1 - options.test_size))
    kind = getattr(rankers, options.ranker)
    ranker = kind(
        max_iter=options.max_iter, verbose=0 if options.quiet else 1, random_state=0
    ).fit(X[:n], y[:n])
    report = task_report(y[n:], ranker.predict_task_proba(X[n:]))
    print(f"\n{n:,} training rows, {len(X) - n:,} test rows ({how}); 95 % intervals")
    print(report[["positives", "roc_auc", "roc_auc_low", "roc_auc_high"]].round(4))
    ranker.save(options.output)
    print(f"\nSaved as {options.output}. Next:\n")
    print(f"    python -m skmtl predict {options.output} new_rows.csv")
    print(f"    ranker = skmtl.load({options.output!r})  # in Python")


def predict(options: argparse.Namespace) -> None:
    """Write the probabilities of all tasks for the rows of a file."""
    ranker = load(options.saved)
    # pandas would read ids of digits as numbers, which differ from the ids of the fit.
    table = read_table(options.table, ranker.encoder_.categorical_names_)
    proba = pd.DataFrame(
        np.asarray(ranker.predict_task_proba(table)), columns=list(ranker.task_names_)
    )
    if options.output is None:
        proba.to_csv(sys.stdout, index=False)
    else:
        proba.to_csv(options.output, index=False)
        print(f"{len(proba):,} rows written to {options.output}")


def tell(options: argparse.Namespace) -> None:
    """Compare three rankers, and say what to do next."""
    y, proba, seconds = compare(options.max_iter, progress=not options.quiet)
    auc = bootstrap(y, proba)
    choice, reasons = choose(auc, seconds)
    print(f"UCI Adult: AUC on {len(y):,} test rows, with 95 % bootstrap intervals\n")
    print(auc_table(list(y.columns), auc, seconds), reasons, sep="\n\n")
    print("\nThese are single fits on one split; transfer_report compares on several.")
    print('Next, with your own table (the guide\'s page "Your own CSV" explains it):\n')
    print("    python -m skmtl fit table.csv --tasks click,order --time time\n")
    print("or in Python:\n")
    print(textwrap.indent(NEXT.format(ranker=choice), "    "))


def parser() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    whole = argparse.ArgumentParser(
        prog="python -m skmtl",
        description="Without a command, compare three rankers on UCI Adult.",
    )
    whole.set_defaults(run=tell)
    commands = whole.add_subparsers(title="commands")
    one = commands.add_parser("fit", help="fit a ranker on a file, report, and save it")
    for each in (whole, one):
        each.add_argument("--max-iter", type=int, default=5, help="epochs of each fit")
        each.add_argument("--quiet", action="store_true", help="show no progress")
    one.add_argument("table", help="CSV or Parquet file with a row per impression")
    one.add_argument(
        "--tasks", type=names, required=True, help="columns of 0 and 1, by commas"
    )
    one.add_argument("--ids", type=names, default=[], help="columns of ids, by commas")
    one.add_argument("--time", help="test on the latest rows by this column")
    one.add_argument("--test-size", type=share, default=0.2, help="share of test rows")
    one.add_argument("--ranker", choices=RANKER_NAMES, default="MMoE")
    one.add_argument("--output", default="ranker.safetensors", help="file to write")
    one.set_defaults(run=fit)
    two = commands.add_parser("predict", help="write the probabilities of new rows")
    two.add_argument("saved", help="file that fit has written")
    two.add_argument("table", help="CSV or Parquet file")
    two.add_argument("--output", help="CSV file to write; by default the terminal")
    two.set_defaults(run=predict)
    return whole


def names(text: str) -> list[str]:
    """Split an option into column names."""
    return [name.strip() for name in text.split(",") if name.strip()]


def share(text: str) -> float:
    """Read an option that is a share between 0 and 1."""
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, found {text}")
    return number


def main(arguments: list[str] | None = None) -> None:
    """Run a command."""
    options = parser().parse_args(arguments)
    options.run(options)


if __name__ == "__main__":
    main()
