"""LightGBM, one model per task; `--epochs` are hundreds of trees."""

import numpy as np
from lightgbm import LGBMClassifier
from workload import N_IDS, TASKS


def prepare(work):
    return {
        "train": _table(work.part(test=False)),
        "y": work.part(test=False)[2],
        "test": _table(work.part(test=True)),
    }


def _table(part):
    ids, numbers, _ = part
    return np.hstack([ids.astype(np.float64), numbers])


def fit(data, options):
    models = []
    for task in range(len(TASKS)):
        model = LGBMClassifier(
            n_estimators=100 * options.epochs,
            n_jobs=options.threads,
            random_state=options.seed,
            categorical_feature=list(range(N_IDS)),
            verbose=-1,
        )
        models.append(model.fit(data["train"], data["y"][:, task]))
    return models


def predict(models, data, options):
    return np.column_stack([m.predict_proba(data["test"])[:, 1] for m in models])
