"""skmtl, from a DataFrame, encoding included.

``unknown_rate`` is 0, since none of the peers trains for unseen ids. With
``--full-vocabulary``, every column is hashed into as many rows as ids exist, whether
they occur or not; a vocabulary only has rows for ids that occur.
"""

import torch

from skmtl import MMoE, ShareBottom


def prepare(work):
    return {
        "train": work.frame(test=False),
        "test": work.frame(test=True),
        "vocabulary": work.vocabulary,
    }


def fit(data, options):
    torch.set_num_threads(options.threads)
    X, y = data["train"]
    ids = [name for name in X if name.startswith("id")]
    sizes = dict(zip(ids, data.get("vocabulary", []), strict=False))
    shared = {
        "n_buckets": sizes if options.full_vocabulary else None,
        "tower_units": (64,),
        "embedding_dim": 16,
        "n_bins": 0,
        "min_frequency": 1,
        "unknown_rate": 0,
        "batch_size": options.batch_size,
        "learning_rate": 1e-3,
        "learning_rate_schedule": "constant",
        "max_iter": options.epochs,
        "categorical_features": ids,
        "embedding_optimizer": "adam" if options.adam else "lazy_adam",
        "precision": options.precision,
        "random_state": options.seed,
    }
    if options.model == "mmoe":
        ranker = MMoE(n_experts=8, expert_units=(128,), **shared)
    else:
        ranker = ShareBottom(bottom_units=(256, 128), **shared)
    return ranker.fit(X, y)


def predict(ranker, data, options):
    return ranker.predict_task_proba(data["test"][0])


def more(ranker, data, options):
    """Seconds of each epoch, and the sizes of the encoded table and of the network."""
    X, y = data["train"]
    n = min(1000, len(X))
    encoded = ranker.encoder_.encode(X.head(n))
    row = sum(a.nbytes for a in (encoded.ids, encoded.bins, encoded.numeric)) / n
    labels = 4 * y.shape[1]
    return {
        "epoch_seconds": list(ranker.net_.history[:, "dur"]),
        "encoded_mib": (row + labels) * len(X) / 2**20,
        "model_mib": sum(p.nbytes for p in ranker.net_.module_.parameters()) / 2**20,
    }
