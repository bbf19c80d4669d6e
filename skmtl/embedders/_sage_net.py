"""The network of GraphSAGE, and its training without labels."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl._extras import import_extra
from skmtl.embedders._graph import Codes, Graph
from skmtl.encoding import EncodedTable
from skmtl.modules import TableEmbedding
from skmtl.training.computing import seeded
from skmtl.training.optimizers import dense_optimizer, table_optimizer

# Number of nodes whose full neighbourhoods are read at once.
_BLOCK = 8192


def graph_layers() -> Any:
    """``torch_geometric.nn``, which comes with an extra."""
    with warnings.catch_warnings():
        # On import it compiles some classes by TorchScript, which torch deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        return import_extra("torch_geometric.nn", "graph", "GraphSAGEEmbedder")


class SageNet(nn.Module):
    """Mean-aggregating convolutions over what is known of each node.

    Parameters
    ----------
    inputs : TableEmbedding
        Maps encoded nodes to vectors.
    n_layers : int
        Number of convolutions; a node sees neighbours that many steps away.
    width : int
        Width of every layer.
    """

    def __init__(self, *, inputs: TableEmbedding, n_layers: int, width: int) -> None:
        super().__init__()
        conv = graph_layers().SAGEConv
        widths = [inputs.width] + [width] * n_layers
        self.inputs = inputs
        self.convs = nn.ModuleList(conv((a, a), b) for a, b in pairwise(widths))

    def layer(self, k: int, around: Tensor, own: Tensor, edges: Tensor) -> Tensor:
        """Compute layer `k` of nodes from their previous layer and their neighbours'.

        Outputs of the last layer have length 1. Without that, all vectors would shrink
        to zero, where the loss cannot tell its dot products apart.
        """
        out: Tensor = self.convs[k]((around, own), edges)
        return F.normalize(out) if k == len(self.convs) - 1 else F.relu(out)

    def forward(self, hops: list[dict[str, Tensor]], edges: list[Tensor]) -> Tensor:
        """Compute vectors of nodes from them, their neighbours, the next hop, …"""
        h = [self.inputs(**hop) for hop in hops]
        for k in range(len(self.convs)):
            h = [self.layer(k, h[i + 1], h[i], edges[i]) for i in range(len(h) - 1)]
        return h[0]


def fit(
    table: EncodedTable,
    graph: Graph,
    starts: Codes,
    seed: int,
    *,
    width: int,
    vocabulary_sizes: list[int],
    bin_sizes: list[int],
    n_neighbors: list[int],
    **training: Any,
) -> tuple[SageNet, list[float]]:
    """Make and train a network; return it and the mean loss of each pass."""
    graph_layers()  # raises before any work if the extra is missing
    # Leaves torch's global generator as it was.
    with seeded(seed, "cpu"):
        net = make_net(
            width=width,
            vocabulary_sizes=vocabulary_sizes,
            bin_sizes=bin_sizes,
            n_numeric=table.numeric.shape[1],
            n_layers=len(n_neighbors),
        )
    walks = Walks(table, graph, n_neighbors, np.random.default_rng(seed))
    return net, train(net, walks, starts, **training)


def make_net(
    *,
    width: int,
    vocabulary_sizes: list[int],
    bin_sizes: list[int],
    n_numeric: int,
    n_layers: int,
) -> SageNet:
    """Make a network for given numbers of rows, bins, numbers and layers."""
    inputs = TableEmbedding(
        vocabulary_sizes=vocabulary_sizes,
        bin_sizes=bin_sizes,
        n_numeric=n_numeric,
        embedding_dim=width,
        bin_dim=min(width, 8),
        sparse=True,
    )
    return SageNet(inputs=inputs, n_layers=n_layers, width=width)


class Walks:
    """Random draws for training: pairs on walks, far nodes and neighbourhoods."""

    def __init__(
        self,
        table: EncodedTable,
        graph: Graph,
        sizes: list[int],
        rng: np.random.Generator,
    ) -> None:
        self.table, self.graph, self.sizes, self.rng = table, graph, sizes, rng
        self.often = np.cumsum(graph.degree**0.75)

    def far(self, n: int) -> Codes:
        """Draw nodes with probability proportional to degree to the power 3/4."""
        at = self.rng.random(n) * self.often[-1]
        return np.searchsorted(self.often, at, "right")

    def neighborhood(
        self, nodes: Codes, unknown_share: float
    ) -> tuple[list[dict[str, Tensor]], list[Tensor]]:
        """Draw the neighbours of nodes, hop by hop, and the edges between hops."""
        hops, edges = [nodes], []
        for k in self.sizes:
            around = torch.arange(len(hops[-1]) * k)
            edges.append(torch.stack([around, around // k]))
            hops.append(self.graph.sample(hops[-1], k, self.rng).ravel())
        return [self._encoded(hop, unknown_share) for hop in hops], edges

    def _encoded(self, nodes: Codes, unknown_share: float) -> dict[str, Tensor]:
        """Encode nodes, and make some of them unknown, as new items are."""
        # A copy: the table of all nodes keeps its ids.
        rows = self.table.take(nodes)
        if unknown_share:
            rows.ids[self.rng.random(len(nodes)) < unknown_share, 0] = 0
        return tensors(rows)


def train(
    net: SageNet,
    walks: Walks,
    starts: Codes,
    *,
    walk_length: int,
    negative: int,
    unknown_share: float,
    max_iter: int,
    batch_size: int,
    learning_rate: float,
) -> list[float]:
    """Train by eq. 1 of the paper; return the mean loss of each pass."""
    tables = list(net.inputs.ids.parameters())
    known = {id(table) for table in tables}
    dense = [p for p in net.parameters() if id(p) not in known and p.numel()]
    # A step touches few rows of the tables: only these are updated.
    optimizers = [
        dense_optimizer("adam", dense, learning_rate, 0.0),
        table_optimizer("lazy_adam", tables, learning_rate, 0.0),
    ]
    curve = []
    for _ in range(max_iter):
        total = 0.0
        order = walks.rng.permutation(starts)
        for start in range(0, len(order), batch_size):
            nodes = order[start : start + batch_size]
            near = walks.graph.walk(nodes, walk_length, walks.rng)
            drawn = np.concatenate([nodes, near, walks.far(negative)])
            z = net(*walks.neighborhood(drawn, unknown_share))
            loss = _loss(*z.split([len(nodes), len(nodes), negative]))
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            total += loss.item() * len(nodes)
        curve.append(total / len(order))
    return curve


def _loss(z: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """Minus log-likelihood of telling a near node from each of the far ones."""
    positive = F.logsigmoid((z * near).sum(1))
    negative = F.logsigmoid(-z @ far.T).sum(1)
    return -(positive + negative).mean()


def tensors(table: EncodedTable) -> dict[str, Tensor]:
    """Arguments of the inputs."""
    return {name: torch.from_numpy(x) for name, x in table.as_dict().items()}


@torch.inference_mode()
def layers(net: SageNet, table: EncodedTable, graph: Graph) -> list[np.ndarray]:
    """Compute every layer of all nodes from all their neighbours; the inputs first."""
    found = [net.inputs(**tensors(table))]
    for k in range(len(net.convs)):
        blocks = []
        for first in range(0, len(table), _BLOCK):
            stop = min(first + _BLOCK, len(table))
            edges = torch.from_numpy(np.stack(graph.edges(first, stop)))
            blocks.append(net.layer(k, found[k], found[k][first:stop], edges))
        found.append(torch.cat(blocks))
    return [h.numpy() for h in found]


@torch.inference_mode()
def new_nodes(
    net: SageNet,
    table: EncodedTable,
    known: list[np.ndarray],
    edges: tuple[Codes, Codes],
) -> np.ndarray:
    """Compute vectors of nodes that were not in training, from known neighbours.

    `edges` go from known nodes to new ones. As in `Graph`, a node without neighbours is
    its own neighbour.
    """
    h = net.inputs(**tensors(table))
    alone = np.setdiff1d(np.arange(len(h)), edges[1])
    # New nodes follow the known ones in the layer that they read.
    sources = np.concatenate([edges[0], len(known[0]) + alone])
    at = torch.from_numpy(np.stack([sources, np.concatenate([edges[1], alone])]))
    for k, around in enumerate(known):
        h = net.layer(k, torch.cat([torch.from_numpy(around), h]), h, at)
    out: np.ndarray = h.numpy()
    return out
