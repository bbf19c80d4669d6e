"""DeepCTR-Torch: arrays of integer ids, which its user has encoded before."""

import numpy as np
import torch
from deepctr_torch.inputs import DenseFeat, SparseFeat
from deepctr_torch.models import MMOE, SharedBottom
from workload import N_NUMBERS, TASKS


def prepare(work):
    columns = [
        SparseFeat(f"id{i}", size, embedding_dim=16)
        for i, size in enumerate(work.vocabulary)
    ] + [DenseFeat(f"number{i}", 1) for i in range(N_NUMBERS)]
    return {
        "columns": columns,
        "train": _inputs(*work.part(test=False)[:2]),
        "y": work.part(test=False)[2],
        "test": _inputs(*work.part(test=True)[:2]),
    }


def _inputs(ids, numbers):
    columns = {f"id{i}": ids[:, i] for i in range(ids.shape[1])}
    return columns | {f"number{i}": numbers[:, i] for i in range(numbers.shape[1])}


def fit(data, options):
    torch.set_num_threads(options.threads)
    shared = {
        "tower_dnn_hidden_units": (64,),
        "l2_reg_linear": 0,
        "l2_reg_embedding": 0,
        "task_types": ["binary"] * len(TASKS),
        "task_names": list(TASKS),
        "seed": options.seed,
    }
    if options.model == "mmoe":
        model = MMOE(
            data["columns"],
            num_experts=8,
            expert_dnn_hidden_units=(128,),
            gate_dnn_hidden_units=(),
            **shared,
        )
    else:
        model = SharedBottom(
            data["columns"], bottom_dnn_hidden_units=(256, 128), **shared
        )
    model.compile("adam", loss=["binary_crossentropy"] * len(TASKS))
    model.fit(
        data["train"],
        data["y"],
        batch_size=options.batch_size,
        epochs=options.epochs,
        verbose=0,
    )
    return model


def predict(model, data, options):
    size = options.predict_batch_size
    return np.asarray(model.predict(data["test"], batch_size=size))
