"""The history of a fit as a table with one row per epoch and task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

# Entries of a net's history with one number per task, and their columns.
COLUMNS = {
    "train_task_loss": "train_loss",
    "valid_task_loss": "valid_loss",
    "train_task_auc": "train_auc",
    "valid_task_auc": "valid_auc",
    "loss_weight": "loss_weight",
}


def fitted_ranker(estimator: BaseEstimator) -> Any:
    """The fitted ranker in a pipeline or a search.

    Raises
    ------
    TypeError
        If there is none.
    """
    inner = estimator
    while inner is not None and not hasattr(inner, "net_"):
        steps = getattr(inner, "steps", None)
        if steps:
            inner = steps[-1][1]
        else:
            inner = getattr(
                inner, "best_estimator_", getattr(inner, "estimator_", None)
            )
    if inner is None:
        raise TypeError(
            f"{type(estimator).__name__} contains no fitted ranker: none with net_ was "
            "found in its steps, best_estimator_ or estimator_. Fit it first."
        )
    return inner


def history_table(ranker: BaseEstimator) -> pd.DataFrame:
    """The history of a fitted ranker.

    Returns
    -------
    DataFrame
        Columns ``epoch``, ``task`` and those of `COLUMNS` that were recorded;
        ``valid_score``, the same for every task, if a scorer was monitored; and
        ``gradient_norm`` if gradients were recorded.
    """
    names = [str(name) for name in ranker.task_names_]
    epochs = [epoch for epoch in ranker.net_.history if "train_task_loss" in epoch]
    table: dict[str, object] = {
        "epoch": np.repeat([epoch["epoch"] for epoch in epochs], len(names)),
        "task": np.tile(names, len(epochs)),
    }
    unknown = [np.nan] * len(names)
    for key, column in COLUMNS.items():
        if any(key in epoch for epoch in epochs):
            table[column] = np.ravel([epoch.get(key, unknown) for epoch in epochs])
    if any("valid_score" in epoch for epoch in epochs):
        scores = [epoch.get("valid_score", np.nan) for epoch in epochs]
        table["valid_score"] = np.repeat(scores, len(names))
    if any("gramian" in epoch for epoch in epochs):
        nothing = np.full((len(names), len(names)), np.nan)
        grams = np.array([epoch.get("gramian", nothing) for epoch in epochs])
        # The diagonal of a Gramian holds squared norms.
        table["gradient_norm"] = np.sqrt(np.diagonal(grams, axis1=1, axis2=2)).ravel()
    return pd.DataFrame(table)


def best_epoch(ranker: BaseEstimator) -> int | None:
    """The epoch whose weights the ranker has; None without validation rows."""
    # Each epoch that was the best so far is marked; the last of them is the best.
    marked = [e["epoch"] for e in ranker.net_.history if e.get("valid_best")]
    return int(marked[-1]) if marked else None
