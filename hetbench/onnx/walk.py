"""From a file and the sizes of its free dimensions to a trace: every node in order, then the tracer's recomposition."""

from __future__ import annotations

import ast
from collections import ChainMap, Counter
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from hetbench.errors import HetBenchError, InvalidInputError, shown
from hetbench.onnx import control, creation, elementwise, fused, layers, movement, products, quantised
from hetbench.onnx.file import MOST_NODES, OnnxFile, evaluated, kind, operators
from hetbench.onnx.patterns import merge_biases, merge_layer_norms, merge_roots, merge_scales, merge_softmaxes
from hetbench.onnx.products import kind_of
from hetbench.onnx.run import MOST_VALUES, Op, Run
from hetbench.onnx.tensors import DTYPES, DType, Storage, Tensor, contiguous
from hetbench.onnx.ties import tied_tables
from hetbench.tracing.activations import merge_activations
from hetbench.tracing.attention import merge_attention
from hetbench.tracing.flow import Trace
from hetbench.tracing.patterns import merge_rms_norms, merge_rotations
from hetbench.tracing.recompose import recompose

__all__ = ["HANDLERS", "check_operators", "file_dtype", "is_cache", "walked"]

HANDLERS = {
    **elementwise.HANDLERS, **movement.HANDLERS, **creation.HANDLERS, **layers.HANDLERS, **products.HANDLERS,
    **quantised.HANDLERS, **fused.HANDLERS, **control.HANDLERS,
}  # fmt: skip
_PASSES = (
    merge_biases, merge_softmaxes, merge_scales, merge_roots, merge_rms_norms, merge_layer_norms, merge_activations,
    merge_rotations, merge_attention,
)  # fmt: skip
_TYPES = {"fp32": DTYPES[1], "fp16": DTYPES[10], "bf16": DTYPES[16]}
_INTEGER_USES = ("uant", "QLinear", "Integer", "Bits", "QGemm", "QAttention", "Bnb4", "FpQ4")
_MOST_NAMED = 10


def is_cache(name: str) -> bool:
    """Whether an input holds keys or values of tokens before: `past_key_values.0.key`, `past_0`.

    >>> is_cache("past_key_values.0.key"), is_cache("input_ids")
    (True, False)
    """
    return name.lower().startswith(("past", "key_cache", "value_cache", "cache_k", "cache_v"))


def check_operators(file: OnnxFile) -> None:
    """`InvalidInputError` that names every operator of the file without an operator type."""
    unknown: Counter[str] = Counter()
    first: dict[str, str] = {}
    for name, node in operators(file):
        if name not in HANDLERS and name != "Constant":
            unknown[name] += 1
            first.setdefault(name, node)
    if not unknown:
        return
    lines = [f"  {name}: {times} x, first {shown(first[name])}" for name, times in unknown.most_common(_MOST_NAMED - 1)]
    if len(unknown) >= _MOST_NAMED:
        lines = [*lines[: _MOST_NAMED - 2], f"  and {len(unknown) - _MOST_NAMED + 2} more"]
    raise InvalidInputError("\n".join([
        f"no operator type covers {len(unknown)} of the operators of {shown(str(file.path))}:", *lines,
        f"Replace them by operators that are covered ({len(HANDLERS)} are), or cut the graph around them.",
    ]))  # fmt: skip


def file_dtype(file: OnnxFile) -> DType:
    """The floating-point type of most of a file's weights and inputs."""
    many: Counter[int] = Counter()
    for tensor in file.model.graph.initializer:
        many[tensor.data_type] += prod(tensor.dims)
    for each in file.inputs:
        many[each.type] += 1
    found = [code for code, _ in many.most_common() if code in (1, 10, 16, 11)]
    return DTYPES[found[0]] if found else DTYPES[1]


