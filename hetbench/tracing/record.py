"""Run a torch module on fake tensors and write down every operator it calls.

A TorchFunctionMode sees whole operators (`linear`, `layer_norm`, `scaled_dot_product_attention`), not what they
decompose into; a TorchDispatchMode sees what reaches torch without one (scripted functions, parts of functions without
an operator type), so that nothing is missed. FakeTensorMode computes shapes without memory. Tensors that share a
storage are one buffer, so views cost nothing and edges run through them to whoever wrote the buffer last. An operator
that no floating-point tensor of the model reaches (parameter, buffer or input) is bookkeeping: positions, masks,
indices; its values are known (see `values`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from hetbench.tracing.values import Values

__all__ = ["CREATION", "Call", "Frame", "Recording", "buffer_of", "fake_like", "fake_state", "record", "unchanged"]


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


class _Recorder:
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
        inputs, outputs = _tensors((args, kwargs)), _tensors(returned)
        if name == "__setitem__":
            outputs = [args[0]]
        elif kwargs.get("out") is not None:
            outputs = _tensors(kwargs["out"])
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


def _tensors(tree: Any) -> list[Any]:
    import torch
    from torch.utils._pytree import tree_leaves

    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _modes(recorder: _Recorder, known: Callable[[str], bool], fake: Any) -> tuple[Any, Any]:
    """The two modes that feed `recorder`; a function that is not `known` is recorded by its parts."""
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Parts(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func.overloadpacket.__name__ == "_grouped_mm":
                returned = _grouped(func, args, kwargs)
            else:
                returned = recorder.recording.values.call(func, args, kwargs, fake)
            if not recorder.inside:
                recorder.saw(func.overloadpacket.__name__, args, kwargs, returned, func)
            return returned

    class Functions(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            name = _plain(func)
            if name in ("numpy", "tolist", "__array__") and recorder.recording.values.of(args[0]) is not None:
                return getattr(recorder.recording.values.of(args[0]), name)()
            if known(name) or name in _ATTRIBUTES:
                recorder.inside += 1
                try:
                    returned = func(*args, **kwargs)
                finally:
                    recorder.inside -= 1
                if not recorder.inside:
                    recorder.saw(name, args, kwargs, returned, func)
                return returned
            if isinstance(func, FunctionType) and _guards(func):
                with self:  # written in Python: record the calls it makes
                    return _unguarded(func)(*args, **kwargs)
            return func(*args, **kwargs)

    return Parts(), Functions()


def _grouped(func: Any, args: Any, kwargs: Any) -> Any:
    """A grouped product in any precision: for fake tensors torch takes bf16 only, its kernels take others too."""
    import torch

    a, b, *rest = args
    made = func(a.to(torch.bfloat16), b.to(torch.bfloat16), *rest, **{**kwargs, "out_dtype": None})
    return made.to(kwargs.get("out_dtype") or a.dtype)


# Properties and methods that return a tensor or none without doing work; `torch._assert`, which timm calls on shapes,
# would hand itself to the mode for ever unless it is called whole.
_ATTRIBUTES = frozenset({
    "grad", "grad_fn", "shape", "dtype", "device", "size", "dim", "is_floating_point", "numel", "_assert",
})  # fmt: skip


def _guards(func: FunctionType) -> list[str]:
    """The checks by which a function of torch hands itself to the active mode."""
    return [name for name in func.__code__.co_names if name.startswith("has_torch_function")]


def _unguarded(func: FunctionType) -> FunctionType:
    """A copy of a function of torch that does not hand itself to the active mode again."""
    guards = {name: lambda *_: False for name in _guards(func)}
    copy = FunctionType(
        func.__code__, {**func.__globals__, **guards}, func.__name__, func.__defaults__, func.__closure__
    )
    copy.__kwdefaults__ = func.__kwdefaults__
    return copy


def _plain(func: Any) -> str:
    """The name without namespace and overload; of a property its own name, since `__get__` says nothing."""
    packet = getattr(func, "overloadpacket", func)
    name = str(getattr(packet, "__name__", packet))
    if name == "__get__":
        name = str(getattr(getattr(func, "__self__", None), "__name__", name))
    return name.rpartition("::")[2]


def fake_state(module: Any, mode: Any, dtype: Any = None) -> dict[str, Any]:
    """Fake tensors of `mode` in the place of the module's parameters and buffers, by name; tied ones stay tied.

    Views of a tensor that FakeTensorMode does not own would each look like memory of their own. `dtype`, if given,
    replaces that of every floating-point tensor.
    """
    made: dict[int, Any] = {}
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    for _, tensor in named:
        if id(tensor) not in made:
            made[id(tensor)] = fake_like(tensor, mode, dtype)
    return {name: made[id(tensor)] for name, tensor in named}


def fake_like(tensor: Any, mode: Any, dtype: Any = None) -> Any:
    """A fake copy of a tensor, of another floating-point dtype if asked."""
    import torch

    fake = mode.from_tensor(tensor)
    if dtype is None or not tensor.is_floating_point() or tensor.dtype == dtype:
        return fake
    with mode, torch.no_grad():
        cast = fake.to(dtype)
        return torch.nn.Parameter(cast, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else cast


def record(
    module: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, *, mode: Any,
    known: Callable[[str], bool], state: Mapping[str, Any] | None = None, cache: Sequence[Any] = (),
    values: Iterable[tuple[Any, Any]] = (),
) -> Recording:
    """Call `module` on fake tensors that the caller made under the FakeTensorMode `mode`, and record what it calls.

    `state` replaces parameters and buffers by name, fake ones of the same dtype if left out; `cache` lists the tensors
    of a key-value cache among the inputs; `known` says which functions to record whole; `values` pairs tensors of
    integers with what they hold. No weight is read, and the module has its own parameters again afterwards.
    """
    from torch.nn.utils.stateless import _reparametrize_module

    given = dict(fake_state(module, mode) if state is None else state)
    with mode, unchanged(module), _reparametrize_module(module, given):
        return _record(module, args, kwargs or {}, known, cache, mode, values or ())


@contextmanager
def unchanged(module: Any) -> Iterator[None]:
    """Attributes as they are now after whatever runs inside: a call may keep tables or sizes for the next one."""
    before = [(part, dict(vars(part))) for part in module.modules()]
    try:
        yield
    finally:
        for part, attributes in before:
            vars(part).clear()
            vars(part).update(attributes)


def _record(
    module: Any, args: Sequence[Any], kwargs: Mapping[str, Any], known: Callable[[str], bool], cache: Sequence[Any],
    mode: Any, values: Iterable[tuple[Any, Any]],
) -> Recording:
    import torch
    recording = Recording()
    recorder = _Recorder(recording, module)
    stack = recorder.stack
    names = {part: name for name, part in module.named_modules()}
    given = _tensors((list(args), dict(kwargs)))
    for tensor in module.parameters():
        recording.parameter_count += tensor.numel()
        recording.parameters.add(buffer_of(tensor))
    for tensor in [*module.parameters(), *module.buffers(), *given, *cache]:
        recorder.know(tensor)
    recording.inputs = {buffer_of(tensor) for tensor in given}
    recording.cache = {buffer_of(tensor) for tensor in cache}
    for tensor, known_values in values:
        recording.values.know(tensor, known_values)

    def enter(part: Any, _: Any) -> None:
        stack.append(Frame(names.get(part, stack[-1].path), part, stack[-1]))

    def leave(*_: Any) -> None:
        stack.pop()

    with ExitStack() as scope:
        for part in names:
            scope.callback(part.register_forward_pre_hook(enter, prepend=True).remove)
            scope.callback(part.register_forward_hook(leave, always_call=True).remove)
        scope.enter_context(torch.no_grad())
        for each in _modes(recorder, known, mode):
            scope.enter_context(each)
        returned = module(*args, **kwargs)
    recording.outputs = {buffer_of(leaf) for leaf in _result_tensors(returned)}
    return recording


def _result_tensors(returned: Any) -> list[Any]:
    """Tensors of a result; a returned key-value cache is not an activation."""
    fields = dict(returned) if isinstance(returned, Mapping) else {"result": returned}
    return _tensors([value for name, value in fields.items() if "past" not in str(name)])
