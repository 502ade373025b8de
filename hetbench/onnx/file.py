"""Read an ONNX file: its graph, the sizes that it leaves free, and what is not there."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from hetbench.errors import HetBenchError, InvalidInputError, RefusedError, shown

__all__ = ["MOST_BYTES", "Input", "OnnxFile", "read_file"]

MOST_BYTES = 2**31
"""Largest file: the limit of protobuf itself. Weights beyond it lie in files of their own, which are not read."""
MOST_NODES = 200_000


@dataclass(frozen=True, slots=True)
class Input:
    """One input of the graph."""

    name: str
    type: int
    """Number in `TensorProto.DataType`."""
    shape: tuple[int | str, ...]
    """A size, or the name or expression of a free one."""


@dataclass(frozen=True)
class OnnxFile:
    """A graph and what was read of it."""

    path: Path
    model: Any
    inputs: tuple[Input, ...]
    versions: Mapping[str, int]
    """Domain -> version of its operator set."""

    @property
    def name(self) -> str:
        """What answers call it: with the suffix, so that it is no network of the catalogue."""
        return self.path.name

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the free sizes of its inputs, in order."""
        found: dict[str, None] = {}
        for each in self.inputs:
            for size in each.shape:
                if isinstance(size, str):
                    found |= dict.fromkeys(symbols(size))
        return tuple(found)


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise RefusedError(
            f"reading an ONNX file needs the package onnx, which is not installed or does not load ({error}). "
            "Run: pip install 'hetbench[onnx]'"
        ) from None
    return onnx


def read_file(path: str | PathLike[str]) -> OnnxFile:
    """The graph of a file, kept until the file changes.

    Raises `InvalidInputError` for a file that is not there, too large, or no ONNX; `RefusedError` without the package.
    """
    place = Path(path)
    try:
        found = place.stat()
        if not place.is_file():
            raise InvalidInputError(f"{shown(str(path))} is no file; name an ONNX file.")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidInputError(f"{shown(str(path))} cannot be read: {why}. Name an ONNX file that is there.") from None
    if found.st_size > MOST_BYTES:
        raise InvalidInputError(
            f"{shown(str(path))} has {found.st_size:,} bytes; files up to {MOST_BYTES:,} are read. Save its weights as "
            "external data (onnx.save(..., save_as_external_data=True)); only the graph is needed here."
        )
    return _read(place, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, changed: int, size: int) -> OnnxFile:
    onnx = _onnx()
    try:
        model = onnx.load(str(path), load_external_data=False)
    except HetBenchError:
        raise
    except Exception as error:  # noqa: BLE001 - protobuf raises errors of its own
        raise InvalidInputError(
            f"{shown(str(path))} is no ONNX file that can be read ({type(error).__name__}). Check it with "
            "onnx.checker.check_model, or export it again."
        ) from None
    if not model.graph.node:
        raise InvalidInputError(f"{shown(str(path))} holds no operators; export the network again.")
    if len(model.functions):
        model = _inlined(onnx, model, path)
    if sum(1 for _ in _every(model.graph)) > MOST_NODES:
        raise InvalidInputError(f"{shown(str(path))} holds more than {MOST_NODES:,} operators, the limit.")
    versions = {_domain(each.domain): int(each.version) for each in model.opset_import}
    return OnnxFile(path, model, tuple(_inputs(model.graph, path)), {"": 1, **versions})


def _inlined(onnx: Any, model: Any, path: Path) -> Any:
    """The graph with the functions of the file in their places."""
    try:
        from onnx import inliner

        return inliner.inline_local_functions(model)
    except Exception as error:  # noqa: BLE001 - a function that calls itself, or operators that are not there
        raise InvalidInputError(
            f"the functions of {shown(str(path))} cannot be put in their places: {' '.join(str(error).split())[:200]}"
        ) from None


def _every(graph: Any) -> Iterator[Any]:
    """All nodes, those inside nodes too."""
    pending = [graph]
    while pending:
        for node in pending.pop().node:
            yield node
            for attribute in node.attribute:
                if attribute.type == 5:
                    pending.append(attribute.g)
                elif attribute.type == 10:
                    pending.extend(attribute.graphs)


def operators(file: OnnxFile) -> Iterator[tuple[str, str]]:
    """(operator, name of the node) of every node; operators of other domains are domain::name."""
    for node in _every(file.model.graph):
        yield kind(node), node.name or (node.output[0] if node.output else "")


def kind(node: Any) -> str:
    """The operator of a node."""
    domain = _domain(node.domain)
    return f"{domain}::{node.op_type}" if domain else str(node.op_type)


def _domain(name: str) -> str:
    return "" if name in ("ai.onnx", "") else str(name)


def _inputs(graph: Any, path: Path) -> Iterator[Input]:
    stored = {each.name for each in graph.initializer}
    for each in graph.input:
        if each.name in stored:
            continue
        kind_of = each.type.WhichOneof("value")
        if kind_of != "tensor_type" or not each.type.tensor_type.HasField("shape"):
            raise InvalidInputError(
                f"input {shown(each.name)} of {shown(str(path))} has no shape; export it again with shapes."
            )
        sizes: list[int | str] = []
        for axis, dim in enumerate(each.type.tensor_type.shape.dim):
            if dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0:
                sizes.append(int(dim.dim_value))
            else:
                sizes.append(dim.dim_param.strip() or f"{each.name}.{axis}")
        yield Input(each.name, int(each.type.tensor_type.elem_type), tuple(sizes))


def symbols(expression: str) -> list[str]:
    """Names in the expression of a size; the whole text where it is no sum or product.

    >>> symbols("past_length + seq"), symbols("batch"), symbols("x.0")
    (['past_length', 'seq'], ['batch'], ['x.0'])
    """
    tree = _parsed(expression)
    return [expression] if tree is None else [each.id for each in ast.walk(tree) if isinstance(each, ast.Name)]


def evaluated(expression: str, sizes: Mapping[str, int]) -> int:
    """The size that an expression of free ones stands for.

    >>> evaluated("past + seq", {"past": 100, "seq": 1})
    101
    """
    if expression in sizes:
        return sizes[expression]
    tree = _parsed(expression)
    if tree is None:
        raise KeyError(expression)
    return _computed(tree.body, sizes)


@lru_cache(maxsize=1024)
def _parsed(expression: str) -> ast.Expression | None:
    """The tree of an expression of names and whole numbers; None of anything else."""
    if len(expression) > 200:
        return None
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        tree = ast.parse(expression, mode="eval")
        parts = list(ast.walk(tree))
        whole = all(type(each.value) is int for each in parts if isinstance(each, ast.Constant))
        if whole and all(isinstance(each, _ALLOWED) for each in parts):
            return tree
    return None


_ALLOWED = (ast.Expression, ast.BinOp, ast.Name, ast.Constant, ast.Load, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv)


def _computed(tree: Any, sizes: Mapping[str, int]) -> int:
    if isinstance(tree, ast.Name):
        return sizes[tree.id]
    if isinstance(tree, ast.Constant):
        return int(tree.value)  # type: ignore[arg-type]
    one, other = _computed(tree.left, sizes), _computed(tree.right, sizes)
    if isinstance(tree.op, ast.Add):
        return one + other
    if isinstance(tree.op, ast.Sub):
        return one - other
    return one * other if isinstance(tree.op, ast.Mult) else one // max(other, 1)
