"""Write hetbench/catalog/operator_support.json: which ATen operators each PyTorch back end runs, with the references.

    python -m data_collection.sources.registrations --corpus ../shared/corpus --torch-xpu-ops DIR

Reads operator_registrations.csv and native_functions.yaml of the installed PyTorch, which must be 2.13 as in the CSV.
The latter says which operators are structured: their functional and in-place forms run the registered out form. DIR is
a checkout of intel/torch-xpu-ops at 8fbe66e74, the last commit that lists its registrations; the CSV has only the
operators that fall back to the CPU on Intel GPUs. Composite operators are resolved into the operators that they call
(`data_collection.sources.aten_composites`); if those are not known, the status is unknown, never supported.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from data_collection.sources.aten_composites import CALLERS, PARTS
from hetbench.artifacts import write_whole
from hetbench.catalog.support import COVERED, FORMAT, SUPPORT, TABLE
from hetbench.errors import command

TORCH = "2.13.0"
UPSTREAM = "pytorch/pytorch@cf30153c131c:aten/src/ATen/native/native_functions.yaml"
AS_ROCM = f"{UPSTREAM} (ROCm builds register the CUDA dispatch key)"
XPU_LIST = "intel/torch-xpu-ops@8fbe66e74:yaml/native/native_functions.yaml"
XPU_SHA256 = "c186590124f084f6b3d18752f86c8aa94ec1f106bb25aafee73f64e5d66bcf9b"
IN_CODE = {
    "convolution_overrideable": "pytorch/pytorch@6a09f2fe8c18:aten/src/ATen/native/mkldnn/xpu/Conv.cpp",
    "copy_": "intel/torch-xpu-ops@ab84f925a:src/ATen/native/xpu/Copy.cpp",
}
"""Operators that Intel GPUs register in C++ code: a TORCH_LIBRARY_IMPL, and the kernel behind PyTorch's copy_."""

PLATFORMS = {
    "cuda": "PyTorch 2.13.0, CUDA",
    "rocm": "PyTorch 2.13.0, ROCm",
    "oneapi-cpu": "PyTorch 2.13.0, x86 CPU",
    "oneapi-xpu": "PyTorch 2.13.0 with torch-xpu-ops of June 2026, Intel GPU",
    "cann": "torch_npu of August 2026 (PyTorch 2.1 to 2.13), Ascend",
    "mlu": "torch_mlu of September 2024, Cambricon",
}
_IN_TREE = {"cuda": UPSTREAM, "rocm": AS_ROCM, "oneapi-cpu": UPSTREAM}

NOT_OPERATORS = frozenset({"torchvision", "name", "name.overload", "realize"})
"""Words of XPUFallback.cpp that the CSV lists as operators by mistake: a library, two words of a comment, a module."""
ENDED = frozenset({
    "_unsafe_index.Tensor", "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
    "fake_quantize_per_channel_affine_cachemask", "_fused_moving_avg_obs_fq_helper",
})  # fmt: skip
"""Rows of op_plugin_functions.yaml whose version range ends at PyTorch 2.1 or 2.2."""
_BEYOND = re.compile(
    "backward|_foreach|_fused_(adam|sgd|adagrad|moving|muon)|sparse|nested|mkldnn|cudnn|miopen|_mps|quantize|_cslt|"
    "_cufft|^_test|^sym_|_jagged|_?fw_primal|_?make_dual|dequant|^q_|^quantized|^_amp_|_named_tensor|names?$|dimname|"
    "fbgemm|nnpack|foobar|xla|vulkan|_batch_dim|qparams|_sobol|_dyn_quant|int_repr|qscheme|gradient|make_dep_token"
)
"""Not used in eager inference on dense tensors: training, sparse, nested, quantised, vendor libraries, tests."""


