"""scikit-learn's histogram boosting, one model per task.

Its native categories are limited to 255, so ids are ranked by frequency and the rare
ones share the last category. `--epochs` are hundreds of trees.
"""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import OrdinalEncoder
from workload import N_IDS, TASKS

N_CATEGORIES = 254


def prepare(work):
    return {"train": work.part(test=False), "test": work.part(test=True)}


def fit(data, options):
    ids, numbers, y = data["train"]
    encoder = OrdinalEncoder(
        max_categories=N_CATEGORIES,
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
    )
    X = np.hstack([encoder.fit_transform(ids), numbers])
    models = []
    for task in range(len(TASKS)):
        model = HistGradientBoostingClassifier(
            max_iter=100 * options.epochs,
            categorical_features=list(range(N_IDS)),
            early_stopping=False,
            random_state=options.seed,
        )
        models.append(model.fit(X, y[:, task]))
    return encoder, models


def predict(fitted, data, options):
    encoder, models = fitted
    ids, numbers, _ = data["test"]
    X = np.hstack([encoder.transform(ids), numbers])
    return np.column_stack([m.predict_proba(X)[:, 1] for m in models])
