"""Export to ONNX files, which predict without Python."""

from skmtl.export._inputs import onnx_inputs
from skmtl.export._to_onnx import to_onnx

__all__ = ["onnx_inputs", "to_onnx"]
