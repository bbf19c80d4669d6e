"""Panels, line styles and labels that all displays share."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skmtl._extras import import_extra
from skmtl._typing import ColumnName, FloatArray

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

# Colours that colour-blind readers can distinguish (Okabe and Ito, "Color Universal
# Design", 2008). Line styles and markers repeat the information without colour.
COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
LINES = [
    *("-", "--", "-.", ":"),
    *((0, (8, 2)), (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (12, 3, 2, 3))),
]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
N_COLUMNS = 4
# Names of scorers, as an axis shows them.
_METRICS = {
    "auc": "AUC",
    "gauc": "AUC within groups",
    "group_roc_auc": "AUC within groups",
    "roc_auc": "AUC",
    "ndcg": "NDCG",
    "mrr": "MRR",
    "hit_rate": "hit rate",
    "brier": "Brier score",
    "ece": "calibration error",
}
_SUMMARIES = {"mean": "mean", "min": "lowest"}


class Display:
    """Base of all displays."""

    def _ipython_display_(self) -> None:
        """Print nothing: a notebook shows the figure itself below the cell."""


def metric_label(name: ColumnName) -> str:
    """The name of a metric or scorer in words, such as "AUC of click"."""
    kind, _, task = str(name).partition(":")
    kind, _, k = kind.partition("@")
    how, _, rest = kind.partition("_")
    if kind not in _METRICS and how in _SUMMARIES and rest in _METRICS:
        text = f"{_SUMMARIES[how]} {_METRICS[rest]}"
    else:
        text = _METRICS.get(kind, kind.replace("_", " "))
    text += f"@{k}" if k else ""
    return f"{text} of {task}" if task else text


def panels(
    what: str,
    n: int,
    ax: Axes | Sequence[Axes] | None,
    *,
    n_columns: int = N_COLUMNS,
    size: tuple[float, float] = (3.2, 2.6),
    **kwargs: Any,
) -> tuple[Any, Any]:
    """A figure and its `n` panels: those of the caller, or new ones.

    Raises
    ------
    ValueError
        If the caller passes another number of panels.
    """
    if ax is not None:
        axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(axes) != n:
            raise ValueError(f"{what} needs {n} panel(s), but ax has {len(axes)}.")
        return axes[0].figure, axes
    pyplot = import_extra("matplotlib.pyplot", "plot", f"{what}.plot")
    columns = min(n, n_columns)
    rows = -(-n // columns)
    figure, grid = pyplot.subplots(
        rows,
        columns,
        figsize=(size[0] * columns, size[1] * rows),
        squeeze=False,
        layout="constrained",
        **kwargs,
    )
    axes = grid.ravel()
    for spare in axes[n:]:
        spare.remove()
    return figure, axes[:n]


def line_style(i: int) -> dict[str, object]:
    """Colour and line style of the `i`-th line."""
    return {"color": COLORS[i % len(COLORS)], "linestyle": LINES[i % len(LINES)]}


def wrapped(name: ColumnName, width: int = 26) -> str:
    """A long name on several lines, which may also break after underscores."""
    text = str(name)
    if len(text) <= width:
        return text
    # `textwrap` breaks at spaces only. The zero-width space tells the added ones from
    # those of the name.
    lines = textwrap.wrap(text.replace("_", "_\u200b "), width)
    return "\n".join(line.replace("_\u200b ", "_").rstrip("\u200b") for line in lines)


def below(
    figure: Figure,
    axes: Sequence[Axes],
    handles: Iterable[Artist],
    labels: Sequence[str],
    own: bool,
) -> Legend:
    """One legend: below the panels of a new figure, or in the caller's first panel."""
    # The place outside the panels needs the constrained layout of a figure made here.
    if not own:
        return axes[0].legend(handles, labels, fontsize="small")
    # About 2.4 inches for a label.
    columns = max(1, min(len(labels), int(figure.get_figwidth() / 2.4)))
    return figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize="small"
    )


def name_inches(names: Sequence[ColumnName]) -> float:
    """Approximate length of the longest name when it labels a tick."""
    return 0.075 * min(48, max(len(str(name)) for name in names))


def heat_table(
    ax: Axes,
    values: FloatArray,
    rows: Sequence[ColumnName],
    columns: Sequence[ColumnName],
    **kwargs: Any,
) -> Any:
    """A table of numbers in shades of grey, darker for larger ones, with the values."""
    image = ax.imshow(values, cmap="Greys", aspect="auto", **kwargs)
    ax.set_yticks(range(len(rows)), [wrapped(r, 48) for r in rows])
    ax.set_xticks(range(len(columns)), [wrapped(c, 48) for c in columns])
    if max(len(str(c)) for c in columns) > 4:
        ax.tick_params(axis="x", rotation=90 if len(columns) > 6 else 30)
    # More numbers than can be read.
    if values.size > 200:
        return image
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            shade = np.asarray(image.norm(np.array(value)))
            color = "white" if shade > 0.55 else "black"
            ax.text(
                column, row, f"{value:.2f}", ha="center", va="center", color=color,
                fontsize="small",
            )  # fmt: skip
    return image
