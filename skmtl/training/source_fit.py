"""A fit on a source: two passes over it, and training from piles of encoded rows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from skmtl._containers import as_frame, has_names, is_source, to_native
from skmtl._sklearn import CallbackContext
from skmtl._typing import (
    ClassesLike,
    GroupsLike,
    LabelsLike,
    TableLike,
    WeightsLike,
)
from skmtl.encoding import EncodedTable, TableEncoder
from skmtl.encoding.blocks import WeightedBlock
from skmtl.sources.opening import column_names, open_source
from skmtl.sources.source import Source
from skmtl.sources.space import check_scratch
from skmtl.tasks import (
    BinaryTask,
    TaskKind,
    check_some_weight,
    check_targets,
    kinds_by_task,
    warn_of_conditional_tasks,
    warn_of_rare_tasks,
)
from skmtl.training.batches import current_processes
from skmtl.training.callbacks import check_watched
from skmtl.training.computing import logits
from skmtl.training.fit import Fit
from skmtl.training.intercept import Floats, OutputCells, Part
from skmtl.training.loop import TrainingRows, ValidationPart
from skmtl.training.names import check_bias_columns
from skmtl.training.net import MultiTaskNet
from skmtl.training.passes import (
    HeldOut,
    LabelCounts,
    LabelKinds,
    LabelledBlock,
    NamedColumns,
    PassLine,
    labelled,
)
from skmtl.training.piles import Piles, PileTable, PileWriter, RecordLayout
from skmtl.training.ranker import TrainableRanker
from skmtl.training.starts import EncodedInput, Start, TrainingInput
from skmtl.training.validation import judges_predictions, needs_groups

T = TypeVar("T")

# Rows whose late predictions are kept for the intercept.
_LATE_ROWS = 2**19

_SAME_ROWS = (
    "Every process must pass a source of the same rows, and takes its rows of each "
    "batch. Pass the whole table in all of them, not a part of it in each."
)


class PileRowsToTrain(TrainingRows):
    """Rows in piles.

    Parameters
    ----------
    piles : Piles
        The rows.
    masses : tuple of ndarray of shape (n_tasks,)
        Weight of each task's positives, and of its observed labels.
    valid : ValidationPart or None
        Rows for validation.
    device : str
        Where to train.
    """

    most_late = _LATE_ROWS

    def __init__(
        self,
        piles: Piles,
        masses: tuple[Floats, Floats],
        valid: ValidationPart | None,
        device: str,
    ) -> None:
        self.piles, self.masses, self.valid = piles, masses, valid
        self.device = device

    def __len__(self) -> int:
        return len(self.piles)

    def as_table(self, constant: npt.NDArray[np.bool_]) -> PileTable:
        self.constant = constant
        # Weights are on disk as they were given, and get mean 1 as those in memory.
        mean = np.where(constant, 0.0, self.masses[1] / len(self.piles))
        same = not self.piles.layout.weighted and not constant.any()
        return PileTable(self.piles, None if same else mean, self.device)

    def outputs(self, net: MultiTaskNet) -> Part:
        # Each process predicts some of the piles, and the cells are added up.
        processes = net.processes_
        every = [self._cells(net, s, processes.n_slices) for s in processes.own]
        every[0].add_up(every, processes.total)
        return every[0].part()

    def _cells(self, net: MultiTaskNet, first: int, step: int) -> OutputCells:
        cells = OutputCells(len(self.constant))
        for rows in self.piles.blocks(first, step):
            weight = np.ones((len(rows), len(self.constant)))
            if rows.weight is not None:
                weight *= rows.weight
            cells.add(logits(net, rows.encoded), weight * ~self.constant)
        return cells


class SourceFit(Fit):
    """The checked input of one fit on a source, and its run.

    Parameters
    ----------
    ranker : TrainableRanker
        The ranker, which stays as it is.
    start : Start
        Where training starts from.
    X : source
        The table.
    y : str or list of str
        Columns of the labels.
    sample_weight : str, list of str or None
        Columns of the weights.
    X_val : source, table or None
        Rows for validation.
    groups, groups_val : None
        Rows that are read block by block are not compared with each other.
    y_val, sample_weight_val
        For a source the names of columns, those of `y` by default; else as in `Fit`.
    """

    source_val: Source | None = None

    def __init__(
        self,
        ranker: TrainableRanker,
        start: Start,
        X: TableLike,
        y: LabelsLike,
        sample_weight: WeightsLike = None,
        *,
        X_val: TableLike | None = None,
        y_val: LabelsLike | None = None,
        sample_weight_val: WeightsLike = None,
        groups: GroupsLike = None,
        groups_val: GroupsLike = None,
    ) -> None:
        self.processes = current_processes(ranker)
        with self.processes.errors_of_all():
            self._begin(ranker, start, X, y, X_val, y_val, sample_weight_val)
            self.y_val, self.weight_val = y_val, sample_weight_val
            self.max_iter = int(ranker.max_iter)
            if ranker.validation_split is not None:
                raise ValueError(
                    "validation_split needs all rows in memory, but X is read block by "
                    "block. Give X_val, or set validation_split=None to draw rows at "
                    "random."
                )
            self.source = open_source(X)
            _refuse_groups(groups=groups, groups_val=groups_val)
            names = column_names(y, "y")
            if not names:
                raise ValueError(
                    f"y must name columns of X, which has {self.source.names}."
                )
            self.columns = named_columns_of(self.source, y, sample_weight)
            tables = {"X": self.columns.features}
            if not (X_val is None or is_source(X_val)) and has_names(X_val):
                tables["X_val"] = list(as_frame(X_val).columns)
            check_bias_columns(ranker.bias_features, start.known, **tables)
            ranker._check_tasks(names)
            _check_binary(
                names, start.kinds(kinds_by_task(ranker.task_kinds, names), names)
            )
            self._take_parts(len(names))
            self._check_scorer_rows()
            self.scratch = os.fspath(ranker.scratch_dir or tempfile.gettempdir())
            n_columns = len(self.columns.features) + len(names)
            # A lower bound, before anything is read; entries of lists come on top.
            check_scratch(self.scratch, 4 * n_columns * (self.source.n_rows or 0))
            if is_source(X_val):
                self._open_val()
        self.rng, seed = self.processes.random_numbers(ranker, names, type(self))
        self.seed = start.seed(seed)
        self._check_same()

    def _open_val(self) -> None:
        """Open the caller's source of rows for validation."""
        self.source_val = open_source(self.given_val)
        y = self.y if self.y_val is None else self.y_val
        columns = named_columns_of(self.source_val, y, self.weight_val, "_val")
        if columns.y != self.columns.y:
            raise ValueError(
                f"y_val has the tasks {columns.y}, y has {self.columns.y}."
            )
        self.columns_val = columns

    def _check_same(self) -> None:
        """Refuse sources that differ between processes, as shards of a table do."""
        if self.processes.n == 1:
            return
        other = self.source_val
        kind = "a source" if other is not None else type(self.given_val).__name__
        with self.processes.errors_of_all():
            known = {
                "y": self.columns.y,
                "sample_weight": self.columns.sample_weight,
                "X_val": kind,
                **_facts(self.source, "X"),
            }
            if other is not None:
                known["sample_weight_val"] = self.columns_val.sample_weight
                known |= _facts(other, "X_val")
        self.processes.check_same(known, _SAME_ROWS)

    def _check_scorer_rows(self) -> None:
        if needs_groups(self.scorer):
            raise ValueError(
                f"scoring={self.ranker.scoring!r} needs the group of each validation "
                "row, but X is read block by block. Watch a metric without groups such "
                "as 'mean_auc'."
            )
        if self.scorer is None or self.given_val is not None:
            return
        if not judges_predictions(self.scorer):
            raise ValueError(
                "scoring is a function of the caller's rows, but X is read block by "
                "block. Give X_val, or a scorer of skmtl.metrics or scikit-learn."
            )

    def _run(self, context: CallbackContext | None) -> dict[str, object]:
        with ExitStack() as self.folders:
            found = super()._run(context)
            self.processes.wait()  # for those who still read the piles
            return found

    def _rows(self) -> tuple[EncodedInput, TrainingRows]:
        processes, start = self.processes, self.start
        # One process counts for all, so that the source is read once, and the result
        # has the same bits everywhere.
        encoder, counts = processes.led(0, self._count)
        start.add_pretrained(self.pretrained, encoder)
        self._take_labels(counts)
        held_out = self._held_out()
        valid = None
        if self.given_val is not None:
            valid = self._given_part(encoder)
        piles, masses, aside = self._written(
            lambda at_block: self._scatter(encoder, held_out, at_block)
        )
        if aside is not None:
            valid = self._part(aside)
            self._check_parts(masses[1].any(), pd.notna(valid.labels).any())
        attributes = start.attributes(encoder, piles.tables(), self.pretrained)
        rows = PileRowsToTrain(piles, masses, valid, self.device)
        return EncodedInput(encoder, attributes), rows

    def _written(self, write: Callable[[Callable[[], object]], T]) -> T:
        """Piles, and what is known of them, of which several processes share one copy.

        Processes of one machine do, and all of them where they see one folder.
        """
        return self.processes.led(self.processes.leader(self.scratch), write)

    def _count(
        self, at_block: Callable[[], object]
    ) -> tuple[TableEncoder, LabelCounts]:
        """Pass 1: count ids and labels."""
        ranker, counts = self.ranker, LabelCounts()
        classes = self.start.classes(None)
        line = self._line("pass 1 of 2, counting", self.source, at_block)

        def learnt() -> Iterator[WeightedBlock]:
            read = labelled(self.source, self.columns, ranker, classes, line)
            for one in read:
                with one.block.named_in_errors():
                    counts.add(self.columns.labels(one.block), one.weight)
                equal = bool((one.weight == 1).all())
                weight = None if equal else one.weight.mean(axis=1)
                yield self.columns.only_features(one.block), weight

        return self.start.learn_blocks(learnt()), counts

    def _line(
        self, what: str, source: Source, at_block: Callable[[], object]
    ) -> PassLine:
        verbose = int(self.ranker.verbose) if self.processes.is_first else 0
        return PassLine(what, source, verbose, at_block)

    def _take_labels(self, counts: LabelCounts) -> None:
        """Check the different rows of labels, as those of a small table."""
        targets = check_targets(counts.labels(), self.start.classes(None))
        if not targets.observed.any():
            raise ValueError(
                f"y holds only missing cells for the tasks {list(targets.names)}. Give "
                "at least one observed label."
            )
        self.targets = self.ranker._complete(targets)
        warn_of_conditional_tasks(self.targets)
        if not self.start.continues:
            warn_of_rare_tasks(self.targets, np.array(counts.counts))
        check_some_weight(counts.high, "rows with an observed label")
        # With summed weights, the distinct rows of labels have the means of the table.
        self.weight = np.array(counts.weights)
        self.counts = counts
        weights = self._weights(self.targets.means(self.weight))
        self.start.check(self.targets, weights.loss)
        self.data = TrainingInput(
            self.given, self.targets, self.weight, self.pretrained, self.seed
        )
        given = self.given_val is not None
        self.stops_early = self._stops_early(counts.n_rows, given=given)
        if not given and not self.stops_early:
            check_watched(self.ranker.callbacks)

    def _held_out(self) -> HeldOut | None:
        """What draws rows for validation in pass 2."""
        if self.given_val is not None or not self.stops_early:
            return None
        kinds = LabelKinds(self.targets, np.array(self.counts.counts))
        return HeldOut(kinds, self.ranker.validation_fraction, self.rng)

    def _classes(self) -> ClassesLike:
        # Of all rows: a single block may have only one of two labels.
        return None if self.targets.multioutput else self.targets.classes

    def _scatter(
        self,
        encoder: TableEncoder,
        held_out: HeldOut | None,
        at_block: Callable[[], object],
    ) -> tuple[Piles, tuple[Floats, Floats], Piles | None]:
        """Pass 2: encode rows, and write each to a random pile."""
        line = self._line("pass 2 of 2, encoding", self.source, at_block)
        # Only the processes that write draw here, so not from the generator that has to
        # be in the same state in all of them.
        rng, n_rows = np.random.default_rng(self.seed), self.counts.n_rows
        train = PileWriter(self._new_piles, self.counts.weighted, n_rows, rng)
        # Not scattered, since validation does not shuffle.
        aside = PileWriter(self._new_piles, self.counts.weighted)
        positives, every = np.zeros((2, len(self.targets.names)))
        for one, table in self._encoded(encoder, self.source, self.columns, line):
            labels, weight, targets = one.targets.labels, one.weight, one.targets
            if held_out is not None:
                rows = held_out.draw(targets)
                aside.add(table.take(rows), labels[rows], weight[rows])
                table, targets = table.take(~rows), targets.take(~rows)
                labels, weight = targets.labels, weight[~rows]
            mass = targets.masses(weight)
            positives, every = positives + mass[0], every + mass[1]
            train.add(table, labels, weight)
        n_read = len(train) + len(aside)
        if n_read != n_rows:
            raise ValueError(
                f"X had {n_rows:,} rows in the first pass and has {n_read:,} in the "
                "second. A source must give the same rows each time."
            )
        found = None if held_out is None else aside.piles
        return train.piles, (positives, every), found

    def _encoded(
        self,
        encoder: TableEncoder,
        source: Source,
        columns: NamedColumns,
        line: PassLine,
    ) -> Iterator[tuple[LabelledBlock, EncodedTable]]:
        """Blocks of a source with their rows encoded."""
        for one in labelled(source, columns, self.ranker, self._classes(), line):
            with one.block.named_in_errors():
                features = columns.only_features(one.block).table
                table = encoder.encode(to_native(features))
            yield one, table

    def _new_piles(
        self, table: EncodedTable, n_rows: int | None, *, weighted: bool
    ) -> tuple[Piles, float]:
        """Piles for rows such as these, and the bytes of a row.

        They are deleted when the fit is over.
        """
        n_tasks = len(self.targets.names)
        layout = RecordLayout.of(table, n_tasks, weighted=weighted)
        size = layout.row_bytes(table)
        check_scratch(self.scratch, int(size * (n_rows or 0)))
        folder = self.folders.enter_context(
            tempfile.TemporaryDirectory(prefix="skmtl-", dir=self.scratch)
        )
        return Piles(folder, layout), size

    def _part(self, piles: Piles) -> ValidationPart:
        """Validation rows that were written in order."""
        read = [(rows.labels, rows.weight) for rows in piles.blocks()]
        labels = np.concatenate([y for y, _ in read])
        weight = np.ones(labels.shape)
        if piles.layout.weighted:
            weight = np.concatenate([w for _, w in read if w is not None]).astype(float)
        mean = weight.mean(axis=0)
        same = bool((mean > 0).all() and (weight == mean).all())
        tensors = PileTable(piles, None if same else mean, self.device)
        given = replace(self.targets, labels=labels, observed=weight > 0)
        return ValidationPart(tensors, piles, given.as_given())

    def _given_part(self, encoder: TableEncoder) -> ValidationPart | None:
        """The caller's rows for validation, from a source or a table."""
        source = self.source_val
        if source is None:
            with self.processes.errors_of_all():
                X = to_native(self.given_val, "X_val")
                self.validation = self._validation(X, self.y_val, self.weight_val)
                return self._validation_part(encoder, None)
        features = [str(name) for name in encoder.feature_names_in_]
        source.check_columns(features, table="X_val")
        columns = replace(self.columns_val, features=features)
        return self._part(
            self._written(
                lambda at_block: self._in_order(encoder, source, columns, at_block)
            )
        )

    def _in_order(
        self,
        encoder: TableEncoder,
        source: Source,
        columns: NamedColumns,
        at_block: Callable[[], object],
    ) -> Piles:
        """Encode rows for validation, and write them."""
        line = self._line("encoding X_val", source, at_block)
        # Whether weights differ is only known after this pass, the only one.
        rows, seen = PileWriter(self._new_piles, weighted=True), False
        for one, table in self._encoded(encoder, source, columns, line):
            rows.add(table, one.targets.labels, one.weight)
            seen = seen or bool(one.weight.any())
        if not seen:
            raise ValueError(
                f"X_val has no observed label with a weight above 0 for the tasks "
                f"{columns.y}, so that no epoch is better than another."
            )
        return rows.piles


