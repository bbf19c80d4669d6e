"""MultiTaskRanker: the base of all rankers, independent of their network."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any, ClassVar, Self, cast
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import RegressorTags, Tags
from sklearn.utils.validation import check_is_fitted

from skmtl._containers import is_query, is_source, table_of_tasks
from skmtl._saving import SaveMixin
from skmtl._sklearn import (
    CallbackSupportMixin,
    VisualBlock,
    _fit_context,
    available_unless,
    with_callbacks,
)
from skmtl._task_output import TaskOutputMixin
from skmtl._typing import (
    AnyArray,
    ClassesLike,
    GroupsLike,
    LabelsLike,
    TableLike,
    WeightsLike,
)
from skmtl.encoding import EncodedTable, TableEncoder
from skmtl.encoding.blocks import EncodedBlocks
from skmtl.modules import (
    Embedding,
    ModuleBottom,
    MultiTaskModule,
    ParallelTowers,
    SharedBottom,
    Sharing,
    Towers,
    with_thresholds,
)
from skmtl.rankers._crosses import check_crosses, with_crosses
from skmtl.rankers._network import (
    Maker,
    belongs_to_part,
    check_embedding_dim,
    check_part,
    check_pooling,
    check_units,
    make_bias_tower,
    make_embedding,
    make_part,
    own_parameters,
    part_name,
    takes,
)
from skmtl.rankers._pretrained import PretrainedTables
from skmtl.rankers._summary import summary_text, visual_block
from skmtl.rankers._task_order import clip_to_parents, with_implied_labels
from skmtl.rankers._written import write_predictions
from skmtl.sources.opening import are_names, named_columns
from skmtl.tasks import (
    BinaryTask,
    Targets,
    TaskKind,
    TaskKinds,
    check_sample_weight,
    check_targets,
    warn_of_rare_tasks,
)
from skmtl.tasks.kinds import all_have_classes
from skmtl.training.batches import current_processes
from skmtl.training.callbacks import callback_params, with_params
from skmtl.training.computing import check_device, logits, seeded
from skmtl.training.epochs import task_score
from skmtl.training.fit import Fit, PartialFit
from skmtl.training.optimizers import MadeBy, with_own_parameters
from skmtl.training.ranker import PretrainedRows, TrainableRanker
from skmtl.training.source_fit import SourceFit
from skmtl.training.starts import NextTable, NoPretrainedRows, Start, WarmStart

# Width of the representation for towers that are made only to read their `bounds`.
_ANY_WIDTH = 64
# By ranker: kinds of labels 0 and 0.0 are equal. Made once, which is slower than a row.
_KINDS: WeakKeyDictionary[object, tuple[object, TaskKinds]] = WeakKeyDictionary()


def _why_without_classes(ranker: MultiTaskRanker) -> str | None:
    """Say why a ranker has no probabilities of classes; None if it has them."""
    who = type(ranker).__name__
    if not ranker.__sklearn_is_fitted__():
        if all_have_classes(ranker.task_kinds):
            return None
        return f"{who} has no predict_proba, since task_kinds names a regression."
    for name, kind in zip(ranker.task_names_, ranker._kinds, strict=True):
        if kind.labels is None:
            return (
                f"{who} has no predict_proba, since task {name!r} is of kind "
                f"{kind.name}, which has no classes. Use predict_task."
            )
    return None


class MultiTaskRanker(
    TrainableRanker,
    TaskOutputMixin,
    SaveMixin,
    CallbackSupportMixin,
    ClassifierMixin,
    BaseEstimator,
):
    """A network of parts that you choose, and the base of all rankers.

    A network consists of an embedding, a sharing, which gives each task its
    representation, and towers. Here the last two are hyperparameters; in the other
    rankers they are fixed.

    Parameters
    ----------
    sharing : class, callable or torch.nn.Module, default=SharedBottom
        Makes the sharing: a class of ``skmtl.modules``, your own `Sharing`, or a
        function that returns one. It is called with the parameters ``sharing__*`` and,
        as far as its signature names them, with the keywords ``n_tasks``,
        ``task_names``, ``width`` and ``columns`` of the input, and ``dropout``. A plain
        ``torch.nn.Module`` that maps ``(batch, width)`` to ``(batch, units)`` becomes a
        bottom that all tasks share. An existing module is copied in each `fit`, with
        its weights.
    towers : class, callable or torch.nn.Module, default=ParallelTowers
        Makes the towers, a `Towers`, in the same way. The keywords are ``n_tasks``,
        ``task_names``, ``width`` of the representation, ``dropout``, ``units`` (the
        `tower_units`) and ``n_outputs``; the parameters are ``towers__*``.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    Notes
    -----
    Pass parameters of the two parts, such as ``sharing__n_experts=4``, to the
    constructor or to `set_params`.

    Examples
    --------
    >>> from skmtl import MMoE, MultiTaskRanker
    >>> from skmtl.datasets import make_funnel
    >>> from skmtl.modules import ExpertMixture
    >>> log = make_funnel(2000, order_rate=0.01, random_state=0)
    >>> ranker = MultiTaskRanker(
    ...     sharing=ExpertMixture, sharing__n_experts=4, max_iter=1, random_state=0
    ... )
    >>> ranker.fit(log.data, log.target).predict_task_proba(log.data).shape
    (2000, 3)
    >>> isinstance(MMoE(), MultiTaskRanker)
    True
    """

    # Hyperparameters that hold widths of layers, and the least number of layers.
    _layers: ClassVar[dict[str, int]] = {"tower_units": 0}

    # Requests groups by default, so that searches with groups work under scikit-learn's
    # metadata routing without a call of `set_fit_request`.
    __metadata_request__fit: ClassVar[dict[str, bool]] = {"groups": True}
    __metadata_request__partial_fit: ClassVar[dict[str, bool]] = {"groups": True}

    # For rankers whose constructors do not take these.
    sharing = cast(Maker, SharedBottom)
    towers = cast(Maker, ParallelTowers)
    _of_parts = cast(dict[str, object], {})

    def __init__(
        self,
        *,
        sharing: Maker = SharedBottom,
        towers: Maker = ParallelTowers,
        **more: Any,
    ) -> None:
        of_parts = {name: more.pop(name) for name in [*more] if belongs_to_part(name)}
        super().__init__(**more)
        self.sharing = sharing
        self.towers = towers
        self._of_parts = self._of_parts | of_parts

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Get the hyperparameters, including those of the parts.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include those of nested estimators.

        Returns
        -------
        dict of str to object
            Names and values; ``sharing__*``, ``towers__*``, ``crosses__*`` and
            ``optimizer__*`` if they were set. If `deep`, ``callbacks__*`` too.
        """
        params: dict[str, object] = super().get_params(deep=deep)
        if deep and self.callbacks is not None:
            params |= callback_params(self.callbacks)
        return params | self._of_parts

    def set_params(self, **params: object) -> Self:
        """Set hyperparameters, including those of the parts and of callbacks.

        Parameters
        ----------
        **params
            Names and values. `fit` raises an error for ``sharing__*``, ``towers__*``,
            ``crosses__*`` or ``optimizer__*`` that the part or optimiser does not have,
            unless they are None. ``crosses__*`` have no effect if `crosses` is None.
            Parameters of callbacks are named as in skorch: ``callbacks__lr__gamma`` is
            a parameter of the callback ``("lr", ...)``, and ``callbacks__lr`` the
            callback itself.

        Returns
        -------
        self : MultiTaskRanker
            The ranker.
        """
        parts = type(self)._get_param_names()
        of_parts, of_callbacks, own = {}, {}, {}
        for name, value in params.items():
            if belongs_to_part(name) and name.partition("__")[0] in parts:
                of_parts[name] = value
            elif name.startswith("callbacks__"):
                of_callbacks[name.removeprefix("callbacks__")] = value
            else:
                own[name] = value
        super().set_params(**own)
        if of_callbacks:
            self.callbacks = with_params(self.callbacks, of_callbacks)
        if of_parts:
            self._of_parts = self._of_parts | of_parts
        return self

    def _make_sharing(self, embedding: Embedding, names: list[str]) -> Sharing:
        """Make the sharing, from the embedding to each task's representation."""
        offered = {
            "n_tasks": len(names),
            "task_names": names,
            "width": embedding.width,
            "columns": embedding.columns,
            "dropout": self.dropout,
        }
        own = own_parameters("sharing", self._of_parts, self.sharing)
        made = make_part(self.sharing, offered, own)
        if isinstance(made, Sharing):
            return made
        return ModuleBottom(module=made, n_tasks=len(names), width=embedding.width)

    def _make_towers(self, width: int, names: list[str], kinds: TaskKinds) -> Towers:
        """Make the towers, from representations of `width` to each task's outputs."""
        offered = {
            "n_tasks": len(names),
            "task_names": names,
            "width": width,
            "units": self._units("tower_units"),
            "dropout": self.dropout,
            "n_outputs": kinds.n_scores,
        }
        own = own_parameters("towers", self._of_parts, self.towers)
        made = make_part(self.towers, offered, own)
        return cast(Towers, made)  # MultiTaskModule raises for other modules

    def _n_embeddings(self, names: list[str]) -> int | None:
        """Return the number of embeddings of an id; None for one that tasks share."""
        return None

    def _units(self, what: str) -> list[int]:
        """Widths of layers, checked."""
        return check_units(getattr(self, what), what, at_least=self._layers[what])

    def _check_tasks(self, names: list[str]) -> None:
        """Check that hyperparameters fit the tasks, before anything is done."""
        check_device(self.device)
        check_embedding_dim(self.embedding_dim)
        check_pooling(self.pooling)
        for what in self._layers:
            self._units(what)
        self._dense_optimizer()  # checks its parameters
        for part, given in (("sharing", self.sharing), ("towers", self.towers)):
            check_part(part, given, own_parameters(part, self._of_parts, given))
        if self.crosses is not None:
            check_crosses(self.crosses, self._of_parts)

    def _check_kinds(self, names: list[str], kinds: TaskKinds) -> None:
        """Raise for kinds of tasks that the network does not support."""
        for name, kind in zip(names, kinds, strict=True):
            if kind.n_scores > 1 and not takes(self.towers, "n_outputs"):
                raise ValueError(
                    f"Task {name!r} has {kind.n_scores} outputs, but "
                    f"{part_name(self.towers)} gives one for each task. Use towers "
                    "that take n_outputs, such as ParallelTowers."
                )

    def _complete(self, targets: Targets) -> Targets:
        if targets.observed.all():
            return targets
        names = [str(name) for name in targets.names]
        return with_implied_labels(targets, self._bounds(names, targets.kinds))

    def _bounds(self, names: list[str], kinds: TaskKinds) -> list[list[int]]:
        """For each task, the tasks that bound its probability, by its towers."""
        towers = self.towers
        if not isinstance(towers, Towers):
            # The bounds depend neither on the width nor on the numbers drawn.
            with seeded(0, "cpu"):
                towers = self._make_towers(_ANY_WIDTH, names, kinds)
        bounds = towers.bounds if isinstance(towers, Towers) else ()
        return [list(parents) for parents in bounds] or [[] for _ in names]

    def _validate_params(self) -> None:
        """Raise for invalid hyperparameters, also in the other processes of a fit.

        Those ask each other next whether the input is valid.
        """
        try:
            super()._validate_params()
        except Exception:
            with current_processes(self).errors_of_all():
                raise

    def __sklearn_is_fitted__(self) -> bool:
        return "net_" in vars(self)

    def _ordered_parents(self) -> list[list[int]]:
        """For each task, the tasks that bound its probability, by the network."""
        bounds = self.net_.module_.towers.bounds
        return [list(parents) for parents in bounds] or [[] for _ in self.task_names_]

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: TableLike,
        y: LabelsLike,
        sample_weight: WeightsLike = None,
        *,
        X_val: TableLike | None = None,
        y_val: LabelsLike | None = None,
        sample_weight_val: WeightsLike = None,
        groups: GroupsLike = None,
        groups_val: GroupsLike = None,
    ) -> Self:
        """Train on a table of impressions.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table. Missing cells are allowed anywhere. Or a source, which is read
            block by block: a path, folder or pattern of Parquet files, a
            ``pyarrow.dataset.Dataset``, a ``polars.LazyFrame`` or
            :class:`~skmtl.sources.ParquetFiles`. All of its columns that `y` and
            `sample_weight` do not name are features.
        y : array-like or DataFrame of shape (n_samples,) or (n_samples, n_tasks)
            Labels of the kinds in `task_kinds`: 1 and 0 for a binary task. NaN is a
            label that was not observed, and enters no loss. A single binary column may
            hold any two labels. For a source, a column name or a list of names.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
            Weights of the rows, or of each row for each task. Columns named like the
            tasks are matched by name. For a source, the name of a column, or a list
            with one for each task.
        X_val, y_val : as `X` and `y`, default=None
            Table and labels for validation. The best weights on it are restored. Named
            columns of `y_val` are matched by name. For a source `y_val` is `y` by
            default, with its columns in the same order.
        sample_weight_val : as `sample_weight`, default=None
            Weights for validation.
        groups : array-like of shape (n_samples,), default=None
            Group of each row, such as its request or user, for tasks whose loss depends
            on the order within groups, see :class:`~skmtl.BinaryTask`. Other tasks
            ignore it. It is requested from scikit-learn's metadata routing by default.
            A `validation_split` that requests groups and a `scoring` within groups,
            such as "gauc:click", use it for the rows set aside.
        groups_val : array-like of shape (n_samples_val,), default=None
            Group of each row of `X_val`, for such a `scoring`.

        Returns
        -------
        self : MultiTaskRanker
            The fitted ranker.

        Raises
        ------
        ValueError, TypeError
            For input that cannot be used; the message names the column or the task. A
            ranker that was fitted before is left unchanged.
        """
        warm = self.warm_start and self.__sklearn_is_fitted__()
        # A query beside labels in memory is read into memory.
        from_source = is_source(X) and (are_names(y) or not is_query(X))
        fit = (SourceFit if from_source else Fit)(
            self,
            WarmStart(self) if warm else Start(self),
            X,
            y,
            sample_weight,
            X_val=X_val,
            y_val=y_val,
            sample_weight_val=sample_weight_val,
            groups=groups,
            groups_val=groups_val,
        )
        if not warm and not from_source:
            warn_of_rare_tasks(fit.targets)
        # Callbacks get the table as the caller passed it.
        context = self._init_callback_context(max_subtasks=self.max_iter)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        fitted = fit.run(context)
        self.__dict__.update(fitted)  # only now, after all that may fail
        context.call_on_fit_task_end(
            estimator=self, X=X, y=y, reconstruction_attributes={}
        )
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: TableLike,
        y: LabelsLike,
        classes: ClassesLike = None,
        sample_weight: WeightsLike = None,
        groups: GroupsLike = None,
    ) -> Self:
        """Continue training with one more table, in one pass.

        The first call is a `fit` of one epoch; later calls, and calls after `fit`,
        continue from there. Ids seen on `min_frequency` rows over all calls get rows of
        their own, which start from the row that the id read before: the unknown row, or
        its fallback. The optimisers keep their state of old rows. Scales and bins do
        not change. The learning rate runs through its schedule in each call.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            More rows, with the columns of the first call and no others.
        y : array-like or DataFrame of shape (n_samples,) or (n_samples, n_tasks)
            Labels of the same tasks, as for `fit`.
        classes : array-like, or list of array-like, default=None
            The labels that may occur, if the first call does not have all of them: an
            array for one task, a list with an array or None for each of several.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
            Weights, as for `fit`.
        groups : array-like of shape (n_samples,), default=None
            Groups, as for `fit`.

        Returns
        -------
        self : MultiTaskRanker
            The ranker.

        Raises
        ------
        ValueError, TypeError
            For other columns or tasks, and for any input that `fit` refuses; the
            message names the column or the task. The ranker is left unchanged.
        """
        if is_source(X) and not is_query(X):
            raise TypeError(
                "partial_fit takes one table in memory at a time, and X is a source. "
                "Read it part by part, or call fit, which reads it block by block."
            )
        start = NextTable(self) if self.__sklearn_is_fitted__() else Start(self)
        given = {"classes": classes, "groups": groups}
        fitted = PartialFit(self, start, X, y, sample_weight, **given).run(None)
        self.__dict__.update(fitted)  # only now, after all that may fail
        return self

    def _dense_optimizer(self) -> MadeBy:
        own = own_parameters("optimizer", self._of_parts)
        return with_own_parameters(self.optimizer, own)

    def _pretrained_rows(self) -> PretrainedRows:
        given = self.embeddings
        return PretrainedTables(given) if given else NoPretrainedRows()

    def _make_net(
        self,
        encoder: TableEncoder,
        names: list[str],
        kinds: TaskKinds,
        pretrained: PretrainedRows,
    ) -> MultiTaskModule:
        n_sets = self._n_embeddings(names)
        embedding = make_embedding(self, encoder, n_sets, pretrained)
        if self.crosses is not None:
            biased = encoder.optional_names_
            embedding = with_crosses(embedding, n_sets, self, self._of_parts, biased)
        sharing = self._make_sharing(embedding, names)
        towers = with_thresholds(
            self._make_towers(sharing.width, names, kinds),
            [kind.n_thresholds for kind in kinds],
            n_scores=kinds.n_scores,
        )
        return MultiTaskModule(
            embedding=embedding,
            sharing=sharing,
            towers=towers,
            bias=make_bias_tower(self, encoder, kinds, pretrained),
            precision=self.precision,
            compile=self.compile,
        )

    @property
    def n_parameters_(self) -> int:
        """Number of parameters of the network, including embedding tables."""
        return sum(p.numel() for p in self.net_.module_.parameters())

    def predict_task(self, X: TableLike) -> Any:
        """Estimate the expected label of every task.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table. Columns of a DataFrame are matched by name.

        Returns
        -------
        ndarray of shape (n_samples, n_columns), dtype float64
            For a binary task the probability of a positive label, for a regression the
            mean (with loss="quantile" the quantile), for an ordinal task the expected
            label, and for a multiclass task a column with the probability of each
            class. Under ``set_output(transform="pandas")`` a DataFrame whose columns
            are the tasks, and ``<task>_<class>`` for classes.
        """
        check_is_fitted(self)
        kinds = self._kinds
        values = kinds.expected(self._levels(X))
        if getattr(self, "_sklearn_output_config", {}).get("transform") != "pandas":
            return values
        index = X.index if isinstance(X, pd.DataFrame) else None
        return pd.DataFrame(values, index, kinds.column_names(self.task_names_))

    def predict_task_proba(
        self,
        X: TableLike,
        *,
        to: str | os.PathLike[str] | None = None,
        keep: Sequence[str] = (),
    ) -> Any:
        """Estimate the probability of a positive label for every task.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table. Columns of a DataFrame are matched by name. Or a source, as for
            `fit`, which is read block by block.
        to : str, path-like or None, default=None
            A Parquet file to write, block by block, so that the probabilities do not
            have to fit in memory. It only appears once all rows are written.
        keep : sequence of str, default=()
            Columns of `X` to copy to this file, such as the ids of the rows.

        Returns
        -------
        ndarray of shape (n_samples, n_tasks), dtype float64
            Probabilities. A DataFrame with the tasks as columns under
            ``set_output(transform="pandas")``. With `to`, the file, as
            :class:`~skmtl.sources.ParquetFiles` with the columns `keep` and one for
            each task.

        Raises
        ------
        ValueError, TypeError
            For a table that lacks columns or cannot be read; the message names the
            column and the file. If a task is not binary: use `predict_task` for its
            expected label.
        """
        check_is_fitted(self)
        for name, kind in zip(self.task_names_, self._kinds, strict=True):
            if not isinstance(kind, BinaryTask):
                raise ValueError(
                    f"Task {name!r} is of kind {kind.name} and has no single "
                    "probability. Use predict_task, or predict_proba for the "
                    "probabilities of classes."
                )
        if to is not None:
            names = self.encoder_.names_to_match("to")
            tasks = [str(name) for name in self.task_names_]
            return write_predictions(self._levels, X, names, tasks, to, keep)
        return self.predict_task(X)

    def _levels(
        self, X: TableLike | EncodedTable | EncodedBlocks
    ) -> npt.NDArray[np.float64]:
        if is_source(X) or isinstance(X, EncodedBlocks):
            tables = self.encoder_.encode_blocks(X)
            return np.concatenate([self._levels(table) for table in tables])
        if not isinstance(X, EncodedTable):
            X = self.encoder_.encode(X, read_optional=False)  # no `bias_features`
        kinds = self._kinds
        levels = kinds.predict(logits(self.net_, X) + self.intercept_)
        if self.net_.module_.towers.bounds:
            # Rounding may break the order that the network guarantees.
            levels = clip_to_parents(levels, self._ordered_parents(), kinds)
        constant = kinds.by_output(kinds.is_constant(self.prior_))
        if constant.any():
            levels[:, constant] = kinds.constant(self.prior_)[constant]
        return levels

    @property
    def _kinds(self) -> TaskKinds:
        # Rankers fitted by versions with binary tasks only have no list of kinds.
        fitted = vars(self).get("task_kinds_", [BinaryTask()] * len(self.prior_))
        known = _KINDS.get(self)
        if known is None or known[0] is not fitted:
            known = _KINDS[self] = fitted, TaskKinds(fitted)
        return known[1]

    @available_unless(_why_without_classes)
    def predict_proba(self, X: TableLike) -> Any:
        """Estimate the probability of each label.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or a list of them, one for each task
            As other scikit-learn classifiers return them.

        Raises
        ------
        AttributeError
            If some task is a regression, which has no classes.
        """
        check_is_fitted(self)
        proba = self._kinds.probabilities(self._levels(X))
        if self._multioutput:
            return proba
        if len(self.classes_) == 1:
            return np.ones((len(proba[0]), 1))
        return proba[0]

    def predict(self, X: TableLike) -> AnyArray:
        """Predict the more probable label of every task, or the mean of a regression.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels, and expected values of regressions.
        """
        check_is_fitted(self)
        kinds = self._kinds
        labels = kinds.decide(self._levels(X))
        if self._multioutput:
            return labels
        if not isinstance(kinds[0], BinaryTask):
            return labels[:, 0]
        # A label 1 has no class if only one class was found.
        last = len(self.classes_) - 1
        chosen: AnyArray = self.classes_[np.minimum(labels[:, 0], last)]
        return chosen

    def score(
        self, X: TableLike, y: LabelsLike, sample_weight: WeightsLike = None
    ) -> float:
        """Return the mean of the tasks' scores.

        The score of a binary task is the ROC AUC, of a regression R² or D² of its loss,
        of an ordinal task the kappa of its labels with quadratic weights, and of a
        multiclass task the mean ROC AUC of each class against all others.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels; NaN where not observed. Named columns are matched by name.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
            Weights of the rows, or of each row for each task.

        Returns
        -------
        float
            The mean over the tasks whose score is defined; NaN if there are none.
        """
        check_is_fitted(self)
        levels, kinds = self._levels(X), self._kinds
        y = table_of_tasks(named_columns(X, y, "y"), len(levels))
        sample_weight = named_columns(X, sample_weight, "sample_weight")
        targets = check_targets(y, kinds=list(kinds), tasks=self.task_names_)
        shape = (len(levels), len(kinds))
        if targets.labels.shape != shape:
            raise ValueError(
                f"y has shape {targets.labels.shape}, but the predictions for X have "
                f"shape {shape}."
            )
        targets = self._complete(targets)
        labels = targets.labels
        if not self._multioutput and kinds.all_binary:
            # Comparing pandas' NA gives NA, which numpy cannot convert.
            cells = pd.Series(np.asarray(y).ravel(), dtype=object)
            last = cells.notna() & (cells.where(cells.notna()) == self.classes_[-1])
            labels = np.asarray(last, dtype=np.float32).reshape(-1, 1)
        weight = check_sample_weight(sample_weight, shape, self.task_names_)
        seen = np.broadcast_to(
            targets.observed * (1.0 if weight is None else weight), shape
        )
        scores = [
            task_score(
                kind,
                labels[:, task],
                kind.judged(levels[:, kinds.outputs[task]])[:, 0],
                seen[:, task],
            )
            for task, kind in enumerate(kinds)
        ]
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else np.nan

    def summary(self) -> str:
        """Describe the network: its parts, their outputs and numbers of parameters.

        Returns
        -------
        str
            A table to print. In shapes, "rows" stands for the rows of a batch.
        """
        check_is_fitted(self)
        return summary_text(self)

    def _sk_visual_block_(self) -> VisualBlock:
        return visual_block(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = tags.target_tags.single_output = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        if all_have_classes(self.task_kinds):
            given = self.task_kinds
            named = given in ("ordinal", "multiclass")
            several = given.many_classes if isinstance(given, TaskKind) else named
            tags.classifier_tags.multi_class = several
            tags.classifier_tags.multi_label = True
            return tags
        # Cross-validation must not look for classes in numbers, and scorers must judge
        # the values of `predict`.
        tags.estimator_type = "regressor"
        tags.classifier_tags, tags.regressor_tags = None, RegressorTags()
        return tags

    def __sklearn_clone__(self) -> Self:
        # scikit-learn also clones estimators in a mapping, so fitted embedders would
        # lose their fit.
        twin: Self = super().__sklearn_clone__()
        twin.embeddings = copy.copy(self.embeddings)
        return twin

    def _snapshot(self, fitted: dict[str, object]) -> Self:
        """Return a ranker as if training had ended here, for scorers within `fit`."""
        ranker = copy.copy(self)
        ranker.__dict__.update(fitted)
        return ranker
