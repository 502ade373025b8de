"""Compact graphs of measured image models, built from timm, torchvision and `torch_modules`.

A graph has one structure per measured image size, and one more for batch 1 where a reshape does not copy. Tensor sizes
are affine in the batch: fitted at two batches; `batch_three` checks them at a third.
"""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from data_collection.networks import torch_modules
from data_collection.networks.archive import compact
from hetbench.errors import HetBenchError
from hetbench.graphs.model_graph import FORMAT, ModelGraph
from hetbench.graphs.networks import upstream
from hetbench.tracing import Trace
from hetbench.tracing.document import Terms, constant, signature, variant_table
from hetbench.tracing.lower import is_known
from hetbench.tracing.recompose import recompose
from hetbench.tracing.record import record

__all__ = ["batch_three", "graph", "tables", "wanted"]

AFFINE = ((), ("b",))
MAX_IMAGE = 8192
FUSABLE = (
    "efficientvit_m", "fastvit_", "ghostnetv3_", "levit_", "mobileone_", "nextvit_", "repghostnet_", "repvgg_",
    "repvit_", "shvit_", "tiny_vit_",
)  # fmt: skip
"""Architectures with modules that timm's `reparameterize_model` fuses."""
FUSED_UNDER = "2.9.1"
"""PyTorch version of the tables for which timm fused them: the parameter counts there are those of fused networks."""


def wanted(corpus: Path) -> dict[str, list[int]]:
    """Graph -> image sizes, the most measured first: timm's architectures in the corpus, and those of `torch_modules`.

    Networks that timm measured with branches and norms fused into convolutions are `<name>-fused`.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(corpus / "model" / "timm.parquet", columns=["model", "image_size", "phase", "software"])
    rows: dict[str, dict[int, int]] = {}
    for name, size, phase, software in zip(*(table.column(i).to_pylist() for i in range(4)), strict=True):
        if phase == "inference":
            known = known_as(name)
            is_fused = known.startswith(FUSABLE) and f"pytorch {FUSED_UNDER} " in software
            for graph_name in [known, *([f"{known}-fused"] if is_fused else [])]:
                sizes = rows.setdefault(graph_name, {})
                sizes[size] = sizes.get(size, 0) + 1
    found = {name: sorted(sizes, key=lambda size: (-sizes[size], size)) for name, sizes in sorted(rows.items())}
    for name, more in [*torch_modules.SIZES.items(), *torch_modules.TIMM_SIZES.items()]:
        found[name] = [*found.get(name, []), *(size for size in more if size not in found.get(name, []))]
    return found


def known_as(name: str) -> str:
    """Graph of a name in timm's tables; `upstream_names_vision.csv` lists the names that timm has changed."""
    bare = name.split(".")[0]
    return upstream().get(("timm", bare), (bare, ""))[0]


def tables(corpus: Path, names: Iterable[str] = (), say: Callable[[str], None] = lambda _: None) -> Iterator[Any]:
    """Compact table of every wanted graph, or of those named; prints which cannot be built, and why."""
    chosen = set(names)
    for name, sizes in wanted(corpus).items():
        if chosen and name not in chosen:
            continue
        try:
            yield graph(name, sizes)
        except (HetBenchError, RuntimeError, AssertionError, ValueError, TypeError, KeyError) as error:
            say(f"{name}: {type(error).__name__}: {' '.join(str(error).split())}"[:200])
        finally:
            gc.collect()


def graph(name: str, sizes: Sequence[int]) -> dict[str, Any]:
    """Compact table of one model at these image sizes; the first is the default."""
    variants: list[dict[str, Any]] = []
    rules: dict[str, list[Any]] = {"fp32": [], "fp16": []}
    params = 0
    for place, size in enumerate(sizes):
        for precision in list(rules):
            prepared = Prepared.of(build(name, size), precision)
            two = steady(prepared, size)
            params = two.parameter_count
            if precision == "fp32":
                full = two
            elif place == 0 and same(full, two):  # no operator keeps fp32: half precision has the same structure
                del rules["fp16"]
                break
            for conditions, variant in _structures(prepared, size, two):
                rules[precision].append([[["image_size", size, True], *conditions], len(variants)])
                variants.append(variant)
    half = rules.get("fp16", rules["fp32"])
    limits = {"batch": 1, "image_size": [1, MAX_IMAGE, 1, sizes[0]], "image_sizes": sorted(sizes)}
    return compact({
        "format": FORMAT, "name": name, "params": params, "limits": limits, "variants": variants,
        "phases": {"inference": {"fp32": rules["fp32"], "fp16": half, "bf16": half}},
    })  # fmt: skip


def same(full: Trace, half: Trace) -> bool:
    """Whether a network runs the same operators on the same sizes in fp16 as in fp32."""
    dims = [[node.dims for node in trace.nodes] for trace in (full, half)]
    return dims[0] == dims[1] and signature(full, "fp32") == signature(half, "fp16")


