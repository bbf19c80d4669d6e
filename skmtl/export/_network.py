"""The network and the steps after it, as one module that torch can export."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from skmtl.calibration._maps import (
    EDGE,
    CalibrationMap,
    IdentityMap,
    PriorShiftMap,
    SigmoidMap,
)
from skmtl.modules import (
    ChainedTowers,
    CrossedEmbedding,
    MultiTaskModule,
    ParallelTowers,
    PooledTower,
    ProductTowers,
    SomeColumns,
    TableEmbedding,
    TransferTowers,
)
from skmtl.modules.bags import unit
from skmtl.modules.graph import topological_order

if TYPE_CHECKING:
    import onnx

OPSET = 20
# The logger that reports that torchvision is not installed.
_REGISTRATION = "torch.onnx._internal.exporter._registration"
_OUR_TOWERS = (
    ChainedTowers, ParallelTowers, PooledTower, ProductTowers, TransferTowers
)  # fmt: skip
_KINDS = {"ids": torch.int64, "bins": torch.int64, "numeric": torch.float32}


class PaddedPooling:
    """Do what `TableEmbedding._pooled` does, on lists padded to the same length.

    Training holds lists as tensors of entries and offsets. Their sizes depend on the
    data, which makes exported graphs slow.

    Parameters
    ----------
    embedding : TableEmbedding
        The embedding whose columns of lists to pool.

    Notes
    -----
    Shape: rows ``(batch, length)`` and a mask of the same shape, to ``(batch, width)``.
    """

    def __init__(self, embedding: TableEmbedding) -> None:
        self.embedding = embedding

    def __call__(
        self, k: int, bag: tuple[Tensor, Tensor], of_ids: list[Tensor]
    ) -> Tensor:
        (ids, there), column = bag, self.embedding.bags[k]
        x = self.embedding.ids.entries(ids, column.vocabulary)
        mask, n_sets = there[:, :, None], self.embedding.n_sets
        query, own = self.embedding.target(k, of_ids), self.embedding.poolings_of(k)
        if own:
            parts = x.chunk(n_sets, dim=2)
            queries = [None] * n_sets if query is None else query.chunk(n_sets, dim=1)
            sets = zip(own, parts, queries, strict=True)
            return torch.cat([one.padded(x, there, q) for one, x, q in sets], dim=1)
        if query is None:
            return _POOLINGS[column.pooling](x, mask)
        # The cosine is taken within each set of embeddings.
        query = query.unflatten(1, (n_sets, -1))[:, None]
        x = x.unflatten(2, (n_sets, -1))
        weight = (unit(x) * unit(query)).sum(dim=3, keepdim=True)
        return _sum((weight * x).flatten(2), mask)


class JoinedBins:
    """Do what `TableEmbedding._of_bins` does, with fewer operators.

    A single table holds each bin's embedding and, next to it, the step to that of the
    following bin. For a few numbers, onnxruntime spends more time on look-ups and
    comparisons than on arithmetic.

    Parameters
    ----------
    embedding : TableEmbedding
        The embedding whose bins are interpolated. It gets a buffer ``bin_steps``.

    Notes
    -----
    Shape: bins ``(batch, n_bins)`` and numbers ``(batch, n_numeric)``, to ``(batch,
    n_bins, dim)``.
    """

    def __init__(self, embedding: TableEmbedding) -> None:
        assert embedding.bin_ranges is not None
        table = embedding.bins.detach()
        # A bin without two edges has no share of the following one.
        step = torch.cat([table[1:], table[-1:]]) - table
        embedding.register_buffer("bin_steps", torch.cat([table, step], dim=1))
        self.embedding, self.dim = embedding, table.shape[1]
        self.places = embedding.binned.tolist()

    def __call__(self, bins: Tensor, numeric: Tensor) -> Tensor:
        embedding = self.embedding
        steps, ranges = map(embedding.get_buffer, ("bin_steps", "bin_ranges"))
        here, step = F.embedding(bins, steps).split(self.dim, dim=2)
        low, per_unit = F.embedding(bins, ranges).split(1, dim=2)
        # Without effect if all numbers have bins, and then left out of the graph.
        if self.places != list(range(numeric.shape[1])):
            numeric = numeric.index_select(1, embedding.binned)
        share = (numeric.unsqueeze(2) - low) * per_unit
        return here + share.clamp(0, 1) * step


def _sum(x: Tensor, mask: Tensor) -> Tensor:
    return (x * mask).sum(dim=1)


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    return _sum(x, mask) / mask.sum(dim=1).clamp(min=1)


def _max(x: Tensor, mask: Tensor) -> Tensor:
    lowest = torch.where(mask, x, torch.finfo(x.dtype).min).amax(dim=1)
    return torch.where(mask.any(dim=1), lowest, 0.0)


_POOLINGS = {"mean": _mean, "sum": _sum, "max": _max}


class Pipeline(nn.Module):
    """From encoded rows to predictions, in float64 from the logits on.

    Parameters
    ----------
    ranker : MultiTaskRanker
        Fitted.
    maps : sequence of CalibrationMap or None
        The calibration of each task's probabilities; None for tasks that have none.
    after : torch.nn.Module
        Maps predictions ``(batch, n_columns)`` to the outputs of the file.
    """

    intercept: Tensor
    constants: Tensor
    is_constant: Tensor

    def __init__(
        self,
        ranker: BaseEstimator,
        maps: Sequence[CalibrationMap | None] | None,
        after: nn.Module,
    ):
        super().__init__()
        self.network = _network(ranker.net_.module_)
        self.after = after
        self.kinds = kinds = ranker._kinds
        self.columns = [kind.n_columns for kind in kinds]
        of_tasks = maps or [None] * len(self.columns)
        self.lines = [
            None if one is None else _line(one)
            for one, n in zip(of_tasks, self.columns, strict=True)
            for _ in range(n)
        ]
        self.parents = ranker._ordered_parents()
        levels = kinds.constant(ranker.prior_)
        self.constant = np.repeat(kinds.is_constant(ranker.prior_), self.columns)
        for name, value in (
            ("intercept", ranker.intercept_),
            ("constants", kinds.expected(levels[None])[0]),
            ("is_constant", self.constant),
        ):
            self.register_buffer(name, torch.as_tensor(value))

    def forward(self, inputs: dict[str, list[Tensor]]) -> tuple[Tensor, ...]:
        """Compute the outputs of the file from "ids", "bins", "numeric" and "bags"."""
        like = next(one for parts in inputs.values() for one in parts)
        ids, bins, numeric = (
            inputs[part][0]
            if inputs[part]
            else like.new_zeros(like.shape[0], 0, dtype=kind)
            for part, kind in _KINDS.items()
        )
        bags = list(zip(inputs["bags"][::2], inputs["bags"][1::2], strict=True))
        network = self.network
        # As in the network's forward, but for all rows at once: torch.export keeps only
        # one side of a branch on the number of rows.
        shared = network.sharing(network.embedding(ids, bins, numeric, bags))
        columns = self._expected(network.towers(shared) + self.intercept)
        for task in topological_order(self.parents):
            for parent in self.parents[task]:
                columns[task] = torch.minimum(columns[task], columns[parent])
        # Steps without effect are left out, since every node of a graph takes time.
        values = columns[0] if len(columns) == 1 else torch.cat(columns, dim=1)
        if self.constant.any():
            values = torch.where(self.is_constant, self.constants, values)
        if any(line is not None for line in self.lines):
            pairs = zip(values.unbind(dim=1), self.lines, strict=True)
            calibrated = [_calibrated(column, line) for column, line in pairs]
            values = torch.stack(calibrated, dim=1)
        return self.after(values)

    def _expected(self, outputs: Tensor) -> list[Tensor]:
        """Compute expected labels, task by task or, if all are binary, at once."""
        if self.kinds.all_binary and len(self.kinds.task_of) == len(self.kinds):
            together = self.kinds[0].graph(outputs)
            ordered = any(self.parents)
            return list(together.split(1, dim=1)) if ordered else [together]
        parts = outputs.split(self.kinds.n_outputs, dim=1)
        return [kind.graph(z) for kind, z in zip(self.kinds, parts, strict=True)]


def _line(one: CalibrationMap) -> tuple[float, float] | None:
    """Return slope and intercept of a map of the log-odds; None for the identity.

    Raises
    ------
    ValueError
        For another map.
    """
    if type(one) is IdentityMap:
        return None
    if type(one) is SigmoidMap:
        return one.slope, one.intercept
    if type(one) is PriorShiftMap:
        return 1.0, one.shift
    raise ValueError(
        "method='isotonic' of CalibratedTasksCV cannot be exported: its steps are so "
        "steep that rounding decides between them. Use 'sigmoid' or 'prior_shift'."
    )


def _calibrated(proba: Tensor, line: tuple[float, float] | None) -> Tensor:
    """Apply a linear map to the log-odds of one task."""
    if line is None:
        return proba
    kept = proba.clamp(EDGE, 1 - EDGE)
    slope, intercept = line
    return _sigmoid(slope * (kept.log() - (1 - kept).log()) + intercept)


def _sigmoid(x: Tensor) -> Tensor:
    """Sigmoid without onnxruntime's absolute error of 1e-16, large for tiny values."""
    return 1 / (1 + torch.exp(-x))


