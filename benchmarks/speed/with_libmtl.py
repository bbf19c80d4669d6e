"""LibMTL: its architectures and weighting, in a loop that follows its trainer.

Release 1.1.5 imports a part of torchvision that was removed in 2022, so a stand-in is
installed first. Its trainer needs a GPU and iterators of Python 2, so its steps
(losses, backward by the weighting class, optimiser) are repeated here on slices of the
arrays. LibMTL has no embedding tables: one embedding precedes what it builds, since
otherwise each of its experts would have its own tables.
"""

import sys
import types

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from workload import N_IDS, N_NUMBERS, TASKS

for name in ("torchvision", "torchvision.models", "torchvision.models.utils"):
    sys.modules.setdefault(name, types.ModuleType(name))
sys.modules["torchvision.models.utils"].load_state_dict_from_url = None

from LibMTL.architecture import HPS, MMoE  # noqa: E402
from LibMTL.weighting import EW  # noqa: E402

WIDTH = N_IDS * 16 + N_NUMBERS


def prepare(work):
    first = np.cumsum([0, *work.vocabulary])[:-1]
    parts = {}
    for name, test in (("train", False), ("test", True)):
        ids, numbers, y = work.part(test=test)
        parts[name] = [torch.from_numpy(a) for a in (ids + first, numbers, y)]
    return parts | {"size": sum(work.vocabulary)}


class Expert(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(WIDTH, 128), nn.ReLU())


class Bottom(nn.Sequential):
    def __init__(self):
        layers = [nn.Linear(WIDTH, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()]
        super().__init__(*layers)


class Network(nn.Module):
    """An embedding, and what LibMTL's trainer would build behind it."""

    def __init__(self, size, model):
        super().__init__()
        self.table = nn.Embedding(size, 16)
        architecture, encoder = (MMoE, Expert) if model == "mmoe" else (HPS, Bottom)
        # The trainer makes this class in the same way.
        both = type("Model", (architecture, EW), {})
        decoders = nn.ModuleDict(
            {
                task: nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))
                for task in TASKS
            }
        )
        self.tasks = both(
            list(TASKS),
            encoder,
            decoders,
            False,
            False,
            torch.device("cpu"),
            **({"img_size": [WIDTH], "num_experts": [8]} if model == "mmoe" else {}),
        )
        self.tasks.init_param()

    def forward(self, ids, numbers):
        return self.tasks(torch.cat([self.table(ids).flatten(1), numbers], dim=1))


def fit(data, options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    net = Network(data["size"], options.model)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    ids, numbers, y = data["train"]
    for _ in range(options.epochs):
        for at in torch.randperm(len(y)).split(options.batch_size):
            found = net(ids[at], numbers[at])
            labels = y[at]
            losses = torch.zeros(len(TASKS))
            for k, task in enumerate(TASKS):
                losses[k] = F.binary_cross_entropy_with_logits(
                    found[task].squeeze(1), labels[:, k]
                )
            optimizer.zero_grad()
            net.tasks.backward(losses)
            optimizer.step()
    return net.eval()


def predict(net, data, options):
    ids, numbers, _ = data["test"]
    size = options.predict_batch_size
    with torch.no_grad():
        blocks = [
            torch.cat(list(net(i, n).values()), dim=1).sigmoid()
            for i, n in zip(ids.split(size), numbers.split(size), strict=True)
        ]
    return torch.cat(blocks).numpy()
