"""Do pretrained item embeddings help, and which items?

    python benchmarks/studies/pretrained.py

The head of Taobao UserBehavior: train on the views before 2 December 2017, test on
those of the last two days; tasks cart, fav and buy. MMoE with the defaults of the
package and four ways to start the embeddings of `item_id`:

- at random (``none``): items on one training row share the unknown row;
- from a table of random vectors (``random vectors``), a control that gives a row of its
  own to the same items as word2vec;
- from word2vec on the users' sequences of views in the training days;
- from GraphSAGE on the same sequences with `category_id` as feature, which also gives
  vectors to items of the test days, from their category alone.

The last two also frozen. Embedders have their defaults but for the passes of GraphSAGE,
two for time; nothing was tuned on the test days. Test rows are split by the number of
training rows of their item: often (3 or more), rare (1 or 2) and unseen (none).

AUC is the mean over seeds, each with its own embedder. The intervals of the differences
from ``none`` are percentiles of 1000 resamplings of the test users, the mean over seeds
in each. Needs the data folder SKMTL_DATA_HOME; writes pretrained.csv and .png beside
this file.
"""

import argparse
import os
import time
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from _former import FORMER

from skmtl import MMoE, PretrainedEmbedding
from skmtl.datasets import fetch_user_behavior
from skmtl.embedders import GraphSAGEEmbedder, Word2VecEmbedder

HERE = Path(__file__).parent
START = np.datetime64("2017-12-02")
N_DRAWS = 1000


def tables(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> dict:
    """What `embeddings` holds for item_id, by name of the variant."""
    columns = {"group_column": "user_id", "item_column": "item_id"}
    began = time.perf_counter()
    word2vec = Word2VecEmbedder(
        **columns, time_column="timestamp", random_state=seed
    ).fit(train)
    middle = time.perf_counter()
    sage = GraphSAGEEmbedder(
        **columns,
        time_column="timestamp",
        feature_columns=["category_id"],
        max_iter=2,
        random_state=seed,
    ).fit(train)
    end = time.perf_counter()
    print(f"word2vec {middle - began:.0f} s, GraphSAGE {end - middle:.0f} s")
    items = pd.concat([train, test]).drop_duplicates("item_id")
    # Without users, so that nothing of the test days but the catalogue is read.
    catalogue = sage.embed(items.assign(user_id=None))
    control = np.random.default_rng(seed).normal(size=word2vec.embeddings_.shape)
    return {
        "none": None,
        "random vectors": (word2vec.embeddings_.index, control),
        "word2vec": word2vec,
        "word2vec, frozen": PretrainedEmbedding(word2vec, mode="frozen"),
        "GraphSAGE": catalogue,
        "GraphSAGE, frozen": PretrainedEmbedding(catalogue, mode="frozen"),
    }


def weighted_auc(y, score, weight):
    """ROC AUC under each row of weights, ties counting half."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    w = weight[:, order]
    positive = np.add.reduceat(w * y[order], starts, axis=1)
    negative = np.add.reduceat(w * (1 - y[order]), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(invalid="ignore"):
        return (positive * below).sum(1) / (positive.sum(1) * negative.sum(1))


def resampled(users, seed=0):
    """Weights of the rows: ones, then how often a draw of users has each."""
    codes, names = pd.factorize(users)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), N_DRAWS)
    return np.vstack([np.ones(len(codes)), draws[:, codes]])


def summarise(scores, target, groups, weight) -> pd.DataFrame:
    rows = []
    for task in target.columns:
        y = target[task].to_numpy()
        for group, chosen in groups.items():
            auc = {
                name: np.array(
                    [
                        weighted_auc(y[chosen], s[task][chosen], weight[:, chosen])
                        for s in of_seeds
                    ]
                )
                for name, of_seeds in scores.items()
            }
            for name, found in auc.items():
                gain = (found - auc["none"]).mean(axis=0)
                low, high = np.nanpercentile(gain[1:], [2.5, 97.5])
                rows.append(
                    {
                        "embeddings": name,
                        "task": task,
                        "items": group,
                        "n_rows": int(chosen.sum()),
                        "n_positive": int(y[chosen].sum()),
                        "auc": found[:, 0].mean(),
                        "std_over_seeds": found[:, 0].std(ddof=1),
                        "gain": gain[0],
                        "gain_low": low,
                        "gain_high": high,
                    }
                )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    views = fetch_user_behavior()
    late = (views.timestamp >= START).to_numpy()
    frame = views.data.assign(timestamp=views.timestamp)
    train, test = frame[~late], frame[late]
    X, y = views.data[~late], views.target[~late]
    count = train["item_id"].value_counts()
    seen = test["item_id"].astype("int64").map(count).fillna(0).to_numpy()
    groups = {
        "all": seen >= 0,
        "often": seen >= 3,
        "rare": (seen > 0) & (seen < 3),
        "unseen": seen == 0,
    }
    weight = resampled(test["user_id"].to_numpy())
    scores: dict = {}
    for seed in range(arguments.seeds):
        for name, table in tables(train, test, seed).items():
            embeddings = None if table is None else {"item_id": table}
            ranker = MMoE(embeddings=embeddings, random_state=seed, **FORMER)
            ranker.fit(X, y)
            proba = ranker.predict_task_proba(views.data[late])
            scores.setdefault(name, []).append(
                dict(zip(y.columns, proba.T, strict=True))
            )
            if seed == 0 and table is not None:
                print(name, ranker.embedding_coverage_.round(3).to_dict("records"))
        if seed:
            report = summarise(scores, views.target[late], groups, weight)
            report.to_csv(HERE / "pretrained.csv", index=False, float_format="%.6g")
    print(f"threads: {os.environ.get('OMP_NUM_THREADS', 'all')}")
    with pd.option_context("display.width", 200, "display.max_rows", 200):
        print(report.round(4).to_string(index=False))
    draw(report)


def draw(report: pd.DataFrame) -> None:
    """Gain over a start at random, for each task and kind of item."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tasks, groups = report["task"].unique(), report["items"].unique()
    names = [n for n in report["embeddings"].unique() if n != "none"]
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(11, 4.5), sharey=True, layout="constrained"
    )
    for ax, task in zip(axes, tasks, strict=True):
        for i, name in enumerate(names):
            part = report[(report["task"] == task) & (report["embeddings"] == name)]
            at = np.arange(len(groups)) + 0.13 * (i - (len(names) - 1) / 2)
            error = [part["gain"] - part["gain_low"], part["gain_high"] - part["gain"]]
            ax.errorbar(part["gain"], at, xerr=error, fmt="o", ms=4, label=name)
        ax.axvline(0, color="0.5", lw=1)
        ax.set(title=task, xlabel="gain in AUC over a start at random")
    some = report[(report["task"] == tasks[0]) & (report["embeddings"] == names[0])]
    labels = [f"{g}\n{n:,} rows" for g, n in zip(groups, some["n_rows"], strict=True)]
    axes[0].set_yticks(range(len(groups)), labels)
    axes[0].invert_yaxis()
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5
    )
    figure.savefig(HERE / "pretrained.png", dpi=110)


if __name__ == "__main__":
    main()
