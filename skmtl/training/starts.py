"""Where a fit starts: from nothing, from the last fit, or from all earlier tables."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator

from skmtl._typing import ClassesLike, TableLike
from skmtl.encoding import EncodedTable, TableEncoder
from skmtl.encoding._table import Growth
from skmtl.encoding.blocks import WeightedBlock
from skmtl.modules import Pretrained
from skmtl.modules.draws import own_generators
from skmtl.tasks import Targets, TaskKind
from skmtl.training.computing import seeded, without_index
from skmtl.training.criterion import check_same_strategy
from skmtl.training.fingerprint import as_text_or_class, difference
from skmtl.training.intercept import Floats, fit_intercept, means_after
from skmtl.training.loop import TrainingRows
from skmtl.training.names import check_bias_features
from skmtl.training.net import MultiTaskNet
from skmtl.training.optimizers import replace_parameter
from skmtl.training.ranker import PretrainedRows, TrainableRanker
from skmtl.weighting import LossWeighting


@dataclass(frozen=True)
class TrainingInput:
    """The checked arguments of one fit."""

    X: TableLike
    targets: Targets
    weight: Floats  # (n_samples, n_tasks), 0 where not observed
    pretrained: PretrainedRows
    seed: int

    @property
    def names(self) -> list[str]:
        """Names of the tasks."""
        return [str(name) for name in self.targets.names]

    @property
    def row_weight(self) -> Floats | None:
        """Mean weight of each row's labels; None if all are 1."""
        return None if (self.weight == 1).all() else self.weight.mean(axis=1)


# Packages whose code draws nothing, or only from the generators of the fit.
_KNOWN = frozenset({"builtins", "numpy", "pandas", "skmtl", "skorch", "sklearn"})


def random_numbers(
    seed: int, ranker: TrainableRanker, weighting: LossWeighting
) -> AbstractContextManager[None]:
    """Seed the generators of a fit.

    Parameters
    ----------
    seed : int
        The seed.
    ranker, weighting
        The ranker and its loss weighting.

    Returns
    -------
    context manager
        Generators of the fit's own, or torch's global ones where code may draw that
        does not know of others: parts, strategies and callbacks that are not of skmtl.
        Such fits wait for each other.
    """
    # Hyperparameters, those of parts included; what a fit has set ends in "_".
    own = {name: value for name, value in vars(ranker).items() if name[-1] != "_"}
    given = [ranker, *_values(own), *weighting.modules()]
    # Generators of the fit's own only reach code that asks for them.
    if ranker.compile or weighting.draws_globally or not all(map(_is_known, given)):
        return seeded(seed, ranker.device)
    return own_generators(seed, ranker.device)


def _values(given: object) -> Iterator[object]:
    if isinstance(given, Mapping):
        given = list(given.values())
    if not isinstance(given, list | tuple):
        yield given
        return
    for one in given:
        yield from _values(one)


def _is_known(one: object) -> bool:
    """Whether an object, or a given class or function, is from a known package."""
    home: str | None = getattr(one, "__module__", None)
    return (home or type(one).__module__).partition(".")[0] in _KNOWN


@dataclass(frozen=True)
class EncodedInput:
    """An encoder of the input, and the attributes that come with it."""

    encoder: TableEncoder
    attributes: dict[str, object] = field(default_factory=dict)
    growth: Growth | None = None


@dataclass(frozen=True)
class TaskWeights:
    """Label weights, and a loss weighting that is ready to train."""

    label: Floats
    loss: LossWeighting


class NoPretrainedRows:
    """The interface of pretrained vectors, for a fit without any."""

    def description(self) -> None:
        return None

    def add_to(self, encoder: TableEncoder) -> None:
        pass

    def for_network(self, dims: Sequence[int]) -> Mapping[int, Pretrained]:
        return {}

    def coverage(
        self, encoder: TableEncoder, tables: Iterable[EncodedTable]
    ) -> pd.DataFrame:
        return pd.DataFrame([], index=[], columns=["ids", "rows", "unseen"])


