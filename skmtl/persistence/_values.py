"""Plain values as JSON and arrays, and back.

JSON's own types are written directly. Everything else is an object whose key names its
kind: ``{"array": "3"}`` is the array of that name in the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from skmtl.persistence._container import Arrays, DamagedFileError, RefusedError

# What `json` writes and reads.
Node: TypeAlias = (
    "bool | int | float | str | Sequence[Node] | Mapping[str, Node] | None"
)

# Types of numbers that safetensors and numpy both have.
_NUMBERS = frozenset(
    {"bool", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
# Types of pandas columns, besides numbers.
_COLUMN_TYPES = frozenset({"object", "str", "string"})


class Writer:
    """Turn values into JSON; arrays are collected separately.

    Parameters
    ----------
    write_object : callable
        Writes what is not a plain value: ``write_object(writer, value, where)``.
    training_state : bool
        Whether to write the state of optimisers.
    custom_objects : mapping of str to object
        Objects that are written by name.

    Attributes
    ----------
    arrays : dict of str to ndarray
        The arrays, by the names that the JSON has for them.
    """

    def __init__(
        self,
        write_object: Callable[[Writer, object, str], Node],
        training_state: bool,
        custom_objects: Mapping[str, object],
    ) -> None:
        self.write_object, self.training_state = write_object, training_state
        # By identity, since custom objects need not be hashable; the mapping of the
        # caller keeps them alive.
        self._names = {id(one): name for name, one in custom_objects.items()}
        self.arrays: Arrays = {}
        # Holds the objects themselves: the id of a freed object may be reused.
        self._seen: dict[int, tuple[object, int]] = {}

    def write(self, value: object, where: str) -> Node:
        """Write a value as JSON.

        Parameters
        ----------
        value : object
            The value.
        where : str
            Its name in errors.

        Raises
        ------
        ValueError
            If the value is not plain and its class is not known.
        """
        # By exact type: some of numpy's scalars are subclasses of these.
        if value is None or type(value) is bool or type(value) is int:
            return value
        if type(value) is str:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if (name := self.custom_name(value)) is not None:
            return {"custom": name}
        if type(value) is list or type(value) is tuple:
            return _write_list(self, value, where)
        for types, write in _WRITERS:
            if isinstance(value, types):
                return write(self, value, where)
        return self._object(value, where)

    def custom_name(self, value: object) -> str | None:
        """Return the name of a custom object; None for any other object."""
        return self._names.get(id(value))

    def array(self, value: np.ndarray) -> str:
        """Keep an array of numbers, and return its name."""
        name = str(len(self.arrays))
        self.arrays[name] = np.array(value, order="C")
        return name

    def _object(self, value: object, where: str) -> Node:
        if id(value) in self._seen:
            return {"same": self._seen[id(value)][1]}
        number = len(self._seen)
        self._seen[id(value)] = value, number
        return {"object": self.write_object(self, value, where), "number": number}


class Reader:
    """Turn JSON of a `Writer` back into values.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Arrays of the file.
    read_object : callable
        Reads what `write_object` wrote: ``read_object(reader, content)``.
    device : str or None
        Device on which rankers predict; None for the one they were trained on.
    custom_objects : mapping of str to object
        Objects that the file may name.
    """

    def __init__(
        self,
        arrays: Arrays,
        read_object: Callable[[Reader, Any], object],
        device: str | None,
        custom_objects: Mapping[str, object],
    ) -> None:
        self.arrays, self.read_object, self.device = arrays, read_object, device
        self.custom_objects = custom_objects
        self._objects: dict[int, object] = {}

    def read(self, node: Node) -> Any:
        """Read a value from JSON."""
        if not isinstance(node, dict):
            if isinstance(node, list):
                return [self.read(one) for one in node]
            return node
        if "object" in node:
            found = self.read_object(self, node["object"])
            self._objects[node["number"]] = found
            return found
        if "same" in node:
            return self._objects[node["same"]]
        # Anything but a single key means that the file is damaged.
        ((key, content),) = node.items()
        return _READERS[key](self, content)

    def custom(self, name: str) -> object:
        """Return one of the custom objects.

        Raises
        ------
        RefusedError
            If it was not passed.
        """
        if name not in self.custom_objects:
            raise RefusedError(
                f"The file was saved with {name!r} among its custom_objects, and holds "
                "no code. Pass it again: "
                f"load(path, custom_objects={{{name!r}: ...}})."
            )
        return self.custom_objects[name]

    def array(self, name: str) -> np.ndarray:
        """Return an array of the file, as a copy that may be changed."""
        return self.arrays[name].copy()


def _write_list(
    writer: Writer, value: list[object] | tuple[object, ...], where: str
) -> Node:
    items = [writer.write(one, f"{where}[{i}]") for i, one in enumerate(value)]
    return items if isinstance(value, list) else {"tuple": items}


def _write_dict(writer: Writer, value: Mapping[object, object], where: str) -> Node:
    return {
        # Pairs: keys of JSON objects can only be strings.
        "dict": [
            [writer.write(k, f"a key of {where}"), writer.write(v, f"{where}[{k!r}]")]
            for k, v in value.items()
        ]
    }


def _read_dict(
    reader: Reader, content: list[tuple[Node, Node]]
) -> dict[object, object]:
    return {reader.read(k): reader.read(v) for k, v in content}


def _write_scalar(writer: Writer, value: np.generic, where: str) -> Node:
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, np.timedelta64):
        return {"timedelta": [int(value.astype(np.int64)), *np.datetime_data(value)]}
    if isinstance(value, np.longdouble):  # has more digits on some machines only
        return writer.write(float(value), where)
    if value.dtype.name not in _NUMBERS:
        raise ValueError(f"{where} is a {value.dtype} of numpy, which cannot be saved.")
    return {"scalar": [value.dtype.name, writer.write(value.item(), where)]}


def _read_scalar(reader: Reader, content: tuple[str, Node]) -> np.generic:
    name, item = content
    scalar: np.generic = _number_type(name).type(reader.read(item))
    return scalar


def _read_timedelta(reader: Reader, content: tuple[int, str, int]) -> Any:
    count, unit, step = content
    return np.array([count], dtype=f"m8[{step}{unit}]")[0]


def _write_array(writer: Writer, value: np.ndarray, where: str) -> Node:
    if value.dtype.name in _NUMBERS:
        return {"array": writer.array(value)}
    if value.dtype.kind not in "OU":
        raise ValueError(
            f"{where} is an array of {value.dtype}, which cannot be saved. Convert it "
            "to numbers or strings."
        )
    cells = value.ravel().tolist()
    shape = list(value.shape)
    if all(type(cell) is str for cell in cells):
        # Without the byte order, which is that of the machine that reads.
        dtype = "object" if value.dtype == object else value.dtype.str[1:]
        return {"strings": [*_write_text(writer, cells), shape, dtype]}
    items = [writer.write(one, f"an entry of {where}") for one in cells]
    return {"objects": [items, shape]}


def _write_text(writer: Writer, cells: list[str]) -> list[str]:
    """Write strings as one array of bytes and one of where each begins."""
    parts = [cell.encode("utf-8", "surrogatepass") for cell in cells]
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
    text = np.frombuffer(b"".join(parts), dtype=np.uint8)
    return [writer.array(text), writer.array(offsets)]


def _read_strings(
    reader: Reader, content: tuple[str, str, list[int], str]
) -> np.ndarray:
    text, offsets, shape, dtype = content
    if dtype != "object" and not (dtype[:1] == "U" and dtype[1:].isdecimal()):
        raise DamagedFileError(f"The file has strings of the type {dtype!r}.")
    joined, ends = reader.array(text).tobytes(), reader.array(offsets).tolist()
    cells = [
        joined[start:end].decode("utf-8", "surrogatepass")
        for start, end in pairwise(ends)
    ]
    return _filled(cells, shape).astype(dtype, copy=False)


def _read_objects(reader: Reader, content: tuple[list[Node], list[int]]) -> np.ndarray:
    cells, shape = content
    return _filled([reader.read(one) for one in cells], shape)


def _filled(cells: Sequence[object], shape: list[int]) -> np.ndarray:
    """Make an array of objects; numpy.array would unpack lists."""
    found = np.empty(len(cells), dtype=object)
    found[:] = cells
    return found.reshape(shape)


def _write_index(writer: Writer, value: pd.Index, where: str) -> Node:
    if isinstance(value, pd.MultiIndex) or value.dtype.name not in (
        _NUMBERS | _COLUMN_TYPES
    ):
        raise ValueError(
            f"{where} is a {type(value).__name__} of {value.dtype}, which cannot be "
            "saved. Convert it to numbers or strings."
        )
    name = writer.write(value.name, f"the name of {where}")
    if isinstance(value, pd.RangeIndex):
        return {"range": [value.start, value.stop, value.step, name]}
    return {"index": [_write_column(writer, value, where), value.dtype.name, name]}


def _write_column(writer: Writer, column: pd.Series | pd.Index, where: str) -> Node:
    kept = None if column.dtype.name in _NUMBERS else object
    return _write_array(writer, column.to_numpy(kept), where)


def _read_range(reader: Reader, content: tuple[int, int, int, Node]) -> pd.RangeIndex:
    start, stop, step, name = content
    return pd.RangeIndex(start, stop, step, name=reader.read(name))


def _read_index(reader: Reader, content: tuple[Node, str, Node]) -> pd.Index:
    cells, dtype, name = content
    return pd.Index(
        reader.read(cells), dtype=_column_type(dtype), name=reader.read(name)
    )


def _write_frame(writer: Writer, value: pd.DataFrame, where: str) -> Node:
    names = [dtype.name for dtype in value.dtypes]
    unknown = [name for name in names if name not in _NUMBERS | _COLUMN_TYPES]
    if unknown:
        raise ValueError(
            f"{where} is a DataFrame with a column of {unknown[0]}, which cannot be "
            "saved. Convert it to numbers or strings."
        )
    labels = [_write_index(writer, one, where) for one in (value.columns, value.index)]
    # One array for all columns, if they have the same type.
    if len(set(names)) == 1 and names[0] in _NUMBERS:
        return {"matrix": [*labels, _write_array(writer, value.to_numpy(), where)]}
    columns = [_write_column(writer, column, where) for _, column in value.items()]
    return {"frame": [*labels, columns, names]}


def _read_matrix(reader: Reader, content: list[Node]) -> pd.DataFrame:
    columns, index, cells = map(reader.read, content)
    return pd.DataFrame(cells, index=index, columns=columns)


def _read_frame(
    reader: Reader, content: tuple[Node, Node, list[Node], list[str]]
) -> pd.DataFrame:
    names, index, columns, types = content
    cells = zip(columns, types, strict=True)
    index = reader.read(index)
    found = [pd.Series(reader.read(c), index, _column_type(t)) for c, t in cells]
    # By position first: names of columns may be repeated.
    frame = pd.DataFrame(dict(enumerate(found)), index=index)
    frame.columns = reader.read(names)
    return frame


def _write_random(writer: Writer, value: np.random.RandomState, where: str) -> Node:
    state = value.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise ValueError(
            f"{where} draws from {state['bit_generator']}, which cannot be saved. Use "
            "an integer."
        )
    inner = state["state"]
    gauss = [int(state["has_gauss"]), float(state["gauss"])]
    return {"random": [writer.array(inner["key"]), int(inner["pos"]), *gauss]}


def _read_random(
    reader: Reader, content: tuple[str, int, int, float]
) -> np.random.RandomState:
    key, position, has_gauss, gauss = content
    found = np.random.RandomState()
    found.set_state(("MT19937", reader.array(key), position, has_gauss, gauss))
    return found


def _number_type(name: str) -> np.dtype[np.generic]:
    if name not in _NUMBERS:
        raise DamagedFileError(f"The file has numbers of the type {name!r}.")
    return np.dtype(name)


def _column_type(name: str) -> str | np.dtype[np.generic]:
    return name if name in _COLUMN_TYPES else _number_type(name)


_WRITERS: list[tuple[type, Callable[[Writer, Any, str], Node]]] = [
    (np.generic, _write_scalar),
    (np.ndarray, _write_array),
    (Mapping, _write_dict),
    (pd.Index, _write_index),
    (pd.DataFrame, _write_frame),
    (np.random.RandomState, _write_random),
]
_READERS: dict[str, Callable[[Reader, Any], object]] = {
    "array": lambda reader, name: reader.array(name),
    "custom": lambda reader, name: reader.custom(name),
    "dict": _read_dict,
    "float": lambda reader, text: float(text),
    "frame": _read_frame,
    "index": _read_index,
    "matrix": _read_matrix,
    "objects": _read_objects,
    "random": _read_random,
    "range": _read_range,
    "scalar": _read_scalar,
    "strings": _read_strings,
    "timedelta": _read_timedelta,
    "tuple": lambda reader, items: tuple(reader.read(one) for one in items),
}
