"""The classes that a file may name, and what of their objects it holds."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from skmtl.persistence import _networks
from skmtl.persistence._container import DamagedFileError, RefusedError
from skmtl.persistence._values import Node, Reader, Writer
from skmtl.weighting import get_strategy, get_strategy_names


class UnknownClassError(RefusedError):
    """A file names a class that is not in the list."""


# The name in a file, and where the class is. Names stay, modules may change.
_RANKERS = [
    "AITM", "ChainedMMoE", "CrossStitch", "ESMM", "MMoE", "PLE", "PooledTask", "STEM",
    "ShareBottom", "SingleTask", "SoftSharing",
]  # fmt: skip
_OTHER_ESTIMATORS = [
    "CalibratedTasksCV", "FixedOutputWeights", "GraphSAGEEmbedder",
    "OutputWeightSearchCV", "TableEncoder", "Word2VecEmbedder",
]  # fmt: skip
# Every strategy with a name: one that is added there can be saved.
_STRATEGIES = [
    "StaticWeighting",
    *(type(get_strategy(name)).__name__ for name in get_strategy_names()),
]
_SPLITTERS = [
    "GroupKFold", "GroupShuffleSplit", "KFold", "RepeatedKFold",
    "RepeatedStratifiedKFold", "ShuffleSplit", "StratifiedGroupKFold",
    "StratifiedKFold", "StratifiedShuffleSplit", "TimeSeriesSplit",
]  # fmt: skip
_TASK_KINDS = ["BinaryTask", "MulticlassTask", "OrdinalTask", "RegressionTask"]
_CALIBRATION_MAPS = ["IdentityMap", "IsotonicMap", "PriorShiftMap", "SigmoidMap"]
CLASSES: dict[str, str] = {
    **dict.fromkeys(_RANKERS, "skmtl.rankers"),
    **dict.fromkeys(_STRATEGIES, "skmtl.weighting"),
    **dict.fromkeys(_SPLITTERS, "sklearn.model_selection"),
    **dict.fromkeys(_CALIBRATION_MAPS, "skmtl.calibration._maps"),
    **dict.fromkeys(_TASK_KINDS, "skmtl.tasks"),
    "CalibratedTasksCV": "skmtl.calibration",
    "Fallback": "skmtl.encoding._table",
    "FixedOutputWeights": "skmtl.output_weights",
    "Fold": "skmtl.output_weights._objective",
    "GraphSAGEEmbedder": "skmtl.embedders",
    "HashedIds": "skmtl.encoding._hashing",
    "KeyedVectors": "gensim.models",
    "Labels": "skmtl.metrics._validation",
    "Layout": "skmtl.encoding._table",
    "MultiTaskStratifiedKFold": "skmtl.model_selection",
    "NumberScale": "skmtl.encoding._numbers",
    "OutputWeightSearchCV": "skmtl.output_weights",
    "PretrainedEmbedding": "skmtl.embedders",
    "TableEncoder": "skmtl.encoding",
    "TaskScorer": "skmtl.metrics._task_scorer",
    "TimeSplit": "skmtl.model_selection",
    "Vocabulary": "skmtl.encoding._vocabulary",
    "Word2VecEmbedder": "skmtl.embedders",
}

# What hyperparameters mean that the first files do not have.
_FORMERLY = {"interpolate_bins": False, "bin_learning_rate_factor": 1.0}

# Methods that may ask for metadata.
_ROUTED = (
    "fit", "partial_fit", "predict", "predict_proba", "decision_function", "score",
    "split", "transform",
)  # fmt: skip


def find_class(name: Any) -> type:
    """The class of a name in a file.

    Raises
    ------
    UnknownClassError
        If it is not in the list.
    """
    if not isinstance(name, str) or name not in CLASSES:
        raise UnknownClassError(
            f"The file names the class {name!r}, which this skmtl does not load. It "
            "loads its own estimators only."
        )
    found: type = getattr(import_module(CLASSES[name]), name)
    return found


def trusted_types() -> list[str]:
    """List the names to trust when skops loads an estimator of skmtl.

    Those of the estimators alone: whatever is inside them they read themselves, as
    :func:`skmtl.load` does.

    Returns
    -------
    list of str
        For ``skops.io.load(path, trusted=...)``.

    Examples
    --------
    >>> from skmtl.persistence import trusted_types
    >>> "skmtl.encoding._encoder.TableEncoder" in trusted_types()
    True
    """
    classes = [find_class(name) for name in (*_RANKERS, *_OTHER_ESTIMATORS)]
    return [f"{cls.__module__}.{cls.__name__}" for cls in classes]


def write_object(writer: Writer, value: Any, where: str) -> Node:
    """Name and state of an object.

    Raises
    ------
    ValueError
        If its class is not in the list.
    """
    cls = type(value)
    name = cls.__name__
    if name not in CLASSES or find_class(name) is not cls:
        raise ValueError(_refusal(value, where))
    kind = _kind(name)
    return {"class": name, "state": kind.write(writer, value, where)}


def read_object(reader: Reader, content: Any) -> Any:
    """The object of a name and a state."""
    cls = find_class(content["class"])
    return _kind(content["class"]).read(reader, cls, content["state"])


def _refusal(value: Any, where: str) -> str:
    cls = type(value)
    if callable(value) and not isinstance(value, type) and hasattr(value, "__name__"):
        what = f"the function {value.__name__!r}"
    elif isinstance(value, type):
        what = f"the class {value.__name__!r}"
    else:
        what = f"a {cls.__module__}.{cls.__qualname__}"
    return (
        f"{where} is {what}. A saved file holds no code, only estimators of skmtl and "
        "plain values. Set it to a plain value, or use pickle, whose files run code "
        "when they are loaded."
    )


class _Plain:
    """An object whose attributes are its state."""

    def write(self, writer: Writer, value: Any, where: str) -> Node:
        return _write_attributes(writer, vars(value), where)

    def read(self, reader: Reader, cls: Any, state: Any) -> Any:
        found = cls.__new__(cls)
        found.__dict__.update(_read_attributes(reader, cls, state))
        return found


class _Estimator:
    """Hyperparameters, which the constructor takes, and fitted attributes.

    Networks, which are more than plain values, go their own way.
    """

    def write(self, writer: Writer, value: Any, where: str) -> Node:
        params = value.get_params(deep=False)
        fitted = {k: v for k, v in vars(value).items() if k not in params}
        requests = fitted.pop("_metadata_request", None)
        network = _networks.take_network(value, fitted)
        state = {
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

    def read(self, reader: Reader, cls: type, state: Any) -> Any:
        params = _read_attributes(reader, None, state["params"])
        found = cls(**params)
        formerly = {name: v for name, v in _FORMERLY.items() if name not in params}
        vars(found).update((k, v) for k, v in formerly.items() if k in vars(found))
        found.__dict__.update(_read_attributes(reader, cls, state["fitted"]))
        for method, requests in state.get("requests", {}).items():
            getattr(found, f"set_{method}_request")(**reader.read(requests))
        if "network" in state:
            _networks.restore_network(found, reader, state["network"])
        return found


class _Vocabulary:
    """Arrays of ids and counts; look-ups are made again."""

    def write(self, writer: Writer, value: Any, where: str) -> Node:
        arrays = value.arrays()
        return {name: writer.write(array, where) for name, array in arrays.items()}

    def read(self, reader: Reader, cls: Any, state: Any) -> Any:
        arrays = {name: reader.read(one) for name, one in state.items()}
        return (
            _first_vocabulary(cls, arrays)
            if "keys" in arrays
            else (cls.from_arrays(arrays))
        )


def _first_vocabulary(cls: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A vocabulary as the first files hold it: ids as arrays of their own."""
    from skmtl.encoding._vocabulary import as_keys

    ids, rest = (
        as_keys(pd.Series(arrays[name], dtype=arrays[name].dtype), name).distinct
        for name in ("keys", "rest")
    )
    return cls(ids, arrays["counts"], rest, arrays["rest_counts"])


