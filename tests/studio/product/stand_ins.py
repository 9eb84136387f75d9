"""ONNX networks of a few operations, in place of those that are too large to be here."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def _save(path: Path, name: str, channels: int, nodes: list[onnx.NodeProto], shape: list[int | str]) -> Path:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, *shape])]
    outputs = [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)]
    model = helper.make_model(
        helper.make_graph(nodes, "stand_in", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, str(path))
    return path


def brightness(path: Path) -> Path:
    """A network of any size that finds what is bright: its first channel. The others are the picture's, for clothes."""
    mean = helper.make_node("ReduceMean", ["seen"], ["mean"], axes=[1], keepdims=1)
    both = helper.make_node("Concat", ["mean", "seen"], ["answer"], axis=1)
    return _save(path, "seen", 3, [mean, both], ["height", "width"])


def trimap(path: Path) -> Path:
    """A matting network that answers with the trimap, the last of its four channels."""
    last = helper.make_node("Split", ["pixel_values"], ["picture", "answer"], axis=1)
    sizes = helper.make_node(
        "Constant", [], ["sizes"], value=helper.make_tensor("sizes", TensorProto.INT64, [2], [3, 1])
    )
    last.input.append("sizes")
    return _save(path, "pixel_values", 4, [sizes, last], [1024, 1024])