def walked(file: OnnxFile, sizes: Mapping[str, int], precision: str) -> tuple[Trace, Run]:
    """The trace of a file with its free sizes bound, floating-point data in a precision of `_TYPES`.

    Raises `InvalidInputError` for a graph whose shapes depend on data, or that is not well-formed.
    """
    run = Run(_TYPES[precision], file_dtype(file))
    walk = _Walk(file, run)
    walk.give(sizes)
    outputs = walk.graph(file.model.graph, walk.env)
    parameters, cached = run.recording.parameters, run.recording
    cached.outputs = {each.storage._cdata for each in outputs if isinstance(each, Tensor)}
    used = run.used & parameters
    cached.parameter_count = sum(run.counted.get(each, walk.sizes.get(each, 0)) for each in used)
    try:
        return recompose(run.recording, _PASSES), run
    except HetBenchError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError, AssertionError) as error:
        raise _broken(file, "its operators", error) from error


class _Walk:
    def __init__(self, file: OnnxFile, run: Run) -> None:
        self.file, self.run = file, run
        self.env: MutableMapping[str, Any] = {"": None}
        self.sizes: dict[int, int] = {}
        """Elements of each parameter."""
        self._whole = _whole_weights(file.model.graph)
        self._tied = tied_tables(file.model.graph)
        self._scopes: list[MutableMapping[str, Any]] = []
        run.walk = self.inner

    def give(self, sizes: Mapping[str, int]) -> None:
        """The inputs of the network."""
        recording = self.run.recording
        for each in self.file.inputs:
            shape = [size if isinstance(size, int) else evaluated(size, sizes) for size in each.shape]
            try:
                tensor = self.run.new(shape, self.run.dtype(each.type), _value(each.name, shape, sizes))
            except ValueError as error:
                raise _broken(self.file, f"input {shown(each.name)}", error) from None
            self.run.know(tensor)
            recording.inputs.add(tensor.storage._cdata)
            if is_cache(each.name):
                recording.cache.add(tensor.storage._cdata)
            if tensor.dtype.is_floating_point or tensor.dtype.is_complex:
                self.run.data.add(tensor.storage._cdata)
            self.env[each.name] = tensor

    def inner(self, graph: Any, given: list[Any]) -> list[Any]:
        """A graph inside a node, which sees the names around it."""
        env: MutableMapping[str, Any] = ChainMap({}, self._scopes[-1])
        env.update({each.name: value for each, value in zip(graph.input, given, strict=True)})
        return self.graph(graph, env)

    def graph(self, graph: Any, env: MutableMapping[str, Any]) -> list[Any]:
        """All nodes in order; returns the outputs."""
        self._scopes.append(env)
        for tensor in graph.initializer:
            env[tensor.name] = self._stored(tensor, tensor.name in self._whole)
        for name, table in self._tied.items():
            if name in env and table in env:
                env[name].storage = env[table].storage
        for tensor in graph.sparse_initializer:
            env[tensor.values.name] = self._weight(tuple(tensor.dims), self.run.dtype(tensor.values.data_type))
        for node in graph.node:
            self._node(node, env)
        self._scopes.pop()
        try:
            return [env[each.name] for each in graph.output]
        except KeyError as error:
            raise _broken(self.file, "its outputs", error) from None

    def _node(self, node: Any, env: MutableMapping[str, Any]) -> None:
        run, name = self.run, kind(node)
        run.nodes += 1
        if run.nodes > MOST_NODES:
            raise InvalidInputError(f"{shown(str(self.file.path))} runs more than {MOST_NODES:,} operators, the limit.")
        what = f"{name} {shown(node.name or (node.output[0] if node.output else ''))}"
        try:
            attributes = {each.name: _attribute(each) for each in node.attribute}
            if name == "Constant":
                made: Any = self._constant(attributes)
            else:
                op = Op(name, node.name, "", attributes, len(node.output), self.file.versions.get(node.domain, 1))
                run.enter(_path(node))
                given = [env[each] for each in node.input]
                made = HANDLERS[name](run, op, given)
        except HetBenchError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError, OverflowError,
                AssertionError, RecursionError, MemoryError) as error:  # fmt: skip
            raise _broken(self.file, what, error) from error
        results = made if isinstance(made, list | tuple) else [made]
        for output, result in zip(node.output, results, strict=False):
            if output:
                env[output] = result

    def _stored(self, tensor: Any, whole_weight: bool) -> Tensor:
        """An initializer: a parameter, or a constant whose values can be read."""
        shape, dtype = tuple(int(size) for size in tensor.dims), self.run.dtype(tensor.data_type)
        many = prod(shape)
        weight = (dtype.is_floating_point and bool(shape) and many > 1) or (whole_weight and many > 1)
        made = self._weight(shape, dtype) if weight else self.run.new(shape, dtype)
        if many <= MOST_VALUES:
            made.load = _loader(tensor, str(self.file.path.parent))
        return made

    def _weight(self, shape: tuple[int, ...], dtype: DType) -> Tensor:
        made = Tensor(shape, dtype, Storage(prod(shape) * dtype.itemsize), contiguous(shape), None, kind_of(dtype))
        self.run.know(made)
        self.run.data.add(made.storage._cdata)
        self.run.recording.parameters.add(made.storage._cdata)
        self.sizes[made.storage._cdata] = prod(shape)
        return made

    def _constant(self, attributes: Mapping[str, Any]) -> Tensor:
        for name, value in attributes.items():
            if name == "value":
                return self._stored(value, False)
            if name in ("value_float", "value_floats"):
                return self.run.constant(np.array(value, dtype=np.float32))
            if name in ("value_int", "value_ints"):
                return self.run.constant(np.array(value, dtype=np.int64))
        raise ValueError(f"a constant of {', '.join(attributes) or 'nothing'} is not read")


