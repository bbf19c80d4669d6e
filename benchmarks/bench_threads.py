"""Fit on one thread and on several, interleaved, and print ratios and AUC.

    python benchmarks/bench_threads.py

``one`` is one thread, the reference of all ratios. ``each`` is several threads that
share the work of each operation of torch; ``parts`` computes parts of every batch
(``n_microbatches``) at the same time where that is faster, and ``parts, one`` the same
parts on one thread: it must give the same AUC to the last digit as ``parts``. ``auto``
leaves all to the clock. Ratios are medians over the rounds of the seconds of epochs, in
brackets those of whole fits from a DataFrame, encoding included.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median

import torch

from skmtl import MMoE, ShareBottom
from skmtl.metrics import roc_auc

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from workload import TASKS, make_workload

MODELS = {
    "share_bottom": ShareBottom(bottom_units=(256, 128)),
    "mmoe": MMoE(n_experts=8, expert_units=(128,)),
}
LINES = ["each", "parts, one", "parts", "auto"]


def settings(options: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Hyperparameters by the name of a line."""
    n, parts = options.threads, {"n_microbatches": options.parts}
    return {
        "one": {"n_threads": 1},
        "each": {"n_threads": n},
        "parts, one": {"n_threads": 1, **parts},
        "parts": {"n_threads": n, **parts},
        "auto": {"n_threads": "auto", **parts},
    }


def fit(ranker, data, test) -> dict[str, object]:
    """Seconds of a fit and of its epochs, and the areas."""
    start = time.perf_counter()
    ranker.fit(*data)
    seconds = time.perf_counter() - start
    areas = roc_auc(test[1].to_numpy(), ranker.predict_task_proba(test[0]))
    return {
        "fit": seconds,
        "epochs": sum(ranker.net_.history[:, "dur"]),
        "auc": tuple(areas),
    }


def table(found: dict[str, list[dict]], n_rows: int) -> list[str]:
    """Lines of the table."""
    lines = [f"{'':<12}{'rows/s':>10}{'one ×':>8}{'(fit)':>8}"]
    lines[0] += "".join(f"{'AUC ' + task:>12}" for task in TASKS)
    for name, runs in found.items():
        line = f"{name:<12}{n_rows / median(run['epochs'] for run in runs):>10,.0f}"
        for what, form in (("epochs", "{:8.2f}"), ("fit", "  ({:.2f})")):
            pairs = zip(found["one"], runs, strict=True)
            line += form.format(median(one[what] / run[what] for one, run in pairs))
        lines.append(line + "".join(f"{area:>12.6f}" for area in runs[0]["auc"]))
    return lines


def main() -> None:
    """Run all rounds of all settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1024, 8192])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parts", type=int, default=2)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--only", nargs="+", default=list(LINES), choices=LINES)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work = make_workload(options.rows)
    data, test = work.frame(test=False), work.frame(test=True)
    ids = [name for name in data[0] if name.startswith("id")]
    for model in options.models:
        for size in options.batch_sizes:
            ranker = MODELS[model].set_params(
                tower_units=(64,),
                embedding_dim=16,
                dropout=options.dropout,
                n_bins=0,
                batch_size=size,
                max_iter=options.epochs,
                categorical_features=ids,
                random_state=0,
            )
            chosen = settings(options)
            if options.only:
                chosen = {
                    k: v for k, v in chosen.items() if k in ["one", *options.only]
                }
            found: dict[str, list[dict]] = {name: [] for name in chosen}
            few = [part[:2000] for part in data]
            ranker.set_params(n_microbatches=None).fit(*few)
            for _ in range(options.rounds):
                for name, params in chosen.items():
                    one = MODELS[model].set_params(n_microbatches=None)
                    found[name].append(fit(one.set_params(**params), data, test))
            print(
                f"\n{model}, batch {size}, {options.parts} parts, "
                f"{options.threads} threads"
            )
            lines = table(found, options.epochs * options.rows)
            print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
