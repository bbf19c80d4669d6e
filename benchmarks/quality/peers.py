"""Peers of ``bench_quality.py`` that are networks, in the size of skmtl's defaults.

DeepCTR-Torch and torch-rechub read arrays that their user has encoded, and leave the
number of epochs to the user. Here ids are codes of the training rows, 0 for all others,
and numbers are standardised, 0 where missing. Both train ``MMOE`` with embeddings of
16, 8 experts of 128 and towers of 64 by Adam at 1e-3, the default rate of both, for up
to `EPOCHS` epochs in batches of 256. The epoch with the least log loss on the
validation rows counts.

pytabkit's RealMLP and TabM are fitted to each task with the package's tuned defaults,
their validation rows given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import log_loss

EPOCHS, BATCH, DIM, EXPERTS, UNITS, TOWER = 10, 256, 16, 8, 128, 64


@dataclass
class Encoded:
    """Columns of training, validation and test rows as arrays, and labels."""

    sizes: dict[str, int]  # of id columns
    numbers: list[str]
    X: list[dict[str, np.ndarray]]
    y: list[np.ndarray]
    tasks: list[str]

    @classmethod
    def of(cls, tables: Sequence[pd.DataFrame], y: Sequence[pd.DataFrame]) -> Encoded:
        """From tables of categories, the same in all, and numbers."""
        names = {str(name): name for name in tables[0]}
        is_id = {
            text: isinstance(tables[0][name].dtype, pd.CategoricalDtype)
            for text, name in names.items()
        }
        X: list[dict[str, np.ndarray]] = [{} for _ in tables]
        sizes = {}
        for text, name in names.items():
            if is_id[text]:
                sizes[text] = len(tables[0][name].cat.categories) + 1
                for table, out in zip(tables, X, strict=True):
                    out[text] = table[name].cat.codes.to_numpy(np.int64) + 1
                continue
            train = tables[0][name].to_numpy(np.float64)
            mean, std = np.nanmean(train), np.nanstd(train) or 1.0
            for table, out in zip(tables, X, strict=True):
                z = (table[name].to_numpy(np.float64) - mean) / std
                out[text] = np.nan_to_num(z).astype(np.float32)
        numbers = [text for text in names if not is_id[text]]
        labels = [part.to_numpy(np.float32) for part in y]
        return cls(sizes, numbers, X, labels, list(y[0]))

    def frames(self) -> list[pd.DataFrame]:
        """Tables again, ids as categories."""
        found = []
        for X in self.X:
            table = pd.DataFrame(X)
            for name, size in self.sizes.items():
                table[name] = pd.Categorical(table[name], categories=range(size))
            found.append(table)
        return found


def best_epoch(
    epochs: Iterator[tuple[np.ndarray, np.ndarray]], y: np.ndarray
) -> np.ndarray:
    """Predictions for the test rows, at the epoch with the least validation loss."""
    best, found = np.inf, None
    for valid, test in epochs:
        loss = sum(
            log_loss(y[:, t], valid[:, t], labels=[0, 1]) for t in range(y.shape[1])
        )
        if loss < best:
            best, found = loss, test
    assert found is not None
    return np.asarray(found, dtype=np.float64)


def deepctr(data: Encoded, seed: int) -> np.ndarray:
    from deepctr_torch.inputs import DenseFeat, SparseFeat
    from deepctr_torch.models import MMOE

    columns = [SparseFeat(n, s, embedding_dim=DIM) for n, s in data.sizes.items()]
    columns += [DenseFeat(name, 1) for name in data.numbers]
    model = MMOE(
        columns,
        num_experts=EXPERTS,
        expert_dnn_hidden_units=(UNITS,),
        gate_dnn_hidden_units=(),
        tower_dnn_hidden_units=(TOWER,),
        task_types=["binary"] * len(data.tasks),
        task_names=data.tasks,
        seed=seed,
    )
    model.compile("adam", loss=["binary_crossentropy"] * len(data.tasks))

    def epochs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _ in range(EPOCHS):
            model.fit(data.X[0], data.y[0], batch_size=BATCH, epochs=1, verbose=0)
            valid, test = (model.predict(X, batch_size=4096) for X in data.X[1:])
            yield np.asarray(valid), np.asarray(test)

    return best_epoch(epochs(), data.y[1])


def rechub(data: Encoded, seed: int) -> np.ndarray:
    from torch.utils.data import DataLoader
    from torch_rechub.basic.features import DenseFeature, SparseFeature
    from torch_rechub.models.multi_task import MMOE
    from torch_rechub.trainers import MTLTrainer
    from torch_rechub.utils.data import PredictDataset, TorchDataset

    torch.manual_seed(seed)
    features = [
        SparseFeature(n, vocab_size=s, embed_dim=DIM) for n, s in data.sizes.items()
    ]
    features += [DenseFeature(name) for name in data.numbers]
    kinds = ["classification"] * len(data.tasks)
    towers = [{"dims": [TOWER]} for _ in data.tasks]
    trainer = MTLTrainer(
        MMOE(features, kinds, EXPERTS, {"dims": [UNITS]}, towers),
        task_types=kinds,
        optimizer_params={"lr": 1e-3, "weight_decay": 0},
        n_epoch=EPOCHS,
    )
    train = DataLoader(TorchDataset(data.X[0], data.y[0]), BATCH, shuffle=True)
    rest = [DataLoader(PredictDataset(X), batch_size=4096) for X in data.X[1:]]

    def epochs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _ in range(EPOCHS):
            trainer.train_one_epoch(train)
            valid, test = (trainer.predict(trainer.model, loader) for loader in rest)
            yield np.asarray(valid), np.asarray(test)

    return best_epoch(epochs(), data.y[1])


def pytabkit(name: str) -> Callable[[Encoded, int], np.ndarray]:
    def fit(data: Encoded, seed: int) -> np.ndarray:
        import pytabkit

        X, X_valid, X_test = data.frames()
        found = []
        for t in range(len(data.tasks)):
            model: Any = getattr(pytabkit, name)(
                device="cpu", random_state=seed, n_threads=1
            )
            y, y_valid = (part[:, t].astype(np.int64) for part in data.y[:2])
            model.fit(X, y, X_valid, y_valid)
            found.append(model.predict_proba(X_test)[:, 1])
        return np.column_stack(found).astype(np.float64)

    return fit


PEERS: dict[str, Callable[[Encoded, int], np.ndarray]] = {
    "deepctr": deepctr,
    "rechub": rechub,
    "realmlp": pytabkit("RealMLP_TD_Classifier"),
    "tabm": pytabkit("TabM_D_Classifier"),
}