def steady(prepared: Prepared, size: int) -> Trace:
    """Trace at batch 2, after a first call that fills caches (LeViT's attention biases)."""
    if any(name.endswith("_cache") for part in prepared.network.modules() for name in vars(part)):
        trace(prepared, size, 2)
    return trace(prepared, size, 2)


def _structures(prepared: Prepared, size: int, two: Trace) -> list[tuple[list[Any], dict[str, Any]]]:
    """One structure for all batches, or one for batch 1 and one for the others."""
    precision, one = prepared.precision, trace(prepared, size, 1)
    if signature(one, precision) == signature(two, precision):
        return [([], variant_table([one, two], AFFINE, _affine, precision))]
    three = trace(prepared, size, 3)
    single = variant_table([one], AFFINE, constant, precision)
    return [([["batch", 1, True]], single), ([], variant_table([two, three], AFFINE, _affine_from_two, precision))]


def _affine(seen: tuple[int, ...], first: int = 1) -> Terms:
    """Terms in 1 and b of a size seen at two consecutive batches."""
    slope = seen[1] - seen[0]
    return tuple((place, factor) for place, factor in enumerate((seen[0] - first * slope, slope)) if factor)


def _affine_from_two(seen: tuple[int, ...]) -> Terms:
    return _affine(seen, 2)


def build(name: str, size: int) -> Any:
    """The network on the meta device, in evaluation mode, built for this image size if it depends on it."""
    import torch

    logging.getLogger("timm").setLevel(logging.ERROR)
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in torch_modules.SIZES:
            return torch_modules.build(name).eval()
        network = _timm(name.removeprefix("timm-").removesuffix("-fused"), size).eval()
        return reparameterized(network) if name.endswith("-fused") else network


def reparameterized(network: Any) -> Any:
    from timm.utils import reparameterize_model

    return reparameterize_model(network, inplace=True)


def _timm(name: str, size: int) -> Any:
    """timm's network; architectures with a position table take the image size when they are created."""
    import timm

    network = timm.create_model(name)
    config = network.pretrained_cfg
    if size == config["input_size"][-1] or not config.get("fixed_input_size"):
        return network
    return timm.create_model(name, img_size=size)


@dataclass(frozen=True)
class Prepared:
    """A network on the meta device in one precision, ready to be traced at several batches."""

    network: Any
    precision: str
    dtype: Any
    state: Mapping[str, Any]

    @classmethod
    def of(cls, network: Any, precision: str) -> Prepared:
        import torch

        dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
        named = [*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False)]
        made: dict[int, Any] = {}  # by identity: tied weights stay tied
        for _, tensor in named:
            if id(tensor) not in made:
                cast = tensor.detach().to(dtype) if tensor.is_floating_point() else tensor
                is_weight = isinstance(tensor, torch.nn.Parameter)
                made[id(tensor)] = torch.nn.Parameter(cast, requires_grad=False) if is_weight else cast
        return cls(network, precision, dtype, {name: made[id(tensor)] for name, tensor in named})


def trace(prepared: Prepared, size: int, batch: int) -> Trace:
    """The operators of one call. Meta tensors give the same trace as fake ones in half the time."""
    import torch

    with torch.device("meta"), warnings.catch_warnings(), patch.object(torch, "addcmul", _addcmul):
        warnings.simplefilter("ignore")
        images = torch.empty(batch, 3, size, size, dtype=prepared.dtype)
        call = record(prepared.network, (images,), mode=nullcontext(), known=is_known, state=prepared.state)
        return recompose(call)


def _addcmul(base: Any, first: Any, second: Any) -> Any:
    """addcmul as Mul and Add, which have operator types (ConvNeXt V2's response normalisation)."""
    return base + first * second


def batch_three(table: Mapping[str, Any], precision: str = "bf16") -> str:
    """Differences between a graph and fresh traces at batch 3, in a precision not traced; empty if none."""
    known = ModelGraph(table)
    for size in table["limits"]["image_sizes"]:
        prepared = Prepared.of(build(known.name, size), precision)
        steady(prepared, size)
        fresh = trace(prepared, size, 3)
        alone = ModelGraph({
            "format": FORMAT, "name": known.name, "params": fresh.parameter_count, "limits": {"fixed": True},
            "phases": {"inference": {precision: [[[], 0]]}},
            "variants": [variant_table([fresh], [()], constant, precision)],
        })  # fmt: skip
        said = known.operators(batch=3, image_size=size, precision=precision)
        seen = alone.operators(precision=precision)
        for what in ("flops", "bytes", "launches"):
            if getattr(said, what) != getattr(seen, what):
                return f"{size} px: {what} {getattr(said, what)}, of the trace {getattr(seen, what)}"
    return ""
