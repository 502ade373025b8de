"""What is written down of a run: calls of torch functions, the buffers they touch, and which of those are data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hetbench.tracing.values import Values

__all__ = ["CREATION", "Call", "Frame", "Recorder", "Recording", "buffer_of", "tensors_in"]


@dataclass(eq=False, slots=True)
class Frame:
    """One call of one module."""

    path: str
    module: Any
    parent: Frame | None

    def within(self, accept: Callable[[Any], bool]) -> Frame | None:
        """The outermost enclosing call, this one included, whose module is accepted."""
        found: Frame | None = None
        frame: Frame | None = self
        while frame is not None:
            if accept(frame.module):
                found = frame
            frame = frame.parent
        return found


@dataclass(eq=False, slots=True)
class Call:
    """One recorded call of a torch function."""

    name: str
    """`linear`, `add`, `__getitem__` ... as torch calls it."""
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: list[Any]
    outputs: list[Any]
    reads: tuple[int, ...]
    """Buffers of the inputs."""
    writes: tuple[int, ...]
    """Buffers of the outputs; for a view the buffer it looks into."""
    fresh: tuple[int, ...]
    """Those of `writes` that this call allocates."""
    is_data: bool
    """Whether a floating-point tensor of the model reaches it."""
    frame: Frame
    func: Any = None
    """The function itself, which takes `args` and `kwargs`."""
    operators: tuple[Any, ...] | None = None
    """The operators that it runs, as `Lowered`, where its source states them; None where its name says it."""

    @property
    def inplace(self) -> bool:
        """Whether the caller asked an activation to overwrite its input."""
        return bool(self.kwargs.get("inplace"))


@dataclass(slots=True)
class Recording:
    """What `record` saw: the calls in order, and which buffers are what."""

    calls: list[Call] = field(default_factory=list)
    parameters: set[int] = field(default_factory=set)
    buffer_bytes: dict[int, int] = field(default_factory=dict)
    """Size of each buffer."""
    buffer_dtype: dict[int, Any] = field(default_factory=dict)
    inputs: set[int] = field(default_factory=set)
    outputs: set[int] = field(default_factory=set)
    cache: set[int] = field(default_factory=set)
    """Buffers of the key-value cache that came in."""
    parameter_count: int = 0
    values: Values = field(default_factory=Values)
    """Values of tensors that no data reaches."""


def buffer_of(tensor: Any) -> int:
    """Identity of the memory that a tensor looks into; equal for views of one another."""
    return int(tensor.untyped_storage()._cdata)


# They read shapes, never values, so what they return carries no data.
CREATION = frozenset({
    "arange", "zeros", "ones", "full", "empty", "tensor", "eye", "zeros_like", "ones_like", "full_like", "empty_like",
    "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor", "linspace", "finfo",
})  # fmt: skip


class Recorder:
    """Appends calls to a recording as they happen."""

    def __init__(self, recording: Recording, module: Any) -> None:
        self.recording = recording
        self.data: set[int] = set()
        """Buffers that a floating-point tensor of the model reaches."""
        self.stack = [Frame("", module, None)]
        self.alive: list[Any] = []
        """Keeps tensors, so that the identities of their buffers stay unique."""
        self.inside = 0
        """Functions recorded whole that are running now: what they call is part of them."""

    def know(self, tensor: Any) -> None:
        """A tensor that exists before the first call."""
        self.recording.buffer_bytes[buffer_of(tensor)] = tensor.untyped_storage().nbytes()
        self.recording.buffer_dtype[buffer_of(tensor)] = tensor.dtype
        self.alive.append(tensor)
        if tensor.is_floating_point() or tensor.is_complex():
            self.data.add(buffer_of(tensor))

    def saw(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], returned: Any, func: Any = None
    ) -> None:
        """One call that has returned."""
        recording = self.recording
        inputs, outputs = tensors_in((args, kwargs)), tensors_in(returned)
        if name == "__setitem__":
            outputs = [args[0]]
        elif kwargs.get("out") is not None:
            outputs = tensors_in(kwargs["out"])
        if not outputs:
            return
        self.alive.append((inputs, outputs))
        reads = tuple(dict.fromkeys(buffer_of(t) for t in inputs))
        writes = tuple(dict.fromkeys(buffer_of(t) for t in outputs))
        fresh = tuple(b for b in writes if b not in recording.buffer_bytes and b not in reads)
        for tensor in outputs:
            recording.buffer_bytes.setdefault(buffer_of(tensor), tensor.untyped_storage().nbytes())
            recording.buffer_dtype.setdefault(buffer_of(tensor), tensor.dtype)
        is_data = name not in CREATION and any(b in self.data for b in reads)
        if is_data:  # a comparison of activations, and what follows from it, is work of the network too
            self.data.update(writes)
        recording.calls.append(
            Call(name, args, kwargs, inputs, outputs, reads, writes, fresh, is_data, self.stack[-1], func)
        )  # fmt: skip


def tensors_in(tree: Any) -> list[Any]:
    """All tensors in nested lists, tuples and mappings."""
    import torch
    from torch.utils._pytree import tree_leaves

    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
