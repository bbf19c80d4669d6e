"""Time steps on one thread and on several, in turn within a fit, with AUC beside.

    python benchmarks/bench_threads.py

A fit takes two steps in each way, over and over, so that whatever else the machine does
meets all of them. ``each`` is several threads that share the work of each operation of
torch, and ``at once`` parts of a batch on a thread each. ``parts`` are those of
``n_microbatches``; ``whole`` is a batch without it, of a fit in between. Ratios are to
``whole, one``: of medians, and of the shortest steps. The ways of a fit have one AUC,
since they give the same bits.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from statistics import median
from unittest import mock

import torch

from skmtl import MMoE, ShareBottom
from skmtl.metrics import roc_auc
from skmtl.training.computing import Way, on_threads
from skmtl.training.net import MultiTaskNet

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from workload import TASKS, make_workload

MODELS = {
    "share_bottom": ShareBottom(bottom_units=(256, 128)),
    "mmoe": MMoE(n_experts=8, expert_units=(128,)),
}

_TRAIN_STEP = MultiTaskNet.train_step


class InTurn:
    """Steps in all ways in turn; the first steps of a fit are not timed.

    Parameters
    ----------
    ways : dict of str to Way
        Ways by their names.
    """

    def __init__(self, ways: dict[str, Way]) -> None:
        self.ways, self.n_steps = ways, 0
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def take(self, net: MultiTaskNet, *batch: object) -> object:
        """One step of a net, which otherwise chooses the way itself."""
        names = list(self.ways)
        name = names[self.n_steps // 2 % len(names)]
        self.n_steps += 1
        way = self.ways[name]
        net.threads_[True].at_once = way.at_once
        start = time.perf_counter()
        with on_threads(way.n_threads):
            found = _TRAIN_STEP(net, *batch)
        if self.n_steps > 2 * len(names):
            self.seconds[name].append(time.perf_counter() - start)
        return found


def areas_of(ranker, ways: InTurn, data, test) -> list[float]:
    """Fit, and measure the areas under the ROC curves."""
    with mock.patch.object(MultiTaskNet, "train_step", lambda *step: ways.take(*step)):
        ranker.fit(*data)
    return list(roc_auc(test[1].to_numpy(), ranker.predict_task_proba(test[0])))


def table(
    seconds: dict[str, list[float]], areas: dict[str, list[float]], size: int
) -> list[str]:
    """Lines of the table."""
    head = f"{'':<16}{'rows/s':>9}{'median ×':>10}{'best ×':>8}"
    lines = [head + "".join(f"{'AUC ' + task:>12}" for task in TASKS)]
    one = seconds["whole, one"]
    for name, own in seconds.items():
        line = (
            f"{name:<16}{size / median(own):>9,.0f}{median(one) / median(own):>10.2f}"
        )
        line += f"{min(one) / min(own):>8.2f}"
        found = areas[name.partition(",")[0]]
        lines.append(line + "".join(f"{area:>12.6f}" for area in found))
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
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    n = options.threads
    torch.set_num_threads(n)
    whole = {"whole, one": Way(1), "whole, each": Way(n)}
    parts = {
        "parts, one": Way(1),
        "parts, each": Way(n),
        "parts, at once": Way(1, min(n, options.parts)),
    }
    work = make_workload(options.rows)
    data, test = work.frame(test=False), work.frame(test=True)
    for model in options.models:
        for size in options.batch_sizes:
            ranker = MODELS[model].set_params(
                tower_units=(64,),
                embedding_dim=16,
                n_bins=0,
                batch_size=size,
                max_iter=options.epochs,
                categorical_features=[name for name in data[0] if name[:2] == "id"],
                n_threads=n,
                random_state=0,
            )
            done, areas = {"whole": InTurn(whole), "parts": InTurn(parts)}, {}
            for _ in range(options.rounds):
                for name, ways in done.items():
                    ranker.n_microbatches = {"parts": options.parts}.get(name)
                    ways.n_steps = 0
                    areas[name] = areas_of(ranker, ways, data, test)
            seconds = done["whole"].seconds | done["parts"].seconds
            print(f"\n{model}, batch {size}, {options.parts} parts, {n} threads")
            print("\n".join(table(seconds, areas, size)), flush=True)


if __name__ == "__main__":
    main()