def _network(module: nn.Module) -> MultiTaskModule:
    """Copy a network to the CPU, and let it take padded lists.

    Its logits are in float64: for tiny probabilities, what onnxruntime computes in
    float32, such as the logarithm of a sigmoid, is wrong in the fourth digit.
    """
    network: Any = copy.deepcopy(module).cpu().eval()
    network.towers = _exact(network.towers)
    table = network.embedding
    if isinstance(table, CrossedEmbedding):
        table = table.inner
    if isinstance(table, SomeColumns):
        table._shifted = _shifted  # type: ignore[assignment]
        table = table.inner
    table._pooled = PaddedPooling(table)
    if table.bin_ranges is not None:
        table._of_bins = JoinedBins(table)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    assert isinstance(network, MultiTaskModule)
    return network


def _shifted(bag: tuple[Tensor, Tensor], shift: int) -> tuple[Tensor, Tensor]:
    """What `SomeColumns._shifted` does, on filled lists."""
    ids, there = bag
    return ids - shift, there


def _exact(towers: nn.Module) -> nn.Module:
    """Compute the logits of towers in float64, their hidden layers as in the ranker."""
    if type(towers) not in _OUR_TOWERS:
        return InFloat64(towers)
    for module in list(towers.modules()):
        output = dict(module.named_children()).get("output")
        if isinstance(output, nn.ModuleList):
            module.output = nn.ModuleList(map(InFloat64, output))
        elif output is not None:
            module.output = InFloat64(output)
    return towers


