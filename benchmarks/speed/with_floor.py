"""The floor: only the matrix products of the network, forward and backward.

No embedding, no optimiser, no loss: the minimum that any implementation of the same
network with the same BLAS has to compute. Predictions are constant.
"""

import numpy as np
import torch
from workload import N_IDS, N_NUMBERS, TASKS


def prepare(work):
    return {"n_test": len(work.part(test=True)[2])}


def fit(data, options):
    torch.set_num_threads(options.threads)
    width, size = N_IDS * 16 + N_NUMBERS, options.batch_size
    x = torch.randn(size, width)
    if options.model == "mmoe":
        step = _mmoe_step(x, len(TASKS))
    else:
        step = _bottom_step(x, len(TASKS))
    with torch.inference_mode():
        for _ in range(options.epochs * -(-options.rows // size)):
            step()


def _product(x, weight):
    """Products of one layer: output, gradient of the weight and of the input."""

    def run():
        out = x @ weight
        x.transpose(-1, -2) @ out
        out @ weight.transpose(-1, -2)

    return run


def _mixture(gates, experts):
    def run():
        out = torch.bmm(gates, experts)
        torch.bmm(out, experts.transpose(1, 2))
        torch.bmm(gates.transpose(1, 2), out)

    return run


def _mmoe_step(x, n_tasks, n_experts=8, units=128, tower=64):
    size, width = x.shape
    parts = [
        _product(x, torch.randn(width, n_experts * units)),
        _product(x, torch.randn(width, n_tasks * n_experts)),
        _mixture(
            torch.randn(size, n_tasks, n_experts), torch.randn(size, n_experts, units)
        ),
        *_towers(size, n_tasks, units, tower),
    ]
    return lambda: [part() for part in parts]


def _bottom_step(x, n_tasks, units=(256, 128), tower=64):
    size, width = x.shape
    parts = [
        _product(x, torch.randn(width, units[0])),
        _product(torch.randn(size, units[0]), torch.randn(*units)),
        *_towers(size, n_tasks, units[1], tower),
    ]
    return lambda: [part() for part in parts]


def _towers(size, n_tasks, width, units):
    return [
        _product(torch.randn(n_tasks, size, width), torch.randn(n_tasks, width, units)),
        _product(torch.randn(n_tasks, size, units), torch.randn(n_tasks, units, 1)),
    ]


def predict(model, data, options):
    return np.zeros((data["n_test"], len(TASKS)))