class _Scorer:
    """A scorer with a name; one of an own function is code."""

    def write(self, writer: Writer, value: Any, where: str) -> Node:
        from skmtl.metrics._registry import METRICS

        known: Any = METRICS.get(value.metric.name)
        if known is not value.metric:
            raise ValueError(_refusal(value, where))
        arguments = {
            "metric": value.metric.name,
            "task": value.task,
            "average": value.average,
            "response_method": value.response_method,
            **value.params,
        }
        state = {"arguments": writer.write(arguments, where)}
        requests = getattr(value, "_metadata_request", None)
        if requests is not None:
            asked = dict(_simple_requests(requests))["score"]
            state["requests"] = writer.write(dict(asked.requests), where)
        return state

    def read(self, reader: Reader, cls: type, state: Any) -> Any:
        from skmtl.metrics import make_task_scorer

        found = make_task_scorer(**reader.read(state["arguments"]))
        if "requests" in state:
            found.set_score_request(**reader.read(state["requests"]))
        return found


class _KeyedVectors:
    """Words and vectors of gensim."""

    def write(self, writer: Writer, value: Any, where: str) -> Node:
        words = np.array(value.index_to_key, dtype=object)
        return [writer.write(words, where), writer.write(value.vectors, where)]

    def read(self, reader: Reader, cls: Any, state: Any) -> Any:
        words, vectors = map(reader.read, state)
        found = cls(vectors.shape[1])
        found.add_vectors(words.tolist(), vectors)
        return found


