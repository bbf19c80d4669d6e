"""How objects are written to a file and read from it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NotRequired, Protocol, TypedDict

import numpy as np
from sklearn.base import BaseEstimator

from skmtl.persistence import _networks
from skmtl.persistence._container import DamagedFileError, RefusedError
from skmtl.persistence._registry import (
    CALIBRATION_MAPS,
    OPTIMIZERS,
    PARTS,
    SPLITTERS,
    STRATEGIES,
    TASK_KINDS,
    TORCHJD,
    UnknownClassError,
    find_class,
    name_of,
)
from skmtl.persistence._values import Node, Reader, Writer

if TYPE_CHECKING:
    from gensim.models import KeyedVectors
    from torch import nn

    from skmtl.encoding._vocabulary import Vocabulary
    from skmtl.metrics._task_scorer import TaskScorer
    from skmtl.training.checkpoint import Checkpoint
    from skmtl.weighting import LossWeighting


# Content of the nodes of a file. In a damaged file anything may be missing.
ObjectContent = TypedDict(
    "ObjectContent",
    {"class": str, "state": Any, "custom": bool, "part": str},
    total=False,
)


class EstimatorState(TypedDict):
    """Hyperparameters, fitted attributes, metadata requests and the network."""

    params: dict[str, Node]
    fitted: dict[str, Node]
    requests: NotRequired[dict[str, Node]]
    network: NotRequired[Node]


class ScorerState(TypedDict):
    """Arguments of `make_task_scorer`, and metadata requests."""

    arguments: Node
    requests: NotRequired[Node]


class StrategyState(TypedDict):
    """Arguments of the constructor, and the learnt state."""

    params: dict[str, Node]
    learnt: tuple[Node, Node]


class Kind(Protocol):
    """How objects of some classes are written; the state depends on the kind."""

    def write(self, writer: Writer, value: Any, where: str) -> Node: ...

    def read(self, reader: Reader, cls: type[Any], state: Any) -> object: ...


class Asked(Protocol):
    """The metadata that one method requests, as scikit-learn holds it."""

    requests: Mapping[str, bool | str | None]


# Classes that are hyperparameters themselves; files do not hold their instances.
_AS_CLASSES = frozenset([*PARTS, *OPTIMIZERS])
# Values of hyperparameters that files of the first version do not have.
_FORMERLY = {"interpolate_bins": False, "bin_learning_rate_factor": 1.0}

# Methods that may request metadata.
_ROUTED = (
    "fit", "partial_fit", "predict", "predict_proba", "decision_function", "score",
    "split", "transform",
)  # fmt: skip


def write_object(writer: Writer, value: object, where: str) -> Node:
    """Write the name and state of an object.

    Raises
    ------
    ValueError
        If its class is not in the list.
    """
    if isinstance(value, type):
        name = name_of(value)
        if name not in _AS_CLASSES:
            raise ValueError(_refusal(value, where))
        return {"part": name}
    cls = type(value)
    own = writer.custom_name(cls)
    name = own or name_of(cls)
    kind = _kind(name) if own is None else _kind_of_own(cls)
    if name is None or name in _AS_CLASSES or kind is None:
        raise ValueError(_refusal(value, where))
    state = kind.write(writer, value, where)
    return {"class": name, "state": state} | ({} if own is None else {"custom": True})


def read_object(reader: Reader, content: ObjectContent) -> object:
    """Read an object from its name and state, or the class of a part."""
    if "part" in content:
        if content["part"] not in _AS_CLASSES:
            raise UnknownClassError(
                f"The file names the part {content['part']!r}, which this version of "
                "skmtl does not know. Install a later one."
            )
        return find_class(content["part"])
    name, state = content["class"], content["state"]
    if "custom" not in content:
        if isinstance(name, str) and name in _AS_CLASSES:
            raise RefusedError(
                f"The file has an instance of {name!r}, but may only name the class."
            )
        known = find_class(name)
        return _kind(name).read(reader, known, state)
    cls = reader.custom(name)
    if not isinstance(cls, type) or (kind := _kind_of_own(cls)) is None:
        raise RefusedError(
            f"custom_objects[{name!r}] is not the class that the file was saved with: "
            f"found {cls!r}."
        )
    return kind.read(reader, cls, state)


def _kind_of_own(cls: type) -> Kind | None:
    """How instances of a user's class are held; None for other classes."""
    if issubclass(cls, BaseEstimator):
        return _Estimator()
    from skmtl.weighting import LossWeighting

    return _Strategy() if issubclass(cls, LossWeighting) else None


def _refusal(value: object, where: str) -> str:
    cls = type(value)
    if callable(value) and not isinstance(value, type) and hasattr(value, "__name__"):
        what = f"the function {value.__name__!r}"
    elif isinstance(value, type):
        what = f"the class {value.__name__!r}"
    else:
        what = f"a {cls.__module__}.{cls.__qualname__}"
    return (
        f"{where} is {what}. A saved file holds no code, only estimators of skmtl and "
        "plain values. Set it to a plain value, pass it in custom_objects to save and "
        "to load, or use pickle, whose files run code when they are loaded."
    )


