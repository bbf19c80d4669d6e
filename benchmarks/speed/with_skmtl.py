"""skmtl, from a DataFrame, encoding included."""

import torch

from skmtl import MMoE, ShareBottom


def prepare(work):
    return {"train": work.frame(test=False), "test": work.frame(test=True)}


def fit(data, options):
    torch.set_num_threads(options.threads)
    X, y = data["train"]
    shared = {
        "tower_units": (64,),
        "embedding_dim": 16,
        "n_bins": 0,
        "min_frequency": 1,
        "batch_size": options.batch_size,
        "learning_rate": 1e-3,
        "learning_rate_schedule": "constant",
        "max_iter": options.epochs,
        "categorical_features": [name for name in X if name.startswith("id")],
        "random_state": options.seed,
    }
    if options.model == "mmoe":
        ranker = MMoE(n_experts=8, expert_units=(128,), **shared)
    else:
        ranker = ShareBottom(bottom_units=(256, 128), **shared)
    return ranker.fit(X, y)


def predict(ranker, data):
    return ranker.predict_task_proba(data["test"][0])
