"""One walk through the nodes of an ONNX graph at given sizes, written down as the tracer writes down calls of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np

from hetbench.onnx.tensors import DTYPES, DType, Storage, Tensor, contiguous
from hetbench.tracing.lowered import Lowered, lowered_type
from hetbench.tracing.recording import Call, Frame, Recording

__all__ = ["MOST_PARTS", "MOST_VALUES", "Given", "Op", "Results", "Run", "number"]

MOST_VALUES = 2**22
"""Largest tensor whose values are computed."""
MOST_PARTS = 4096
"""Most turns of a loop and most parts of a tensor."""
_MOST_ELEMENTS = 2**46
_ROOT = SimpleNamespace()

Given = list[Tensor | None]
Results = Tensor | Sequence[Tensor]


@dataclass(frozen=True, slots=True)
class Op:
    """One node: its operator, its attributes, and the version of the operator set."""

    kind: str
    """Name of the operator; those of other domains as domain::name."""
    name: str
    path: str
    attributes: Mapping[str, Any]
    outputs: int
    version: int

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)


class _Known:
    """Values of tensors, as `hetbench.tracing.values.Values` gives them."""

    @staticmethod
    def array(tensor: Tensor) -> Any:
        return tensor.value if tensor.numel() <= MOST_VALUES else None

    @staticmethod
    def computed(func: Any, args: Any, kwargs: Any, value: Any) -> Any:
        return np.asarray(func(*(value(each) if isinstance(each, Tensor) else each for each in args)))


@dataclass(slots=True)
class Run:
    """The state of one walk: what was recorded, and the memory that floating-point data of the network reaches."""

    data_dtype: DType
    """What floating-point tensors of the file's own precision are taken as."""
    file_dtype: DType
    recording: Recording = field(default_factory=lambda: Recording(values=_Known()))  # type: ignore[arg-type]
    data: set[int] = field(default_factory=set)
    frame: Frame = field(default_factory=lambda: Frame("", _ROOT, None))
    frames: dict[str, Frame] = field(default_factory=dict)
    walk: Callable[..., Any] | None = None
    """Walks through a graph inside a node."""
    counted: dict[int, int] = field(default_factory=dict)
    """Parameters of memory that packs several in one element."""
    few_bits: bool = False
    """Whether weights have fewer bits than any precision of a query."""
    used: set[int] = field(default_factory=set)
    """Memory of the parameters that something reads."""
    nodes: int = 0
    """Nodes walked through, those of loops each time."""
    alive: list[Any] = field(default_factory=list)

    def enter(self, path: str) -> None:
        """What is recorded next belongs to a module."""
        if path not in self.frames:
            self.frames[path] = Frame(path, _ROOT, None)
        self.frame = self.frames[path]

    def dtype(self, code: int) -> DType:
        """The type of a number of `TensorProto.DataType`, the file's own precision replaced by that of the walk."""
        found = DTYPES.get(code)
        if found is None:
            raise ValueError("its elements are text" if code == 8 else f"its elements have the unknown type {code}")
        return self.data_dtype if found == self.file_dtype else found

    def new(self, shape: Sequence[int], dtype: DType, value: Any = None) -> Tensor:
        """A tensor with memory of its own."""
        sizes = tuple(int(size) for size in shape)
        if any(size < 0 for size in sizes) or prod(sizes) > _MOST_ELEMENTS:
            raise ValueError(f"a tensor of shape {sizes} cannot be")
        return Tensor(sizes, dtype, Storage(prod(sizes) * dtype.itemsize), contiguous(sizes), None, "", value)

    def constant(self, value: Any) -> Tensor:
        """A tensor with known values that no data reaches."""
        array = np.asarray(value)
        return self.new(array.shape, self._of(array.dtype), array)

    def _of(self, dtype: Any) -> DType:
        name = {"float64": "float64", "bool": "bool"}.get(str(dtype), str(dtype))
        found = next((each for each in DTYPES.values() if each.name == name), DTYPES[7])
        return self.data_dtype if found == self.file_dtype else found

    def view(self, tensor: Tensor, shape: Sequence[int], strides: Sequence[int], value: Any = None) -> Tensor:
        """Another look at the memory of a tensor."""
        sizes = tuple(int(size) for size in shape)
        return Tensor(sizes, tensor.dtype, tensor.storage, tuple(strides), None, tensor.quantised, value)

    def is_data(self, tensor: Tensor | None) -> bool:
        """Whether weights or floating-point inputs reach a tensor."""
        return tensor is not None and tensor.storage._cdata in self.data

    def call(
        self, name: str, args: Sequence[Any], made: Results, kwargs: Mapping[str, Any] | None = None, *,
        func: Any = None, operators: tuple[Lowered, ...] | None = None,
    ) -> Any:  # fmt: skip
        """Record a call of a torch function, by its name or by the operators that it runs; returns what it made."""
        given = tuple(self._plain(each) for each in args)
        inputs = [each for each in _flat((given, (kwargs or {}).values())) if isinstance(each, Tensor)]
        outputs = [made] if isinstance(made, Tensor) else list(made)
        recording = self.recording
        reads = tuple(dict.fromkeys(each.storage._cdata for each in inputs))
        writes = tuple(dict.fromkeys(each.storage._cdata for each in outputs))
        fresh = tuple(each for each in writes if each not in recording.buffer_bytes and each not in reads)
        for each in outputs:
            self.know(each)
        self.used.update(each for each in reads if each in recording.parameters)
        data = any(each in self.data for each in reads)
        if data:
            self.data.update(writes)
        self.alive.append((inputs, outputs))
        recording.calls.append(Call(
            name, given, kwargs or {}, inputs, outputs, reads, writes, fresh, data, self.frame, func, operators
        ))  # fmt: skip
        return made

    def run(self, op: str, dims: Mapping[str, int], args: Sequence[Any], made: Tensor) -> Tensor:
        """Record an operator by its type and dims."""
        sizes = {name: int(size) for name, size in dims.items()}
        self.call(op.lower(), args, made, operators=(Lowered(op, sizes, lowered_type(made.dtype)),))
        return made

    def know(self, tensor: Tensor) -> None:
        """State that a tensor's memory exists."""
        self.recording.buffer_bytes.setdefault(tensor.storage._cdata, tensor.storage.nbytes())
        self.recording.buffer_dtype.setdefault(tensor.storage._cdata, tensor.dtype)

    def _plain(self, given: Any) -> Any:
        """A number in the place of a tensor that holds one and that no data reaches, as torch code has it."""
        if isinstance(given, list | tuple):
            return type(given)(self._plain(each) for each in given)
        scalar = isinstance(given, Tensor) and given.numel() == 1 and not self.is_data(given)
        return number(given) if scalar and given.value is not None else given


def number(tensor: Tensor) -> int | float | bool:
    """The one value of a tensor."""
    found: int | float | bool = np.asarray(tensor.value).reshape(-1)[0].item()
    return found


def _flat(tree: Any) -> Iterator[Any]:
    for each in tree:
        if isinstance(each, list | tuple) or type(each).__name__ == "dict_values":
            yield from _flat(each)
        else:
            yield each
