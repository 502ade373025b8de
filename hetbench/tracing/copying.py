"""A disposable copy of a module with tensors of the caller's choice in the place of its own.

A traced forward may write tables, register hooks, keep outputs or fail half-way: all of that must happen to a copy.
`copy.deepcopy` would copy the weights too, run code of the module's own (`__deepcopy__`, `__setstate__`) and leave
closures bound to the original; here every object that belongs to the module is copied, closures and bound methods
follow, and what cannot be copied (locks, open files) is shared.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import lru_cache
from types import CellType, FunctionType, MethodType
from typing import Any

from hetbench.errors import InvalidInputError

__all__ = ["Copier", "stand_ins"]

_CONTAINERS = (list, tuple, set, frozenset, deque, dict, OrderedDict, defaultdict)


class Copier:
    """Copies objects, each once: what is shared in the original is shared in the copy.

    `make` gives the tensor that stands in the place of a tensor.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make
        self.made: dict[int, Any] = {}
        self.originals: list[Any] = []
        """Keeps what was copied alive, so that no identity is given twice."""

    def copy(self, value: Any) -> Any:
        """The copy of any object."""
        if id(value) in self.made:
            return self.made[id(value)]
        return self._keep(value, self._new(value))

    def _keep(self, value: Any, made: Any) -> Any:
        if made is not value:
            self.originals.append(value)
            self.made[id(value)] = made
        return made

    def _new(self, value: Any) -> Any:
        import torch

        if isinstance(value, torch.Tensor):
            return self.make(value)
        if isinstance(value, torch.nn.Module):
            return self._module(value)
        if type(value) in _CONTAINERS:
            return self._container(value)
        if isinstance(value, MethodType):
            return MethodType(self.copy(value.__func__), self.copy(value.__self__))
        if isinstance(value, weakref.ReferenceType):
            target = value()
            return value if target is None else weakref.ref(self.copy(target))
        if hasattr(value, "cache_parameters") and hasattr(value, "__wrapped__"):
            wrapped = self.copy(value.__wrapped__)
            return value if wrapped is value.__wrapped__ else lru_cache(**value.cache_parameters())(wrapped)
        if isinstance(value, FunctionType):
            return self._function(value)
        return value if _is_atomic(value) else self._object(value)

    def _module(self, module: Any) -> Any:
        import torch

        if isinstance(module, torch.jit.ScriptModule):
            raise InvalidInputError(
                f"{type(module).__name__} is TorchScript, whose operators run outside Python and cannot be recorded: "
                "trace the module that it was scripted from."
            )
        inner = _wrapped(module)
        if inner is not None:
            return self.copy(inner)
        made = object.__new__(type(module))
        self._keep(module, made)
        made.__dict__.update({name: self.copy(each) for name, each in vars(module).items()})
        made.__dict__.update(training=False, _compiled_call_impl=None)
        return made

    def _container(self, value: Any) -> Any:
        if isinstance(value, dict):
            made: Any = type(value)()
            if isinstance(value, defaultdict):
                made.default_factory = self.copy(value.default_factory)
            self._keep(value, made)
            for key, each in list(value.items()):
                made[self.copy(key)] = self.copy(each)
            return made
        if isinstance(value, list | deque):
            made = deque(maxlen=value.maxlen) if isinstance(value, deque) else []
            self._keep(value, made)
            made.extend(self.copy(each) for each in list(value))
            return made
        parts = [self.copy(each) for each in value]
        if isinstance(value, tuple) and all(new is old for new, old in zip(parts, value, strict=True)):
            return value
        return type(value)(parts)

    def _function(self, function: FunctionType) -> Any:
        """The function itself, unless it is compiled or closes over something that is copied."""
        plain = getattr(function, "_torchdynamo_orig_callable", None)
        if plain is not None:
            return self.copy(plain)
        if not function.__closure__:
            return function
        cells = [CellType() for _ in function.__closure__]
        made = FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, tuple(cells)
        )
        self._keep(function, made)  # before its cells: a recursive function closes over itself
        changed = False
        for cell, old in zip(cells, function.__closure__, strict=True):
            try:
                cell.cell_contents = self.copy(old.cell_contents)
            except ValueError:  # a name that is not bound yet
                continue
            changed |= cell.cell_contents is not old.cell_contents and cell.cell_contents is not made
        if not changed:
            self.made[id(function)] = function
            return function
        made.__kwdefaults__ = function.__kwdefaults__
        made.__dict__.update(function.__dict__)
        return made

    def _object(self, value: Any) -> Any:
        """Any other object, by what it says of itself for pickling; one that says nothing is shared."""
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001 - whatever it raises, it cannot be copied
            return value
        if isinstance(reduced, str):
            return value
        call, args, state, items, pairs = (*reduced, None, None, None)[:5]
        try:
            made = call(*[self.copy(each) for each in args])
        except Exception:  # noqa: BLE001
            return value
        if made is value:  # a singleton, such as a member of an enumeration
            return value
        self._keep(value, made)
        self._set_state(made, self.copy(state) if state is not None else None)
        for each in items or ():
            made.append(self.copy(each))
        for key, each in pairs or ():
            made[self.copy(key)] = self.copy(each)
        return made

    def _set_state(self, made: Any, state: Any) -> None:
        if state is None:
            return
        if hasattr(type(made), "__setstate__"):
            made.__setstate__(state)
            return
        own, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
        if own:
            made.__dict__.update(own)
        for name, each in (slots or {}).items():
            object.__setattr__(made, name, each)


def _is_atomic(value: Any) -> bool:
    """Whether an object has no parts that a forward could change."""
    import torch

    if value is None or isinstance(value, type | str | bytes | int | float | complex | bool | range | slice):
        return True
    plain = (torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size, torch.Generator)
    return isinstance(value, plain) or type(value).__module__ in ("types", "re", "typing", "enum")


def _wrapped(module: Any) -> Any:
    """The module inside one that only compiles it or spreads it over devices."""
    import torch

    parts = vars(module).get("_modules", {})
    if type(module).__module__.startswith("torch._dynamo") and "_orig_mod" in parts:
        return parts["_orig_mod"]
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    return parts.get("module") if isinstance(module, parallel) else None


def _refuse_unusual(tensor: Any) -> None:
    import torch

    if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
        raise InvalidInputError("the module has parameters without a shape (lazy modules): run it once, then trace it.")
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
        kind = "quantised" if tensor.is_quantized else "nested" if tensor.is_nested else str(tensor.layout)
        raise InvalidInputError(f"the module or its inputs hold a {kind} tensor; only dense ones can be traced.")


def stand_ins(make: Callable[[int, Any], Any], keep: Callable[[Any], bool] = lambda _: False) -> Callable[[Any], Any]:
    """A maker of tensors of the same shape and strides that keeps views of one memory views of one memory.

    `make(elements, dtype)` gives flat memory; a parameter becomes a parameter; a tensor that `keep` accepts is cloned
    with its values.
    """
    import torch

    flat: dict[tuple[int, Any], Any] = {}
    alive: list[Any] = []

    def stand_in(tensor: Any) -> Any:
        _refuse_unusual(tensor)
        if keep(tensor):
            return tensor.detach().clone()
        storage = tensor.untyped_storage()
        key = (int(storage._cdata), tensor.dtype)
        if key not in flat:
            alive.append(storage)
            flat[key] = make(storage.nbytes() // tensor.element_size(), tensor.dtype)
        made = torch.as_strided(flat[key], tensor.shape, tensor.stride(), tensor.storage_offset())
        return torch.nn.Parameter(made, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else made

    return stand_in
