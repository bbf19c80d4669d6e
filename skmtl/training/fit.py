"""One fit, from the caller's table to fitted attributes.

Nothing is written to the ranker before everything has succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Any

import numpy as np
import pandas as pd
import torch
from skorch.helper import predefined_split

from skmtl._containers import (
    check_in_memory,
    check_same_length,
    n_rows_of,
    table_of_tasks,
    to_native,
)
from skmtl._sklearn import CallbackContext, rows_of
from skmtl._typing import (
    AnyArray,
    ClassesLike,
    GroupsLike,
    LabelsLike,
    TableLike,
    WeightsLike,
)
from skmtl.encoding import EncodedTable, TableEncoder
from skmtl.tasks import (
    check_targets,
    kinds_by_task,
    task_names,
    task_weights,
    warn_of_conditional_tasks,
    warn_of_constant_tasks,
)
from skmtl.training.batches import (
    batch_size,
    current_processes,
    group_codes,
    tensor_table,
    unknown_ids,
)
from skmtl.training.callbacks import (
    Entry,
    check_callbacks,
    check_watched,
    checkpoints_apart,
    ends_apart,
    prints,
)
from skmtl.training.checkpoint import Checkpoint
from skmtl.training.computing import (
    keep_freed_memory,
    on_threads,
    own_defaults,
    without_index,
)
from skmtl.training.criterion import label_weights, loss_weighting
from skmtl.training.epochs import EpochLine, EpochScores, history_frame
from skmtl.training.intercept import (
    Floats,
    LatePredictions,
    fit_intercept,
    n_rows_to_read,
)
from skmtl.training.loop import (
    BestWeights,
    FitProgress,
    LastGood,
    StopWhenAsked,
    TableRows,
    TrainingRows,
    ValidationPart,
    ValidScore,
    train,
)
from skmtl.training.net import MultiTaskNet
from skmtl.training.parameters import Callbacks
from skmtl.training.ranker import TrainableRanker
from skmtl.training.starts import (
    EncodedInput,
    Start,
    TaskWeights,
    TrainingInput,
    random_numbers,
)
from skmtl.training.validation import (
    Validation,
    check_parts,
    check_same_groups,
    check_scorer,
    check_validation_arguments,
    find_scorer,
    given_validation,
    judges_predictions,
    scorer_groups,
    split_rows,
    validation_rows,
    validation_score,
)

# Rows above which early_stopping="auto" sets some aside.
_MANY_ROWS = 10_000


class Fit:
    """The checked input of one fit, and its run.

    Parameters
    ----------
    ranker : TrainableRanker
        The ranker, which stays as it is.
    start : Start
        Where training starts from.
    X, y, sample_weight
        As given to ``fit``.
    X_val, y_val, sample_weight_val, groups, groups_val
        As given to ``fit``.
    classes : array-like, list of array-like or None
        Labels that may occur.
    max_iter : int or None
        Epochs; None for the ranker's.
    """

    validation: Validation | None = None
    scorer_groups: AnyArray | None = None

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
        classes: ClassesLike = None,
        max_iter: int | None = None,
    ) -> None:
        self.processes = current_processes(ranker)
        with self.processes.errors_of_all():  # within it, none may ask the others
            self._begin(
                ranker, start, X, y, X_val, y_val, sample_weight_val, groups_val
            )
            check_in_memory(X_val, "X_val", "X, which is in memory, goes with a table")
            X, X_val = to_native(X), to_native(X_val, "X_val")
            self.max_iter = int(ranker.max_iter if max_iter is None else max_iter)
            y = table_of_tasks(y, n_rows_of(X))
            names = task_names(y)
            kinds = start.kinds(kinds_by_task(ranker.task_kinds, names), names)
            targets = check_targets(y, start.classes(classes), kinds)
            check_same_length(X=n_rows_of(X), y=len(targets.labels))
            if not targets.observed.any():
                raise ValueError(
                    f"y holds only NaN for the tasks {list(targets.names)}. Pass at "
                    "least one observed label."
                )
            ranker._check_tasks(names)
            ranker._check_kinds(names, targets.kinds)
            targets = ranker._complete(targets)
            warn_of_conditional_tasks(targets)
            self.weight = task_weights(sample_weight, targets.observed, targets.names)
            self.groups = group_codes(groups, targets, self.weight, self.processes)
            self.targets = targets = targets.with_scales(self.weight)
            self._take_parts(len(targets.names))
            start.check(targets, self._weights(targets.means(self.weight)).loss)
        # The order of rows differs between fits, but is the same for the same seed.
        self.rng, seed = self.processes.random_numbers(ranker, names, type(self))
        with self.processes.errors_of_all():
            seed, given = start.seed(seed), X_val is not None
            self.data = TrainingInput(X, targets, self.weight, self.pretrained, seed)
            self.stops_early = self._stops_early(len(targets.labels), given=given)
            self.given_groups = groups
            self.validation = self._validation(X_val, y_val, sample_weight_val)
            if self.scorer is not None:
                self.scorer_groups = scorer_groups(
                    ranker, self.scorer, self.validation, groups, groups_val
                )
            if self.validation is None and ranker.callbacks:
                check_watched(ranker.callbacks)

    def _begin(
        self,
        ranker: TrainableRanker,
        start: Start,
        X: TableLike,
        y: LabelsLike,
        X_val: TableLike | None,
        y_val: LabelsLike | None,
        sample_weight_val: WeightsLike,
        groups_val: GroupsLike = None,
    ) -> None:
        """Keep the arguments as they are, after checks that need no reading."""
        start.check_bias_features(X=X, X_val=X_val)
        if not (X_val is y_val is sample_weight_val is groups_val is None):
            check_validation_arguments(X_val, y_val, sample_weight_val, groups_val)
        self.ranker, self.start, self.y = ranker, start, y
        self.device = without_index(ranker.device)
        # What the caller's callbacks and scorers see.
        self.given, self.given_val = X, X_val

    def _take_parts(self, n_tasks: int) -> None:
        """Check callbacks, pretrained vectors and the scorer of the ranker."""
        ranker = self.ranker
        self.own_callbacks: list[Entry] = []
        self.checkpoints: list[Checkpoint] = []
        if ranker.callbacks:
            check_callbacks(ranker.callbacks)
            self.own_callbacks, self.checkpoints = checkpoints_apart(ranker.callbacks)
        for one in self.checkpoints:
            one.begin(ranker)  # compares parameters as they are before training
        self.pretrained = ranker._pretrained_rows()
        self.scorer = None
        if ranker.scoring is not None:
            self.scorer = find_scorer(ranker, n_tasks)

    def _weights(self, means: Floats) -> TaskWeights:
        """Label weights and a new loss weighting, for tasks with these means."""
        ranker, names, kinds = self.ranker, self.targets.names, self.targets.kinds
        rates = kinds.rates(means)
        label = label_weights(ranker.label_weight, names, rates, kinds)
        with own_defaults("cpu"):  # a strategy makes tensors
            compete = kinds.all_binary and ranker._shares
            loss = loss_weighting(ranker.loss_weight, names, rates, label, compete)
        return TaskWeights(label, loss)

    def _stops_early(self, n_rows: int, *, given: bool) -> bool:
        """Whether training stops early; `given` says whether there is an `X_val`."""
        ranker = self.ranker
        if ranker.early_stopping != "auto":
            return bool(ranker.early_stopping)
        many = n_rows > _MANY_ROWS
        return given or ranker.validation_split is not None or many

    def _validation(
        self, X: TableLike | None, y: object, weight: object
    ) -> Validation | None:
        """Take the caller's validation table, or set rows aside."""
        if X is not None:
            return given_validation(self.ranker, self.targets, X, y, weight)
        if not self.stops_early:
            return None
        targets, split = self.targets, self.ranker.validation_split
        if split is not None:
            X, labels, groups = self.data.X, targets.labels, self.given_groups
            kept, rows = split_rows(split, X, labels, len(labels), groups)
        else:
            fraction = self.ranker.validation_fraction
            strata = targets.strata()
            rows = validation_rows(strata, targets.observed, fraction, self.rng)
            kept = ~rows
        self._check_parts(self.weight[kept].any(), self.weight[rows].any())
        return Validation(
            targets.take(rows), self.weight[rows], held_out=rows, kept=kept
        )

    def _check_parts(self, trains: bool | np.bool_, validates: bool | np.bool_) -> None:
        """Refuse a training or validation part without a label that counts."""
        argument = "validation_split"
        if self.ranker.validation_split is None:
            argument = f"validation_fraction={self.ranker.validation_fraction!r}"
        check_parts(trains=bool(trains), validates=bool(validates), argument=argument)

    def run(self, context: CallbackContext | None) -> dict[str, object]:
        """Encode, train, and give the fitted attributes.

        Parameters
        ----------
        context : CallbackContext or None
            scikit-learn's context of this fit; None where it has none.
        """
        keep_freed_memory()
        n_threads = self.ranker.n_threads
        # Undo what the caller may have set, such as inference mode or other defaults.
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            own_defaults(self.device),
            on_threads(1 if isinstance(n_threads, str) else n_threads),
        ):
            return self._run(context)

    def _run(self, context: CallbackContext | None) -> dict[str, object]:
        ranker, start = self.ranker, self.start
        encoded, rows = self._rows()
        valid, kinds = rows.valid, self.targets.kinds
        masses = start.masses(rows.masses)
        prior = _ratio(*masses)
        warn_of_constant_tasks(self.targets, prior)
        weights = self._weights(prior)  # without the rows for validation
        constant = kinds.is_constant(prior)
        train_table = rows.as_table(constant)
        fitted = self._attributes(encoded.encoder, prior, weights)
        fitted |= encoded.attributes | {"_masses": masses}
        net = start.net(
            self.data,
            encoded,
            weights,
            prior,
            max_epochs=self.max_iter,
            batch_size=batch_size(ranker.batch_size, len(rows)),
            n_rows=len(rows),
        )
        n_late = n_rows_to_read(len(rows), self.max_iter)
        late = LatePredictions(n_late if n_late < len(rows) else 0, rows.most_late)
        net.set_params(
            train_split=None if valid is None else predefined_split(valid.tensors),
            callbacks=[late, *self._callbacks(context, fitted, valid)],
            unknown_ids=unknown_ids(ranker, encoded.encoder),
            record_batches=bool(ranker.callbacks),
            verbose=int(self.processes.is_first and self._prints()),
        )
        net.initialize_callbacks()  # set_params only initialises those of before
        net.processes_ = self.processes
        net.task_names_ = list(self.targets.names)  # for scorers of one task
        fitted["net_"] = net
        epochs_before = len(net.history)
        with random_numbers(self.data.seed ^ 1, ranker, weights.loss):
            in_valid = None if valid is None else valid.tensors
            if self.scorer_groups is not None:
                check_same_groups(self.processes, self.scorer_groups)
            self.processes.begin(net, train_table, in_valid, self.data.seed)
            complete = train(net, train_table, self.targets.names)
        n_epochs = len(net.history) - epochs_before
        fitted["intercept_"] = start.intercept(
            self.data,
            rows,
            net,
            lambda: self._intercept(net, rows, prior, late, n_epochs),
        )
        if complete and self.processes.is_first:
            for one in self.checkpoints:
                one.remove()
        return fitted | self._close(net, valid, epochs_before)

    def _rows(self) -> tuple[EncodedInput, TrainingRows]:
        """Encode the rows, and separate those for validation."""
        with self.processes.errors_of_all():
            encoded, table = self.start.encode(self.data)
            targets, weight, groups = self.targets, self.weight, self.groups
            valid = self._validation_part(encoded.encoder, table)
            if self.validation is not None and self.validation.kept is not None:
                keep = self.validation.kept
                table, targets = table.take(keep), targets.take(keep)
                weight, groups = weight[keep], None if groups is None else groups[keep]
        return encoded, TableRows(table, targets, weight, valid, self.device, groups)

    def _close(
        self, net: MultiTaskNet, valid: ValidationPart | None, epochs_before: int
    ) -> dict[str, object]:
        """What is known after training; the net lets go of data and context."""
        # Not by `set_params`, which would initialize the callbacks again.
        net.train_split = net.unknown_ids = None
        net.callbacks = self.ranker.callbacks
        net.callbacks_ = []  # they refer to the data
        del net.processes_  # predictions are made by each process alone
        new = net.history[epochs_before:]
        marked = [epoch["epoch"] for epoch in new if epoch.get("valid_best")]
        final = net.criterion_.weighting.current().detach().cpu().numpy()
        return {
            "n_iter_": len(net.history),
            "n_validation_rows_": 0 if valid is None else len(valid.rows),
            "best_iter_": max(marked, default=len(net.history)),
            "history_": history_frame(net.history, self.targets.names),
            "loss_weight_": final.astype(np.float64),
        }

    def _intercept(
        self,
        net: MultiTaskNet,
        rows: TrainingRows,
        prior: Floats,
        late: LatePredictions,
        n_epochs: int,
    ) -> Floats:
        """The intercept, on all training rows or on some of them.

        The predictions that training made are only used if each of their parts has a
        label of every task that can be learnt. Otherwise random rows are predicted.
        """
        kinds = self.targets.kinds
        n_rows = n_rows_to_read(len(rows), n_epochs)
        if n_rows < len(rows):
            parts = late.parts(net, kinds)
            known = kinds.by_task(rows.masses[1] > 0) & ~kinds.is_constant(prior)
            if parts and all((w[:, known] > 0).any(axis=0).all() for *_, w in parts):
                return fit_intercept(parts, prior, kinds)
        part = rows.some_outputs(net, n_rows, self.rng)
        return fit_intercept([part], prior, kinds)

    def _attributes(
        self, encoder: TableEncoder, prior: Floats, weights: TaskWeights
    ) -> dict[str, object]:
        targets = self.targets
        fitted = {
            "encoder_": encoder,
            "task_names_": targets.names,
            "classes_": targets.classes,
            "_multioutput": targets.multioutput,
            "n_features_in_": encoder.n_features_in_,
            "prior_": prior,
            "task_kinds_": list(targets.kinds),
            "label_weight_": weights.label,
            "intercept_": np.zeros(len(prior)),
        }
        if hasattr(encoder, "feature_names_in_"):
            fitted["feature_names_in_"] = encoder.feature_names_in_
        return fitted

    def _validation_part(
        self, encoder: TableEncoder, table: EncodedTable | None
    ) -> ValidationPart | None:
        valid = self.validation
        if valid is None:
            return None
        if valid.held_out is None or table is None:
            assert valid.X is not None
            rows = encoder.encode(valid.X)
        else:
            rows = table.take(valid.held_out)
        labels, device = valid.targets.labels, self.device
        tensors = tensor_table(rows, labels, valid.weight, device)
        return ValidationPart(tensors, rows, valid.targets.as_given())

    def _callbacks(
        self,
        context: CallbackContext | None,
        fitted: dict[str, object],
        valid: ValidationPart | None,
    ) -> Callbacks:
        ranker = self.ranker
        progress = FitProgress(ranker, context, self.given, self.y, fitted)
        same: Callbacks = self.processes.callbacks()
        callbacks = [*same, LastGood(), progress, self._scores()]
        monitor = "valid_loss"
        if valid is not None and self.scorer is not None:
            monitor = "valid_score"
            callbacks.append(ValidScore(self._valid_score(fitted, valid)))
        given = self.own_callbacks
        ends: list[Entry] = []
        if given:
            given, ends = ends_apart(given)
        callbacks += [*self._lines(), *given]
        if valid is not None:
            patience = ranker.n_iter_no_change if self.stops_early else None
            callbacks.append(
                BestWeights(monitor=monitor, patience=patience, tol=float(ranker.tol))
            )
        # Callbacks that save the outcome come after the best weights are restored, and
        # those that save the state of all others come last.
        ends = [*ends, *self.checkpoints]
        return [*callbacks, StopWhenAsked(progress, self.processes), *ends]

    def _prints(self) -> bool:
        given = self.ranker.callbacks
        return bool(self.ranker.verbose or (given and prints(given)))

    def _scores(self) -> EpochScores:
        scalars = bool(self.ranker.callbacks)
        return EpochScores(self.targets.names, self.targets.kinds, scalars=scalars)

    def _lines(self) -> list[EpochLine]:
        if not (self.ranker.verbose and self.processes.is_first):
            return []
        return [EpochLine(self.targets.names, self.targets.kinds)]

    def _valid_score(
        self, fitted: dict[str, object], valid: ValidationPart
    ) -> Callable[[MultiTaskNet], float]:
        kinds = self.targets.kinds
        scorer = self.scorer
        assert scorer is not None
        scorer = check_scorer(
            scorer, valid.labels, self.data.names, kinds, self.scorer_groups
        )
        X: object = valid.rows
        y: Sized = valid.labels
        if not judges_predictions(scorer):
            X = self._given_rows()
            y = self._given_labels(valid.labels, X)

        def score(net: MultiTaskNet) -> float:
            ranker = self.ranker._snapshot({**fitted, "net_": net})
            return validation_score(scorer, ranker, X, y)

        return score

    def _given_rows(self) -> object:
        """The validation rows in the caller's own container."""
        held_out = None if self.validation is None else self.validation.held_out
        if held_out is None:
            return self.given_val
        X = self.data.X if isinstance(self.given, Mapping) else self.given
        return rows_of(X, np.flatnonzero(held_out))

    def _given_labels(self, labels: AnyArray, X: object) -> Sized:
        """Labels under the names of their tasks, where `y` had names."""
        if not self.targets.named:
            return labels
        index = X.index if isinstance(X, pd.DataFrame) else None
        names = self.targets.names
        if labels.ndim == 1:
            return pd.Series(labels, index=index, name=names[0])
        return pd.DataFrame(labels, index=index, columns=names)


class PartialFit(Fit):
    """One pass over one more table.

    It sets no rows aside, and keeps no weights to return to.
    """

    def __init__(
        self, ranker: TrainableRanker, start: Start, *args: Any, **kwargs: Any
    ) -> None:
        if ranker.early_stopping not in (False, "auto"):
            raise ValueError(
                "partial_fit does not set rows aside, so it cannot stop early. Set "
                "early_stopping=False."
            )
        super().__init__(ranker, start, *args, max_iter=1, **kwargs)

    def _stops_early(self, n_rows: int, *, given: bool) -> bool:
        return False

    def _callbacks(
        self,
        context: CallbackContext | None,
        fitted: dict[str, object],
        valid: ValidationPart | None,
    ) -> Callbacks:
        own = [*self.own_callbacks, *self.checkpoints]
        return [*self.processes.callbacks(), self._scores(), *self._lines(), *own]


def _ratio(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(part / whole)
