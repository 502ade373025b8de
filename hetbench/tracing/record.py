"""Run a torch module on fake tensors and write down every operator it calls.

A TorchFunctionMode sees whole operators (`linear`, `layer_norm`, `scaled_dot_product_attention`), not what they
decompose into; a TorchDispatchMode sees what reaches torch without one (scripted functions, parts of functions without
an operator type), so that nothing is missed. FakeTensorMode computes shapes without memory. Tensors that share a
storage are one buffer, so views cost nothing and edges run through them to whoever wrote the buffer last. An operator
that no floating-point tensor of the model reaches (parameter, buffer or input) is bookkeeping: positions, masks,
indices; its values are known (see `values`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from hetbench.tracing.modes import modes
from hetbench.tracing.recording import Frame, Recorder, Recording, buffer_of, tensors_in

__all__ = ["fake_like", "fake_state", "record", "unchanged"]


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
    recorder = Recorder(recording, module)
    stack = recorder.stack
    names = {part: name for name, part in module.named_modules()}
    given = tensors_in((list(args), dict(kwargs)))
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
        for each in modes(recorder, known, mode):
            scope.enter_context(each)
        returned = module(*args, **kwargs)
    recording.outputs = {buffer_of(leaf) for leaf in _result_tensors(returned)}
    return recording


def _result_tensors(returned: Any) -> list[Any]:
    """Tensors of a result; a returned key-value cache is not an activation."""
    fields = dict(returned) if isinstance(returned, Mapping) else {"result": returned}
    return tensors_in([value for name, value in fields.items() if "past" not in str(name)])
