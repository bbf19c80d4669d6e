"""What happened in training, as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def history_frame(history: Any, names: npt.NDArray[Any]) -> pd.DataFrame:
    """One row for each epoch and task.

    Parameters
    ----------
    history : skorch.history.History
        Of a `MultiTaskNet`.
    names : ndarray of shape (n_tasks,)
        Names of the tasks.

    Returns
    -------
    DataFrame
        As the attribute `history_` of rankers.
    """
    epochs = [epoch for epoch in history if "train_task_loss" in epoch]
    table: dict[str, Any] = {
        "epoch": np.repeat([epoch["epoch"] for epoch in epochs], len(names)),
        "task": np.tile(names, len(epochs)),
    }
    nothing = [np.nan] * len(names)
    for column, key in (
        ("train_loss", "train_task_loss"),
        ("valid_loss", "valid_task_loss"),
        ("loss_weight", "loss_weight"),
    ):
        table[column] = np.ravel([epoch.get(key, nothing) for epoch in epochs])
    if any("gramian" in epoch for epoch in epochs):
        table |= _gradients(epochs, names)
    return pd.DataFrame(table)


def _gradients(
    epochs: list[Any], names: npt.NDArray[Any]
) -> dict[str, npt.NDArray[Any]]:
    """Root mean square norms, and cosines of the epoch's gradients put end to end."""
    unknown = np.full((len(names), len(names)), np.nan)
    gramians = np.array([epoch.get("gramian", unknown) for epoch in epochs])
    norms = np.sqrt(np.diagonal(gramians, axis1=1, axis2=2))
    lengths = norms[:, :, None] * norms[:, None, :]
    cosines = np.divide(
        gramians, lengths, out=np.full_like(gramians, np.nan), where=lengths > 0
    )
    columns = {"gradient_norm": norms.ravel()}
    for task, name in enumerate(names):
        columns[f"cosine_{name}"] = cosines[:, :, task].ravel()
    return columns
