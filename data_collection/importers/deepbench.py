"""DeepBench result sheets: GEMM, convolution, recurrent layers and all-reduce, host-timed averages in ms.

A sheet has sections; a section starts with its name in column A and its column names in that row or the next. The
reference names the sheet and the row. Empty and `N/A` cells are left out. `algo` is upstream's label.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from data_collection.importers._xlsx import Row, sheets
from data_collection.upstream.files import Tree

__all__ = ["rows"]

_CHIPS = {
    "NV_V100": ("cuda", "nvidia-v100"), "NV_P100": ("cuda", "nvidia-p100"), "NV_T4": ("cuda", "nvidia-t4"),
    "NV_1080Ti": ("cuda", "nvidia-gtx-1080ti"), "NV_M40": ("cuda", "nvidia-m40"),
    "NV_TitanX": ("cuda", "nvidia-titan-x-maxwell"), "NV_TitanX_Pascal": ("cuda", "nvidia-titan-x-pascal"),
    "NV_TitanXp": ("cuda", "nvidia-titan-xp"), "AMD_MI25": ("rocm", "amd-mi25"), "AMD_VegaFE": ("rocm", "amd-vega-fe"),
    "IA_KNL7250": ("oneapi", "intel-xeon-phi-7250"),
}  # fmt: skip
_SOFTWARE = ("CUDA Version", "Cudnn Version", "ROCm Version", "MIOpen Version", "ICC Version", "Intel MKL Version",
             "LIBXSMM Version")  # fmt: skip
_SECTIONS = {
    "Dense Matrix Multiplication": "Linear", "Sparse Matrix Multiplication": "SparseLinear", "Convolution": "Conv2d",
    "Recurrent Layers - Vanilla": "RNN", "Recurrent Layers - LSTM": "LSTM", "Recurrent Layers - GRU": "GRU",
    "All-Reduce": "AllReduce",
}  # fmt: skip
_NONE = ("", "N/A", "N/A*", "-", "NA")


class _Line(NamedTuple):
    """A line of a section, its cells by the lower-case start of the column's name."""

    tree: Tree
    path: str
    place: str
    cells: dict[str, str]

    def text(self, *names: str) -> str:
        for name in names:
            for head, cell in self.cells.items():
                if head.startswith(name):
                    return cell
        return ""

    def whole(self, *names: str) -> int:
        return self.tree.whole(self.path, self.place, self.text(*names))

    def time(self, *names: str) -> float | None:
        text = self.text(*names)
        return None if text in _NONE else self.tree.number(self.path, self.place, text)


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        name = path.rsplit("/", 1)[1].removeprefix("DeepBench_").removesuffix(".xlsx")
        platform, chip = tree.known(path, 1, _CHIPS, name)
        book = sheets(tree.read(path))
        specs = {row.get("A", ""): row.get("B", "") for row in book.get("Specs", {}).values()}
        software = " ".join(f"{key} {specs[key]}" for key in _SOFTWARE if specs.get(key))
        for sheet, lines in book.items():
            if sheet != "Specs":
                for op, line in _sections(tree, path, sheet, lines):
                    yield from _rows(op, line, sheet, {"platform": platform, "chip": chip, "software": software})


def _sections(tree: Tree, path: str, sheet: str, lines: dict[int, Row]) -> Iterator[tuple[str, _Line]]:
    op, heads = "", dict[str, str]()
    for number in sorted(lines):
        row = lines[number]
        title = row.get("A", "")
        if title in _SECTIONS:
            op, heads = _SECTIONS[title], {}
        if op and not heads and "C" in row:
            heads = {letter: text.lower() for letter, text in row.items() if letter != "A"} | {"B": "application"}
        elif op and row.get("C", "").replace(".", "", 1).isdigit():
            cells = {heads[letter]: text for letter, text in row.items() if letter in heads}
            yield op, _Line(tree, path, f"#{sheet}!{number}", cells)


