"""One fit, from the caller's table to fitted attributes.

Nothing is written to the ranker before all has gone well.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_consistent_length
from skorch.helper import predefined_split

from skmtl._batches import TensorTable
from skmtl._device import keep_freed_memory, seeded
from skmtl._net import MultiTaskNet
from skmtl._weights import check_sample_weight
from skmtl.encoding import EncodedTable, TableEncoder
from skmtl.rankers._epoch_auc import TaskAUC
from skmtl.rankers._epoch_line import EpochLine
from skmtl.rankers._history import history_frame
from skmtl.rankers._intercept import fit_intercept, n_rows_to_read
from skmtl.rankers._label_weight import label_weights
from skmtl.rankers._late import LatePredictions
from skmtl.rankers._loss_weight import check_same_strategy, loss_weighting
from skmtl.rankers._monitor import (
    BestWeights,
    FitProgress,
    LastGood,
    StopWhenAsked,
    ValidScore,
    check_callbacks,
)
from skmtl.rankers._pretrained import PretrainedTables
from skmtl.rankers._scoring import check_scorer, find_scorer, validation_score
from skmtl.rankers._small import MERGE_ROWS, merge_rows
from skmtl.rankers._split import validation_rows
from skmtl.rankers._targets import Targets, check_targets, warn_of_constant_tasks
from skmtl.rankers._training import logits, retune, tensor_table, train
from skmtl.rankers._unknown_ids import unknown_ids

if TYPE_CHECKING:
    from skmtl.rankers._base import MultiTaskRanker

Weights = npt.NDArray[np.float64]


class Fit:
    """Checked input of one fit, and its run."""

    # What goes on with a fitted ranker, in errors.
    goes_on = "warm_start"

    def __init__(self, ranker: MultiTaskRanker, X: Any, y: Any, weight: Any) -> None:
        self.ranker = ranker
        self.max_iter = ranker.max_iter
        self.warm = self._is_warm()
        self.targets = self._check_targets(y)
        check_consistent_length(X, self.targets.labels)
        if not self.targets.observed.any():
            raise ValueError(
                f"y holds only NaN for the tasks {list(self.targets.names)}. Give at "
                "least one observed label."
            )
        self.weight = _task_weights(weight, self.targets)
        self.names = [str(n) for n in self.targets.names]
        self._check_hyperparameters()
        # A new row order per fit, but the same for the same seed.
        self.rng, self.seed = ranker._seed()
        self.X = X
        self.validation: tuple[Any, Targets, Weights] | None = None

    def _is_warm(self) -> bool:
        return self.ranker.warm_start and hasattr(self.ranker, "net_")

    def _check_targets(self, y: Any) -> Targets:
        return check_targets(y)

    def _check_hyperparameters(self) -> None:
        ranker, names = self.ranker, self.targets.names
        ranker._check_tasks(self.names)
        check_callbacks(ranker.callbacks)
        self.pretrained = PretrainedTables(ranker.embeddings)
        self.scorer = None
        if ranker.scoring is not None:
            self.scorer = find_scorer(ranker, len(names))
        self._set_weights(self.targets.rates(self.weight))
        if self.warm and list(ranker.task_names_) != list(names):
            raise ValueError(
                f"{self.goes_on} goes on with the tasks {list(ranker.task_names_)}, "
                f"but y has {list(names)}."
            )
        if self.warm:
            check_same_strategy(
                ranker.net_.criterion_.weighting, self.weighting, self.goes_on
            )
        if (
            self.warm
            and not ranker._multioutput
            and not np.array_equal(ranker.classes_, self.targets.classes)
        ):
            raise ValueError(
                f"{self.goes_on} goes on with the classes {ranker.classes_}, but y has "
                f"{self.targets.classes}."
            )

    def _set_weights(self, rates: Weights) -> None:
        """Label weights and a new loss weighting, for tasks with these rates."""
        ranker, names = self.ranker, self.targets.names
        self.label_weight = label_weights(ranker.label_weight, names, rates)
        self.weighting = loss_weighting(ranker.loss_weight, names, rates)

    def set_validation(self, X: Any, y: Any, weight: Any) -> None:
        """Take the caller's validation table, or set rows aside."""
        if (X is None) != (y is None):
            given, absent = ("y_val", "X_val") if X is None else ("X_val", "y_val")
            raise ValueError(f"{given} is given without {absent}. Give both or none.")
        if X is None and weight is not None:
            raise ValueError("sample_weight_val is given without X_val and y_val.")
        if X is not None:
            targets = self._check_validation_targets(y)
            check_consistent_length(X, targets.labels)
            if list(targets.names) != list(self.targets.names):
                raise ValueError(
                    f"y_val has the tasks {list(targets.names)}, y has "
                    f"{list(self.targets.names)}."
                )
            self.validation = (X, targets, _task_weights(weight, targets))
        elif self.ranker.early_stopping:
            targets = self.targets
            self.held_out = validation_rows(
                targets.labels,
                targets.observed,
                self.ranker.validation_fraction,
                self.rng,
            )

    def _check_validation_targets(self, y: Any) -> Targets:
        # Rows for validation may have one of the two labels only.
        known = None if self.targets.multioutput else self.targets.classes
        targets = check_targets(y, known)
        if not targets.observed.any():
            raise ValueError(
                f"y_val holds only NaN for the tasks {list(targets.names)}, so that no "
                "epoch is better than another. Give observed labels."
            )
        return targets

    @torch.inference_mode(False)
    @torch.enable_grad()  # whatever the caller has turned off
    def run(self, context: Any) -> dict[str, Any]:
        """Encode, train, and give the fitted attributes."""
        keep_freed_memory()
        encoder = self._encoder()
        table = encoder.encode(self.X)
        coverage = {} if self.warm else self.pretrained.coverage(encoder, table)
        targets, weight = self.targets, self.weight
        valid = self._validation_table(encoder, table)
        if valid is not None and self.validation is None:
            keep = ~self.held_out
            table, targets, weight = (
                table.take(keep),
                targets.take(keep),
                weight[keep],
            )
        masses = self._masses(targets, weight)
        prior = _ratio(*masses)
        warn_of_constant_tasks(targets, prior)
        self._set_weights(prior)
        labels = targets.labels
        if len(table) <= MERGE_ROWS:
            table, labels, weight = merge_rows(table, targets, weight)
        learnable = (prior > 0) & (prior < 1)
        if not learnable.all():
            weight = weight * learnable
        fitted = self._attributes(encoder, prior) | coverage | {"_masses": masses}
        device = self.ranker.device
        train_table = tensor_table(table, labels, weight, device)
        net = self._net(fitted, len(table))
        n_rows = n_rows_to_read(len(table), self.max_iter)
        self.late = LatePredictions(n_rows if n_rows < len(table) else 0)
        net.set_params(
            train_split=None if valid is None else predefined_split(valid[0]),
            callbacks=[self.late, *self._callbacks(context, fitted, valid)],
            unknown_ids=unknown_ids(self.ranker, encoder),
        )
        net.initialize_callbacks()
        fitted["net_"] = net
        self.epochs_before = len(net.history)
        with seeded(self.seed ^ 1, device):
            train(net, train_table, targets.names)
        fitted["intercept_"] = self._intercept(net, table, labels, weight, prior)
        # What a fitted net must not carry around: data and the caller's context.
        net.set_params(
            train_split=None, callbacks=self.ranker.callbacks, unknown_ids=None
        )
        net.callbacks_ = []
        fitted["n_iter_"] = len(net.history)
        fitted["history_"] = history_frame(net.history, targets.names)
        final = net.criterion_.weighting.current()
        fitted["loss_weight_"] = final.detach().cpu().numpy().astype(np.float64)
        return fitted

    def _masses(self, targets: Targets, weight: Weights) -> tuple[Weights, Weights]:
        """Weight of each task's positives, and of its observed labels."""
        return targets.masses(weight)

    def _intercept(
        self,
        net: MultiTaskNet,
        table: EncodedTable,
        labels: npt.NDArray[np.float32],
        weight: Weights,
        prior: Weights,
    ) -> Weights:
        n_epochs = len(net.history) - self.epochs_before
        n_rows, chosen = n_rows_to_read(len(table), n_epochs), None
        if n_rows < len(table):
            parts = self.late.parts(net)
            known = (weight > 0).any(axis=0)
            if parts and all((w[:, known] > 0).any(axis=0).all() for *_, w in parts):
                return fit_intercept(parts, prior)
            chosen = np.sort(self.rng.choice(len(table), n_rows, replace=False))
            weight = weight[chosen]
        return fit_intercept(
            [(np.ones_like(prior), logits(net, table, chosen), weight)], prior
        )

    def _encoder(self) -> TableEncoder:
        ranker = self.ranker
        if self.warm:
            return ranker.encoder_
        encoder = TableEncoder(
            ranker.categorical_features,
            min_frequency=ranker.min_frequency,
            max_categories=ranker.max_categories,
            share_embedding=ranker.share_embedding,
            max_length=ranker.max_length,
            fallback=ranker.fallback,
            n_buckets=ranker.n_buckets,
            n_hashes=ranker.n_hashes,
            n_bins=ranker.n_bins,
        )
        encoder.fit(self.X, sample_weight=self._row_weight())
        self.pretrained.add_to(encoder)
        return encoder

    def _row_weight(self) -> Weights | None:
        """Mean weight of each row's labels; None where all are 1."""
        return None if (self.weight == 1).all() else self.weight.mean(axis=1)

    def _attributes(self, encoder: TableEncoder, prior: Weights) -> dict[str, Any]:
        targets = self.targets
        fitted = {
            "encoder_": encoder,
            "task_names_": targets.names,
            "classes_": targets.classes,
            "_multioutput": targets.multioutput,
            "n_features_in_": encoder.n_features_in_,
            "prior_": prior,
            "label_weight_": self.label_weight,
            "intercept_": np.zeros(len(prior)),
        }
        if hasattr(encoder, "feature_names_in_"):
            fitted["feature_names_in_"] = encoder.feature_names_in_
        return fitted

    def _net(self, fitted: dict[str, Any], n_rows: int) -> MultiTaskNet:
        ranker = self.ranker
        if self.warm:
            # A copy, so that a fit that fails leaves the fitted ranker as it was.
            net = copy.deepcopy(ranker.net_)
            net.criterion_.reweigh(self.weighting, self.label_weight.tolist())
            retune(net, ranker)
            return net.set_params(
                max_epochs=self.max_iter,
                record_gradients=ranker.record_gradients,
                batch_size=batch_size(ranker.batch_size, n_rows),
            )
        with seeded(self.seed, ranker.device):
            module = ranker._make_net(fitted["encoder_"], self.names, self.pretrained)
            rates = _start_rates(fitted["prior_"], n_rows)
            module.start_at(torch.from_numpy(rates).float())
            net = MultiTaskNet(
                module,
                criterion__weighting=self.weighting,
                criterion__label_weight=self.label_weight.tolist(),
                criterion__losses=ranker._losses,
                lr=ranker.learning_rate,
                learning_rate_schedule=ranker.learning_rate_schedule,
                weight_decay=ranker.weight_decay,
                dense_optimizer=ranker.optimizer,
                embedding_optimizer=ranker.embedding_optimizer,
                record_gradients=ranker.record_gradients,
                max_epochs=self.max_iter,
                batch_size=batch_size(ranker.batch_size, n_rows),
                train_split=None,
                device=ranker.device,
                verbose=0,
            )
            return net.initialize()

    def _validation_table(
        self, encoder: TableEncoder, table: EncodedTable
    ) -> tuple[TensorTable, EncodedTable, Any] | None:
        """Tensors for the loss; table and labels for a scorer."""
        if self.validation is not None:
            X, targets, weight = self.validation
            rows = encoder.encode(X)
        elif self.ranker.early_stopping:
            held = self.held_out
            rows = table.take(held)
            targets, weight = self.targets.take(held), self.weight[held]
        else:
            return None
        tensors = tensor_table(rows, targets.labels, weight, self.ranker.device)
        return tensors, rows, _scorer_labels(targets)

    def _callbacks(self, context: Any, fitted: dict[str, Any], valid: Any) -> list[Any]:
        ranker = self.ranker
        progress = FitProgress(ranker, context)
        auc = TaskAUC(self.targets.names, scalars=bool(ranker.callbacks))
        callbacks: list[Any] = [LastGood(), progress, auc]
        monitor = "valid_loss"
        if valid is not None and self.scorer is not None:
            monitor = "valid_score"
            callbacks.append(ValidScore(self._scorer(fitted, *valid[1:])))
        if ranker.verbose:
            callbacks.append(EpochLine(self.targets.names))
        callbacks += ranker.callbacks or []
        if valid is not None:
            patience = ranker.n_iter_no_change if ranker.early_stopping else None
            callbacks.append(
                BestWeights(monitor=monitor, patience=patience, tol=ranker.tol)
            )
        return [*callbacks, StopWhenAsked(progress)]

    def _scorer(self, fitted: dict[str, Any], rows: EncodedTable, labels: Any) -> Any:
        check_scorer(self.scorer, labels, self.names)

        def score(net: MultiTaskNet) -> float:
            ranker = self.ranker._snapshot({**fitted, "net_": net})
            return validation_score(self.scorer, ranker, rows, labels)

        return score


