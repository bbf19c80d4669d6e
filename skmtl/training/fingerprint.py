"""Fingerprints of fits: hyperparameters as text, and hashes of tensors."""

from __future__ import annotations

import copyreg
import enum
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from numbers import Number
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from skorch.callbacks import (
    EarlyStopping,
    GradientNormClipping,
    LRScheduler,
    ParamMapper,
)
from torch import Tensor

from skmtl.modules import Bags, Ragged
from skmtl.training.batches import RowTable

# The result of a fit does not depend on these.
_APART = {"callbacks", "verbose", "n_threads", "scratch_dir", "warm_start"}
# Callbacks of skorch that change the steps. Others may differ, such as a progress bar,
# or the user's own, whose effect is unknown.
_STEERING = (EarlyStopping, GradientNormClipping, LRScheduler, ParamMapper)
# Endings of attributes to ignore: those that training sets, and where they print.
_LEFT_OUT = ("_", "sink")
# Longer texts are kept as their beginning and a hash.
_LONGEST = 1000
_SHOWN = 60
# Identities of what holds a value, from the outside in.
_Around = tuple[int, ...]


class _UnknownError(Exception):
    """A value whose content cannot be read."""


def settings_of(ranker: BaseEstimator, *, strict: bool = True) -> dict[str, str]:
    """Hyperparameters on which the bits of a fit depend, as text.

    Parameters
    ----------
    ranker : MultiTaskRanker
        The ranker.
    strict : bool, default=True
        Whether to refuse a value whose content cannot be compared. Otherwise its class
        stands for it.

    Returns
    -------
    dict of str to str
        The same in every process, and different for values that differ.

    Raises
    ------
    ValueError
        If `strict`, for a value whose content cannot be compared; the message names
        it.
    """
    kind = type(ranker)
    found = {"class": f"{kind.__module__}.{kind.__qualname__}"}
    given = ranker.get_params(deep=False)
    settings = {k: v for k, v in sorted(given.items()) if k not in _APART}
    settings["callbacks"] = _steering(given["callbacks"])
    for name, value in settings.items():
        try:
            found[name] = as_text(value)
        except _UnknownError as error:
            if not strict:
                found[name] = _name(type(value))
                continue
            raise ValueError(
                f"Checkpoint cannot compare {name}={value!r:.200} with that of a fit "
                f"that is resumed: {error}. Use a value that can be pickled, or fit "
                "without the Checkpoint."
            ) from error
    return found


def as_text_or_class(value: object) -> str:
    """The content of a value as text, or its class if that cannot be read."""
    try:
        return as_text(value)
    except _UnknownError:
        return _name(type(value))


def _steering(callbacks: Sequence[Any] | None) -> list[tuple[type, dict[str, Any]]]:
    """Classes and parameters of the callbacks that change the steps."""
    plain = [one[1] if isinstance(one, tuple) else one for one in callbacks or []]
    steering = [one for one in plain if isinstance(one, _STEERING)]
    return [(type(one), _parameters_of(one)) for one in steering]


def _parameters_of(callback: Any) -> dict[str, Any]:
    """What a callback was given, before it trains and after."""
    found = {k: v for k, v in vars(callback).items() if not k.endswith(_LEFT_OUT)}
    if isinstance(callback, ParamMapper):  # whose `initialize` writes over it
        patterns, at = found["patterns"], found["at"]
        if not isinstance(patterns, list | tuple):
            found["patterns"] = [patterns]
        if isinstance(at, partial) and at.func == callback._epoch_at:
            found["at"] = at.keywords["epoch"]
        if found["schedule"] == callback._default_schedule:
            found["schedule"] = None
    return found