def _rows(op: str, line: _Line, sheet: str, common: dict[str, str]) -> Iterator[dict[str, Any]]:
    common |= {"ref": line.tree.ref(line.path, line.place), "op": op, "stat": "mean", "dtype": _dtype(op, line, sheet)}
    dims, extra = _SHAPES[op](line)
    for phase, way, time in _times(op, line):
        if time is not None:
            more = {"pass": way} if way else {}
            yield {**common, "phase": phase, "dims": dims, "latency_ms": time, "extra": extra | more}
        else:
            line.tree.leave_out("a pass that was not timed")


def _dtype(op: str, line: _Line, sheet: str) -> str:
    if "/inference/" in line.path:
        return "int8" if op in ("Linear", "Conv2d") else "fp32"
    if "Psuedo FP16" in sheet:
        return "fp16-in-fp32-math"
    return "fp16" if "FP16" in sheet else "fp32"


def _times(op: str, line: _Line) -> Iterator[tuple[str, str, float | None]]:
    if op == "SparseLinear":
        yield "fwd", "", line.time("sparse time")
    elif op == "AllReduce":
        yield "fwd", "", line.time("mean all reduce time")
    elif op == "Linear":
        yield "fwd", "", line.time("time (msec)")
    elif op == "Conv2d":
        yield "fwd", "", line.time("forward (msec)")
        yield "bwd", "bwd_data", line.time("wrt inputs")
        yield "bwd", "bwd_weight", line.time("wrt parameters")
    else:
        yield "fwd", "", line.time("time forward")
        yield "bwd", "bwd_data", line.time("time backward wrt inputs")
        yield "bwd", "bwd_weight", line.time("time backward wrt weights")
        yield "bwd", "bwd_all", line.time("time backward (msec)")


def _gemm(line: _Line) -> tuple[dict[str, int], dict[str, Any]]:
    extra: dict[str, Any] = {
        "transA": line.text("a transpose"), "transB": line.text("b transpose"), "application": line.text("application"),
    }  # fmt: skip
    if line.text("padded"):
        extra["padded"] = line.whole("padded")
    return {name: line.whole(name) for name in "mnk"}, extra


def _sparse(line: _Line) -> tuple[dict[str, int], dict[str, Any]]:
    extra = {"sparsity": float(line.text("sparsity")), "dense_ms": line.time("dense time")}
    return {name: line.whole(name) for name in "mnk"}, extra


def _conv(line: _Line) -> tuple[dict[str, int], dict[str, Any]]:
    def letter(name: str) -> int:
        """`W`, or `W (input - time)`: the letter alone or before a bracket."""
        found = [cell for head, cell in line.cells.items() if head.split("(")[0].strip() == name]
        return line.tree.whole(line.path, line.place, found[0] if found else "")

    dims = {
        "n": letter("n"), "c": letter("c"), "h": letter("h"), "w": letter("w"), "oc": letter("k"), "kh": letter("r"),
        "kw": letter("s"), "stride": line.whole("vertical stride"), "pad": line.whole("pad_h"), "groups": 1,
    }  # fmt: skip
    if line.whole("horizontal stride") != dims["stride"]:
        dims["stride_w"] = line.whole("horizontal stride")
    if line.whole("pad_w") != dims["pad"]:
        dims["pad_w"] = line.whole("pad_w")
    return dims, {"application": line.text("application"), "algo": line.text("forward algorithm")}


def _recurrent(line: _Line) -> tuple[dict[str, int], dict[str, Any]]:
    return {"hidden": line.whole("hidden", "input"), "batch": line.whole("n"), "timesteps": line.whole("timesteps")}, {}


def _reduce(line: _Line) -> tuple[dict[str, int], dict[str, Any]]:
    return {"n_chips": line.whole("#"), "numel": line.whole("size")}, {"algo": line.text("selected algorithm")}


_SHAPES = {
    "Linear": _gemm, "SparseLinear": _sparse, "Conv2d": _conv, "RNN": _recurrent, "LSTM": _recurrent,
    "GRU": _recurrent, "AllReduce": _reduce,
}  # fmt: skip