def _task_weights(weight: Any, targets: Targets) -> Weights:
    """Weight of every label, 0 where it was not observed."""
    checked = check_sample_weight(weight, targets.labels.shape, targets.names)
    if checked is None:
        if targets.observed.all():  # as most often: ones that take no memory
            return np.broadcast_to(np.float64(1.0), targets.labels.shape)
        checked = np.ones(1)
    return np.asarray(targets.observed * checked, dtype=np.float64)


def _scorer_labels(targets: Targets) -> npt.NDArray[Any]:
    """Labels as the caller gave them."""
    if targets.multioutput:
        if targets.observed.all():
            return targets.labels.astype(np.int64)
        return np.where(targets.observed, targets.labels, np.nan)
    labels: npt.NDArray[Any] = targets.classes[targets.labels[:, 0].astype(int)]
    if targets.observed.all():
        return labels
    return np.where(targets.observed[:, 0], labels, np.nan)


def _start_rates(prior: Weights, n_rows: int) -> Weights:
    """Rates of the first predictions: those observed, but never 0 or 1."""
    edge = 1 / (n_rows + 2)
    return np.nan_to_num(prior, nan=0.5).clip(edge, 1 - edge)


def _ratio(part: Weights, whole: Weights) -> Weights:
    with np.errstate(invalid="ignore"):
        return np.asarray(part / whole)


def batch_size(wanted: int | str, n_rows: int) -> int:
    """About 200 batches, of 32 to 1024 rows, a power of two."""
    if isinstance(wanted, str):
        return int(2 ** np.clip(np.round(np.log2(max(n_rows, 1) / 200)), 5, 10))
    return wanted