class Found(NamedTuple):
    """Status of one operator on one platform, references, and the operators that it runs or lacks."""

    status: str
    refs: tuple[str, ...] = ()
    via: tuple[str, ...] = ()


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--torch-xpu-ops", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args()
    upstream = _functions(_torch_yaml())
    listed = registrations(options.corpus / "operator_registrations.csv", upstream)
    add_xpu(listed["oneapi-xpu"], upstream, _checked(options.torch_xpu_ops / XPU_LIST.split(":")[1]))
    names = sorted(name for name, entry in upstream.items() if in_scope(name, entry))
    print(f"{len(names)} of {len(upstream)} operators kept: forward, dense, no out= forms, no vendor libraries")
    support = {name: {p: Resolver(p, listed, upstream).find(name) for p in PLATFORMS} for name in names}
    for platform in PLATFORMS:
        counts = Counter(row[platform].status for row in support.values())
        print(f"  {platform:10s} " + ", ".join(f"{status} {counts[status]}" for status in SUPPORT))
    write_whole(options.out, render(support), "--out FILE")
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


def registrations(path: Path, upstream: Mapping[str, Any]) -> dict[str, dict[str, Found]]:
    """Platform -> operator -> entry of the CSV, cleaned; prints which rows are dropped and why."""
    dropped: dict[str, list[str]] = {}
    listed: dict[str, dict[str, Found]] = {platform: {} for platform in PLATFORMS}
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            name, platform = row["aten_op"].removeprefix("aten::"), row["platform"]
            why = _reason(name, platform, row["ref"], upstream)
            if why:
                dropped.setdefault(f"{platform}: {why}", []).append(name)
                continue
            listed[platform][name] = Found(row["support"], (_IN_TREE.get(platform, row["ref"]),))
    for why, names in sorted(dropped.items()):
        print(f"dropped {len(names):4d} rows, {why}: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}")
    for name, entry in upstream.items():  # kernels generated from one formula have no dispatch line for CPU and CUDA
        if "ufunc_inner_loop" in entry:
            for platform, ref in _IN_TREE.items():
                if name not in listed[platform]:
                    print(f"added {platform} {name}: its kernel is generated (ufunc_inner_loop)")
                    listed[platform][name] = Found("native", (ref,))
    return listed


def _reason(name: str, platform: str, ref: str, upstream: Mapping[str, Any]) -> str | None:
    """Reason to drop a row; None to keep it."""
    if name in NOT_OPERATORS and platform == "oneapi-xpu":
        return "a word of the source file, no operator"
    if "::" in name or name.startswith("npu_") or name.startswith("_npu_"):
        return "the vendor's own operators, which no upstream model calls"
    if platform == "cann" and name in ENDED and "op-plugin" in ref:
        return "registered for old PyTorch versions only"
    if name not in upstream:
        return f"no operator of PyTorch {TORCH} (removed, renamed or generated)"
    return None


