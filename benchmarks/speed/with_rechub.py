"""torch-rechub: arrays of integer ids, which its user has encoded before."""

import numpy as np
import torch
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.multi_task import MMOE, SharedBottom
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator
from workload import N_NUMBERS, TASKS


def prepare(work):
    features = [
        SparseFeature(f"id{i}", vocab_size=size, embed_dim=16)
        for i, size in enumerate(work.vocabulary)
    ] + [DenseFeature(f"number{i}") for i in range(N_NUMBERS)]
    train, test = work.part(test=False), work.part(test=True)
    return {
        "features": features,
        "train": (_inputs(*train[:2]), train[2]),
        "test": (_inputs(*test[:2]), test[2]),
    }


def _inputs(ids, numbers):
    columns = {f"id{i}": ids[:, i].astype(np.int64) for i in range(ids.shape[1])}
    return columns | {f"number{i}": numbers[:, i] for i in range(numbers.shape[1])}


def fit(data, options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    kinds = ["classification"] * len(TASKS)
    towers = [{"dims": [64]} for _ in TASKS]
    if options.model == "mmoe":
        model = MMOE(data["features"], kinds, 8, {"dims": [128]}, towers)
    else:
        model = SharedBottom(data["features"], kinds, {"dims": [256, 128]}, towers)
    trainer = MTLTrainer(
        model,
        task_types=kinds,
        optimizer_params={"lr": 1e-3, "weight_decay": 0},
        n_epoch=options.epochs,
    )
    loader = DataGenerator(*data["train"]).generate_dataloader(
        x_val=data["test"][0],
        y_val=data["test"][1],
        x_test=data["test"][0],
        y_test=data["test"][1],
        batch_size=options.batch_size,
    )[0]
    # Its `fit` validates after every epoch; the others here do not.
    for _ in range(options.epochs):
        trainer.train_one_epoch(loader)
    return trainer


def predict(trainer, data, options):
    from torch_rechub.utils.data import PredictDataset

    loader = torch.utils.data.DataLoader(
        PredictDataset(data["test"][0]), batch_size=options.predict_batch_size
    )
    return np.asarray(trainer.predict(trainer.model, loader))
