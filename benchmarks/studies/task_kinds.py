"""One network for clicks, stars and dwell times, against one for each, and LightGBM.

    python benchmarks/studies/task_kinds.py

The table is generated like MovieLens: users and films with tastes of a few dimensions,
ids as the only inputs beside a genre and an hour. Clicks are known for every row, stars
and seconds of dwell time for the clicked ones. The truth is known, so that the revenue
of a row, ``P(click) * E[dwell]``, can be compared with its expectation.

A seed draws the table and the initial weights. Intervals are 95 % of the mean of the
differences over the seeds, which are paired. The CSV file has a row for each seed and
model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import spearmanr, t
from sklearn.metrics import cohen_kappa_score, d2_tweedie_score, roc_auc_score

from skmtl import MMoE, RegressionTask

KINDS = {"stars": "ordinal", "dwell": RegressionTask("gamma")}
N_TRAIN = 30_000


def make_log(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Inputs, labels, and the true expectations of click and dwell."""
    rng = np.random.default_rng(seed)
    n_users, n_films, n_genres, width = 1500, 400, 12, 4
    genre = rng.integers(n_genres, size=n_films)
    taste = rng.normal(size=(n_users, width))
    films = rng.normal(size=(n_genres, width))[genre] + rng.normal(
        size=(n_films, width)
    )
    quality = rng.normal(size=n_films)
    user, film = rng.integers(n_users, size=n), rng.zipf(1.4, n) % n_films
    hour = rng.integers(24, size=n)
    fit = (taste[user] * films[film]).sum(axis=1) / width
    appeal = 1.2 * fit + 0.5 * np.sin(hour / 24 * 2 * np.pi) - 0.8
    liking = 1.5 * fit + quality[film]
    length = 4 + 0.4 * fit - 0.3 * quality[film]
    click = rng.random(n) < expit(appeal)
    stars = np.digitize(liking + rng.logistic(size=n), [-2.0, -0.7, 0.7, 2.0]) + 1.0
    mean = np.exp(length)
    dwell = rng.gamma(2.0, mean / 2)
    X = pd.DataFrame(
        {
            "user": user.astype(str),
            "film": film.astype(str),
            "genre": genre[film].astype(str),
            "hour": hour,
        }
    )
    y = pd.DataFrame({"click": click.astype(float), "stars": stars, "dwell": dwell})
    y.loc[~click, ["stars", "dwell"]] = np.nan
    return X, y, pd.DataFrame({"click": expit(appeal), "dwell": mean})


def network(seed: int, kinds: dict) -> MMoE:
    return MMoE(
        task_kinds=kinds, n_experts=4, expert_units=(64,), max_iter=6, random_state=seed
    )


def networks(X, y, X_test, seed: int) -> dict[str, pd.DataFrame]:
    """Expected labels by one network, and by one for each task."""
    joint = network(seed, KINDS).fit(X, y).set_output(transform="pandas")
    alone = {}
    for task in y:
        known = y[task].notna().to_numpy()
        kinds = {task: KINDS[task]} if task in KINDS else None
        ranker = network(seed, kinds).fit(X[known], y.loc[known, task])
        alone[task] = ranker.predict_task(X_test)[:, 0]
    found = {"one network": joint.predict_task(X_test), "own networks": alone}
    return {name: pd.DataFrame(dict(one)) for name, one in found.items()}


def boosted(X, y, X_test, seed: int) -> pd.DataFrame:
    """Expected labels by LightGBM at its defaults, a model for each task."""
    import lightgbm

    both = pd.concat([X, X_test]).astype(
        dict.fromkeys(["user", "film", "genre"], "category")
    )
    X, X_test = both[: len(X)], both[len(X) :]
    settings = {"random_state": seed, "verbose": -1, "n_jobs": 1}
    found = {}
    for task in y:
        known = y[task].notna().to_numpy()
        labels = y.loc[known, task]
        if task == "dwell":
            model = lightgbm.LGBMRegressor(objective="gamma", **settings)
            found[task] = model.fit(X[known], labels).predict(X_test)
        else:
            model = lightgbm.LGBMClassifier(**settings).fit(X[known], labels)
            found[task] = model.predict_proba(X_test) @ model.classes_
    return pd.DataFrame(found)


def judge(
    y: pd.DataFrame, truth: pd.DataFrame, values: pd.DataFrame
) -> dict[str, float]:
    clicked = y["click"] == 1
    stars, dwell = y.loc[clicked, "stars"], y.loc[clicked, "dwell"]
    own = values[clicked.to_numpy()]
    worth = (truth["click"] * truth["dwell"]).to_numpy()

    def worth_of(score: pd.Series) -> float:
        """Expected seconds of the tenth of the rows with the highest scores."""
        top = np.argsort(-score.to_numpy())[: len(score) // 10]
        return worth[top].mean() / np.sort(worth)[-len(top) :].mean()

    return {
        "click AUC": roc_auc_score(y["click"], values["click"]),
        "stars Spearman": spearmanr(stars, own["stars"]).statistic,
        "stars kappa": cohen_kappa_score(
            stars, own["stars"].round(), weights="quadratic"
        ),
        "dwell D2": d2_tweedie_score(dwell, own["dwell"], power=2),
        "worth by P(click)": worth_of(values["click"]),
        "worth by P(click) E[dwell]": worth_of(values["click"] * values["dwell"]),
    }


def one(seed: int) -> pd.DataFrame:
    X, y, truth = make_log(2 * N_TRAIN, seed)
    train, test = slice(0, N_TRAIN), slice(N_TRAIN, None)
    data = X[train], y[train], X[test].reset_index(drop=True), seed
    predicted = networks(*data) | {"LightGBM": boosted(*data)}
    labels, expected = (part[test].reset_index(drop=True) for part in (y, truth))
    rows = {name: judge(labels, expected, one) for name, one in predicted.items()}
    return pd.DataFrame(rows).T


def interval(differences: np.ndarray) -> str:
    n = len(differences)
    reach = t.ppf(0.975, n - 1) * differences.std(ddof=1) / n**0.5
    return f"{differences.mean():+.4f} ± {reach:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    found = {seed: one(seed) for seed in range(options.seeds)}
    table = pd.concat(found, names=["seed", "model"])
    command = " ".join(["python benchmarks/studies/task_kinds.py", *sys.argv[1:]])
    with (options.out / "task_kinds.csv").open("w") as file:
        file.write(f"# {command}\n")
        table.to_csv(file, float_format="%.6g", lineterminator="\n")
    print(table.groupby(level=1).mean().round(4).T.to_string())
    wide = table.unstack(level=1)
    for metric in wide.columns.levels[0]:
        own = wide[metric]
        for other in ("own networks", "LightGBM"):
            text = interval((own["one network"] - own[other]).to_numpy())
            print(f"{metric}: one network - {other} {text}")
    fused = wide["worth by P(click) E[dwell]"] - wide["worth by P(click)"]
    for model in fused:
        print(f"fused - click, {model}:", interval(fused[model].to_numpy()))


if __name__ == "__main__":
    main()
