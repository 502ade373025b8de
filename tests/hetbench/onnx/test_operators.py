"""What single operators of ONNX files cost, and how files that cannot be read are refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hetbench import HetBench
from hetbench.errors import HetBenchError, InvalidInputError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from hetbench.onnx import read  # noqa: E402

FLOAT, INT8, UINT8, INT64 = TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8, TensorProto.INT64


def _stored(name: str, shape: tuple[int, ...], kind: int = FLOAT):
    """A weight whose elements lie in a file that is not there."""
    tensor = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights")
    tensor.external_data.add(key="offset", value=str(4096 * (1 + sum(map(ord, name)))))
    return tensor


def _ints(name: str, values: list[int]):
    return helper.make_tensor(name, INT64, [len(values)], values)


def _save(path: Path, nodes, inputs, weights=(), opset: int = 17) -> Path:
    given = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    out = helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, None)
    graph = helper.make_graph(nodes, "graph", given, [out], list(weights))
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=sets).SerializeToString())
    return path


def _rows(graph, **sizes):
    return [(row["op"], row["dims"], row["dtype"]) for row in graph.operators(**sizes).rows()]


def _node(op: str, inputs: str, outputs: str = "y", domain: str = "", **attributes):
    return helper.make_node(op, inputs.split(" "), outputs.split(" "), domain=domain, **attributes)


def _fused(op: str, inputs: str, outputs: str = "y", **attributes):
    return _node(op, inputs, outputs, "com.microsoft", **attributes)


def test_a_reshape_by_the_shape_of_the_input_is_followed(tmp_path: Path):
    nodes = [
        _node("Shape", "x", "s"), _node("Gather", "s zero", "b"), _node("Unsqueeze", "b zero", "b1"),
        _node("Concat", "b1 rest", "to", axis=0), _node("Reshape", "x to", "flat"), _node("MatMul", "flat w", "y"),
    ]  # fmt: skip
    scalar = helper.make_tensor("zero", INT64, [1], [0])
    nodes[1], nodes[2] = _node("Gather", "s zero", "b"), _node("Identity", "b", "b1")
    weights = [scalar, _ints("rest", [-1]), _stored("w", (12, 5))]
    path = _save(tmp_path / "m.onnx", nodes, [("x", FLOAT, ["batch", 3, 4])], weights)
    assert _rows(read(path), batch=7) == [("Linear", {"m": 7, "n": 5, "k": 12, "bias": 0}, "fp32")]
    assert read(path).params == 60


def test_a_product_between_quantize_and_dequantize_runs_in_int8(tmp_path: Path):
    nodes = [
        _node("QuantizeLinear", "x s z", "xq"), _node("DequantizeLinear", "xq s z", "xd"),
        _node("DequantizeLinear", "wq s z8", "wd"), _node("Conv", "xd wd", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        _node("Relu", "c", "r"), _node("Conv", "r v", "y", kernel_shape=[1, 1]),
    ]  # fmt: skip
    weights = [
        helper.make_tensor("s", FLOAT, [], [0.1]), helper.make_tensor("z", UINT8, [], [0]),
        helper.make_tensor("z8", INT8, [], [0]), _stored("wq", (8, 3, 3, 3), INT8), _stored("v", (4, 8, 1, 1)),
    ]  # fmt: skip
    graph = read(_save(tmp_path / "q.onnx", nodes, [("x", FLOAT, [1, 3, 16, 16])], weights))
    assert graph.precision == "int8"
    assert {(op, dtype) for op, _, dtype in _rows(graph, precision="int8")} == {
        ("Conv2d", "int8"), ("Conv2d", "fp16"), ("ReLU", "fp16"),
    }  # fmt: skip
    assert graph.params == 8 * 3 * 9 + 4 * 8


def test_the_fused_attention_of_onnx_runtime_is_a_projection_and_an_attention(tmp_path: Path):
    path = _save(
        tmp_path / "a.onnx", [_fused("Attention", "x w b", num_heads=4, unidirectional=1)],
        [("x", FLOAT, ["batch", "seq", 32])], [_stored("w", (32, 96)), _stored("b", (96,))],
    )  # fmt: skip
    assert _rows(read(path, {"seq": 10, "batch": 2})) == [
        ("Attention", {"batch": 2, "q_len": 10, "kv_len": 10, "heads": 4, "kv_heads": 4, "head_dim": 8, "causal": 1,
                       "window": 0}, "fp32"),
        ("Linear", {"m": 20, "n": 96, "k": 32, "bias": 1}, "fp32"),
    ]  # fmt: skip


def test_grouped_query_attention_appends_to_its_cache_in_phase_decode(tmp_path: Path):
    nodes = [_fused("GroupQueryAttention", "q k v past_key past_value lens total cos sin", "y pk pv", num_heads=8,
                    kv_num_heads=2, do_rotary=1)]  # fmt: skip
    cache = ["batch", 2, "past_sequence_length", 16]
    inputs = [
        ("q", FLOAT, ["batch", "sequence_length", 128]), ("k", FLOAT, ["batch", "sequence_length", 32]),
        ("v", FLOAT, ["batch", "sequence_length", 32]), ("past_key", FLOAT, cache), ("past_value", FLOAT, cache),
        ("lens", TensorProto.INT32, ["batch"]), ("total", TensorProto.INT32, []),
    ]  # fmt: skip
    weights = [_stored("cos", (64, 8)), _stored("sin", (64, 8))]
    graph = read(_save(tmp_path / "g.onnx", nodes, inputs, weights), seq_len=100)
    assert graph.phases == ("prefill", "decode")
    rows = {op: dims for op, dims, _ in _rows(graph, batch=3, seq_len=100, phase="decode")}
    assert (rows["Attention"]["q_len"], rows["Attention"]["kv_len"], rows["Attention"]["causal"]) == (1, 101, 1)
    assert rows["RoPE"] == {"tokens": 3, "heads": 8, "kv_heads": 2, "head_dim": 16}
    cached = graph.memory(batch=3, seq_len=100, phase="decode").kv_cache_bytes
    assert cached == 3 * 2 * 101 * (16 + 16) * 4


@pytest.mark.parametrize(("node", "weights", "expected"), [
    (_fused("SkipLayerNormalization", "x x g h"), {"g": (32,), "h": (32,)}, ["Add", "LayerNorm"]),
    (_fused("SkipSimplifiedLayerNormalization", "x x g"), {"g": (32,)}, ["Add", "RMSNorm"]),
    (_fused("BiasGelu", "x g"), {"g": (32,)}, ["Add", "GELU"]),
    (_fused("FastGelu", "x"), {}, ["GELU"]),
    (_fused("FusedMatMul", "x g", transB=1), {"g": (64, 32)}, ["Linear"]),
    (_fused("MatMulNBits", "x g s", K=32, N=64, bits=4, block_size=32), {"g": (64, 1, 16), "s": (64,)}, ["Linear"]),
    (_fused("RotaryEmbedding", "x p c d", num_heads=4), {"p": (1,), "c": (16, 4), "d": (16, 4)}, ["RoPE"]),
    (_fused("QuickGelu", "x"), {}, ["GELU"]),
])  # fmt: skip
def test_fused_operators_are_what_pytorch_runs_for_them(node, weights, expected, tmp_path: Path):
    stored = [_stored(name, shape, UINT8 if node.op_type == "MatMulNBits" and name == "g" else FLOAT)
              for name, shape in weights.items()]  # fmt: skip
    graph = read(_save(tmp_path / "f.onnx", [node], [("x", FLOAT, [2, 16, 32])], stored))
    assert sorted(op for op, *_ in _rows(graph)) == expected
    if node.op_type == "MatMulNBits":
        assert graph.params == 32 * 64
        assert "few bits" in graph.notes[-1]


def test_an_output_layer_that_is_its_embedding_transposed_counts_once(tmp_path: Path):
    table = [float(value) for value in range(24)]
    turned = [table[column * 4 + row] for row in range(4) for column in range(6)]
    made = [helper.make_tensor(name, FLOAT, shape, values)
            for name, shape, values in (("t", [6, 4], table), ("w", [4, 6], turned))]  # fmt: skip
    stored = [numpy_helper.from_array(numpy_helper.to_array(each), each.name) for each in made]
    nodes = [_node("Gather", "t x", "e"), _node("MatMul", "e w", "y")]
    graph = read(_save(tmp_path / "t.onnx", nodes, [("x", INT64, [1, 3])], stored))
    assert graph.params == 24
    assert [op for op, *_ in _rows(graph)] == ["Embedding", "Linear"]


def test_a_loop_of_known_turns_runs_each_of_them(tmp_path: Path):
    body = helper.make_graph(
        [_node("MatMul", "h w", "h2"), _node("Identity", "go", "on")], "body",
        [helper.make_tensor_value_info("i", INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("h", FLOAT, [2, 8])],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("h2", FLOAT, [2, 8])],
    )  # fmt: skip
    nodes = [helper.make_node("Loop", ["turns", "", "x"], ["y"], body=body)]
    path = _save(tmp_path / "l.onnx", nodes, [("x", FLOAT, [2, 8])],
                 [helper.make_tensor("turns", INT64, [], [5]), _stored("w", (8, 8))])  # fmt: skip
    assert read(path).operators().rows()[0]["count"] == 5


def test_all_operators_without_a_type_are_named_at_once(tmp_path: Path):
    nodes = [_node(f"Strange{k}", "x", "y", "com.acme") for k in range(20)]
    with pytest.raises(InvalidInputError, match="20 of the operators") as raised:
        read(_save(tmp_path / "u.onnx", nodes, [("x", FLOAT, [1])]))
    assert len(str(raised.value).splitlines()) <= 12
    assert "com.acme::Strange0" in str(raised.value)


def _deep() -> bytes:
    return b"\x3a\xff\xff\xff\xff\x07" * 50


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x08\x07" * 5, _deep(), bytes(range(256)) * 9])
def test_what_is_no_onnx_file_is_refused_in_words(data: bytes, tmp_path: Path):
    (tmp_path / "x.onnx").write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"x\.onnx"):
        read(tmp_path / "x.onnx")


@pytest.mark.parametrize("nodes", [
    [_node("Relu", "nowhere")], [_node("MatMul", "x x")], [_node("Reshape", "x big")], [_node("Conv", "x")],
    [_node("Expand", "x huge", "z"), _node("Relu", "z")], [_node("Reshape", "x x")], [_node("If", "x")],
    [_node("ConstantOfShape", "huge", "z"), _node("Add", "x z")], [_node("TopK", "x x")],
    [_node("Range", "x x x")], [_node("Relu", "x", "y"), _node("Relu", "gone", "z")], [_node("Squeeze", "x huge")],
])  # fmt: skip
def test_a_graph_that_is_not_well_formed_is_refused_in_words(nodes, tmp_path: Path):
    weights = [_ints("big", [7, 7]), _ints("huge", [2**40, 2**40])]
    with pytest.raises(HetBenchError, match=r"b\.onnx"):
        read(_save(tmp_path / "b.onnx", nodes, [("x", FLOAT, [2, 3])], weights))


def test_free_sizes_that_are_not_understood_are_asked_for_with_all_of_them(tmp_path: Path):
    path = _save(tmp_path / "s.onnx", [_node("Relu", "x")], [("x", FLOAT, ["batch", "unk__7", "seq"])])
    asked = r"leaves seq, unk__7 free.*--dims seq=128,unk__7=128.*x \[batch, unk__7, seq\]"
    with pytest.raises(InvalidInputError, match=asked):
        read(path)
    graph = read(path, "unk__7=5,seq=3")
    assert graph.operators(batch=2).rows()[0]["dims"] == {"numel": 30}
    with pytest.raises(InvalidInputError, match=r"no free size 'batc'\. Did you mean 'batch'"):
        read(path, {"batc": 5})


def test_a_query_takes_a_file_with_its_sizes_and_sees_when_it_changes(tmp_path: Path):
    api, path = HetBench(), tmp_path / "net.onnx"
    for width in (64, 128):
        _save(path, [_node("MatMul", "x w")], [("x", FLOAT, ["batch", "seq", 32])], [_stored("w", (32, width))])
        answer = api.query(str(path), metric="flops", dims={"seq": 16}, batch=4)
        assert answer.value == 2 * 4 * 16 * 32 * width
    assert answer.model == "net.onnx"
    with pytest.raises(InvalidInputError, match="dims= binds the free sizes of an ONNX file"):
        api.query("gpt2", metric="flops", dims={"seq": 16})


def test_a_thousand_nodes_are_answered_within_a_second(tmp_path: Path):
    nodes, weights = [], []
    for layer in range(334):
        nodes += [_node("MatMul", f"h{layer} w{layer}", f"m{layer}"), _node("Add", f"m{layer} b{layer}", f"a{layer}"),
                  _node("Relu", f"a{layer}", f"h{layer + 1}")]  # fmt: skip
        weights += [_stored(f"w{layer}", (64, 64)), _stored(f"b{layer}", (64,))]
    path = _save(tmp_path / "long.onnx", nodes, [("h0", FLOAT, ["batch", 64])], weights)
    read(path)  # loads the packages
    path.touch()
    start = time.process_time()
    assert read(path).operators(batch=8, precision="fp16").launches == 668
    assert time.process_time() - start < 1


@pytest.mark.parametrize(("node", "shape", "weight", "said"), [
    (_node("Conv", "x w", group=0), (1, 3, 8, 8), (4, 3, 3, 3), "do not meet in 0 groups"),
    (_node("Conv", "x w"), (1, 5, 8, 8), (4, 3, 3, 3), "5 channels and weights"),
    (_node("ConvTranspose", "x w"), (1, 5, 8, 8), (4, 3, 3, 3), "5 channels and weights"),
    (_node("Gemm", "x w"), (4, 5), (8, 8), "do not meet"),
    (_node("Transpose", "x", perm=[0, 0]), (4, 8), (1,), "no order of 2 axes"),
    (_node("Softmax", "x", axis=7), (4, 8), (1,), "2 axes has no axis 7"),
    (_node("Split", "x", "y z", axis=9), (4, 8), (1,), "2 axes has no axis 9"),
    (_node("Split", "x", "y z", axis=0, num_outputs=2**31), (4, 8), (1,), "2,147,483,648 parts"),
    (_node("MaxPool", "x", kernel_shape=[0, 0]), (1, 3, 8, 8), (1,), "does not go over"),
    (_node("AveragePool", "x", kernel_shape=[2]), (1, 3, 8, 8), (1,), "does not go over"),
    (_node("LSTM", "x w w", hidden_size=8, layout=1), (1, 2**20, 16), (1, 32, 16), "1,048,576 steps"),
    (_fused("MultiHeadAttention", "x x x", num_heads=7), (1, 8, 64), (1,), "64 channels do not go into 7 heads"),
])  # fmt: skip
def test_what_no_runtime_would_run_is_not_answered(tmp_path: Path, node, shape, weight, said: str):
    path = _save(tmp_path / "wrong.onnx", [node], [("x", FLOAT, list(shape))], [_stored("w", weight)], opset=18)
    with pytest.raises(HetBenchError, match=said):
        read(path)


def test_a_size_given_twice_is_refused(tmp_path: Path):
    path = _save(tmp_path / "two.onnx", [_node("Relu", "x")], [("x", FLOAT, ["batch", 4])])
    with pytest.raises(InvalidInputError, match="'batch' is given twice"):
        read(path, "batch=8,batch=9")
