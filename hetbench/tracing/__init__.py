"""Operator graph of a torch module: record the calls on fake tensors, lower them to operator types, recompose.

Importing this needs no torch; calling it does. `data_collection.extract` traces the catalogue's models at several
settings by the same functions and fits sizes to them; `trace` here gives the graph of one module at one setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hetbench.errors import InvalidInputError
from hetbench.graphs.model_graph import FORMAT, ModelGraph
from hetbench.tracing.document import constant, variant_table
from hetbench.tracing.flow import Node, Trace
from hetbench.tracing.lower import is_known
from hetbench.tracing.recompose import recompose
from hetbench.tracing.record import fake_like, fake_state, record

__all__ = ["Node", "Trace", "trace", "trace_call"]


def trace_call(
    module: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, mode: Any, state: Mapping[str, Any] | None = None,
    cache: Sequence[Any] = (),
) -> Trace:
    """The operators of one call of `module` on fake tensors; see `record` for the arguments.

    Raises `InvalidInputError` for a module whose path depends on the values of tensors.
    """
    from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

    try:
        return recompose(record(module, args, kwargs, mode=mode, known=is_known, state=state, cache=cache))
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise InvalidInputError(
            f"the path of {type(module).__name__} depends on the value of a tensor ({error}), which a trace without "
            "computing cannot follow. Trace the part that does not, or pass the value as a Python number."
        ) from error


def trace(module: Any, example_inputs: Any, *, name: str | None = None) -> ModelGraph:
    """The operator graph of a torch module at the sizes of its example inputs, in fp32, fp16 and bf16.

    `example_inputs` is a tensor, a sequence of positional arguments or a mapping of keyword arguments; only shapes
    and dtypes are read. The module runs in evaluation mode, on fake tensors, and is left as it was. Needs torch
    (`hetbench[collect]`).
    Raises `InvalidInputError` for a module whose path depends on the values of tensors, and for a function that no
    operator type covers.

    >>> import torch
    >>> graph = trace(torch.nn.Linear(8, 4), torch.zeros(2, 8))
    >>> graph.operators().rows()
    [{'op': 'Linear', 'dims': {'m': 2, 'n': 4, 'k': 8, 'bias': 1}, 'dtype': 'fp32', 'count': 1}]
    """
    import torch

    if not isinstance(module, torch.nn.Module):
        raise InvalidInputError(f"trace needs a torch.nn.Module; given: {type(module).__name__}.")
    args, kwargs = _arguments(example_inputs)
    variants: list[dict[str, Any]] = []
    structures: dict[str, Any] = {}
    with _evaluating(module):
        for precision in ("fp32", "fp16", "bf16"):
            found = _trace_in(module, args, kwargs, precision)
            structures[precision] = [[[], len(variants)]]
            variants.append(variant_table([found], [()], constant, precision))
    return ModelGraph({
        "format": FORMAT, "name": name or type(module).__name__, "params": found.parameter_count,
        "limits": {"fixed": True}, "phases": {"inference": structures}, "variants": variants,
    })  # fmt: skip


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Evaluation mode for a while."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, tuple | list):
        return tuple(example_inputs), {}
    return (example_inputs,), {}


def _trace_in(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any], precision: str) -> Trace:
    """One trace with every floating-point tensor in a precision."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils._pytree import tree_map_only

    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    fake_args, fake_kwargs = tree_map_only(
        torch.Tensor, lambda tensor: fake_like(tensor, mode, dtype), (tuple(args), dict(kwargs))
    )
    return trace_call(module, fake_args, fake_kwargs, mode=mode, state=fake_state(module, mode, dtype))
