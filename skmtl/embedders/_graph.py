"""A graph of items as one array of neighbours, sampled by array operations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Graph:
    """Neighbours of each node, in compressed sparse rows.

    Attributes
    ----------
    indptr : ndarray of shape (n_nodes + 1,), dtype int64
        Where the neighbours of each node begin.
    indices : ndarray of shape (n_edges,), dtype int64
        Neighbours. An edge that was found twice is stored twice, so that a uniform draw
        is weighted by frequency.
    """

    indptr: Codes
    indices: Codes

    @classmethod
    def of(cls, nodes: Codes, neighbors: Codes, n_nodes: int) -> Graph:
        """Make a graph with an edge from each of `nodes` to each of `neighbors`.

        A node without neighbours becomes its own neighbour, so that every node has one.
        """
        alone = np.flatnonzero(np.bincount(nodes, minlength=n_nodes) == 0)
        nodes = np.concatenate([nodes, alone])
        neighbors = np.concatenate([neighbors, alone])
        order = np.argsort(nodes, kind="stable")
        indptr = np.zeros(n_nodes + 1, dtype=np.int64)
        np.cumsum(np.bincount(nodes, minlength=n_nodes), out=indptr[1:])
        return cls(indptr, neighbors[order])

    @property
    def degree(self) -> Codes:
        """Edges of each node."""
        return np.diff(self.indptr)

    def sample(self, nodes: Codes, k: int, rng: np.random.Generator) -> Codes:
        """Draw `k` neighbours of each node, with replacement: ``(n_nodes, k)``."""
        first = self.indptr[nodes]
        degree = self.indptr[nodes + 1] - first
        # Below the degree, since draws are below 1 and every node has a neighbour.
        at = (rng.random((len(nodes), k)) * degree[:, None]).astype(np.int64)
        return self.indices[first[:, None] + at]

    def walk(self, nodes: Codes, length: int, rng: np.random.Generator) -> Codes:
        """Draw a node from a random walk of `length` steps that starts at each node.

        The start is excluded; all steps are equally likely.
        """
        stop = rng.integers(1, length + 1, len(nodes))
        at = nodes.copy()
        for step in range(length):
            going = stop > step
            at[going] = self.sample(at[going], 1, rng)[:, 0]
        return at

    def edges(self, first: int, stop: int) -> tuple[Codes, Codes]:
        """Return neighbours of nodes `first` to `stop`, and the node of each."""
        neighbors = self.indices[self.indptr[first] : self.indptr[stop]]
        return neighbors, np.repeat(
            np.arange(stop - first), self.degree[first:stop]
        ).astype(np.int64)