def as_text(value: object, around: _Around = ()) -> str:
    """The content of a value as text.

    Parameters
    ----------
    value : object
        Anything that is plain, an array, a table, a function, a class, or that `pickle`
        can take apart.
    around : tuple of int
        Identities of what holds the value, so that a cycle has an end.

    Returns
    -------
    str
        The same in every process. Numbers of numpy are as those of Python.

    Raises
    ------
    _UnknownError
        For a value whose content cannot be read.
    """
    if id(value) in around:
        return f"<level {around.index(id(value))}>"
    within = (*around, id(value))
    way = next((way for kinds, way in _WAYS if isinstance(value, kinds)), _object)
    try:
        text = way(value, within)
    except _UnknownError:
        raise
    except Exception as error:  # whatever a class raises of its own
        name = _name(type(value))
        raise _UnknownError(f"its {name} cannot be read ({error})") from error
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_SHOWN]}... {_hash(text.encode('utf-8', 'surrogatepass'))}"


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _join(values: Any, around: _Around) -> str:
    return ", ".join(as_text(one, around) for one in values)


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _plain(value: object, around: _Around) -> str:
    return repr(value)


def _scalar(value: np.generic, around: _Around) -> str:
    item = value.item()
    return repr(value) if isinstance(item, np.generic) else as_text(item, around)


def _member(value: enum.Enum, around: _Around) -> str:
    return f"{_name(type(value))}.{value.name}"


def _tensor(value: Tensor, around: _Around) -> str:
    lazy = torch.nn.parameter.is_lazy(value)
    return "tensor(?)" if lazy else f"tensor({digest_of(value)})"


def _array(value: np.ndarray, around: _Around) -> str:
    # The bytes of objects and strings are addresses, those of records include padding.
    if value.dtype.kind in "OTV":
        fields = f", {value.dtype.descr}" if value.dtype.names else ""
        return f"array({as_text(value.tolist(), around)}{fields})"
    if 0 < value.size <= _SHOWN:
        return f"array({value.tolist()!r}, {value.dtype.str})"
    content = _hash(np.ascontiguousarray(value).tobytes())
    return f"array({value.shape}, {value.dtype.str}, {content})"


def _frame(value: pd.DataFrame, around: _Around) -> str:
    # Not as Series, each of which would bring the index along.
    columns = [value.iloc[:, k].array for k in range(value.shape[1])]
    return f"DataFrame({_join([value.columns, value.index, *columns], around)})"


def _series(value: pd.Series, around: _Around) -> str:
    return f"Series({_join([value.name, value.index, value.array], around)})"


def _pandas(value: Any, around: _Around) -> str:
    if isinstance(value.dtype, pd.CategoricalDtype):
        ordered = bool(value.dtype.ordered)
        parts = [value.dtype.categories, ordered, value.codes]
        return f"category({_join(parts, around)})"
    return f"{value.dtype}({as_text(np.asarray(value), around)})"


def _arrow_table(value: Any, around: _Around) -> str:
    parts = [value.schema.names, *value.columns]  # skmtl reads no metadata
    return f"{_name(type(value))}({_join(parts, around)})"


def _arrow_column(value: Any, around: _Around) -> str:
    """The cells: a slice and an equal column lie differently in memory."""
    simple = not value.null_count and sys.modules["pyarrow"].types.is_primitive(
        value.type
    )
    cells = value.to_numpy(zero_copy_only=False) if simple else value.to_pylist()
    return f"{value.type}({as_text(cells, around)})"


def _mapping(value: Mapping[Any, Any], around: _Around) -> str:
    pairs = [f"{as_text(k, around)}: {as_text(v, around)}" for k, v in value.items()]
    return f"{{{', '.join(pairs)}}}"


def _list(value: list[Any], around: _Around) -> str:
    return f"[{_join(value, around)}]"


def _tuple(value: tuple[Any, ...], around: _Around) -> str:
    return f"({_join(value, around)})"


def _set(value: Set[Any], around: _Around) -> str:
    # Sorted, since the order of a set follows hashes, which differ between processes.
    return f"{{{', '.join(sorted(as_text(one, around) for one in value))}}}"


def _class(value: type, around: _Around) -> str:
    return _name(value)


def _module(value: ModuleType, around: _Around) -> str:
    return value.__name__


