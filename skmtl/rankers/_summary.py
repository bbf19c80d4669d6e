"""The shape of a fitted network, as text and in scikit-learn's diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from torch import nn

from skmtl._sklearn import VisualBlock
from skmtl.modules import CrossedEmbedding, Embedding, ModuleCross, SomeColumns
from skmtl.training.computing import blocks

# The numbers of rows of two passes: sizes that differ between them depend on the rows.
_ROWS = (2, 3)


@dataclass(frozen=True)
class Part:
    """One line of a summary; a part of depth 0 contains those of depth 1 after it."""

    depth: int
    name: str
    kind: str
    shape: str
    n_parameters: int


def summary_text(ranker: BaseEstimator) -> str:
    """Format a table with a line for each part of the network."""
    found = parts_of(ranker)
    rows = [("part", "module", "output", "parameters")]
    rows += [
        ("  " * p.depth + p.name, p.kind, p.shape, f"{p.n_parameters:,}") for p in found
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {shape:<{widths[2]}}  "
        f"{number:>{widths[3]}}"
        for name, kind, shape, number in rows
    ]
    title = f"{type(ranker).__name__}: {_headline(ranker, found)}"
    tasks = "Tasks: " + ", ".join(str(name) for name in ranker.task_names_)
    return "\n".join([title, tasks, "", *lines])


def visual_block(ranker: BaseEstimator) -> VisualBlock:
    """Make scikit-learn's diagram: the encoder, then the parts of the network."""
    name = type(ranker).__name__
    if not ranker.__sklearn_is_fitted__():
        return VisualBlock("single", ranker, names=name, name_details=str(ranker))
    found = parts_of(ranker)
    blocks = [
        VisualBlock(
            "single",
            part.name,
            names=f"{part.name}: {part.kind}",
            name_details=f"output {part.shape}",
            name_caption=f"{part.n_parameters:,} parameters",
        )
        for part in found
        if part.depth == 0
    ]
    network = VisualBlock("serial", blocks, dash_wrapped=True)
    return VisualBlock(
        "serial",
        [ranker.encoder_, network],
        names=[None, f"net_: {_headline(ranker, found)}"],
        name_details=[None, summary_text(ranker)],
    )


def parts_of(ranker: BaseEstimator) -> list[Part]:
    """List the embedding, crosses, the sharing and the towers, each with its parts."""
    module = ranker.net_.module_
    shapes = _output_shapes(ranker)
    found = []
    for name, part in module.named_children():
        if isinstance(part, CrossedEmbedding):
            found += _with_parts(name, part.inner, shapes)
            found += _of_crosses(part, shapes)
        else:
            found += _with_parts(name, part, shapes)
    return found


def _with_parts(name: str, part: nn.Module, shapes: dict[int, str]) -> list[Part]:
    """A line for a part, and one for each of its own parts."""
    return [_part(0, name, part, shapes), *_below(part, shapes)]


def _below(part: nn.Module, shapes: dict[int, str]) -> list[Part]:
    found = []
    for own, value in part.named_parameters(recurse=False):
        if value.numel():
            shape = str(tuple(value.shape))
            found.append(Part(1, own, "Parameter", shape, value.numel()))
    for name, child in part.named_children():
        if isinstance(part, SomeColumns) and isinstance(child, Embedding):
            # Its tables, as if all columns were read.
            found += _below(child, shapes)
        elif _count(child):
            found.append(_part(1, name, child, shapes))
    return found


def _of_crosses(embedding: CrossedEmbedding, shapes: dict[int, str]) -> list[Part]:
    """Lines for the crosses that follow an embedding."""
    made = [
        cross.module if isinstance(cross, ModuleCross) else cross
        for cross in embedding.crosses
    ]
    kind = type(made[0]).__name__
    several = f"{len(made)} × {kind}" if len(made) > 1 else kind
    shape = shapes.get(id(embedding), "")
    found = [Part(0, "crosses", several, shape, sum(map(_count, made)))]
    if len(made) == 1:
        return found + _below(made[0], shapes)
    return found + [_part(1, str(k), one, shapes) for k, one in enumerate(made)]


def _part(depth: int, name: str, module: nn.Module, shapes: dict[int, str]) -> Part:
    shape = shapes.get(id(module), "")
    return Part(depth, name, type(module).__name__, shape, _count(module))


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _headline(ranker: BaseEstimator, found: list[Part]) -> str:
    total = sum(part.n_parameters for part in found if part.depth == 0)
    n_tasks, n_columns = len(ranker.task_names_), ranker.n_features_in_
    tasks = "1 task" if n_tasks == 1 else f"{n_tasks} tasks"
    columns = "1 column" if n_columns == 1 else f"{n_columns} columns"
    return f"{tasks}, {columns}, {total:,} parameters"


def _output_shapes(ranker: BaseEstimator) -> dict[int, str]:
    """Shape of each module's output, by its id, found with tables of missing cells."""
    few, more = (_shapes_of_pass(ranker, n) for n in _ROWS)
    return {
        key: " + ".join(
            _with_rows(a, b) for a, b in zip(few[key], more[key], strict=True)
        )
        for key in few
    }


def _shapes_of_pass(
    ranker: BaseEstimator, n_rows: int
) -> dict[int, list[tuple[int, ...]]]:
    module, device = ranker.net_.module_, ranker.net_.device
    shapes: dict[int, list[tuple[int, ...]]] = {}

    def note(one: nn.Module, _: object, output: object) -> None:
        parts = output if isinstance(output, (list, tuple)) else (output,)
        shapes[id(one)] = [tuple(p.shape) for p in parts if torch.is_tensor(p)]

    hooks = [one.register_forward_hook(note) for one in module.modules()]
    try:
        with torch.inference_mode():
            # So few rows are a single block.
            (block,) = blocks(_missing_rows(ranker, n_rows), device)
            module.biased(module(**block), block)
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _missing_rows(ranker: BaseEstimator, n_rows: int) -> Any:
    # A column of any type may have missing cells.
    cells = np.full((n_rows, ranker.n_features_in_), np.nan)
    names = getattr(ranker, "feature_names_in_", None)
    table = cells if names is None else pd.DataFrame(cells, columns=names)
    return ranker.encoder_.encode(table)


def _with_rows(few: tuple[int, ...], more: tuple[int, ...]) -> str:
    """Format a shape, with "rows" for sizes that depend on the number of rows."""
    sizes = [
        str(a) if a == b else "rows" if (a, b) == _ROWS else f"rows × {a // _ROWS[0]}"
        for a, b in zip(few, more, strict=True)
    ]
    return f"({', '.join(sizes)})"
