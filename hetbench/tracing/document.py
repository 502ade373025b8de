"""Write traces of one structure as the table that `hetbench.graphs.model_graph` reads: templates, nodes, sizes as
terms.

`express` turns one size, seen at every traced setting, into terms [(monomial index, factor)]; with a single trace
every size is a constant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hetbench.tracing.flow import Trace

__all__ = ["Terms", "constant", "signature", "variant_table"]

Terms = tuple[tuple[int, int], ...]


def constant(sizes: tuple[int, ...]) -> Terms:
    """Terms of a size that does not vary, over the monomial 1 (index 0)."""
    return ((0, sizes[0]),) if sizes[0] else ()


def _named(dtype: str, data_dtype: str) -> str:
    return "data" if dtype == data_dtype else dtype


def signature(trace: Trace, data_dtype: str) -> tuple[Any, ...]:
    """What two traces must share to be one structure: everything but the sizes and the traced precision."""
    nodes = tuple(
        (node.op, tuple(node.dims), _named(node.dtype, data_dtype), node.path, node.sources, node.cached,
         tuple((_named(dtype, data_dtype), last) for _, dtype, last in node.allocates))
        for node in trace.nodes
    )  # fmt: skip
    return (nodes, tuple(_named(dtype, data_dtype) for _, dtype in trace.input_buffers))


def variant_table(
    traces: Sequence[Trace], monomials: Sequence[Sequence[Any]], express: Callable[[tuple[int, ...]], Terms],
    data_dtype: str,
) -> dict[str, Any]:
    """The table of one structure from its traces, which must share a signature.

    `data_dtype` is the precision that was traced; it is written as `data`, to be replaced by the one asked for.
    """
    first = traces[0]
    terms: dict[Terms, int] = {}
    known: dict[tuple[int, ...], int] = {}

    def size(seen: tuple[int, ...]) -> int:
        if seen not in known:
            known[seen] = terms.setdefault(express(seen), len(terms))
        return known[seen]

    templates: dict[tuple[Any, ...], int] = {}
    dtypes: dict[str, int] = {}
    paths: dict[str, int] = {}
    nodes: dict[str, list[Any]] = {"template": [], "path": [], "sources": []}
    buffers: dict[str, list[int]] = {"made": [], "life": [], "size": [], "dtype": []}
    for index, node in enumerate(first.nodes):
        dims = tuple((name, size(tuple(t.nodes[index].dims[name] for t in traces))) for name in node.dims)
        aten = tuple(sorted(Counter(node.aten).items()))
        key = (node.op, _named(node.dtype, data_dtype), dims, node.cached, aten)
        nodes["template"].append(templates.setdefault(key, len(templates)))
        nodes["path"].append(paths.setdefault(node.path, len(paths)))
        nodes["sources"].append([index - source for source in reversed(node.sources)])
        for place, (_, dtype, last) in enumerate(node.allocates):
            buffers["made"].append(index)
            buffers["life"].append(last - index)
            buffers["size"].append(size(tuple(t.nodes[index].allocates[place][0] for t in traces)))
            buffers["dtype"].append(dtypes.setdefault(_named(dtype, data_dtype), len(dtypes)))
    inputs = [
        [size(tuple(t.input_buffers[place][0] for t in traces)), _named(dtype, data_dtype)]
        for place, (_, dtype) in enumerate(first.input_buffers)
    ]
    return {
        "monomials": [list(factors) for factors in monomials],
        "templates": [[op, dtype, dict(dims), cached, dict(aten)] for op, dtype, dims, cached, aten in templates],
        "paths": list(paths), "nodes": nodes, "buffers": buffers, "dtypes": list(dtypes), "inputs": inputs,
        "bookkeeping": first.bookkeeping, "sizes": [[list(term) for term in each] for each in terms],
    }  # fmt: skip
