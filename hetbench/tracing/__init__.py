"""Operator graph of a torch module: record the calls on fake tensors, lower them to operator types, recompose.

Importing this needs no torch; calling it does. `data_collection.extract` traces the catalogue's models at several
settings by the same functions and fits sizes to them; `trace` here gives the graph of a module of the user's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hetbench.errors import InvalidInputError, shown
from hetbench.tracing.flow import Node, Trace
from hetbench.tracing.graph import TracedGraph, arguments
from hetbench.tracing.passes import Snapshot, trace_call

__all__ = ["Node", "Trace", "TracedGraph", "trace", "trace_call"]


def trace(
    module: Any, example_inputs: Any = None, *, shapes: Mapping[str, Sequence[int]] | None = None,
    name: str | None = None,
) -> TracedGraph:
    """The operator graph of a torch module.

    Parameters
    ----------
    module
        A `torch.nn.Module` or `torch.export.ExportedProgram`. It runs in evaluation mode, as a copy on fake tensors:
        the module itself, its caches and its hooks are not touched. A compiled module is traced as it was written.
    example_inputs
        A tensor, a sequence of positional arguments or a mapping of keyword arguments. Of floating-point tensors only
        shapes are read, of integer tensors also the values (lengths, image grids).
    shapes
        Floating-point inputs by argument name, as shapes instead of tensors.
    name
        Name in answers; the class of the module if left out.

    Returns
    -------
    TracedGraph
        At the sizes of the inputs, in every precision that can be traced. Each precision is traced when it is first
        asked for, as is another batch where all inputs share their first axis.

    Raises
    ------
    InvalidInputError
        For a module whose path depends on the values of tensors, that fails on these inputs, that is TorchScript or
        runs no operator; and for functions that no operator type covers, all of them named.

    Needs torch (`hetbench[collect]`).

    >>> import torch
    >>> graph = trace(torch.nn.Linear(8, 4), torch.zeros(2, 8))
    >>> graph.operators().rows()
    [{'op': 'Linear', 'dims': {'m': 2, 'n': 4, 'k': 8, 'bias': 1}, 'dtype': 'fp32', 'count': 1}]
    >>> trace(torch.nn.Linear(8, 4), shapes={"input": (2, 8)}).operators(batch=16).rows()[0]["dims"]["m"]
    16
    """
    import torch

    named = type(module).__name__
    if isinstance(module, torch.export.ExportedProgram):
        module = module.module()
    if not isinstance(module, torch.nn.Module):
        raise InvalidInputError(f"trace needs a torch.nn.Module; given: {named}.")
    if not isinstance(name, str | None):
        raise InvalidInputError(f"name must be text; given: {shown(name)}.")
    args, kwargs = arguments(example_inputs, shapes)
    try:
        snapshot = Snapshot(module, args, kwargs)
    except RecursionError:
        raise InvalidInputError("trace: the inputs nest too deeply or hold themselves; give tensors.") from None
    return TracedGraph(snapshot, name or type(snapshot.module).__name__)
