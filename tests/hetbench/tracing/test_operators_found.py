"""Which operators a call becomes, and with which dims: values counted by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from hetbench import HetBench  # noqa: E402
from hetbench.errors import InvalidInputError  # noqa: E402
from hetbench.operators import operator_type  # noqa: E402
from hetbench.operators.conv import conv_out  # noqa: E402
from hetbench.tracing import trace  # noqa: E402


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Any) -> Any:
        return self.function(*given)


def rows(function: Any, *given: torch.Tensor) -> list[tuple[str, dict[str, int], int]]:
    module = function if isinstance(function, nn.Module) else Function(function)
    found = trace(module, given).operators().rows()
    return [(row["op"], row["dims"], row["count"]) for row in found]


def products(function: Any, *given: torch.Tensor) -> int:
    """FLOPs without biases; a mask saves nothing."""
    total = 0
    for op, dims, count in rows(function, *given):
        kind = operator_type(op)
        if kind.cost_class in ("gemm", "conv", "attention"):
            plain = {**dims, **{name: 0 for name in ("bias", "causal", "window") if name in dims}}
            total += kind.flops(plain) * count
    return total


zeros = torch.zeros


@pytest.mark.parametrize(("function", "wanted"), [
    (lambda x: 1 / x, ["MulScalar", "Reciprocal"]), (lambda x: x // 2, ["DivScalar"]), (lambda x: 7 % x, ["DivScalar"]),
    (lambda x: 10 // x, ["DivScalar"]), (lambda x: 2**x, ["PowScalar"]), (lambda x: 1 - x, ["AddScalar"]),
    (lambda x: abs(-x), ["Abs", "Neg"]), (lambda x: (x + 1).zero_(), ["AddScalar", "Fill"]),
    (lambda x: (x + 1).fill_(1.0), ["AddScalar", "Fill"]), (lambda x: (x + 1).div_(2).relu_(),
                                                            ["AddScalar", "DivScalar", "ReLU"]),
])  # fmt: skip
def test_arithmetic_of_python_is_arithmetic_of_torch(function: Any, wanted: list[str]):
    assert [op for op, _, _ in rows(function, torch.ones(4))] == wanted


def test_a_class_named_like_a_norm_keeps_its_product():
    class BlockRMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.rms_norm(self.linear(x), (64,))

    assert products(BlockRMSNorm(), zeros(2, 16, 64)) == 2 * 32 * 64 * 64


def test_a_class_named_like_an_activation_keeps_its_weight():
    class DenseGELU(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(zeros(256, 64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.gelu(x @ self.weight.T)

    assert products(DenseGELU(), zeros(8, 64)) == 2 * 8 * 64 * 256


@pytest.mark.parametrize("function", [
    lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    lambda x: 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3))),
    lambda x: x * torch.sigmoid(1.702 * x),
])  # fmt: skip
def test_gelu_is_recognised_by_its_values_however_it_is_written(function: Any):
    assert rows(function, zeros(8)) == [("GELU", {"numel": 8}, 1)]


def test_functions_that_look_like_gelu_stay_as_they_are():
    assert [op for op, _, _ in rows(lambda x: x * torch.sigmoid(x), zeros(8))] == ["Mul", "Sigmoid"]
    assert "GELU" not in [op for op, _, _ in rows(lambda x: x * 0.5 * (1 + torch.tanh(x)), zeros(8))]


def test_rms_norm_is_recognised_without_a_module_and_a_layer_norm_is_not_taken_for_one():
    def rms(x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)

    def layer(x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred * torch.rsqrt(centred.pow(2).mean(-1, keepdim=True) + 1e-6)

    assert rows(rms, zeros(4, 8)) == [("RMSNorm", {"rows": 4, "cols": 8}, 1)]
    assert "RMSNorm" not in [op for op, _, _ in rows(layer, zeros(4, 8))]


def test_unfold_is_a_copy_where_it_copies_and_nothing_where_it_is_a_view():
    assert rows(nn.Unfold(3, padding=1), zeros(1, 3, 8, 8)) == [("Copy", {"numel": 27 * 64}, 1)]
    assert [op for op, _, _ in rows(lambda x: x.unfold(1, 3, 1) + 1, zeros(2, 8))] == ["AddScalar"]


def test_values_of_another_width_than_keys_cost_their_own_width():
    given = zeros(1, 16, 128, 192), zeros(1, 16, 128, 192), zeros(1, 16, 128, 128)
    assert products(functional.scaled_dot_product_attention, *given) == 2 * 16 * 128 * 128 * (192 + 128)
    assert products(lambda q, k, v: (q @ k.transpose(-1, -2)).softmax(-1) @ v, *given) == 2 * 16 * 128**2 * (192 + 128)


@pytest.mark.parametrize("function", [
    lambda q: (q @ q.transpose(-1, -2) + torch.full((16, 16), float("-inf")).triu(1)).softmax(-1) @ q,
    lambda q: (q @ q.transpose(-1, -2)).masked_fill(torch.ones(16, 16).tril() == 0, float("-inf")).softmax(-1) @ q,
    lambda q: functional.scaled_dot_product_attention(q, q, q, attn_mask=torch.ones(16, 16, dtype=torch.bool).tril()),
])  # fmt: skip
def test_a_causal_mask_is_read_from_its_values(function: Any):
    ((op, dims, _),) = rows(function, zeros(1, 8, 16, 64))
    assert (op, dims["causal"], dims["window"]) == ("Attention", 1, 0)


@pytest.mark.parametrize(("device", "window"), [("meta", 5), ("cpu", 3)])
def test_a_stated_window_stands_unless_the_values_of_every_mask_are_known(device: str, window: int):
    class Local(nn.Module):
        attention_type, is_causal, config = "local", True, SimpleNamespace(window_size=5)

        def __init__(self) -> None:
            super().__init__()
            self.near = nn.Buffer(torch.ones(16, 16, dtype=torch.bool, device=device).triu(-2))

        def forward(self, q: torch.Tensor) -> torch.Tensor:
            scores = torch.where(self.near, q @ q.transpose(-1, -2), -1e9)
            return (scores + torch.full((16, 16), float("-inf")).triu(1)).softmax(-1) @ q

    ((op, dims, _),) = rows(Local(), zeros(1, 8, 16, 64))
    assert (op, dims["causal"], dims["window"]) == ("Attention", 1, window)


def test_a_loop_over_heads_has_one_head_each_time():
    class Looping(nn.Module):
        num_heads = 4

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.transpose(-1, -2) @ x).softmax(-1) @ x.transpose(-1, -2)

    ((op, dims, _),) = rows(Looping(), zeros(1, 16, 49))
    assert (op, dims["batch"], dims["heads"]) == ("Attention", 1, 1)


@pytest.mark.parametrize(("module", "shape", "outputs"), [
    (nn.AvgPool2d((1, 4), (1, 4)), (1, 8, 32, 100), 8 * 32 * 25), (nn.MaxPool2d((2, 1)), (1, 8, 32, 100), 8 * 16 * 100),
    (nn.AvgPool2d((2, 4)), (1, 8, 32, 100), 8 * 16 * 25), (nn.MaxPool2d(3, 2, ceil_mode=True), (1, 8, 32, 32), 8 * 256),
])  # fmt: skip
def test_steps_that_differ_by_axis_keep_outputs_and_inputs(module: nn.Module, shape: tuple[int, ...], outputs: int):
    ((op, d, _),) = rows(module, zeros(*shape))
    sides = [conv_out(d[size], d[kernel], d["stride"], d["pad"]) for size, kernel in (("h", "kh"), ("w", "kw"))]
    assert d["n"] * d["c"] * sides[0] * sides[1] == outputs
    moved = operator_type(op).bytes_moved(d, 4)
    assert moved == 4 * (shape[1] * shape[2] * shape[3] + outputs)


def test_a_dilated_convolution_reads_its_input_once():
    ((op, dims, _),) = rows(nn.Conv2d(3, 8, 3, dilation=2, padding=2, bias=False), zeros(1, 3, 32, 32))
    assert operator_type(op).flops(dims) == 2 * 8 * 32 * 32 * 27
    assert operator_type(op).bytes_moved(dims, 4) == 4 * (3 * 1024 + 8 * 27 + 8 * 1024)


def test_softmax_without_an_axis_takes_torchs_implicit_one():
    assert rows(nn.Softmax(), zeros(2, 8)) == [("Softmax", {"rows": 2, "cols": 8}, 1)]
    assert rows(nn.LogSoftmax(), zeros(2, 3, 4)) == [("LogSoftmax", {"rows": 12, "cols": 2}, 1)]


@pytest.mark.parametrize(("module", "shape", "flops"), [
    (nn.LSTM(32, 64, batch_first=True), (2, 10, 32), 2 * 2 * 10 * 4 * 64 * (32 + 64)),
    (nn.LSTM(32, 64, proj_size=16), (10, 2, 32), 2 * 20 * (256 * (32 + 16) + 64 * 16)),
    (nn.GRU(32, 64, 2, bidirectional=True), (10, 2, 32), 2 * 2 * 20 * 192 * (32 + 64) + 2 * 2 * 20 * 192 * (128 + 64)),
    (nn.RNN(32, 64), (10, 2, 32), 2 * 20 * 64 * 96), (nn.GRUCell(32, 64), (2, 32), 2 * 2 * 192 * 96),
    (nn.Conv3d(3, 16, 3), (1, 3, 8, 32, 32), 2 * 16 * 6 * 30 * 30 * 81),
    (nn.ConvTranspose3d(16, 8, 2, stride=2), (1, 16, 4, 4, 4), 2 * 16 * 8 * 8 * 64),
    (nn.ConvTranspose2d(4, 8, 3, stride=(1, 2), padding=1, output_padding=(0, 1), groups=2), (1, 4, 8, 8),
     2 * 64 * 4 * 4 * 9),
    (nn.Bilinear(4, 5, 6), (3, 4), None),
])  # fmt: skip
def test_products_of_layers_by_hand(module: nn.Module, shape: tuple[int, ...], flops: int | None):
    if isinstance(module, nn.Bilinear):
        assert products(module, zeros(3, 4), zeros(3, 5)) == 2 * 3 * 6 * 20
    else:
        assert products(module, zeros(*shape)) == flops


def test_the_output_of_a_transposed_convolution_is_written_once_whatever_its_steps():
    module = nn.ConvTranspose2d(4, 8, 3, stride=(1, 2), bias=False)
    ((op, dims, _),) = rows(module, zeros(1, 4, 8, 8))
    assert operator_type(op).bytes_moved(dims, 4) == 4 * (4 * 64 + 4 * 8 * 9 + 8 * 10 * 17)


def test_packed_sequences_run_fewer_rows_as_they_end():
    def forward(x: torch.Tensor) -> torch.Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]))
        return nn.GRU(8, 16)(packed)[0].data

    assert products(forward, zeros(5, 2, 8)) == 2 * 8 * 48 * (8 + 16)


def test_experts_are_one_grouped_product_over_the_rows_that_were_routed():
    transformers = pytest.importorskip("transformers")
    config = transformers.MixtralConfig(
        hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=8, num_key_value_heads=2,
        num_local_experts=4, num_experts_per_tok=2, vocab_size=1000,
    )  # fmt: skip
    with torch.device("meta"):
        module = transformers.MixtralForCausalLM(config)
    found = rows(module, zeros(1, 32, dtype=torch.long))
    assert [dims for op, dims, _ in found if op == "GroupedMatMul"] == [
        {"groups": 4, "m": 64, "n": 1024, "k": 256}, {"groups": 4, "m": 64, "n": 256, "k": 512},
    ]  # fmt: skip
    assert products(module, zeros(1, 32, dtype=torch.long)) == 140_247_040


def test_values_of_integers_decide_a_path():
    def forward(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        mask = torch.arange(8) < lengths.max()
        return torch.cat([part * 2 for part in torch.split(x, lengths.tolist())]) if mask.any() else x

    assert rows(forward, zeros(4, 8), torch.tensor([1, 3])) == [
        ("Concat", {"numel": 32}, 1), ("MulScalar", {"numel": 8}, 1), ("MulScalar", {"numel": 24}, 1),
    ]  # fmt: skip


def test_every_unknown_function_is_named_at_once_in_a_few_lines():
    def forward(x: torch.Tensor) -> torch.Tensor:
        return torch.renorm(torch.special.i0(x), 2, 0, 1.0)

    with pytest.raises(InvalidInputError, match="covers 2 of") as caught:
        trace(Function(forward), zeros(2, 8))
    assert "i0" in str(caught.value)
    assert "renorm" in str(caught.value)
    assert str(caught.value).count("\n") < 12


def test_new_types_are_predicted_at_an_honest_level():
    answer = HetBench().query(trace(nn.LSTM(8, 16), zeros(5, 2, 8)), target="cuda", metric="latency", precision="fp32")
    assert answer.value > 0
    assert answer.level in ("B", "C", "D")


@pytest.mark.parametrize(("function", "shape", "aten"), [
    (lambda x: torch.isin(x, x[0]), (2, 8), "isin.Tensor_Tensor"),
    (lambda x: functional.interpolate(x, scale_factor=2, mode="trilinear"), (1, 3, 4, 8, 8), "upsample_trilinear3d"),
    (lambda x: functional.interpolate(x, scale_factor=2, mode="linear"), (1, 3, 8), "upsample_linear1d"),
])  # fmt: skip
def test_calls_have_the_names_that_back_ends_register(function: Any, shape: tuple[int, ...], aten: str):
    graph = trace(Function(function), zeros(*shape))
    assert aten in graph.aten_ops()
    assert HetBench().coverage(graph, "cuda").share == 100