class _Plain:
    """An object whose attributes are its state."""

    def write(self, writer: Writer, value: object, where: str) -> Node:
        return _write_attributes(writer, vars(value), where)

    def read(self, reader: Reader, cls: type[object], state: dict[str, Node]) -> object:
        # Without the constructor, whose arguments may differ from the attributes.
        found = cls.__new__(cls)
        found.__dict__.update(_read_attributes(reader, cls, state))
        return found


class _Estimator:
    """Hyperparameters, which the constructor takes, and fitted attributes.

    Networks are not plain values, and are written separately.
    """

    def write(self, writer: Writer, value: BaseEstimator, where: str) -> Node:
        params = value.get_params(deep=False)
        fitted = {k: v for k, v in vars(value).items() if k not in params}
        requests = fitted.pop("_metadata_request", None)
        network = _networks.take_network(value, fitted)
        state: dict[str, Node] = {
            "params": _write_attributes(writer, params, where),
            "fitted": _write_attributes(writer, fitted, where),
        }
        if requests is not None:
            state["requests"] = {
                method: writer.write(dict(asked.requests), f"{where}.{method}")
                for method, asked in _simple_requests(requests)
            }
        if network is not None:
            state["network"] = network.write(writer, where)
        return state

    def read(
        self, reader: Reader, cls: type[BaseEstimator], state: EstimatorState
    ) -> BaseEstimator:
        params = _read_attributes(reader, None, state["params"])
        found = cls(**params)
        formerly = {name: v for name, v in _FORMERLY.items() if name not in params}
        # Only for classes that have these hyperparameters.
        vars(found).update((k, v) for k, v in formerly.items() if k in vars(found))
        found.__dict__.update(_read_attributes(reader, cls, state["fitted"]))
        for method, requests in state.get("requests", {}).items():
            getattr(found, f"set_{method}_request")(**reader.read(requests))
        if "network" in state:
            _networks.restore_network(found, reader, state["network"])
        return found


class _Vocabulary:
    """Arrays of ids and counts; look-up tables are rebuilt."""

    def write(self, writer: Writer, value: Vocabulary, where: str) -> Node:
        arrays = value.arrays()
        return {name: writer.write(array, where) for name, array in arrays.items()}

    def read(
        self, reader: Reader, cls: type[Vocabulary], state: dict[str, Node]
    ) -> Vocabulary:
        arrays = {name: reader.read(one) for name, one in state.items()}
        return cls.from_arrays(arrays)


class _Scorer:
    """A scorer with a name; a scorer of a function would be code."""

    def write(self, writer: Writer, value: TaskScorer, where: str) -> Node:
        from skmtl.metrics._registry import METRICS

        known = METRICS.get(value.metric.name)
        # A metric that a user made under the name of one of skmtl.
        if known is not value.metric:
            raise ValueError(_refusal(value, where))
        arguments = {
            "metric": value.metric.name,
            "task": value.task,
            "average": value.average,
            "response_method": value.response_method,
            **value.params,
        }
        state: dict[str, Node] = {"arguments": writer.write(arguments, where)}
        requests = getattr(value, "_metadata_request", None)
        if requests is not None:
            asked = dict(_simple_requests(requests))["score"]
            state["requests"] = writer.write(dict(asked.requests), where)
        return state

    def read(
        self, reader: Reader, cls: type[TaskScorer], state: ScorerState
    ) -> TaskScorer:
        from skmtl.metrics import make_task_scorer

        found = make_task_scorer(**reader.read(state["arguments"]))
        if "requests" in state:
            found.set_score_request(**reader.read(state["requests"]))
        return found


class _KeyedVectors:
    """Words and vectors of gensim."""

    def write(self, writer: Writer, value: KeyedVectors, where: str) -> Node:
        words = np.array(value.index_to_key, dtype=object)
        return [writer.write(words, where), writer.write(value.vectors, where)]

    def read(
        self, reader: Reader, cls: type[KeyedVectors], state: list[Node]
    ) -> KeyedVectors:
        words, vectors = map(reader.read, state)
        found = cls(vectors.shape[1])
        found.add_vectors(words.tolist(), vectors)
        return found


class _Strategy:
    """A loss weighting: the arguments of its constructor, and its learnt state."""

    def write(self, writer: Writer, value: LossWeighting, where: str) -> Node:
        params = value.get_params()
        return {
            "params": _write_attributes(writer, params, where),
            "learnt": _networks.write_strategy(writer, value, where),
        }

    def read(
        self, reader: Reader, cls: type[LossWeighting], state: StrategyState
    ) -> LossWeighting:
        found = cls(**_read_attributes(reader, None, state["params"]))
        _networks.restore_strategy(found, reader, state["learnt"])
        return found