class InFloat64(nn.Module):
    """A layer, or towers, in float64."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.double())


class Probabilities(nn.Module):
    """Return the probabilities unchanged."""

    def forward(self, proba: Tensor) -> tuple[Tensor, ...]:
        return (proba,)


class FusedScore(nn.Module):
    """Return the probabilities, and the ranking score that fuses them.

    Parameters
    ----------
    weights : ndarray of shape (n_terms,)
        Output weights.
    method : {"sum", "product", "logit"}
        How to fuse.
    base : float
        Subtracted from the score.
    factors : list of list of int
        Columns of predictions that are multiplied in each term.
    """

    def __init__(
        self,
        weights: npt.NDArray[np.float64],
        method: str,
        base: float,
        factors: list[list[int]],
    ) -> None:
        super().__init__()
        self.weights, self.method, self.base = weights.tolist(), method, base
        self.factors = factors

    def forward(self, proba: Tensor) -> tuple[Tensor, ...]:
        values = proba
        if self.factors != [[column] for column in range(proba.shape[1])]:
            terms = [proba[:, own].prod(dim=1) for own in self.factors]
            values = torch.stack(terms, dim=1)
        if self.method == "product":
            values = values.clamp(min=torch.finfo(torch.float64).tiny).log()
        if self.method == "logit":
            least, most = torch.finfo(torch.float64).tiny, 1 - 2**-53
            kept = values.clamp(least, most)
            values = kept.log() - (1 - kept).log()
        # Each node takes time, so that tasks of weight 0 have none.
        parts = [w * values[:, t] for t, w in enumerate(self.weights) if w]
        score = parts[0]
        for part in parts[1:]:
            score = score + part
        return proba, score - self.base


def export_network(
    pipeline: Pipeline,
    names: dict[str, list[str]],
    widths: dict[str, int],
    what: str = "probabilities",
) -> onnx.ModelProto:
    """Export a module to an ONNX model.

    Parameters
    ----------
    pipeline : Pipeline
        The module.
    names : dict of str to list of str
        Names of the inputs.
    widths : dict of str to int
        Columns of "ids", "bins" and "numeric".
    what : str
        Name of the output with the predictions.

    Returns
    -------
    onnx.ModelProto
        With the inputs of `names`, flat.
    """
    rows = torch.export.Dim("rows", min=1)
    example: dict[str, list[Tensor]] = {
        part: [torch.zeros(7, widths[part], dtype=kind) for _ in names[part]]
        for part, kind in _KINDS.items()
    }
    shapes: dict[str, list[dict[int, torch.export.Dim]]] = {
        part: [{0: rows}] * len(names[part]) for part in _KINDS
    }
    example["bags"], shapes["bags"] = [], []
    for k in range(len(names["bags"]) // 2):
        # Neither 0 nor 1, which torch.export would take for constants, and not equal,
        # so that rows and entries stay apart.
        lists = torch.zeros(7, 5, dtype=torch.int64)
        example["bags"] += [lists, lists == 0]
        shapes["bags"] += [{0: rows, 1: torch.export.Dim(f"length_{k}", min=1)}] * 2
    with torch.no_grad(), warnings.catch_warnings(), without_log(_REGISTRATION):
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        exported = torch.export.export(
            pipeline.eval(),
            (),
            kwargs={"inputs": example},
            dynamic_shapes={"inputs": shapes},
        )
        program = torch.onnx.export(
            exported,
            dynamo=True,
            opset_version=OPSET,
            input_names=[name for part in names.values() for name in part],
            output_names=[what, "score"][: 1 + _has_score(pipeline)],
            verbose=False,
        )
    assert program is not None
    return program.model_proto


@contextmanager
def without_log(name: str | None) -> Iterator[None]:
    """Silence warnings of a logger that do not help the caller; None for the root."""
    logger = logging.getLogger(name)
    level, handlers = logger.level, list(logger.handlers)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.handlers[:] = handlers  # the root logger gets one at its first use


def _has_score(pipeline: Pipeline) -> bool:
    return isinstance(pipeline.after, FusedScore)
