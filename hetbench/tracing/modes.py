"""The two torch modes that see what a module calls."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from hetbench.tracing.recording import Recorder

__all__ = ["modes"]


def modes(recorder: Recorder, known: Callable[[str], bool], fake: Any) -> tuple[Any, Any]:
    """The two modes that feed `recorder`; a function that is not `known` is recorded by its parts."""
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    class Parts(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            recorder.inside += 1
            try:
                if func.overloadpacket.__name__ == "_grouped_mm":
                    returned = _grouped(func, args, kwargs)
                else:
                    returned = recorder.recording.values.call(func, args, kwargs, fake)
            finally:
                recorder.inside -= 1
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
    """The checks, names of its module, by which a function of torch hands itself to the active mode."""
    names = (name for name in func.__code__.co_names if name.startswith("has_torch_function"))
    return [name for name in names if name in func.__globals__]


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