def add_xpu(listed: dict[str, Found], upstream: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Operators that Intel GPUs register: torch-xpu-ops' list, PyTorch's XPU kernels, and those in C++ code."""
    own = dict(IN_CODE)
    for entries, ref in ((upstream, UPSTREAM), (theirs, XPU_LIST)):
        own |= {name: ref for name, entry in entries.items() if "XPU" in _keys(entry)}
    for name, ref in own.items():
        if name not in listed:  # an operator in the CSV falls back to the CPU even if it is registered elsewhere
            listed[name] = Found("native", (ref,))
    print(f"added {len(own)} registrations of Intel GPUs, which the CSV does not have")


class Resolver:
    """Decides the status of operators on one platform."""

    def __init__(
        self, platform: str, listed: Mapping[str, Mapping[str, Found]], upstream: Mapping[str, Any]
    ) -> None:
        self.rows = listed[platform]
        self.upstream = upstream
        self.composite = {n for p in _IN_TREE for n, found in listed[p].items() if found.status == "composite"}
        self.lists = tuple(sorted({ref for found in self.rows.values() for ref in found.refs}))

    def find(self, name: str, above: tuple[str, ...] = ()) -> Found:
        """Status of an operator; `above` is the chain of composites being resolved."""
        if name in above:
            return Found("unknown")
        if name in self.rows:
            return self.rows[name]
        whole = self.upstream.get(name, {}).get("structured_delegate")
        if whole in self.rows:  # PyTorch generates the functional and in-place forms, which run the out form
            return Found(self.rows[whole].status, self.rows[whole].refs, (whole,))
        if name in CALLERS:
            caller = self.find(CALLERS[name], (*above, name))
            if caller.status in COVERED:
                return Found("composite", caller.refs, (CALLERS[name],))
        if name in self.composite:
            return self._of_parts(name, above)
        return Found("absent", self.lists)

    def _of_parts(self, name: str, above: tuple[str, ...]) -> Found:
        """Status of a composite operator: it runs if each of its parts does."""
        base, _, overload = name.partition(".")
        functional = base.removesuffix("_") + (f".{overload}" if overload else "")
        parts = PARTS.get(name, PARTS.get(functional))
        if parts is None:
            return Found("unknown", (UPSTREAM,))
        found = dict(self._either(part, (*above, name)) for part in parts)
        for status in ("absent", "unknown", "fallback"):
            lacking = tuple(part for part, each in found.items() if each.status == status)
            if lacking:
                return Found(status, tuple(dict.fromkeys(r for p in lacking for r in found[p].refs)), lacking)
        refs = dict.fromkeys((UPSTREAM, *(ref for each in found.values() for ref in each.refs)))
        return Found("composite", tuple(refs), tuple(found))

    def _either(self, part: str, above: tuple[str, ...]) -> tuple[str, Found]:
        """The best of the alternatives `a|b`, with its name; all of them if none is covered."""
        found = {name: self.find(name, above) for name in part.split("|")}
        name = min(found, key=lambda each: SUPPORT.index(found[each].status))
        return (name if found[name].status in COVERED else part), found[name]


def in_scope(name: str, entry: Mapping[str, Any]) -> bool:
    """Whether eager inference on dense tensors can call it."""
    base, _, overload = name.partition(".")
    if re.search(r"\*,.*Tensor\([a-z]!\)", entry["func"].split("->")[0]):
        return False  # an out form
    return not (_BEYOND.search(base) or _BEYOND.search(overload.lower()) or "Dimname" in entry["func"])


def render(support: Mapping[str, Mapping[str, Found]]) -> str:
    """One line per operator: for each platform its status, references (indices) and via."""
    refs = sorted({ref for row in support.values() for found in row.values() for ref in found.refs})
    place = {ref: index for index, ref in enumerate(refs)}
    head = {"format": FORMAT, "platforms": PLATFORMS, "refs": refs}
    text = json.dumps(head, indent=1)[:-2] + ',\n "operators": {\n'
    return text + ",\n".join(_lines(support, place)) + "\n}}\n"


def _lines(support: Mapping[str, Mapping[str, Found]], place: Mapping[str, int]) -> Iterator[str]:
    for name, row in support.items():
        cells: list[list[Any]] = []
        for found in row.values():
            cell: list[Any] = [SUPPORT.index(found.status), sorted(place[ref] for ref in found.refs)]
            cells.append([*cell, list(found.via)] if found.via else cell)
        yield f"{json.dumps(name)}: {json.dumps(cells, separators=(',', ':'))}"


def _keys(entry: Mapping[str, Any]) -> set[str]:
    dispatch = entry.get("dispatch")
    return {key.strip() for keys in dispatch for key in keys.split(",")} if isinstance(dispatch, dict) else set()


def _functions(text: str) -> dict[str, Any]:
    """Operator -> its entry in a native_functions.yaml."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {entry["func"].split("(")[0]: entry for entry in yaml.load(text, Loader=loader)}


def _torch_yaml() -> str:
    spec = find_spec("torchgen")
    if spec is None or not spec.submodule_search_locations or not version("torch").startswith(TORCH):
        raise SystemExit(f"operator_registrations.csv is of PyTorch {TORCH}; install torch=={TORCH}.")
    return (Path(spec.submodule_search_locations[0]) / "packaged/ATen/native/native_functions.yaml").read_text()


def _checked(path: Path) -> dict[str, Any]:
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != XPU_SHA256:
        commit = XPU_LIST.split("@")[1].split(":")[0]
        raise SystemExit(f"{path} is not the file of intel/torch-xpu-ops at {commit}; check out that commit.")
    return _functions(path.read_text())


if __name__ == "__main__":
    main()
