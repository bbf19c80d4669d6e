"""The two passes over a source before training: counting, and encoding to piles."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl._containers import to_native
from skmtl._typing import ClassesLike
from skmtl.sources.source import Block, Source
from skmtl.sources.space import size_text
from skmtl.tasks import Targets, check_targets, task_weights
from skmtl.training.epochs import REFRESH, TerminalLine, duration
from skmtl.training.ranker import TrainableRanker
from skmtl.training.validation import n_rows_aside

Floats = npt.NDArray[np.float64]

# Most distinct rows of labels; binary tasks have few.
_MOST_LABELS = 100_000


@dataclass(frozen=True)
class NamedColumns:
    """The columns of a source by their use.

    Attributes
    ----------
    features, y, sample_weight : list of str
        Names of columns.
    one : bool
        Whether `y` was a name, and not a list of names.
    """

    features: list[str]
    y: list[str]
    sample_weight: list[str]
    one: bool

    @property
    def every(self) -> list[str]:
        """All columns that are read."""
        return list(dict.fromkeys([*self.features, *self.y, *self.sample_weight]))

    def labels(self, block: Block) -> Any:
        """Labels of a block, a Series or a DataFrame as `y` was a name or a list."""
        frame = to_native(block.table.select(self.y))
        return frame[self.y[0]] if self.one else frame

    def weight(self, block: Block) -> Any:
        """Weights of a block by row, or by row and task; None if there are none."""
        if not self.sample_weight:
            return None
        frame = to_native(block.table.select(self.sample_weight))
        weight = frame.to_numpy(dtype=np.float64, na_value=np.nan)
        return weight[:, 0] if len(self.sample_weight) == 1 else weight

    def only_features(self, block: Block) -> Block:
        """A block without labels and weights."""
        return replace(block, table=block.table.select(self.features))


@dataclass(frozen=True)
class LabelledBlock:
    """Rows of a block with labels and weights, checked."""

    block: Block
    targets: Targets
    weight: Floats  # (n_rows, n_tasks), 0 where not observed


def labelled(
    source: Source,
    columns: NamedColumns,
    ranker: TrainableRanker,
    classes: ClassesLike,
    line: PassLine,
) -> Iterator[LabelledBlock]:
    """Read blocks of a source, and check their labels.

    Parameters
    ----------
    source : Source
        The table.
    columns : NamedColumns
        What its columns are.
    ranker : TrainableRanker
        Completes labels.
    classes : array-like or None
        The two labels of a single task; None where they are not known yet.
    line : PassLine
        Reports how far the pass is.
    """
    for block in line.watch(source.blocks(columns.every)):
        if not len(block.table):
            continue
        with block.named_in_errors():
            targets = ranker._complete(check_targets(columns.labels(block), classes))
            # `some=False`, since all weights of a single block may be 0.
            weight = task_weights(
                columns.weight(block), targets.observed, targets.names, some=False
            )
        yield LabelledBlock(block, targets, weight)


class LabelCounts:
    """The distinct rows of labels of a source, and the number of rows with each.

    All that a fit checks and learns of labels is a function of these.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[Any, ...], int] = {}
        self.counts: list[int] = []
        self.weights: list[Floats] = []
        self.first: pd.DataFrame | pd.Series | None = None
        self.n_rows = 0
        self.low, self.high = np.inf, -np.inf

    def add(self, labels: pd.DataFrame | pd.Series, weight: Floats) -> None:
        """Count the labels of some rows, and sum the weights of each task."""
        if self.first is None:
            self.first = labels.iloc[:0]
        self.n_rows += len(labels)
        self.low = min(self.low, float(weight.min()))
        self.high = max(self.high, float(weight.max()))
        codes, starts = same_rows(labels)
        counts = np.bincount(codes)
        sums = [np.bincount(codes, weight[:, t]) for t in range(weight.shape[1])]
        found = pd.DataFrame(labels).iloc[starts].itertuples(index=False, name=None)
        for k, cells in enumerate(found):
            # NaN differs from itself, and would be a new key each time.
            key = tuple(None if pd.isna(cell) else cell for cell in cells)
            place = self.rows.setdefault(key, len(self.rows))
            if place == len(self.counts):
                self.counts.append(0)
                self.weights.append(np.zeros(weight.shape[1]))
            self.counts[place] += int(counts[k])
            self.weights[place] += [of_task[k] for of_task in sums]
        if len(self.rows) > _MOST_LABELS:
            raise ValueError(
                f"y has more than {_MOST_LABELS:,} different rows of labels. A source "
                "can have binary tasks only. To fit other tasks, read the table into "
                "memory."
            )

    @property
    def weighted(self) -> bool:
        """Whether labels do not all have the same weight."""
        return self.low < self.high

    def labels(self) -> pd.DataFrame | pd.Series:
        """The different rows, in the type of the columns."""
        assert self.first is not None
        cells = pd.DataFrame(list(self.rows), columns=pd.DataFrame(self.first).columns)
        if isinstance(self.first, pd.Series):
            return cells.iloc[:, 0].astype(self.first.dtype)
        return cells.astype(self.first.dtypes)


