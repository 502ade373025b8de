"""The operator graph of an ONNX file, walked through when sizes and a precision are asked for, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from os import PathLike
from typing import Any

from hetbench.checks import whole_number
from hetbench.errors import InvalidInputError, shown
from hetbench.graphs import FORMAT, TRACED_AS, ModelGraph, Setting
from hetbench.graphs.variant import Variant
from hetbench.onnx.file import OnnxFile, operators, read_file
from hetbench.onnx.sizes import MAX_SIZE, Sizes, checked_dims, listed, read_sizes
from hetbench.onnx.walk import check_operators, file_dtype, walked
from hetbench.operators import operator_type
from hetbench.schema import PHASES
from hetbench.tracing.document import constant, variant_table
from hetbench.tracing.flow import Trace
from hetbench.tracing.lowered import lowered_type

__all__ = ["OnnxGraph", "read"]

_CASTS = ("Cast", "CastLike")
_SIZES = ("batch", "seq_len", "image_size")
_KEPT = 64


class OnnxGraph(ModelGraph):
    """The graph of one file; `query` takes it for a model.

    It has any batch, sequence length and image size that the file leaves free, and the phases prefill and decode where
    keys and values of the tokens before come in at a free length.
    """

    def __init__(self, file: OnnxFile, sizes: Sizes) -> None:
        self.file, self.sizes = file, sizes
        self._kept: dict[tuple[Any, ...], Variant] = {}
        casts = any(kind in _CASTS for kind, _ in operators(file))
        self._one_structure = not casts and lowered_type(file_dtype(file)) in ("fp32", "fp16", "bf16")
        limits: dict[str, Any] = {"batch": sizes.stated.get("batch", 1)}
        for name in ("seq_len", "image_size"):
            if name in sizes.stated:
                own = sizes.stated[name]
                limits[name] = (1, MAX_SIZE, 1, own) if name in sizes.free else (own, own, 1, own)
        phases = PHASES[1:] if sizes.caches else PHASES[:1]
        super().__init__({
            "format": FORMAT, "name": file.name, "params": 0, "limits": limits, "variants": [],
            "phases": {phase: {precision: [] for precision in ("fp32", "bf16", "fp16")} for phase in phases},
        })  # fmt: skip
        own_precision = lowered_type(file_dtype(file))
        first = self.setting(precision=own_precision if own_precision in TRACED_AS else "fp32", phase=phases[0])
        trace, run = walked(file, self._bound(first), TRACED_AS[first.precision])
        if all(operator_type(node.op).cost_class == "free" for node in trace.nodes):
            raise InvalidInputError(f"{shown(str(file.path))} runs no operator that takes time: nothing to predict.")
        self.params = trace.parameter_count
        formats = {node.dtype for node in trace.nodes if operator_type(node.op).cost_class in ("gemm", "conv")}
        self.precision = next((kind for kind in ("int8", "fp8") if kind in formats), None)
        """The format of its quantised products."""
        self.notes = (f"the operators of {file.path.name}, as PyTorch runs them one by one",)
        if run.few_bits:
            self.notes += ("weights of few bits are answered in the precision of the query, which moves more bytes",)
        self._keep(first, trace)

    @property
    def resizable(self) -> bool:
        """False: a size that is asked for is a walk of its own, so a query looks at no other."""
        return False

    def setting(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> Setting:  # fmt: skip
        """Check the setting of a query and fill in the sizes of the file."""
        for name, asked in zip(_SIZES, (batch, seq_len, image_size), strict=True):
            own = self.sizes.stated.get(name)
            if asked is not None and own is not None and name not in self.sizes.free and asked != own:
                raise InvalidInputError(
                    f"{self.name}: {name}={shown(asked)}, but the file fixes it at {own}: {listed(self.file)}. Export "
                    "it with that size, or with a free one (dynamic_axes or dynamic_shapes of torch.onnx.export)."
                )
        return super().setting(batch, seq_len, image_size, precision, phase)

    def variant(self, setting: Setting) -> Variant:
        """The structure at a setting, walked through on first use."""
        key = self._key(setting)
        found = self._kept.get(key)
        return self._keep(
            setting, walked(self.file, self._bound(setting), TRACED_AS[setting.precision])[0]
        ) if found is None else found  # fmt: skip

    def _bound(self, setting: Setting) -> dict[str, int]:
        return self.sizes.at(setting.batch or 1, setting.seq_len, setting.image_size, setting.phase)

    def _key(self, setting: Setting) -> tuple[Any, ...]:
        traced = "" if self._one_structure else TRACED_AS[setting.precision]
        quantised = setting.precision if setting.precision in ("int8", "fp8") else ""
        return setting.batch, setting.seq_len, setting.image_size, setting.phase, traced, quantised

    def _keep(self, setting: Setting, trace: Trace) -> Variant:
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        precision = TRACED_AS[setting.precision]
        table = variant_table([trace], [()], constant, precision)
        if setting.precision == self.precision:  # what the file does not quantise stays as it is
            for template in table["templates"]:
                if template[1] == "data" and operator_type(template[0]).cost_class in ("gemm", "conv"):
                    template[1] = precision
        made = self._kept[self._key(setting)] = Variant(table)
        return made


def read(
    path: str | PathLike[str], dims: Mapping[str, int] | str | None = None, *, batch: int | None = None,
    seq_len: int | None = None, image_size: int | None = None,
) -> OnnxGraph:  # fmt: skip
    """The graph of an ONNX file, as something that `query` takes for a model.

    Parameters
    ----------
    path
        The file. Its weights need not be there: only shapes are read.
    dims
        Sizes that the file leaves free, by their names in the file, as a mapping or as text (`batch=8,seq=128`);
        `batch`, `seq` and `image` mean the free sizes that are these by name. Also flags, inputs of one number.
    batch, seq_len, image_size
        The same by their names in a query.

    Raises
    ------
    RefusedError
        Without the package onnx (`pip install 'hetbench[onnx]'`).
    InvalidInputError
        For a file that cannot be read, for operators that no operator type covers (all are named), and for free sizes
        that are neither given nor understood (all are listed).
    """
    if not isinstance(path, (str, PathLike)):
        raise InvalidInputError(f"path must name an ONNX file; given: {shown(path)}.")
    sizes = (
        None if each is None else whole_number(name, each, 1, MAX_SIZE)
        for name, each in zip(_SIZES, (batch, seq_len, image_size), strict=True)
    )
    file = read_file(path)
    return _graph(file.path, file, tuple(sorted(checked_dims(dims).items())), *sizes)


@lru_cache(maxsize=32)
def _kept_graph(key: tuple[Any, ...]) -> OnnxGraph:
    _, file, dims, batch, seq_len, image_size = key
    check_operators(file.file)
    sizes = read_sizes(file.file, dict(dims), {"batch": batch, "seq_len": seq_len, "image_size": image_size})
    return OnnxGraph(file.file, sizes)


class _Same:
    """A file that equals itself alone, so that a graph is kept as long as its file is."""

    def __init__(self, file: OnnxFile) -> None:
        self.file = file

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.file is self.file

    def __hash__(self) -> int:
        return id(self.file)


def _graph(path: object, file: OnnxFile, dims: tuple[tuple[str, int], ...], *sizes: int | None) -> OnnxGraph:
    return _kept_graph((path, _Same(file), dims, *sizes))