def _facts(source: Source, table: str) -> dict[str, object]:
    """What a source says of its rows, under names for an error."""
    return {f"the {k} of {table}": v for k, v in source.fingerprint().items()}


def _refuse_groups(**given: GroupsLike) -> None:
    for name, groups in given.items():
        if groups is not None:
            raise ValueError(
                f"{name} is for tables in memory, but X is read block by block. Read "
                f"the table, or leave out {name} and whatever needs groups in "
                "task_kinds and scoring."
            )


def _check_binary(names: list[str], kinds: list[TaskKind]) -> None:
    """Refuse other kinds, whose labels are too many to be counted."""
    for name, kind in zip(names, kinds, strict=True):
        if not isinstance(kind, BinaryTask):
            raise ValueError(
                f"X is read block by block, which takes binary tasks only, but task "
                f"{name!r} is of kind {kind.name}. Read the table into memory."
            )
        if kind.needs_groups:
            raise ValueError(
                f"X is read block by block, but task {name!r}, {kind!r}, compares the "
                "rows of a group. Read the table into memory, or leave out ranking."
            )


def named_columns_of(
    source: Source, y: LabelsLike, sample_weight: WeightsLike, suffix: str = ""
) -> NamedColumns:
    """What the columns of a source are used for.

    Parameters
    ----------
    source : Source
        The table.
    y, sample_weight : str, list of str or None
        Names of columns. All others are features.
    suffix : str
        What the names of the arguments end in, that of the table included.
    """
    table = f"X{suffix}"
    labels = column_names(y, f"y{suffix}", table)
    weight = column_names(sample_weight, f"sample_weight{suffix}", table)
    source.check_columns(labels, f"y{suffix}")
    source.check_columns(weight, f"sample_weight{suffix}")
    apart = {*labels, *weight}
    features = [name for name in source.names if name not in apart]
    return NamedColumns(features, labels, weight, isinstance(y, str))
