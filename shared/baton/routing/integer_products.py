"""The encoder's graph, with integers multiplied where it multiplied floats.

In: a model whose weights are 8-bit integers with a factor for each column, which its graph turns into floats
before it multiplies. Out: the same model with the rows turned into 8-bit integers instead, two to three times as fast.

Source:
    "Vector-wise quantization": Dettmers and others, LLM.int8(), 2022, section 3.1. A factor for each row, and not one
    for all of them, keeps what becomes of a text from depending on the texts beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

LEVELS, ZERO = 127, 128
"""Integers from -127 to 127 are stored as bytes from 1 to 255."""
_LEAST = 1e-12  # a row of nothing but 0 is divided by it

IntArray = npt.NDArray[np.integer]
Weights = Mapping[str, tuple[str, str]]
"""By the name of a matrix of floats: that of its integers, and that of their factors, one for each column."""


def with_integer_products(model: bytes, outputs: Sequence[str]) -> bytes:
    """Return a model whose products with weights are of integers.

    Args:
        model: An ONNX file; products of other things than such weights stay as they are.
        outputs: Names of values inside the graph that the model is to give as well.
    """
    import onnx

    made = onnx.load_from_string(model)
    weights, needless = _weights(made.graph)
    nodes = [node for node in made.graph.node if node.name not in needless]
    del made.graph.node[:]
    made.graph.node.extend(_rewritten(nodes, weights))
    constants = {
        "levels": np.float32(LEVELS),
        "zero": np.float32(ZERO),
        "least": np.float32(_LEAST),
        "at": np.uint8(ZERO),
    }
    made.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(value), f"baton.{name}") for name, value in constants.items()
    )
    made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    rewritten: bytes = made.SerializeToString()
    return rewritten


def probe() -> tuple[bytes, IntArray, IntArray]:
    """Return a model of one product, what to multiply, and what comes of it where sums do not overflow.

    Fast products of bytes add pairs of them in 16 bits on processors without VNNI, and two of the greatest need 17.
    """
    import onnx
    from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

    rows = np.full((16, 64), 255, dtype=np.uint8)
    weights = np.full((64, 32), LEVELS, dtype=np.int8)
    graph = make_graph(
        [make_node("MatMulInteger", ["rows", "weights"], ["sums"])],
        "probe",
        [make_tensor_value_info("rows", onnx.TensorProto.UINT8, rows.shape)],
        [make_tensor_value_info("sums", onnx.TensorProto.INT32, (len(rows), weights.shape[1]))],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=10)
    return model.SerializeToString(), rows, rows.astype(np.int32) @ weights.astype(np.int32)


def _weights(graph: "GraphProto") -> tuple[Weights, set[str]]:
    """Return the weights, and the names of the nodes that turned them into floats."""
    stored = {one.name for one in graph.initializer}
    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast" and node.input[0] in stored}
    factors = {node.output[0]: node for node in graph.node if node.op_type == "Mul" and node.input[0] in casts}
    factors = {name: node for name, node in factors.items() if node.input[1] in stored}
    multiplied = [node.input[1] for node in graph.node if node.op_type == "MatMul" and node.input[1] in factors]
    weights = {name: (casts[factors[name].input[0]].input[0], factors[name].input[1]) for name in multiplied}
    return weights, {node.name for name in multiplied for node in (factors[name], casts[factors[name].input[0]])}


def _rewritten(nodes: Sequence["NodeProto"], weights: Weights) -> Iterator["NodeProto"]:
    whole: set[str] = set()
    for node in nodes:
        if node.op_type != "MatMul" or node.input[1] not in weights:
            yield node
            continue
        rows = node.input[0]
        if rows not in whole:
            yield from _whole(rows)
            whole.add(rows)
        yield from _product(rows, weights[node.input[1]], node.output[0])


def _whole(rows: str) -> Iterator["NodeProto"]:
    """Make bytes of rows, and the factor of each that makes floats of them again: its greatest value / `LEVELS`."""
    from onnx import TensorProto
    from onnx.helper import make_node

    yield make_node("Abs", [rows], [f"{rows}.sizes"])
    yield make_node("ReduceMax", [f"{rows}.sizes"], [f"{rows}.greatest"], axes=[-1], keepdims=1)
    yield make_node("Max", [f"{rows}.greatest", "baton.least"], [f"{rows}.span"])
    yield make_node("Div", [f"{rows}.span", "baton.levels"], [f"{rows}.factor"])
    yield make_node("Div", [rows, f"{rows}.factor"], [f"{rows}.scaled"])
    yield make_node("Round", [f"{rows}.scaled"], [f"{rows}.rounded"])
    yield make_node("Add", [f"{rows}.rounded", "baton.zero"], [f"{rows}.shifted"])
    yield make_node("Cast", [f"{rows}.shifted"], [f"{rows}.bytes"], to=TensorProto.UINT8)


def _product(rows: str, weights: tuple[str, str], product: str) -> Iterator["NodeProto"]:
    from onnx import TensorProto
    from onnx.helper import make_node

    integers, factors = weights
    yield make_node("MatMulInteger", [f"{rows}.bytes", integers, "baton.at"], [f"{product}.sums"])
    yield make_node("Cast", [f"{product}.sums"], [f"{product}.whole"], to=TensorProto.FLOAT)
    yield make_node("Mul", [f"{product}.whole", factors], [f"{product}.columns"])
    yield make_node("Mul", [f"{product}.columns", f"{rows}.factor"], [product])
