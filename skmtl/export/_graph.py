"""A graph of ONNX operators that is built node by node."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto, ValueInfoProto

ML = "ai.onnx.ml"


class Graph:
    """Nodes, constants and inputs, with names that differ from those of columns.

    Parameters
    ----------
    onnx : module
        The package `onnx`.

    Attributes
    ----------
    nodes, constants, inputs : list
        Protocol buffers, in order.
    """

    def __init__(self, onnx: ModuleType) -> None:
        self.onnx = onnx
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.inputs: list[ValueInfoProto] = []

    def input(self, name: str, dtype: str, shape: list[str | int]) -> str:
        """Add an input; `dtype` is "string" or a numpy type name."""
        kinds = self.onnx.TensorProto
        kind = getattr(kinds, {"float64": "DOUBLE"}.get(dtype, dtype.upper()))
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, value: npt.ArrayLike) -> str:
        """Add a constant."""
        name = f"encoder/constant_{len(self.constants)}"
        array = np.asarray(value)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def cast(self, x: str, dtype: str) -> str:
        """Add a node that casts numbers to a type, such as "INT64"."""
        return self.add("Cast", x, to=getattr(self.onnx.TensorProto, dtype))

    def tensor(self, array: np.ndarray) -> TensorProto:
        """Convert an array to a tensor that can be an attribute of a node."""
        return self.onnx.numpy_helper.from_array(array)

    def add(self, op: str, *inputs: str, domain: str = "", **more: object) -> str:
        """Add a node with one output, and return the output's name."""
        output = f"encoder/{op}_{len(self.nodes)}"
        self.nodes.append(
            self.onnx.helper.make_node(
                op, list(inputs), [output], domain=domain, **more
            )
        )
        return output
