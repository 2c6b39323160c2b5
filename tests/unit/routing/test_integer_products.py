"""The encoder's graph with products of integers: as the floats' to within a step of the bytes, row by row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from baton.routing import integer_products, minilm
from baton.routing.integer_products import LEVELS, probe, with_integer_products

INNER, COLUMNS = 8, 3
WEIGHTS = np.random.default_rng(1).integers(-LEVELS, LEVELS + 1, (2, INNER, COLUMNS)).astype(np.int8)
FACTORS = np.array([[0.01, 1.0, 300.0]], dtype=np.float32)
ROWS = st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=INNER, max_size=INNER), min_size=1, max_size=4)


def small_model() -> bytes:
    """Two products with weights of one input, and one product of two inputs."""
    nodes, stored = [], [numpy_helper.from_array(FACTORS, "factors")]
    for name, weights in zip("ab", WEIGHTS, strict=True):
        stored.append(numpy_helper.from_array(weights, f"{name}.stored"))
        nodes.append(make_node("Cast", [f"{name}.stored"], [f"{name}.cast"], name=f"{name}.cast", to=1))
        nodes.append(make_node("Mul", [f"{name}.cast", "factors"], [f"{name}.weights"], name=f"{name}.mul"))
        nodes.append(make_node("MatMul", ["rows", f"{name}.weights"], [name], name=f"{name}.product"))
    nodes.append(make_node("MatMul", ["rows", "other"], ["c"], name="c.product"))
    inputs = [make_tensor_value_info("rows", 1, ("n", INNER)), make_tensor_value_info("other", 1, (INNER, 1))]
    outputs = [make_tensor_value_info(name, 1, None) for name in "abc"]
    graph = make_graph(nodes, "small", inputs, outputs, stored)
    return bytes(make_model(graph, opset_imports=[make_opsetid("", 17)], ir_version=10).SerializeToString())


SMALL = minilm._started(with_integer_products(small_model(), []))


def products(rows: Any) -> Sequence[Any]:
    found: Sequence[Any] = SMALL.run(["a", "b", "c"], {"rows": rows, "other": np.ones((INNER, 1), dtype=np.float32)})
    return found


@given(rows=ROWS)
def test_a_product_is_off_by_half_a_step_of_each_value_at_most(rows: list[list[float]]) -> None:
    values = np.array(rows, dtype=np.float32)
    *weighted, plain = products(values)
    half_a_step = np.abs(values).max(axis=1, keepdims=True).astype(np.float64) / LEVELS / 2
    for found, weights in zip(weighted, WEIGHTS, strict=True):
        exact = values.astype(np.float64) @ (weights * FACTORS.astype(np.float64))
        bound = half_a_step * np.abs(weights * FACTORS).sum(axis=0)
        assert (np.abs(found - exact) <= bound * 1.001 + 1e-6).all()
    assert plain[:, 0] == pytest.approx(values.sum(axis=1), rel=1e-3, abs=1.0)


@given(rows=ROWS)
def test_a_row_does_not_depend_on_those_beside_it(rows: list[list[float]]) -> None:
    values = np.array(rows, dtype=np.float32)
    alone = [products(values[place : place + 1]) for place in range(len(values))]
    for number, found in enumerate(products(values)[:2]):
        assert np.array_equal(found, np.concatenate([one[number] for one in alone]))


def test_every_product_of_the_encoder_with_weights_is_of_integers() -> None:
    nodes = onnx.load_from_string(with_integer_products(minilm._checked_model(), ["layer_norm_10"])).graph.node
    kinds = [node.op_type for node in nodes]
    layers, of_weights, of_attention = 6, 6, 2
    assert (kinds.count("MatMulInteger"), kinds.count("MatMul")) == (layers * of_weights, layers * of_attention)


def test_the_encoders_vectors_stay_where_they_were() -> None:
    model = minilm._checked_model()
    feeds = {name: np.ones((2, 7), dtype=np.int64) for name in ("attention_mask", "token_type_ids", "input_ids")}
    feeds["input_ids"][:, 1:6] = [[2026, 4003, 2003, 2439, 2085], [2129, 2079, 1045, 2393, 2017]]
    before, after = (
        minilm._started(one).run(["last_hidden_state"], feeds)[0].mean(axis=1)
        for one in (model, with_integer_products(model, []))
    )
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    assert ((before * after).sum(axis=1) / lengths > 0.99).all()


def test_where_fast_products_overflow_exact_ones_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not minilm._overflows()
    model, rows, wanted = probe()
    monkeypatch.setattr(minilm, "probe", lambda: (model, rows, wanted - 1))
    assert minilm._overflows()
    taken: list[bool] = []
    monkeypatch.setattr(minilm, "_started", _noting(taken))
    minilm.MiniLM()
    assert taken == [False, True]


def _noting(taken: list[bool]) -> Any:
    started = minilm._started

    def note(model: bytes, *, is_wide: bool = False) -> Any:
        taken.append(is_wide)
        return started(model, is_wide=is_wide)

    return note


def test_exact_products_are_those_of_the_fast_ones() -> None:
    model, rows, wanted = probe()
    fast, exact = (minilm._started(model, is_wide=is_wide) for is_wide in (False, True))
    for session in (fast, exact):
        assert np.array_equal(session.run(None, {"rows": rows})[0], wanted)
    assert exact.get_session_options().get_session_config_entry("session.x64quantprecision") == "1"
    assert wanted.max() == 255 * integer_products.LEVELS * rows.shape[1]