class _Strategy:
    """A loss weighting: its constructor's arguments, and what it has learnt."""

    def write(self, writer: Writer, value: Any, where: str) -> Node:
        params = value.get_params()
        return {
            "params": _write_attributes(writer, params, where),
            "learnt": _networks.write_strategy(writer, value, where),
        }

    def read(self, reader: Reader, cls: Any, state: Any) -> Any:
        found = cls(**_read_attributes(reader, None, state["params"]))
        _networks.restore_strategy(found, reader, state["learnt"])
        return found


_KINDS: dict[str, Any] = {
    **dict.fromkeys(_STRATEGIES, _Strategy()),
    **dict.fromkeys(
        [
            *_CALIBRATION_MAPS, *_SPLITTERS, *_TASK_KINDS, "Fallback", "Fold",
            "HashedIds", "Labels", "Layout",
            "MultiTaskStratifiedKFold", "NumberScale", "PretrainedEmbedding",
            "TimeSplit",
        ],
        _Plain(),
    ),
    "KeyedVectors": _KeyedVectors(),
    "TaskScorer": _Scorer(),
    "Vocabulary": _Vocabulary(),
}  # fmt: skip


def _kind(name: str) -> Any:
    return _KINDS.get(name, _Estimator())


def _write_attributes(writer: Writer, values: Mapping[str, Any], where: str) -> Node:
    return {
        name: writer.write(value, f"{where}.{name}") for name, value in values.items()
    }


def _read_attributes(reader: Reader, cls: type | None, state: Any) -> dict[str, Any]:
    """Attributes of an object, none of which hides a method of its class."""
    for name in state:
        hides = callable(getattr(cls, name, None)) if cls else False
        if name.startswith("__") or hides:
            raise DamagedFileError(f"The file sets the attribute {name!r}.")
    return {name: reader.read(node) for name, node in state.items()}


def _simple_requests(requests: Any) -> list[tuple[str, Any]]:
    """What scikit-learn's metadata routing was told of the methods of an object."""
    found = [(method, getattr(requests, method)) for method in _ROUTED]
    return [(method, asked) for method, asked in found if asked.requests]
