"""Hyperparameters, declared once: name, type, default, allowed values and text."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, ClassVar, TypeAlias, dataclass_transform

import numpy as np
import numpy.typing as npt
from skorch.callbacks import Callback
from torch import nn
from torch.optim import Optimizer

from skmtl._sklearn import (
    ABOVE_ZERO,
    COUNT,
    NOT_NEGATIVE,
    HasMethods,
    Interval,
    StrOptions,
)
from skmtl._typing import CategoricalFeatures, ColumnName, Splitter
from skmtl.encoding import TableEncoder
from skmtl.tasks import TaskKind, TaskKindsLike
from skmtl.tasks.arguments import NAMED
from skmtl.training.names import unexpected

# Callbacks of skorch, with or without a name.
Callbacks: TypeAlias = list[Callback | tuple[str, Callback] | None]

# One value for all tasks, one for each in order, or one for each by name.
PerTask: TypeAlias = (
    float
    | str
    | Sequence[float | str]
    | Mapping[str, float | str]
    | npt.NDArray[np.float64]
    | None
)
ENCODER = TableEncoder._parameter_constraints


@dataclass(frozen=True)
class Parameter:
    """Default and allowed values of a hyperparameter."""

    default: object
    allowed: Sequence[object]
    may_change: bool = False


def parameter(
    *, default: object, allowed: Sequence[object], may_change: bool = False
) -> Any:
    """Declare a hyperparameter in the body of a subclass of `Parameters`.

    Parameters
    ----------
    default : object
        The default.
    allowed : list
        What scikit-learn's ``_parameter_constraints`` hold for it.
    may_change : bool, default=False
        Whether a fit that continues another one reads it. The values of all other
        hyperparameters must then be those of the first fit.

    Returns
    -------
    Parameter
        Typed as `Any`, so that the annotation of the field is the type that editors
        and type checkers see, in the class and in its constructor.
    """
    return Parameter(default, allowed, may_change)


@dataclass_transform(kw_only_default=True, field_specifiers=(parameter,))
class Parameters:
    """Base of estimators that declare hyperparameters as fields of the class.

    A subclass gets a constructor that takes its own fields and those of its bases by
    keyword, and only assigns them, as scikit-learn requires. The signature lists all of
    them. A subclass may give an inherited field another default. A subclass that writes
    its own constructor with ``**shared`` for the rest keeps it; the signature then
    lists the rest too.

    In the docstring of a subclass, ``{shared_parameters}`` and ``{shared_attributes}``
    stand for the sections of `SharedParameters`.
    """

    _parameters: ClassVar[dict[str, Parameter]] = {}
    # Hyperparameters with nested ones, such as ``optimizer__betas``.
    _nested: ClassVar[tuple[str, ...]] = ()
    _parameter_constraints: ClassVar[dict[str, Sequence[object]]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        own = _declared(cls)
        inherited = cls._parameters
        # The parameters of a class come first in its signature, as in its docstring.
        cls._parameters = own | {k: v for k, v in inherited.items() if k not in own}
        if "_parameter_constraints" not in vars(cls):
            allowed = {name: one.allowed for name, one in own.items()}
            cls._parameter_constraints = cls._parameter_constraints | allowed
        if "__init__" in vars(cls):
            _list_the_rest(cls, inherited)
        elif own:
            cls.__init__ = _constructor(cls._parameters)  # type: ignore[method-assign]
        cls.__doc__ = _with_shared_sections(cls.__doc__)


def _declared(cls: type[Parameters]) -> dict[str, Parameter]:
    """Fields of the class itself; they leave no class attributes."""
    own = {}
    for name in inspect.get_annotations(cls):
        value = vars(cls).get(name)
        if isinstance(value, Parameter):
            own[name] = value
        # An inherited field with another default, such as ``n_task_experts: int = 1``.
        elif name in cls._parameters and name in vars(cls):
            own[name] = replace(cls._parameters[name], default=value)
        else:
            continue
        delattr(cls, name)
    return own


def _constructor(parameters: dict[str, Parameter]) -> Callable[..., None]:
    def __init__(self: Parameters, **params: object) -> None:  # noqa: N807
        nested = {name: params.pop(name) for name in [*params] if _nests(self, name)}
        for name in params:
            if name not in parameters:
                raise TypeError(unexpected(type(self).__name__, name, parameters))
        if nested:
            vars(self)["_of_parts"] = nested
        for name, one in parameters.items():
            setattr(self, name, params.get(name, one.default))

    # scikit-learn finds hyperparameters in the signature, and help() shows it.
    __init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *_keywords(parameters),
        ]
    )
    return __init__


def _nests(owner: Parameters, name: str) -> bool:
    """Whether a name such as ``optimizer__betas`` is one of a hyperparameter's own."""
    part, _, own = name.partition("__")
    return bool(own) and part in type(owner)._nested


