"""MMoE and ShareBottom on tasks of decreasing correlation, as in the MMoE paper.

    python benchmarks/studies/correlated_tasks.py eight_tasks
    python benchmarks/studies/correlated_tasks.py 8x16
    python benchmarks/studies/correlated_tasks.py 4x64

Tasks of `make_correlated_tasks` with the correlation 0.5 ... 1.0 of their weight
vectors, made binary at their median (the paper's are regressions). ``8x16`` has the two
tasks and the 8 experts of 16 units of the paper, ``4x64`` two tasks and 4 experts of
64; their bottoms are wide enough for both tasks. ``eight_tasks`` has eight tasks on a
small network, 4 experts of 8 units, so that tasks compete for what is shared. The
shared bottom has as many parameters as the experts and gates, and the networks of one
per task together have about as many. Every seed draws new data, and all models of a
seed see the same. Sizes and budgets of ``eight_tasks`` were chosen on other seeds.
Writes correlated_tasks_<setting>.csv (a row for each fit) and .png beside this file,
and prints how much of the AUC at correlation 1 each model loses.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from _former import FORMER
from scipy import stats

from skmtl import MMoE, ShareBottom, SingleTask
from skmtl.datasets import make_correlated_tasks
from skmtl.metrics import roc_auc

HERE = Path(__file__).parent
CORRELATIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Setting(NamedTuple):
    """Tables, networks of equally many parameters, and their training."""

    n_tasks: int
    n_features: int
    scale: float
    n_train: int
    experts: tuple[int, int]  # how many, and their units
    bottom: int
    alone: int
    tower: int
    max_iter: int
    batch_size: int

    def models(self, seed: int) -> dict:
        budget = {
            **FORMER,
            "max_iter": self.max_iter,
            "batch_size": self.batch_size,
            "learning_rate": 5e-3,
            "tower_units": (self.tower,),
            "n_bins": 0,
            "random_state": seed,
        }
        n_experts, units = self.experts
        return {
            "MMoE": MMoE(n_experts=n_experts, expert_units=(units,), **budget),
            "ShareBottom": ShareBottom(bottom_units=(self.bottom,), **budget),
            "SingleTask": SingleTask(bottom_units=(self.alone,), **budget),
        }


SETTINGS = {
    "eight_tasks": Setting(8, 20, 2.0, 20_000, (4, 8), 16, 8, 16, 10, 512),
    "8x16": Setting(2, 100, 1.0, 10_000, (8, 16), 126, 63, 8, 20, 256),
    "4x64": Setting(2, 100, 1.0, 10_000, (4, 64), 236, 127, 8, 20, 256),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("setting", choices=SETTINGS)
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    fits = pd.DataFrame(
        fit
        for seed in range(arguments.seeds)
        for correlation in CORRELATIONS
        for fit in one_table(SETTINGS[arguments.setting], seed, correlation)
    )
    path = HERE / f"correlated_tasks_{arguments.setting}"
    fits.to_csv(path.with_suffix(".csv"), index=False, float_format="%.6f")
    print(fits.pivot_table(index="correlation", columns="model", values="auc").round(4))
    print(lost(fits).to_string())
    draw(fits, arguments.setting)


def one_table(setting: Setting, seed: int, correlation: float) -> list[dict]:
    n_train = setting.n_train
    X, y = make_correlated_tasks(
        n_train + 10_000,
        setting.n_features,
        n_tasks=setting.n_tasks,
        correlation=correlation,
        scale=setting.scale,
        positive_rate=0.5,
        random_state=seed,
    )
    found = []
    for name, ranker in setting.models(seed).items():
        ranker.fit(X[:n_train], y[:n_train])
        auc = roc_auc(y[n_train:], ranker.predict_task_proba(X[n_train:])).mean()
        found.append(
            {
                "seed": seed,
                "correlation": correlation,
                "model": name,
                "auc": auc,
                "n_parameters": ranker.n_parameters_,
            }
        )
    return found


def lost(fits: pd.DataFrame) -> pd.DataFrame:
    """AUC lost between correlation 1 and each other, and who loses less, by seed."""
    table = fits.pivot(index="seed", columns=["model", "correlation"], values="auc")
    rows = []
    for c in CORRELATIONS[:-1]:
        loss = {m: table[m, 1.0] - table[m, c] for m in ("MMoE", "ShareBottom")}
        saved = loss["ShareBottom"] - loss["MMoE"]
        reach = stats.t.ppf(0.975, len(saved) - 1) * saved.sem()
        rows.append(
            {
                "correlation": c,
                **{f"{m} loses": values.mean() for m, values in loss.items()},
                "MMoE saves": saved.mean(),
                "low": saved.mean() - reach,
                "high": saved.mean() + reach,
                "seeds where it saves": f"{(saved > 0).sum()} of {len(saved)}",
            }
        )
    return pd.DataFrame(rows).set_index("correlation").round(4)


def draw(fits: pd.DataFrame, setting: str) -> None:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    # Seeds differ by far more than correlations, so each is compared with itself.
    alike = fits[fits["correlation"] == 1].set_index(["seed", "model"])["auc"]
    places = pd.MultiIndex.from_frame(fits[["seed", "model"]])
    fits = fits.assign(change=fits["auc"] - alike[places].to_numpy())
    n_seeds = fits["seed"].nunique()
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for k, (name, part) in enumerate(fits.groupby("model", sort=False)):
        change = part.groupby("correlation")["change"]
        reach = stats.t.ppf(0.975, n_seeds - 1) * change.sem()
        x = change.mean().index + 0.008 * (k - 1)
        axes.errorbar(x, change.mean(), reach, marker="o", label=name)
    axes.set(
        xlabel="correlation of the tasks' weight vectors",
        ylabel="mean ROC AUC less that at correlation 1",
        title=f"{setting.replace('_', ' ')}: {n_seeds} seeds, 95 % intervals",
    )
    axes.invert_xaxis()
    axes.grid(alpha=0.4)
    axes.legend()
    figure.savefig(HERE / f"correlated_tasks_{setting}.png", dpi=120)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
