"""The skorch net: one step, history per task, and what it predicts of encoded rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NoReturn, NotRequired, TypedDict, cast

import numpy as np
import numpy.typing as npt
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer, LRScheduler
from skorch.utils import TeeGenerator
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from skmtl._typing import AnyArray, LabelsLike
from skmtl.encoding import EncodedTable
from skmtl.metrics import roc_auc
from skmtl.modules.composition import BLOCK
from skmtl.modules.draws import draws_from_here
from skmtl.modules.ragged import Inputs
from skmtl.tasks import TaskKinds
from skmtl.training.batches import (
    Batch,
    Batches,
    EpochPass,
    Mean,
    OwnRows,
    Processes,
    RowBatches,
    RowTable,
    TensorTable,
    WholeBatch,
)
from skmtl.training.checkpoint import Checkpoint
from skmtl.training.computing import (
    StepThreads,
    as_tensors,
    operations_by_row,
    predicting,
)
from skmtl.training.criterion import Criterion, check_finite, look_back
from skmtl.training.epochs import watches_gradients
from skmtl.training.optimizers import (
    JointOptimizer,
    MadeBy,
    ParamGroup,
    WeightAverage,
    dense_optimizer,
    join_rows,
    schedule,
    sum_by_row,
    table_optimizer,
    touched_rows,
)
from skmtl.weighting import Step
from skmtl.weighting._step import StepTaken

# Rows on which losses are measured before the first step.
MEASURED_ROWS = 65_536

# Above this total norm of the parameters, the losses are checked again. Even with many
# millions of embeddings, it is normally some hundreds.
_LARGE = 1e4

# Batches of more rows than the first are processed in blocks of at most the second.
# Smaller batches take little memory anyway, and smaller blocks keep two threads less
# busy (with 1024 rows, 5 to 15 % slower).
_WHOLE_ROWS, _BLOCK_ROWS = 4096, 2048


class StepOutput(TypedDict):
    """The result of a step, as callbacks see it."""

    loss: Tensor
    y_pred: Tensor
    task_losses: Tensor
    weights: NotRequired[Tensor]
    gramian: NotRequired[Tensor | None]


class MultiTaskNet(NeuralNet):
    """skorch's NeuralNet for several tasks.

    Parameters
    ----------
    module : torch.nn.Module
        Gives logits of shape (batch, n_tasks).
    embedding_optimizer : {"lazy_adam", "adagrad", "adam"}
        Optimiser of the table of ids.
    dense_optimizer : {"adam", "sgd"}, with parameters in a pair, or callable
        Optimiser of everything else.
    weight_decay : float
        Weight decay, decoupled but for "sgd".
    learning_rate_schedule : str or callable
        As in the rankers.
    average_weights : bool
        Whether the network that is validated, and left by training, has the average of
        the weights over the steps.
    record_gradients : bool
        Whether to record the Gramian of the tasks' gradients at the representation.
    record_batches : bool
        Whether to record the loss and size of each batch too, as skorch does, for
        callbacks that read them.
    unknown_ids : callable or None
        Takes the ids of a batch of training and gives those to train on.
    n_threads : "auto", int or None
        As in the rankers.
    **kwargs
        As in ``skorch.NeuralNet``.

    Notes
    -----
    An epoch's history holds ``train_loss``, ``valid_loss`` and the lists
    ``train_task_loss``, ``valid_task_loss`` (NaN for a task without labels) and
    ``loss_weight``, the mean over the steps of the weights in force; with
    `record_gradients` also ``gramian``, the mean of the tasks' Gramians. The sums
    ``train_loss`` and ``valid_loss`` have the weighting's reference weights, which do
    not change from epoch to epoch. Without `record_batches` batches record nothing, so
    that no step waits for the device. Callbacks see batches as pairs of the arguments
    of the module and labels, NaN where not observed; in ``on_batch_end`` also the
    `weight` of the labels.
    """

    optimizer_: JointOptimizer
    average_: WeightAverage | None = None  # while training runs
    pass_: EpochPass | None = None  # of the epoch that runs
    processes_: Processes = Processes()  # that share a fit
    watched_: bool = True  # whether a callback looks at gradients

    def __init__(
        self,
        module: nn.Module | Callable[..., nn.Module],
        *,
        embedding_optimizer: str = "lazy_adam",
        dense_optimizer: MadeBy = "adam",
        weight_decay: float = 0.0,
        learning_rate_schedule: str | Callable[[float], float] = "constant",
        average_weights: bool = False,
        record_gradients: bool = False,
        record_batches: bool = False,
        unknown_ids: Callable[[Tensor], Tensor] | None = None,
        n_threads: int | str | None = None,
        **kwargs: object,
    ) -> None:
        self.embedding_optimizer = embedding_optimizer
        self.dense_optimizer = dense_optimizer
        self.weight_decay = weight_decay
        self.learning_rate_schedule = learning_rate_schedule
        self.average_weights = average_weights
        self.record_gradients = record_gradients
        self.record_batches = record_batches
        self.unknown_ids = unknown_ids
        self.n_threads = n_threads
        super().__init__(module, criterion=kwargs.pop("criterion", Criterion), **kwargs)

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("epoch_timer", EpochTimer())]

    def initialize_optimizer(self, triggered_directly: object = None) -> MultiTaskNet:
        """Make an optimiser for the table of ids and one for all else."""
        tables = self.module_.id_tables()
        known = {id(table) for table, _ in tables}
        every = [p for _, p in self.get_all_learnable_params() if p.numel()]
        rest = [p for p in every if id(p) not in known]
        weighting = self.criterion_.weighting
        own = {id(p) for p in weighting.parameters()}
        slow = self.module_.own_rates()
        apart = own | {id(p) for p, _ in slow}
        groups: list[ParamGroup] = [{"params": [p for p in rest if id(p) not in apart]}]
        groups += [{"params": [p], "lr": factor * self.lr} for p, factor in slow]
        if own:
            # Not part of the network, and so without its decay.
            own_lr = weighting.learning_rate
            lr = self.lr if own_lr is None else float(own_lr)
            groups.append(
                {"params": list(weighting.parameters()), "weight_decay": 0.0, "lr": lr}
            )
        dense = dense_optimizer(
            self.dense_optimizer, groups, self.lr, self.weight_decay
        )
        rows = [
            table_optimizer(
                self.embedding_optimizer, [table], factor * self.lr, self.weight_decay
            )
            for table, factor in tables
        ]
        self.optimizer_ = JointOptimizer([dense, *rows])
        return self

    @property
    def all_optimizers(self) -> list[torch.optim.Optimizer]:
        """Every optimiser: that of the dense parameters, then one for each table."""
        return self.optimizer_.parts

    def fit_loop(
        self,
        X: RowTable,
        y: LabelsLike | None = None,
        epochs: int | None = None,
        **params: object,
    ) -> MultiTaskNet:
        """Train for some epochs, less those that a checkpoint has already."""
        left = self.max_epochs if epochs is None else epochs
        valid = self.get_split_datasets(X, y)[1]
        for _, callback in self.callbacks_:
            if isinstance(callback, Checkpoint):
                left -= callback.resume(self, X, valid)
        super().fit_loop(X, y, epochs=left, **params)
        return self

    def get_iterator(self, dataset: RowTable, training: bool = False) -> RowBatches:
        """Batches of a table; without training, blocks that fit the cache."""
        fits = self.device == "cpu" and not training
        return dataset.batches(BLOCK if fits else self.batch_size, shuffle=training)

    def on_train_begin(
        self,
        net: NeuralNet,
        X: TensorTable,
        y: None = None,
        **_: object,
    ) -> None:
        """Start the schedule, the weighting and the average of the weights."""
        self.criterion_.weighting.begin(lambda: self._measure(X))
        steps = self.max_epochs * len(self.get_iterator(X, training=True))
        # A step goes forward once, and back by weights and by inputs.
        by_row = operations_by_row(self.module_)
        step, at_once = 3 * by_row * self.batch_size, self.processes_.most_at_once(self)
        self.threads_ = {
            True: StepThreads(self.n_threads, step, at_once),
            False: StepThreads(self.n_threads, by_row * BLOCK),
        }
        self.schedules_, self.pass_ = [], None
        # A scheduler among the callbacks sets the learning rate alone.
        others = any(isinstance(one, LRScheduler) for _, one in self.callbacks_)
        scheduled = self.learning_rate_schedule != "constant"
        if scheduled or others:
            for group in self.optimizer_.param_groups:
                group["lr"] = group.pop("initial_lr", group["lr"])
                if others:  # the scheduler starts from here, even after earlier epochs
                    group["initial_lr"] = group["lr"]
        if scheduled and not others:
            self.schedules_.append(
                schedule(self.optimizer_, self.learning_rate_schedule, steps)
            )
        if self.average_weights:
            self.average_ = WeightAverage(self.module_.parameters())

    def on_train_end(
        self,
        net: NeuralNet,
        X: TensorTable,
        y: None = None,
        **_: object,
    ) -> None:
        """Drop what belongs to one run of training."""
        del self.schedules_, self.threads_
        self.average_ = None

    def train_step(self, batch: Batch, **_: object) -> StepOutput:
        """Take one step of training.

        The penalty goes back first, since the strategy's pass may free the graph that
        both share. Callbacks see gradients that are already those of all processes.
        """
        Xi, (yi, wi, lists) = batch
        if self.unknown_ids is not None:
            Xi = {**Xi, "ids": self.unknown_ids(cast(Tensor, Xi["ids"]))}
        self._forget_gradients()
        weighting = self.criterion_.weighting
        whole = self.processes_.batch(TensorTable(Xi, yi, wi, lists), self)
        # Lists are not divided into blocks.
        ahead = self._weights_ahead(whole.n_rows) if lists is None else None
        rows = whole.n_rows if ahead is None else _even(whole.n_rows)
        again = self._again(whole, rows) if weighting.looks_back else None
        if ahead is None:
            found = whole.each(lambda part: part.whole(partial(self._forward, part)))
        else:
            found = whole.each(partial(self._block_by_block, weights=ahead))
        step, logits = whole.join(found)
        losses = step.losses.detach()
        step.again = again
        if self.device == "cpu":
            check_finite(losses)  # elsewhere this would wait for the device
        penalty = self.module_.penalty(logits, wi)
        if penalty is not None:
            step.add(penalty)
        weighting.backward(step)
        whole.reduce()
        if self.watched_:
            self.notify(
                "on_grad_computed",
                named_parameters=TeeGenerator(self._with_gradients()),
                batch=batch,
                training=True,
            )
        self.optimizer_.step()
        look_back(weighting, step)
        for one in self.schedules_:
            one.step()
        if self.average_ is not None:
            self.average_.after_step()
        weights = weighting.current()
        return {
            "loss": weights @ losses,
            "y_pred": logits.detach(),
            "task_losses": losses,
            "weights": weights,
            "gramian": step.gramian() if self.record_gradients else None,
        }

    def _forward(
        self, part: OwnRows, Xi: Inputs, yi: Tensor, *more: Tensor | None
    ) -> tuple[Step, Tensor]:
        """Losses of some rows of a part, ready to go back from, and their logits."""
        module = part.module
        representation, mixture = module.split(**Xi)  # type: ignore[arg-type]
        step = Step(
            module,
            representation,
            mixture,
            record=self.record_gradients,
            apart=self.criterion_.weighting.apart,
        )
        logits = module.towers(step.cut)
        step.losses = self.criterion_.task_losses(module.biased(logits, Xi), yi, *more)
        return step, logits

    def _weights_ahead(self, n_rows: int) -> Tensor | None:
        """Weights of a step in blocks; None if the batch is taken whole."""
        large = self.device == "cpu" and n_rows > _WHOLE_ROWS
        if not large or not self.module_.takes_blocks():
            return None
        weights: Tensor | None = self.criterion_.weighting.ahead()
        return weights

    def _block_by_block(self, part: OwnRows, weights: Tensor) -> tuple[Step, Tensor]:
        """Go forward and back through a batch, block by block.

        The tensors of a block are freed before the next one, so memory hardly grows
        with the batch. Only the gradients of rows of tables are kept until the end,
        summed within each block. Losses of a block are means over its rows, so that its
        gradients count by its share of the batch, and inner products by the square.
        """
        tables = [ids for ids, _ in part.module.id_tables()]
        gradients: list[list[Tensor]] = [[] for _ in tables]
        losses, logits, gramian = Mean(), [], None
        forward, size = partial(self._forward, part), _even(part.n_rows)
        for Xi, (yi, wi, _) in part.blocks(size, forward):
            step, z = forward(Xi, yi, wi)
            share = len(yi) / part.n_rows
            losses.add(step.losses.detach(), len(yi))
            step.through_towers(share * weights)
            if self.record_gradients:
                inner = share**2 * step.gramian()
                gramian = inner if gramian is None else gramian + inner
            step.descend()
            logits.append(z.detach())
            for ids, found in zip(tables, gradients, strict=True):
                if ids.grad is not None:
                    found.append(sum_by_row(ids.grad))
                    ids.grad = None
        for ids, found in zip(tables, gradients, strict=True):
            ids.grad = join_rows(found) if found else None
        return StepTaken(losses.value, weights, gramian), torch.cat(logits)

    def _again(self, whole: WholeBatch, rows: int) -> Callable[[], Tensor]:
        """Return a function that computes the losses again, with the same dropout."""
        same_draws = draws_from_here(self.device)

        def of_part(part: OwnRows) -> Tensor:
            losses, forward = Mean(), partial(self._forward, part)
            for Xi, target in part.blocks(rows, forward):
                losses.add(forward(Xi, *target)[0].losses, len(target[0]))
            return part.share * losses.value

        def measure() -> Tensor:
            with same_draws(), torch.no_grad():
                return whole.total(whole.each(of_part))

        return measure

    def _forget_gradients(self) -> None:
        # As zero_grad does, without the profiler's hooks around it.
        for group in self.optimizer_.param_groups:
            for p in group["params"]:
                p.grad = None

    def _with_gradients(self) -> Iterator[tuple[str, Tensor]]:
        """Yield parameters by name, for callbacks that read or change gradients.

        For a table of ids, only the rows that the batch touches: a tensor with their
        gradients, which are those of the step.
        """
        for name, p in self.get_all_learnable_params():
            if p.grad is None or not p.grad.is_sparse:
                yield name, p
                continue
            rows, values = touched_rows(p.grad)
            p.grad = torch.sparse_coo_tensor(
                rows[None], values, p.shape, is_coalesced=True, check_invariants=False
            )
            touched = torch.empty_like(values)
            touched.grad = values
            yield name, touched

    def _measure(self, table: RowTable) -> Tensor:
        """Mean loss of each task on rows spread over a table, without dropout."""
        losses = Mean()
        self._set_training(False)
        for batch in table.spread(MEASURED_ROWS).batches(BLOCK, shuffle=False):
            losses.add(self.validation_step(batch)["task_losses"], len(batch[1][0]))
        return losses.value

    def _check_last_step(self, table: RowTable) -> None:
        """Raise if the last step of an epoch diverged.

        No loss shows its outcome, and its weights would be kept as good ones, or be the
        final ones.
        """
        norm = get_total_norm(self.module_.parameters())
        # Where no parameter is large, no output can overflow.
        if not norm < _LARGE:
            check_finite(self._measure(table))

    def validation_step(self, batch: Batch, **_: object) -> StepOutput:
        """Evaluate one batch."""
        Xi, target = batch
        with torch.inference_mode():
            logits = self.processes_.outputs(self.module_, Xi, len(target[0]))
            observed = self.module_.biased(logits, Xi)
            losses = self.criterion_.task_losses(observed, *target)
            loss = self.criterion_.weighting.reference() @ losses
        return {"loss": loss, "y_pred": logits, "task_losses": losses}

    def run_single_epoch(
        self,
        iterator: Batches,
        training: bool,
        prefix: str,
        step_fn: Callable[..., StepOutput],
        **kwargs: object,
    ) -> None:
        """Make one pass, summing losses on the device.

        Between epochs the module holds the average of its weights. An epoch of training
        starts from those of the last step, and leaves the new average.
        """
        if iterator is None:
            return
        self._set_training(training)
        if training and self.average_ is not None:
            self.average_.hide()
        done = EpochPass()
        if training:
            done = self.pass_ = self.pass_ or done  # a checkpoint may be within one
            self.processes_.begin_pass(self)
            # Notifying every callback of every step takes as long as a small layer.
            self.watched_ = any(
                map(watches_gradients, [self, *(one for _, one in self.callbacks_)])
            )
        for batch in done.rest(iterator):
            shown = _as_skorch_has_it(batch)
            self.notify("on_batch_begin", batch=shown, training=training)
            with self.threads_[training].step():
                step = step_fn(batch, **kwargs)
            done.add(step, len(shown[1]))
            if self.record_batches:
                self.history.record_batch(f"{prefix}_loss", float(step["loss"]))
                self.history.record_batch(f"{prefix}_batch_size", len(shown[1]))
            weight = batch[1][1]
            self.notify(
                "on_batch_end", batch=shown, weight=weight, training=training, **step
            )
        if self.record_batches:
            self.history.record(f"{prefix}_batch_count", len(iterator))
        losses, weighting = done.losses.value, self.criterion_.weighting
        if training:
            self.pass_ = None
            check_finite(losses)
            self._check_last_step(iterator.table)
            if self.average_ is not None:
                self.average_.show()
            weighting.after_epoch(losses)
            self.history.record("loss_weight", done.weights.value.tolist())
            if self.record_gradients:
                self.history.record("gramian", done.gramian.value.tolist())
        self._record_loss(prefix, float(weighting.reference() @ losses))
        of_tasks = iterator.table.where_labelled(losses)
        self.history.record(f"{prefix}_task_loss", of_tasks.tolist())

    def _record_loss(self, prefix: str, loss: float) -> None:
        """Record a loss, and whether it is the lowest, for skorch's `Checkpoint`."""
        key = f"{prefix}_loss"
        before = [epoch.get(key, math.inf) for epoch in self.history[:-1]]
        self.history.record(key, loss)
        self.history.record(f"{key}_best", loss < min(before, default=math.inf))

    @property
    def _kinds(self) -> TaskKinds:
        kinds: TaskKinds = self.criterion_.task_losses.kinds
        return kinds

    @property
    def classes_(self) -> AnyArray | list[AnyArray]:
        """Labels of the task, or of each of several; 0 and 1 if it is binary."""
        classes = [np.asarray(kind.labels) for kind in self._kinds]
        return classes if len(classes) > 1 else classes[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        return tags

    def get_dataset(self, X: object, y: object = None) -> RowTable:
        """Take an encoded table as rows to predict.

        Parameters
        ----------
        X : EncodedTable
            The rows.
        y : None
            Must be None: training needs more than labels.

        Returns
        -------
        RowTable
            The rows as tensors.

        Raises
        ------
        TypeError
            For tables that are not encoded, and with labels.
        """
        if isinstance(X, RowTable):
            return X
        if y is not None:
            raise TypeError(
                "The net of a ranker is trained by the ranker, which encodes the rows "
                "and weights the tasks: call ranker.fit or ranker.partial_fit."
            )
        if isinstance(X, EncodedTable):
            tensors, n_rows = as_tensors(X), len(X)
        elif isinstance(X, Mapping) and "ids" in X:
            tensors = {
                k: torch.from_numpy(x) if isinstance(x, np.ndarray) else x
                for k, x in X.items()
            }
            n_rows = len(X["ids"])
        else:
            raise TypeError(
                "The net of a ranker takes encoded rows, found a "
                f"{type(X).__name__}. Call ranker.predict_proba(X), or "
                "net_.predict_proba(ranker.encoder_.encode(X))."
            )
        return TensorTable(tensors, torch.empty(n_rows, 0), None)

    def predict_proba(self, X: object) -> Any:
        """Estimate probabilities like the ranker, but without its ``intercept_``.

        Parameters
        ----------
        X : EncodedTable
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or a list of them, one for each task
            As other scikit-learn classifiers give them.
        """
        proba = self._kinds.probabilities(self._levels(X))
        return proba if len(proba) > 1 else proba[0]

    def predict(self, X: object) -> AnyArray:
        """Give the more probable label, for each of several tasks.

        Parameters
        ----------
        X : EncodedTable
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels, and expected values of regressions.
        """
        labels = self._kinds.decide(self._levels(X))
        return labels if labels.shape[1] > 1 else labels[:, 0]

    def score(self, X: object, y: object) -> float:
        """Mean ROC AUC over the tasks; NaN in `y` is not observed.

        Parameters
        ----------
        X : EncodedTable
            The rows.
        y : array-like of shape (n_samples, n_tasks)
            Labels.

        Returns
        -------
        float
            The mean over the tasks that have both classes.

        Raises
        ------
        TypeError
            If some task is not binary.
        """
        if not self._kinds.all_binary:
            raise TypeError(
                "The net only scores binary tasks. Pass a function scoring(net, X, y) "
                "to the callback."
            )
        proba = self._kinds.expected(self._levels(X))
        return float(np.nanmean(roc_auc(y, proba)))

    def fit(self, X: object, y: object = None, **_: Any) -> NoReturn:
        """Raise: a net that starts again would lose what the ranker has learnt."""
        raise TypeError(
            "The net of a ranker is trained by the ranker: call ranker.fit or "
            "ranker.partial_fit."
        )

    def _levels(self, X: object) -> npt.NDArray[np.float64]:
        # Uses skorch's forward_iter, which scoring callbacks replace by cached outputs.
        n_rows = len(X) if isinstance(X, TensorTable | EncodedTable) else 0
        with predicting(self, n_rows):
            found = [z.detach().cpu().numpy() for z in self.forward_iter(X)]
        return self._kinds.predict(np.concatenate(found))


def _as_skorch_has_it(batch: Batch) -> tuple[Inputs, Tensor]:
    """Return inputs, and labels with NaN for those without a weight."""
    Xi, (yi, wi, _) = batch
    return Xi, yi if wi is None else yi.masked_fill(wi == 0, math.nan)


def _even(n_rows: int) -> int:
    """Size of nearly equal blocks: some layers fail on a last block of one row."""
    return -(-n_rows // -(-n_rows // _BLOCK_ROWS))