class _TorchJD:
    """A solver of TorchJD: the arguments of its constructor.

    Its memory is part of the state of the loss weighting around it.
    """

    def write(self, writer: Writer, value: nn.Module, where: str) -> Node:
        given = {
            name: _argument(value, name, where)
            for name in inspect.signature(type(value)).parameters
        }
        given = {k: v for k, v in given.items() if v is not _DEFAULT}
        # The arguments are guessed from attributes: see whether they give the same
        # solver.
        again = type(value)(**given)
        if repr(again) != repr(value) or _settings(again) != _settings(value):
            raise ValueError(
                f"{where} is {value!r}, which its constructor does not return for its "
                "arguments, so it cannot be saved. Make it again with the constructor."
            )
        arrays = {k: _networks.as_array(v) for k, v in given.items()}
        return _write_attributes(writer, arrays, where)

    def read(
        self, reader: Reader, cls: type[nn.Module], state: dict[str, Node]
    ) -> nn.Module:
        arguments = _read_attributes(reader, None, state)
        return cls(**{k: _networks.as_tensor(v) for k, v in arguments.items()})


# Stands for an argument that is not a plain value and was not given.
_DEFAULT = object()


def _argument(solver: nn.Module, name: str, where: str) -> object:
    """Find an argument of a TorchJD constructor, kept under a similar name."""
    from torch import Tensor, nn

    word = name.strip("_")
    for part in solver.modules():
        held = {**vars(part), **part._buffers, **part._modules, **part._parameters}
        for attribute in (name, word, f"_{name}", f"_{word}"):
            if attribute in held:
                found = held[attribute]
                plain = (type(None), bool, int, float, str, Tensor, nn.Module)
                return found if isinstance(found, plain) else _DEFAULT
    if name == "shape":
        return tuple(next(solver.parameters()).shape)
    raise ValueError(f"{where} does not keep its {name}, so it cannot be saved.")


def _settings(solver: nn.Module) -> list[str]:
    """Describe the parts of a solver that are not plain, such as its projector."""
    parts = [value for part in solver.modules() for value in vars(part).values()]
    return [repr(one) for one in parts if type(one).__module__.startswith("torchjd.")]


class _RepeatedSplits:
    """Arguments of a splitter that repeats another, whose attributes hold its class."""

    def write(self, writer: Writer, value: Any, where: str) -> Node:
        state = {
            **value.cvargs,
            "n_repeats": value.n_repeats,
            "random_state": value.random_state,
        }
        return _write_attributes(writer, state, where)

    def read(self, reader: Reader, cls: type[Any], state: dict[str, Node]) -> object:
        return cls(**_read_attributes(reader, None, state))


class _Checkpoint:
    """Path and interval of a checkpoint."""

    def write(self, writer: Writer, value: Checkpoint, where: str) -> Node:
        return [os.fspath(value.path), value.every]

    def read(
        self, reader: Reader, cls: type[Checkpoint], state: tuple[str, str]
    ) -> Checkpoint:
        path, every = state
        return cls(path, every=every)


_KINDS: dict[str, Kind] = {
    **dict.fromkeys(STRATEGIES, _Strategy()),
    **dict.fromkeys(TORCHJD, _TorchJD()),
    **dict.fromkeys(
        [
            *CALIBRATION_MAPS, *SPLITTERS, *TASK_KINDS, "Fallback", "Fold",
            "HashedIds", "Labels", "Layout", "MultiTaskStratifiedKFold", "NumberScale",
            "Numbers",
            "PretrainedEmbedding", "TimeSplit",
        ],
        _Plain(),
    ),
    **dict.fromkeys(["RepeatedKFold", "RepeatedStratifiedKFold"], _RepeatedSplits()),
    "Checkpoint": _Checkpoint(),
    "KeyedVectors": _KeyedVectors(),
    "TaskScorer": _Scorer(),
    "Vocabulary": _Vocabulary(),
}  # fmt: skip


def _kind(name: str | None) -> Kind:
    return _KINDS.get(name or "", _Estimator())


def _write_attributes(
    writer: Writer, values: Mapping[str, object], where: str
) -> dict[str, Node]:
    return {
        name: writer.write(value, f"{where}.{name}") for name, value in values.items()
    }


def _read_attributes(
    reader: Reader, cls: type | None, state: Mapping[str, Node]
) -> dict[str, Any]:
    """Read attributes of an object; raise if one would hide a method of its class."""
    for name in state:
        hides = callable(getattr(cls, name, None)) if cls else False
        if name.startswith("__") or hides:
            raise DamagedFileError(f"The file sets the attribute {name!r}.")
    return {name: reader.read(node) for name, node in state.items()}


def _simple_requests(requests: object) -> list[tuple[str, Asked]]:
    """List the metadata requests that were set for methods of an object."""
    found = [(method, getattr(requests, method)) for method in _ROUTED]
    return [(method, asked) for method, asked in found if asked.requests]