def _whole_weights(graph: Any) -> frozenset[str]:
    """Initializers of integers that are quantised weights, by what reads them."""
    return frozenset(
        name for node in graph.node if any(use in node.op_type for use in _INTEGER_USES)
        for name in (node.input[:1] if node.op_type == "DequantizeLinear" else node.input)
    )  # fmt: skip


def _value(name: str, shape: Iterable[int], sizes: Mapping[str, int]) -> Any:
    """Values of an input: a mask of tokens that are all there, or a flag that the caller has given by name."""
    shape = tuple(shape)
    if name in sizes:
        return np.full(shape, sizes[name], dtype=np.int64)
    if "attention_mask" in name.lower() and len(shape) == 2 and prod(shape) <= MOST_VALUES:
        return np.ones(shape, dtype=np.int64)
    return None


def _loader(tensor: Any, folder: str) -> Any:
    """Reads the values of a stored tensor when they are asked for; None where they are in a file that is not there."""

    def load() -> Any:
        from onnx import numpy_helper

        try:
            return numpy_helper.to_array(tensor, folder)
        except Exception:  # noqa: BLE001 - a file that is not there, outside the folder or damaged: not known
            return None

    return load


def _attribute(attribute: Any) -> Any:
    """The value of an attribute; of text a str, of a tensor or a graph the message itself."""
    code = attribute.type
    if code == 1:
        return attribute.f
    if code == 2:
        return attribute.i
    if code == 3:
        return attribute.s.decode("utf-8", "replace")
    if code == 4:
        return attribute.t
    if code == 5:
        return attribute.g
    if code == 6:
        return list(attribute.floats)
    if code == 7:
        return list(attribute.ints)
    return [each.decode("utf-8", "replace") for each in attribute.strings] if code == 8 else None


@lru_cache(maxsize=4096)
def _scopes(text: str) -> str:
    try:
        found = ast.literal_eval(text)
        return str(found[-2]) if len(found) > 1 else ""
    except (ValueError, SyntaxError, TypeError, IndexError, MemoryError, RecursionError):
        return ""


def _path(node: Any) -> str:
    """The module that a node belongs to, by its name or by what PyTorch's exporter notes beside it."""
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            return _scopes(entry.value[:2000])
    scope, slash, _ = node.name.rpartition("/")
    return scope.strip("/").replace("/", ".") if slash else ""


def _broken(file: OnnxFile, what: str, error: BaseException) -> InvalidInputError:
    said = " ".join(str(error).split())[:200]
    if isinstance(error, KeyError):
        said = f"{said} is not there"
    return InvalidInputError(
        f"{shown(str(file.path))} cannot be read at {what}: {said or type(error).__name__}. Check it with "
        "onnx.checker.check_model, or export it with fixed shapes."
    )