class Start:
    """A fit that starts from nothing: vocabulary, network and level are its own.

    Parameters
    ----------
    ranker : TrainableRanker
        The ranker, which stays as it is.
    """

    # Whether there is a fit to continue.
    continues: ClassVar[bool] = False

    def __init__(self, ranker: TrainableRanker) -> None:
        self.ranker = ranker

    @property
    def known(self) -> TableEncoder | None:
        """The encoder from which training continues."""
        return None

    def check_bias_features(self, **tables: TableLike | None) -> None:
        """Refuse tables in memory, by argument, that lack the `bias_features`."""
        features, known = self.ranker.bias_features, self.known
        if features is not None or (known is not None and known.optional_names_):
            check_bias_features(features, known, **tables)

    def classes(self, announced: ClassesLike) -> ClassesLike:
        """Labels that a single task may have; None if only the table says so."""
        return announced

    def kinds(self, given: list[TaskKind], names: list[str]) -> list[TaskKind]:
        """The kinds of the tasks, with what was learnt from earlier tables."""
        return given

    def check(self, targets: Targets, weighting: LossWeighting) -> None:
        """Refuse labels that do not fit the ranker's earlier tables."""

    def seed(self, seed: int) -> int:
        """Seed of the order of rows, and of the network."""
        return seed

    def encode(self, data: TrainingInput) -> tuple[EncodedInput, EncodedTable]:
        """Find an encoder for the table, and encode it."""
        encoder = self._new_encoder()
        table = encoder.fit_encode(data.X, sample_weight=data.row_weight)
        layout = encoder.layout_
        data.pretrained.add_to(encoder)
        if encoder.layout_ is not layout:  # ids with a vector got rows
            table = encoder.encode(data.X)
        attributes = self.attributes(encoder, [table], data.pretrained)
        return EncodedInput(encoder, attributes), table

    def learn_blocks(self, blocks: Iterable[WeightedBlock]) -> TableEncoder:
        """Find an encoder for rows that come block by block, and read all of them."""
        encoder = self._new_encoder()
        encoder.learn_blocks(blocks)
        return encoder

    def add_pretrained(self, pretrained: PretrainedRows, encoder: TableEncoder) -> None:
        """Give rows to ids with pretrained vectors, in a new encoder."""
        pretrained.add_to(encoder)

    def attributes(
        self,
        encoder: TableEncoder,
        tables: Iterable[EncodedTable],
        pretrained: PretrainedRows,
    ) -> dict[str, object]:
        """Attributes that come with a new encoder, from its tables, encoded."""
        return {
            "embedding_coverage_": pretrained.coverage(encoder, tables),
            "_fixed": fixed_settings(self.ranker, pretrained),
        }

    def _new_encoder(self) -> TableEncoder:
        ranker = self.ranker
        return TableEncoder(
            ranker.categorical_features,
            min_frequency=ranker.min_frequency,
            max_categories=ranker.max_categories,
            share_embedding=ranker.share_embedding,
            max_length=ranker.max_length,
            fallback=ranker.fallback,
            n_buckets=ranker.n_buckets,
            n_hashes=ranker.n_hashes,
            n_bins=ranker.n_bins,
            bin_flags=ranker.bin_flags,
            optional_features=ranker.bias_features,
        )

    def masses(self, own: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        """Weight of each task's positives and observed labels, over all tables."""
        return own

    def net(
        self,
        data: TrainingInput,
        encoded: EncodedInput,
        weights: TaskWeights,
        prior: Floats,
        *,
        max_epochs: int,
        batch_size: int,
        n_rows: int,
    ) -> MultiTaskNet:
        """Make the net that trains."""
        ranker, kinds = self.ranker, data.targets.kinds
        with random_numbers(data.seed, ranker, weights.loss):
            module = ranker._make_net(
                encoded.encoder, data.names, kinds, data.pretrained
            )
            rates = kinds.first_rates(prior, n_rows)
            module.start_at(torch.from_numpy(rates).float())
            net = MultiTaskNet(
                module,
                criterion__weighting=weights.loss,
                criterion__losses=ranker._losses(kinds, weights.label.tolist()),
                lr=float(ranker.learning_rate),
                learning_rate_schedule=ranker.learning_rate_schedule,
                average_weights=ranker.average_weights,
                weight_decay=float(ranker.weight_decay),
                dense_optimizer=ranker._dense_optimizer(),
                embedding_optimizer=ranker.embedding_optimizer,
                record_gradients=ranker.record_gradients,
                n_threads=ranker.n_threads,
                max_epochs=max_epochs,
                batch_size=batch_size,
                train_split=None,  # until the fit sets its validation rows
                device=without_index(ranker.device),
                verbose=0,
            )
            initialized: MultiTaskNet = net.initialize()
            return initialized

    def intercept(
        self,
        data: TrainingInput,
        rows: TrainingRows,
        net: MultiTaskNet,
        fitted_on_rows: Callable[[], Floats],
    ) -> Floats:
        """Shift of the outputs; `fitted_on_rows` finds it on the training rows."""
        return fitted_on_rows()


class WarmStart(Start):
    """A fit that continues from the last one, with its vocabulary and network."""

    continues = True
    # Name of the method that continues, for errors.
    what: ClassVar[str] = "warm_start"

    def __init__(self, ranker: TrainableRanker) -> None:
        super().__init__(ranker)
        check_fixed(ranker, self.what)

    def kinds(self, given: list[TaskKind], names: list[str]) -> list[TaskKind]:
        self._check_tasks(names)
        # Not by `==`, which also compares what was learnt, such as classes and scales.
        before = list(self.ranker._kinds)
        changed = [
            f"{old!r}, found {new!r}"
            for old, new in zip(before, given, strict=True)
            if type(old) is not type(new) or old.params() != new.params()
        ]
        if changed:
            raise ValueError(
                f"{self.what} continues with the kind of task {changed[0]}. Fit again "
                "with warm_start=False."
            )
        return before

    def _check_tasks(self, names: list[str]) -> None:
        before = [str(name) for name in self.ranker.task_names_]
        if before != names:
            raise ValueError(
                f"{self.what} continues with the tasks {before}, but y has {names}."
            )

    def check(self, targets: Targets, weighting: LossWeighting) -> None:
        ranker = self.ranker
        self._check_tasks([str(name) for name in targets.names])
        check_same_strategy(ranker.net_.criterion_.weighting, weighting, self.what)
        one = not ranker._multioutput
        if one and not np.array_equal(ranker.classes_, np.asarray(targets.classes)):
            raise ValueError(
                f"{self.what} continues with the classes {ranker.classes_}, but y has "
                f"{targets.classes}."
            )

    def encode(self, data: TrainingInput) -> tuple[EncodedInput, EncodedTable]:
        encoder = self.ranker.encoder_
        return EncodedInput(encoder), encoder.encode(data.X)

    @property
    def known(self) -> TableEncoder:
        return self.ranker.encoder_

    def learn_blocks(self, blocks: Iterable[WeightedBlock]) -> TableEncoder:
        for _ in blocks:  # the iteration itself counts the rows
            pass
        return self.ranker.encoder_

    def add_pretrained(self, pretrained: PretrainedRows, encoder: TableEncoder) -> None:
        pass

    def attributes(
        self,
        encoder: TableEncoder,
        tables: Iterable[EncodedTable],
        pretrained: PretrainedRows,
    ) -> dict[str, object]:
        return {}

    def net(
        self,
        data: TrainingInput,
        encoded: EncodedInput,
        weights: TaskWeights,
        prior: Floats,
        *,
        max_epochs: int,
        batch_size: int,
        n_rows: int,
    ) -> MultiTaskNet:
        # A copy, so that a fit that fails leaves the fitted ranker as it was.
        net = copy.deepcopy(self.ranker.net_)
        label_weight = weights.label.tolist()
        net.criterion_.reweigh(weights.loss, data.targets.kinds, label_weight)
        retune(net, self.ranker)
        tuned: MultiTaskNet = net.set_params(
            max_epochs=max_epochs,
            record_gradients=self.ranker.record_gradients,
            n_threads=self.ranker.n_threads,
            batch_size=batch_size,
        )
        return tuned


class NextTable(WarmStart):
    """One more table: a vocabulary that grows, and a level over all tables."""

    what: ClassVar[str] = "partial_fit"

    def classes(self, announced: ClassesLike) -> ClassesLike:
        # A later table of a single task may hold only one of its two labels.
        return announced if self.ranker._multioutput else self.ranker.classes_

    def seed(self, seed: int) -> int:
        # Do not repeat the row order of the last call.
        sequence = np.random.SeedSequence([seed, self.ranker.n_iter_])
        return int(sequence.generate_state(1)[0])

    def encode(self, data: TrainingInput) -> tuple[EncodedInput, EncodedTable]:
        encoder, growth = self.ranker.encoder_.grown(data.X, data.row_weight)
        return EncodedInput(encoder, growth=growth), encoder.encode(data.X)

    def masses(self, own: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        before = self.ranker._masses
        return own[0] + before[0], own[1] + before[1]

    def net(
        self, data: TrainingInput, encoded: EncodedInput, *args: Any, **sizes: Any
    ) -> MultiTaskNet:
        net = super().net(data, encoded, *args, **sizes)
        assert encoded.growth is not None
        grow_net(net, encoded.encoder.vocabulary_sizes_, encoded.growth)
        return net

    def intercept(
        self,
        data: TrainingInput,
        rows: TrainingRows,
        net: MultiTaskNet,
        fitted_on_rows: Callable[[], Floats],
    ) -> Floats:
        # By the ranker as it was: training went on with a copy. What steps on these
        # rows did to the level does not show in it.
        ranker, w, kinds = self.ranker, data.weight, data.targets.kinds
        levels = ranker._levels(data.X)
        by_output = kinds.by_output(w)
        mass, total = by_output.sum(axis=0), (by_output * levels).sum(axis=0)
        expected = np.divide(total, mass, out=np.zeros_like(mass), where=mass > 0)
        known = ranker._masses
        means = means_after(expected, known, data.targets.labels, w, kinds)
        found = fit_intercept([rows.outputs(net)], means, kinds)
        # There is no solution without labels in this table: the intercept stays.
        constant = kinds.by_output(kinds.is_constant(means))
        return np.where(constant, ranker.intercept_, found)


def fixed_settings(
    ranker: TrainableRanker, pretrained: PretrainedRows
) -> dict[str, tuple[str, str]]:
    """Hyperparameters that only a fit from nothing reads.

    Parameters
    ----------
    ranker : TrainableRanker
        The ranker.
    pretrained : PretrainedRows
        Its vectors.

    Returns
    -------
    dict of str to pair of str
        Values as text; equal numbers and equal sequences have the same. And the
        versions in which this text can be compared, or "" for plain values, which have
        the same text in all.
    """
    may_change = {name for name, one in ranker._parameters.items() if one.may_change}
    given: dict[str, object] = cast(BaseEstimator, ranker).get_params(deep=False)
    given["embeddings"] = pretrained.description()
    if ranker.crosses is None:
        given = {k: v for k, v in given.items() if not k.startswith("crosses__")}
    return {
        name: _described(value)
        for name, value in given.items()
        # A parameter of a part that is None was not given.
        if name not in may_change and not (value is None and "__" in name)
    }


def _described(value: object) -> tuple[str, str]:
    plain = plain_text(value)
    if plain is not None:
        return plain, ""
    versions = f"{sys.version_info[:2]} {torch.__version__} {pd.__version__}"
    return as_text_or_class(value), versions


def plain_text(value: object) -> str | None:
    """A value of numbers, strings and None as text; None for any other.

    Equal numbers and equal sequences have the same text, whatever their types.
    """
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufUO":
        value = value.tolist()
    if isinstance(value, pd.Index | pd.Series | range):
        value = list(value)
    if isinstance(value, Mapping):
        keys = [k.item() if isinstance(k, np.generic) else k for k in value]
        plain = all(isinstance(k, str | int) for k in keys)
        pairs = zip(map(repr, keys), map(plain_text, value.values()), strict=True)
        texts = [None if v is None else f"{k}: {v}" for k, v in sorted(pairs)]
        return _joined("{}", texts) if plain else None
    if isinstance(value, list | tuple):
        return _joined("[]", [plain_text(one) for one in value])
    if isinstance(value, float | np.longdouble) and float(value).is_integer():
        value = int(value)
    if isinstance(value, np.longdouble):
        value = float(value)
    return repr(value) if isinstance(value, str | int | float | None) else None


def _joined(brackets: str, texts: Sequence[str | None]) -> str | None:
    found = [one for one in texts if one is not None]
    within = ", ".join(found)
    return brackets[0] + within + brackets[1] if len(found) == len(texts) else None


def check_fixed(ranker: TrainableRanker, what: str) -> None:
    """Refuse hyperparameters that a fit which continues would silently ignore.

    Parameters
    ----------
    ranker : TrainableRanker
        The fitted ranker.
    what : str
        The method that continues, for errors.

    Raises
    ------
    ValueError
        If some were changed since the first fit; the message names all of them.
    """
    before = vars(ranker).get("_fixed")
    if before is None:  # fitted by an earlier version
        return
    now = fixed_settings(ranker, ranker._pretrained_rows())
    # Of the network, which `load` may put on another device than that of the fit.
    before = before | {"device": (torch.device(ranker.net_.device).type, "")}
    now["device"] = (torch.device(ranker.device).type, "")
    none = ("not given", "")
    changed = [
        f"{name} ({difference(old[0], new[0])})"
        for name in sorted(before.keys() | now.keys())
        for old, new in [(before.get(name, none), now.get(name, none))]
        # Texts of objects may differ between versions although the objects do not.
        if old[0] != new[0] and (old[1] == new[1] or not (old[1] and new[1]))
    ]
    if changed:
        raise ValueError(
            f"{what} continues with the network and the encoding of the last fit, but "
            f"these hyperparameters were changed since: {', '.join(changed)}. Set them "
            "back, or call fit with warm_start=False to start anew."
        )


def retune(net: MultiTaskNet, ranker: TrainableRanker) -> None:
    """Set the ranker's learning rate, schedule and decay in a net that continues."""
    weighting = net.criterion_.weighting
    own = {id(p) for p in weighting.parameters()}
    # Rates are multiplied, since groups have their own, such as those of bins.
    ratio = float(ranker.learning_rate) / net.lr
    for optimizer in net.all_optimizers:
        for group in optimizer.param_groups:
            is_own = not own.isdisjoint(id(p) for p in group["params"])
            if not is_own:
                group["weight_decay"] = float(ranker.weight_decay)
            # The start of the last schedule, which may have ended at 0.
            group["lr"] = group.pop("initial_lr", group["lr"])
            if not is_own or weighting.learning_rate is None:
                group["lr"] *= ratio
    net.lr = float(ranker.learning_rate)
    net.weight_decay = float(ranker.weight_decay)
    net.learning_rate_schedule = ranker.learning_rate_schedule
    net.average_weights = ranker.average_weights


def grow_net(net: MultiTaskNet, sizes: list[int], growth: Growth) -> None:
    """Give the tables of ids more rows, and their optimisers state for them.

    Parameters
    ----------
    net : MultiTaskNet
        Changed in place.
    sizes : list of int
        Rows of each vocabulary from now on.
    growth : Growth
        Where the rows come from.
    """
    if not growth.new.any():
        return
    start, new = torch.from_numpy(growth.start), torch.from_numpy(growth.new)
    for one in net.module_.grow(sizes, start, new):
        for optimizer in net.all_optimizers:
            replace_parameter(optimizer, one.before, one.after, one.rows, one.fresh)