def _list_the_rest(cls: type[Parameters], inherited: dict[str, Parameter]) -> None:
    """Put what a hand-written constructor takes as ``**shared`` into its signature."""
    init: Callable[..., None] = vars(cls)["__init__"]
    signature = inspect.signature(init)
    named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    if len(named) < len(signature.parameters):
        known = {p.name for p in named}
        named += _keywords({k: v for k, v in inherited.items() if k not in known})
        vars(init)["__signature__"] = signature.replace(parameters=named)


def _keywords(parameters: Mapping[str, Parameter]) -> list[inspect.Parameter]:
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(name, kind, default=one.default)
        for name, one in parameters.items()
    ]


def _with_shared_sections(doc: str | None) -> str | None:
    if doc is None or "{shared_" not in doc:
        return doc
    doc = inspect.cleandoc(doc)
    return doc.replace("{shared_parameters}", _section("Parameters")).replace(
        "{shared_attributes}", _section("Attributes")
    )


def _section(title: str) -> str:
    """A section of the docstring of `SharedParameters`, without its title."""
    text = inspect.cleandoc(SharedParameters.__doc__ or "")
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\w+\n---|\Z)", text, re.S | re.M)
    assert found is not None
    return found.group(1).strip()


class SharedParameters(Parameters):
    """Hyperparameters and fitted attributes of all rankers.

    Parameters
    ----------
    tower_units : sequence of int, default=(64,)
        Widths of the hidden layers of each tower.
    embedding_dim : int, "auto" or mapping, default=16
        Width of an id's embedding. "auto" is about six times the fourth root of the
        column's number of ids, rounded to a power of two: 8 for ten ids, 32 for a
        thousand, 64 from 3,300 on. A mapping goes from names of id columns to widths or
        "auto"; columns that it does not name get 16.
    embeddings : mapping or None, default=None
        Pretrained embeddings: from names of id columns to tables of vectors, a
        DataFrame with the ids as index, a pair ``(ids, matrix)``, gensim's
        ``KeyedVectors`` or a fitted embedder of ``skmtl.embedders``. Training starts
        from the vectors; `PretrainedEmbedding` around a table freezes them, or sets
        their learning rate and scale. Ids with a vector get a row of their own even if
        they have too few training rows, or none. Vectors of another width are mapped to
        `embedding_dim` by a learned linear map.
    pooling : {"mean", "sum", "max", "attention", "din", "transformer"}, tuple or \
mapping, default="mean"
        How to combine the embeddings of the ids in a list. "attention" sums them, each
        weighted by its cosine similarity to the embedding of the row's target, so that
        the entries of a history that resemble it count most. With "din", as in the Deep
        Interest Network, a small network learns the weights. "transformer" is that of
        BST for lists whose order counts; it reads the last `max_length` entries, or 64.
        The target is the column of single ids that shares the list's embeddings, see
        `share_embedding`, or the one in a tuple such as ``("din", "item_id")``; a
        transformer also works without. A mapping goes from names of columns of lists to
        one of these; columns that it does not name get "mean". An empty list gives 0.
    crosses : {"dcn", "fm"}, class, callable, torch.nn.Module or None, default=None
        What multiplies columns with each other before the layers that tasks share.
        "dcn" is the cross network of DCN-v2, with the parameters
        ``crosses__n_layers=2`` and ``crosses__rank=32``. "fm" adds an inner product for
        each pair of columns, as in a factorization machine, to the input;
        ``crosses__between`` names some of the columns, and ``crosses__dim`` is the
        length of their vectors. Or a class or function that makes your own
        ``skmtl.modules.Cross``, or a plain module that maps ``(batch, width)`` to
        ``(batch, units)``. It is called with the parameters ``crosses__*`` and, as far
        as its signature names them, with the keywords ``width`` and ``columns`` of the
        input, and ``dropout``. Rankers with embeddings for each task have as many
        crosses. With None, ``crosses__*`` have no effect.
    bin_dim : int, default=8
        Width of the embedding of a number's bin.
    dropout : float, default=0.0
        Share of the outputs of every hidden layer that is dropped during training.
    task_kinds : str, task kind, mapping or None, default=None
        Kind of the labels: "binary", "regression", "ordinal" or "multiclass", or an
        object such as ``RegressionTask("tweedie")`` or ``BinaryTask("pairwise")``. A
        mapping goes from task names to kinds; tasks that it does not name are binary.
        None means that all tasks are binary. Nothing is inferred from the labels.
    label_weight : float, str, array-like, mapping or None, default=None
        Multiplier of the positive term of each task's cross-entropy, above 0.
        "balanced" gives positives the same total weight as negatives; a ratio such as
        "1:2" gives them half of it. Both use the observed labels and sample weights of
        the task, and never lower the weight of a task that is above the ratio. A
        mapping goes from task names to numbers or ratios. Predicted probabilities are
        those of the table, whatever the label weight. If some tasks are not binary, it
        must be a mapping that names binary ones only.
    loss_weight : float, str, array-like, mapping, strategy or None, default="auto"
        Multiplier of each task's loss in the sum, at least 0. None is 1. "auto" is one
        over the fourth root of the entropy of a task's labels, so that rare tasks count
        more, scaled so that the sum of the losses of constant predictions stays the
        same; it is 1 if some tasks are not binary, and in `SingleTask`.
        "inverse_ratio" is the number of negatives per positive of each task, scaled to
        mean 1. Or a strategy that changes the weights during training: its name, an
        instance of a class in ``skmtl.weighting``, or an instance of TorchJD's
        weightings, aggregators and scalarizers.
    max_iter : int, default=5
        Largest number of epochs; see `early_stopping`.
    batch_size : int or "auto", default="auto"
        Rows of a batch. "auto" gives about 200 batches per epoch, of 32 to 1024 rows.
        On the CPU, batches of more than 4096 rows hardly take more memory.
    learning_rate : float, default=5e-3
        Step size at the start.
    learning_rate_schedule : str or callable, default="constant"
        How the learning rate changes during training: "constant", "linear" or "cosine".
        A callable takes the progress in [0, 1] and returns a factor.
    average_weights : bool, default=True
        Whether to use the average of the weights over all steps so far, instead of the
        last ones, in the fitted network and when each epoch is validated. With a
        constant learning rate, this is better than the last weights of any schedule,
        and the number of epochs matters less. It needs memory for a copy of the
        weights.
    weight_decay : float, default=0.0
        Decoupled weight decay. Rows of the embedding table decay when a batch touches
        them; with embedding_optimizer="adam", at every step.
    optimizer : {"adam", "sgd"} or class, default="adam"
        Optimiser of everything but the embedding tables. "sgd" has momentum 0.9; its
        weight decay is part of the gradient, so the momentum multiplies it by ten. Or a
        class of ``torch.optim``, which is called with groups of parameters, ``lr`` and,
        if it is not 0, ``weight_decay``. Pass parameters of the optimiser, such as
        ``optimizer__betas=(0.9, 0.99)``, to the constructor or to `set_params`.
    embedding_optimizer : {"lazy_adam", "adagrad", "adam"}, default="lazy_adam"
        Optimiser of the embedding tables. "lazy_adam" and "adagrad" only update the
        rows that a batch touches. "adagrad" keeps one number for each row, while Adam
        keeps two for each number in it, and needs a larger `learning_rate`. "adam"
        updates all rows at every step, which is exact but slow.
    early_stopping : bool or "auto", default="auto"
        Whether to set rows aside, or use `X_val`, and stop when the score on them no
        longer improves. "auto" does so with more than 10,000 rows, or if `X_val` or
        `validation_split` is given. With `X_val` the best weights are always restored.
    validation_fraction : float or "auto", default="auto"
        Share of the rows to set aside if no `X_val` is given. Every task keeps its
        share of positives. "auto" is a twentieth, but at least 1,000 rows (at most a
        tenth of all) and at most 10,000.
    validation_split : splitter, list or None, default=None
        How to choose the rows to set aside, instead of at random: a splitter of
        scikit-learn, such as ``TimeSeriesSplit()`` for rows ordered by time or
        ``GroupShuffleSplit()``, which uses the `groups` of `fit`, or a list of pairs of
        indices of training and validation rows. The last pair is used.
    scoring : str, callable or None, default=None
        What early stopping monitors: ``None`` for the training loss without dropout;
        the name of a scorer of :func:`skmtl.metrics.get_task_scorer`, such as
        ``"auc:order"`` or ``"min_auc"``, or of scikit-learn, which takes precedence if
        both have the name; or a callable ``scorer(estimator, X, y)``. It gets the
        validation rows as they were passed to `fit`, and their labels. Greater is
        better.
    n_iter_no_change : int, default=2
        Number of epochs without improvement after which to stop.
    tol : float, default=0.0
        Smallest improvement that counts.
    bias_features : array-like or None, default=None
        Columns that are known in training but not when ranking, such as the position at
        which an item was shown: names, indices or a boolean mask, for columns of single
        ids or numbers. They cannot change in a warm start or `partial_fit`.
        In training, a shallow tower adds their effect to the logits, or other outputs,
        of every task. Predictions leave it out, and the columns may be missing there.
        The mean prediction for the training rows is still the observed rate:
        predictions are for the mix of positions of the training rows.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns hold ids: by dtype (``category``, strings, objects, lists), by
        name, by index or by a boolean mask. Integer ids must be named, or cast to
        ``category``.
    min_frequency : int, default=2
        Ids found fewer times share the column's row for unknown ids.
    max_categories : int or None, default=None
        Only this many ids of a column, the most frequent ones, get a row of their own.
        None for no limit.
    share_embedding : mapping or None, default=None
        From the name of an id column, or column of lists of ids, to that of another
        whose embeddings it shares, such as ``{"history": "item_id"}``.
    max_length : int or None, default=None
        Number of entries of a list to keep, the last ones. None for all.
    unknown_rate : float, default=10.0
        How often known ids are replaced by the unknown one in training, so that new ids
        get a sensible score, and no id is memorised. An id seen on n rows is replaced
        by its column's row for unknown ids with the probability
        ``unknown_rate / (unknown_rate + n)``. 0 for never.
    unknown_share : float, default=0.05
        Smallest probability of such a replacement, for any number of rows. Without it
        the unknown row would be trained by rare ids almost alone, while new users and
        items are often as active as any others.
    new_id_share : float, default=0.005
        Share of later rows whose id is new and may be as frequent as any other, and not
        one of the rare ids of which training has seen some. If rare ids have a share
        ``r`` of the rows of a column, ids are replaced with the same probability in
        ``new_id_share / (new_id_share + r)`` of the replacements, and by the rule above
        in the others. With 0 that rule is always used.
    fallback : mapping of column to column or None, default=None
        What replaces unknown ids, such as ``{"item_id": "category_id"}`` for a row of
        their category. See :class:`~skmtl.TableEncoder`.
    n_buckets : mapping of column to int or None, default=None
        Id columns to hash instead of giving them a vocabulary, and their numbers of
        rows.
    n_hashes : int, default=1
        Number of hash functions of these columns; with several, an id's embedding is
        the sum of this many rows.
    n_bins : int, default=128
        Approximate number of bins for each numeric column; 0 for none.
    interpolate_bins : bool, default=True
        Whether the embedding of a number is interpolated linearly between that of its
        bin and that of the next one, by where the number lies between the edges. False
        gives all numbers in a bin the same embedding. Bins of a single value always
        have one.
    bin_start : float, default=0.1
        Initial standard deviation of the embeddings of bins, times the square root of
        `bin_dim`. If it is small, bins that are seldom seen matter little compared to
        the scaled number; with 1 the input starts as wide as that of other layers.
    bin_learning_rate_factor : float, default=0.3
        Multiplier of the learning rate of the embeddings of bins. With a smaller rate
        than the layers, they follow patterns of many rows rather than of a few.
    bin_flags : bool, default=False
        Whether numeric columns with at most two distinct values, and no missing cell,
        get bins too.
    warm_start : bool, default=False
        Whether `fit` continues from the last fit, with the same columns, ids, tasks and
        network. `learning_rate` and its schedule, `weight_decay`, `batch_size`, label
        weights and fixed loss weights may be changed between fits, and so may all that
        only concerns the course of a fit, such as `max_iter`. If another hyperparameter
        was changed, such as a width or `n_bins`, `fit` raises an error that names it.
    device : str, default="cpu"
        Device for training and prediction, such as "cuda". Tables that would fill more
        than half of its free memory stay in main memory, and batches are sent.
    n_threads : int, "auto" or None, default="auto"
        Number of threads for training and prediction; it does not change results.
        "auto" measures whether several threads make a step shorter, and otherwise uses
        one: for few rows, for small networks and on busy machines. None uses the number
        that torch is set to.
    n_microbatches : int or None, default=None
        Number of equal parts in which each batch is computed. Their gradients are
        summed in a fixed order, so that this many processes, each with one part, give
        bit-identical predictions. With several threads, parts may be computed at the
        same time, which does not change results: try 2 to 4 for batches of 8192 rows or
        more. None computes a batch at once, or in one part for each process.
    precision : {"float32", "bf16"}, default="float32"
        Type of the numbers in the layers that tasks share, which do most of the
        arithmetic. "bf16" has three significant digits, and is faster on processors
        with instructions for it.
    compile : bool, default=False
        Whether to compile the layers that tasks share with ``torch.compile``. This
        takes up to a minute, and pays off on GPUs.
    callbacks : list of skorch callbacks or None, default=None
        Passed to the skorch net. With a skorch ``LRScheduler`` among them,
        `learning_rate_schedule` is not used.
    record_gradients : bool, default=False
        Whether `history_` also holds the norms of the tasks' gradients at the
        representation and the cosines between them.
    random_state : int, RandomState instance or None, default=None
        Seed of weights, order of rows, dropout and validation part. The same integer on
        the same machine gives bit-identical predictions.
    scratch_dir : str, path-like or None, default=None
        Folder for the encoded rows of a table that is read block by block: four bytes
        for each id, label, bin and number, deleted at the end. None for the system's
        folder of temporary files, which may be in memory.
    verbose : int, default=0
        1 prints a line per epoch: loss and score of every task, on the validation part
        if there is one, speed and time left.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), list of ndarray, or None
        Labels; for several tasks ``[0, 1]`` for each binary one. None for a regression.
    task_names_ : ndarray of shape (n_tasks,), dtype object
        Columns of `y`, or ``"0"``, ``"1"``, …
    n_features_in_ : int
        Columns of `X`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where all are strings.
    encoder_ : TableEncoder
        Vocabularies, scales and bins.
    net_ : skorch.NeuralNet
        The trained net, with ``history``.
    n_iter_ : int
        Epochs trained, over all warm starts.
    n_parameters_ : int
        Number of parameters of the network, including embedding tables.
    label_weight_ : ndarray of shape (n_tasks,)
        Label weights in force.
    loss_weight_ : ndarray of shape (n_tasks,)
        Loss weights in force at the end of training.
    embedding_coverage_ : DataFrame
        A row for each column of `embeddings`: ``ids``, the share of the ids on at least
        `min_frequency` training rows that have a vector; ``rows``, the share of the
        training rows whose id has one; and ``unseen``, the number of ids with a vector
        but no training row.
    n_validation_rows_ : int
        Rows that were set aside for early stopping, or those of `X_val`; 0 without.
    best_iter_ : int
        Epoch whose weights were kept, counted as in `history_`: the best one if there
        were validation rows, else the last. To fit on all rows, set ``max_iter`` to it
        and ``early_stopping=False``.
    history_ : DataFrame
        One row for each epoch and task: ``epoch``, ``task``, ``train_loss``,
        ``valid_loss`` (NaN without validation, or without a label of the task in it)
        and ``loss_weight``, the mean over the epoch. With `record_gradients` also
        ``gradient_norm``, the root mean square over the epoch's steps, and
        ``cosine_<task>``, the cosine of the task's gradient with that of the other,
        over all steps of the epoch.
    task_kinds_ : list of TaskKind
        The kind of each task, with the classes or the scale of its labels.
    intercept_ : ndarray of shape (n_outputs,)
        Added to the net's outputs so that the mean prediction on the training rows is
        the observed rate or mean. Binary tasks and regressions have one output, ordinal
        tasks one for each class but the last, multiclass tasks one for each class.
    prior_ : ndarray of shape (n_outputs,)
        Rate of positives among observed labels, mean of a regression, rates of labels
        above each class of an ordinal task, or of each class; NaN where none was
        observed.
    """

    _nested: ClassVar[tuple[str, ...]] = ("crosses", "optimizer")

    tower_units: Sequence[int] = parameter(default=(64,), allowed=["array-like"])
    embedding_dim: int | str | Mapping[ColumnName, int | str] = parameter(
        default=16,
        allowed=[
            COUNT,
            StrOptions({"auto"}),
            dict,
        ],
    )
    embeddings: Mapping[ColumnName, object] | None = parameter(
        default=None, allowed=[dict, None]
    )
    pooling: str | tuple[str, str] | Mapping[ColumnName, str | tuple[str, str]] = (
        parameter(
            default="mean",
            allowed=[str, tuple, dict],
        )
    )
    crosses: str | Callable[..., nn.Module] | nn.Module | None = parameter(
        default=None,
        allowed=[StrOptions({"dcn", "fm"}), callable, None],
    )
    bin_dim: int = parameter(
        default=8,
        allowed=[COUNT],
    )
    dropout: float = parameter(
        default=0.0,
        allowed=[Interval(Real, 0, 1, closed="left")],
    )
    task_kinds: TaskKindsLike = parameter(
        default=None,
        allowed=[StrOptions(set(NAMED)), TaskKind, dict, None],
        may_change=True,
    )
    label_weight: PerTask = parameter(
        default=None,
        allowed=[Real, str, "array-like", dict, None],
        may_change=True,
    )
    loss_weight: PerTask | nn.Module = parameter(
        default="auto",
        allowed=[Real, str, nn.Module, "array-like", dict, None],
        may_change=True,
    )
    max_iter: int = parameter(
        default=5,
        allowed=[COUNT],
        may_change=True,
    )
    batch_size: int | str = parameter(
        default="auto",
        allowed=[COUNT, StrOptions({"auto"})],
        may_change=True,
    )
    learning_rate: float = parameter(
        default=0.005,
        allowed=[ABOVE_ZERO],
        may_change=True,
    )
    learning_rate_schedule: str | Callable[[float], float] = parameter(
        default="constant",
        allowed=[StrOptions({"constant", "linear", "cosine"}), callable],
        may_change=True,
    )
    average_weights: bool = parameter(
        default=True, allowed=["boolean"], may_change=True
    )
    weight_decay: float = parameter(
        default=0.0,
        allowed=[NOT_NEGATIVE],
        may_change=True,
    )
    optimizer: str | Callable[..., Optimizer] = parameter(
        default="adam",
        allowed=[StrOptions({"adam", "sgd"}), callable],
    )
    embedding_optimizer: str = parameter(
        default="lazy_adam",
        allowed=[StrOptions({"lazy_adam", "adam", "adagrad"})],
    )
    early_stopping: bool | str = parameter(
        default="auto",
        allowed=["boolean", StrOptions({"auto"})],
        may_change=True,
    )
    validation_fraction: float | str = parameter(
        default="auto",
        allowed=[Interval(Real, 0, 1, closed="neither"), StrOptions({"auto"})],
        may_change=True,
    )
    validation_split: Splitter | list[Sequence[npt.ArrayLike]] | None = parameter(
        default=None,
        allowed=[HasMethods("split"), list, None],
        may_change=True,
    )
    scoring: str | Callable[..., float] | None = parameter(
        default=None,
        allowed=[str, callable, None],
        may_change=True,
    )
    n_iter_no_change: int = parameter(
        default=2,
        allowed=[COUNT],
        may_change=True,
    )
    tol: float = parameter(
        default=0.0,
        allowed=[NOT_NEGATIVE],
        may_change=True,
    )
    bias_features: str | Sequence[ColumnName] | None = parameter(
        default=None,
        allowed=ENCODER["optional_features"],
        # Checked by the columns that it stands for: names, places or a mask.
        may_change=True,
    )
    categorical_features: CategoricalFeatures = parameter(
        default="from_dtype",
        allowed=ENCODER["categorical_features"],
    )
    min_frequency: int = parameter(default=2, allowed=ENCODER["min_frequency"])
    max_categories: int | None = parameter(
        default=None,
        allowed=ENCODER["max_categories"],
    )
    share_embedding: Mapping[ColumnName, object] | None = parameter(
        default=None,
        allowed=ENCODER["share_embedding"],
    )
    max_length: int | None = parameter(default=None, allowed=ENCODER["max_length"])
    unknown_rate: float = parameter(
        default=10.0,
        allowed=[NOT_NEGATIVE],
        may_change=True,
    )
    unknown_share: float = parameter(
        default=0.05,
        allowed=[Interval(Real, 0, 1, closed="left")],
        may_change=True,
    )
    new_id_share: float = parameter(
        default=0.005,
        allowed=[Interval(Real, 0, 1, closed="left")],
        may_change=True,
    )
    fallback: Mapping[ColumnName, object] | None = parameter(
        default=None,
        allowed=ENCODER["fallback"],
    )
    n_buckets: Mapping[ColumnName, int] | None = parameter(
        default=None,
        allowed=ENCODER["n_buckets"],
    )
    n_hashes: int = parameter(default=1, allowed=ENCODER["n_hashes"])
    n_bins: int = parameter(default=128, allowed=ENCODER["n_bins"])
    interpolate_bins: bool = parameter(default=True, allowed=["boolean"])
    bin_start: float = parameter(
        default=0.1,
        allowed=[ABOVE_ZERO],
    )
    bin_learning_rate_factor: float = parameter(
        default=0.3,
        allowed=[ABOVE_ZERO],
    )
    bin_flags: bool = parameter(default=False, allowed=ENCODER["bin_flags"])
    warm_start: bool = parameter(default=False, allowed=["boolean"], may_change=True)
    device: str = parameter(default="cpu", allowed=[str], may_change=True)
    n_threads: int | str | None = parameter(
        default="auto",
        allowed=[
            # More than any machine has. If OpenMP cannot start the threads, it ends the
            # process.
            Interval(Integral, 1, 1024, closed="both"),
            StrOptions({"auto"}),
            None,
        ],
        may_change=True,
    )
    n_microbatches: int | None = parameter(
        default=None, allowed=[COUNT, None], may_change=True
    )
    precision: str = parameter(
        default="float32",
        allowed=[StrOptions({"float32", "bf16"})],
    )
    compile: bool = parameter(default=False, allowed=["boolean"])
    callbacks: Callbacks | None = parameter(
        default=None, allowed=[list, None], may_change=True
    )
    record_gradients: bool = parameter(
        default=False, allowed=["boolean"], may_change=True
    )
    random_state: int | np.random.RandomState | None = parameter(
        default=None,
        allowed=["random_state"],
        may_change=True,
    )
    scratch_dir: str | os.PathLike[str] | None = parameter(
        default=None,
        allowed=[str, os.PathLike, None],
        may_change=True,
    )
    verbose: int = parameter(default=0, allowed=["verbose"], may_change=True)