def same_rows(
    labels: pd.DataFrame | pd.Series,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A number for each distinct row, and the first row with each number."""
    codes = np.zeros(len(labels), dtype=np.int64)
    table = pd.DataFrame(labels)
    for name in table:
        # A missing label has code -1. Numbers are made small again after each column,
        # so that none overflows, however many columns there are.
        own, distinct = pd.factorize(table[name])
        codes = pd.factorize(codes * (len(distinct) + 1) + own + 1)[0]
    starts = np.full(codes.max(initial=-1) + 1, len(codes))
    np.minimum.at(starts, codes, np.arange(len(codes)))
    return codes, starts


class LabelKinds:
    """Numbers for the different rows of labels that training sees.

    Parameters
    ----------
    targets : Targets
        The different rows.
    counts : ndarray of shape (n_rows,)
        How often each comes.

    Attributes
    ----------
    counts : ndarray of shape (n_kinds,)
        How often each kind comes.
    """

    def __init__(self, targets: Targets, counts: npt.NDArray[np.int64]) -> None:
        self.places: dict[bytes, int] = {}
        for row in _states(targets):
            self.places.setdefault(row.tobytes(), len(self.places))
        self.counts = np.zeros(len(self.places), dtype=np.int64)
        np.add.at(self.counts, self.of(targets), counts)

    def of(self, targets: Targets) -> npt.NDArray[np.int64]:
        """The kind of each row."""
        states = _states(targets)
        codes, starts = same_rows(pd.DataFrame(states))
        places = [self.places[row.tobytes()] for row in states[starts]]
        return np.array(places, dtype=np.int64)[codes]

    def wanted(
        self, fraction: float | str, rng: np.random.RandomState
    ) -> npt.NDArray[np.int64]:
        """Number of rows of each kind to set aside, as `validation_rows` counts."""
        n_rows = int(self.counts.sum())
        n_wanted = n_rows_aside(fraction, n_rows)
        states = np.array([np.frombuffer(key, np.int8) for key in self.places])
        rarest_first = np.argsort(((states == 2) * self.counts[:, None]).sum(axis=0))
        order = np.lexsort([states[:, t] for t in rarest_first[::-1]])
        # As in `validation_rows`: at even distances in the order of labels, where each
        # kind takes as many places as it has rows.
        at = (np.arange(n_wanted) + rng.uniform()) * n_rows / n_wanted
        ends = np.cumsum(self.counts[order])
        found = np.zeros(len(order), dtype=np.int64)
        kinds = order[np.searchsorted(ends, at.astype(np.int64), side="right")]
        np.add.at(found, kinds, 1)
        return found


def _states(targets: Targets) -> npt.NDArray[np.int8]:
    """0 for a label that was not observed, 1 for a negative, 2 for a positive."""
    return np.ascontiguousarray(targets.observed * (1 + targets.labels), dtype=np.int8)


class HeldOut:
    """Draw validation rows from blocks, the same share of each kind of labels.

    How many rows of each kind are drawn is settled before. Within a kind every row is
    as likely as the others.

    Parameters
    ----------
    kinds : LabelKinds
        The kinds, and how many rows each has.
    fraction : float or "auto"
        The ranker's `validation_fraction`.
    rng : RandomState
        Source of random numbers.

    References
    ----------
    D. E. Knuth, "The Art of Computer Programming", volume 2, section 3.4.2, algorithm
    S; here the rows of a block are drawn together.
    """

    def __init__(
        self, kinds: LabelKinds, fraction: float | str, rng: np.random.RandomState
    ) -> None:
        self.kinds, self.left = kinds, kinds.counts.copy()
        self.wanted = kinds.wanted(fraction, rng)
        # Only the processes that write draw from it. All have drawn its seed.
        self.rng = np.random.default_rng(int(rng.randint(2**31 - 1)))

    def draw(self, targets: Targets) -> npt.NDArray[np.bool_]:
        """Which of some rows, with these labels, are set aside."""
        of_rows = self.kinds.of(targets)
        held_out = np.zeros(len(of_rows), dtype=bool)
        for kind in np.unique(of_rows):
            rows = np.flatnonzero(of_rows == kind)
            wanted, left = self.wanted[kind], self.left[kind]
            n = self.rng.hypergeometric(wanted, left - wanted, len(rows))
            held_out[self.rng.choice(rows, n, replace=False)] = True
            self.left[kind] -= len(rows)
            self.wanted[kind] -= n
        return held_out


class PassLine:
    """Report the progress of a pass over a source: rows, bytes, speed and time left.

    Parameters
    ----------
    what : str
        What the pass does.
    source : Source
        What is read.
    verbose : int
        0 for nothing.
    at_block : callable
        Is called at every block.
    """

    def __init__(
        self,
        what: str,
        source: Source,
        verbose: int,
        at_block: Callable[[], object],
    ) -> None:
        self.what, self.n_rows, self.verbose = what, source.n_rows, verbose
        self.at_block = at_block

    def watch(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield blocks unchanged."""
        for block in self._shown(blocks) if self.verbose else blocks:
            self.at_block()
            yield block

    def _shown(self, blocks: Iterable[Block]) -> Iterator[Block]:
        line, begun = TerminalLine(sys.stdout), perf_counter()
        rows = n_bytes = 0
        shown = begun
        for block in blocks:
            yield block
            rows += len(block.table)
            n_bytes += block.n_bytes
            if perf_counter() - shown > REFRESH:
                shown = perf_counter()
                line.move(self._text(rows, n_bytes, shown - begun))
        line.end(self._text(rows, n_bytes, perf_counter() - begun, done=True))

    def _text(
        self, rows: int, n_bytes: int, seconds: float, *, done: bool = False
    ) -> str:
        speed = rows / max(seconds, 1e-9)
        text = f"{self.what}  {rows:,} rows  {size_text(n_bytes)}  {speed:,.0f} rows/s"
        if done:
            return f"{text}  {duration(seconds)}"
        if self.n_rows is None or not rows:
            return text
        left = (self.n_rows - rows) * seconds / rows
        return f"{text}  {rows / self.n_rows:4.0%}  {duration(left)} left"