def _function(value: FunctionType, around: _Around) -> str:
    """Name and code: two lambdas have one name."""
    held = [cell.cell_contents for cell in value.__closure__ or ()]
    parts = [value.__code__, value.__defaults__, value.__kwdefaults__, held]
    return f"{_name(value)} {_hash(_join(parts, around).encode())[:8]}"


def _code(value: CodeType, around: _Around) -> str:
    # Not its file and line, which change although the code is the same.
    parts = [value.co_code, value.co_consts, value.co_names, value.co_freevars]
    return _join(parts, around)


def _object(value: Any, around: _Around) -> str:
    """Class and content of any other object."""
    name = _name(type(value))
    if isinstance(value, torch.Generator):
        return f"{name}({as_text(value.get_state(), around)})"
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(value, (arrow.Table, arrow.RecordBatch)):
        return _arrow_table(value, around)
    if arrow is not None and isinstance(value, (arrow.Array, arrow.ChunkedArray)):
        return _arrow_column(value, around)
    words = getattr(value, "wv", value)
    if hasattr(words, "index_to_key"):  # gensim's, which also say when they were made
        return f"{name}({_join([words.index_to_key, words.vectors], around)})"
    if hasattr(value, "get_params"):
        # Of a fitted embedder too: its vectors are in the network at the start.
        return f"{name}({as_text(value.get_params(deep=False), around)})"
    of_type = copyreg.dispatch_table.get(type(value))
    reduced = value.__reduce_ex__(2) if of_type is None else of_type(value)
    if isinstance(reduced, str):  # the name of something global
        return f"{getattr(value, '__module__', None) or name}.{reduced}"
    made, arguments, *rest = reduced
    state, *items = [*rest, None, None, None][:3]
    held = [state, *(list(one) for one in items if one is not None)]
    # Most objects are made from their class alone, and the state says the rest.
    if not (len(arguments) == 1 and arguments[0] is type(value)):
        held = [made, arguments, *held]
    return f"{name}({_join(held, around)})"


# The first that fits: numbers of numpy are also numbers of Python.
_WAYS: list[tuple[Any, Callable[[Any, _Around], str]]] = [
    (np.generic, _scalar),
    (enum.Enum, _member),
    ((type(None), Number, str, bytes), _plain),
    (Tensor, _tensor),
    (np.ndarray, _array),
    (pd.DataFrame, _frame),
    (pd.Series, _series),
    ((pd.Index, pd.api.extensions.ExtensionArray), _pandas),
    (Mapping, _mapping),
    (list, _list),
    (tuple, _tuple),
    (Set, _set),
    (type, _class),
    (ModuleType, _module),
    (FunctionType, _function),
    (CodeType, _code),
]


def digest_of(value: object) -> str:
    """A hash of all tensors of a nest."""
    digest = hashlib.blake2b(digest_size=16)
    for part in _tensors(value):
        digest.update(str((part.dtype, tuple(part.shape))).encode())
        # As bytes, since numpy has no bfloat16.
        array = part.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        digest.update(array.data)
    return digest.hexdigest()


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, RowTable):
        return _tensors(value.state())
    if isinstance(value, Ragged):
        return [value.values, value.offsets]
    if isinstance(value, Mapping):
        # By name: equal dicts may have been filled in another order.
        return [t for key in sorted(value) for t in _tensors(value[key])]
    if isinstance(value, list | tuple | Bags):
        return [t for one in value for t in _tensors(one)]
    return []


def difference(was: object, now: object) -> str:
    """Two texts that differ, where they do if they are long."""
    before, after = str(was), str(now)
    if max(len(before), len(after)) <= _SHOWN:
        return f"was {before}, is {after}"
    shorter = min(len(before), len(after))
    first = next((k for k in range(shorter) if before[k] != after[k]), shorter)
    start = max(first - _SHOWN // 3, 0)
    parts = [_part(text, start) for text in (before, after)]
    return f"was {parts[0]}, is {parts[1]}"


def _part(text: str, start: int) -> str:
    end = start + _SHOWN
    return f"{'...' * (start > 0)}{text[start:end]}{'...' * (len(text) > end)}"
