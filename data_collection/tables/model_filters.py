"""Which whole-model rows must not be trained on, judged row by row.

`RULES` are read in order; the first that holds gives a row its `exclude:<rule>`. Rules that compare rows are in
`model_repeats` and `model_curves`. `too_fast` is for callers that have the network's operator graph.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from data_collection.tables import evidence_fields as published
from data_collection.tables.evidence_filters import RAW_RULES
from data_collection.tables.model_columns import Row
from data_collection.tables.model_fields import DIES, TIMES, Raw
from hetbench.catalog.chips import Chip, chips
from hetbench.schema import PRECISIONS, itemsize

SPOKEN = ("serving", "decode")
# networks that exist in several sizes, named without one
UNSIZED = {
    "mobilenetv3", "ssd", "efficientnet", "efficientnetv2", "swintransformer", "swin", "volo", "t2tvit", "vit",
    "convnext", "xcit", "densenet", "hrnet",
}  # fmt: skip


def too_fast(ms: float, flops: float, moved: float, chip: Chip, precision: str, ceiling: float = 1.05) -> bool:
    """Whether a call of `flops` operations and `moved` bytes is faster than the datasheet allows.

    CPUs are never too fast: their peaks are stated for the base clock.
    """
    peak = chip.peak_flops(precision) if precision else None
    least = max(flops / peak if peak else 0.0, moved / chip.bandwidth if chip.bandwidth else 0.0)
    return chip.kind != "cpu" and ms * ceiling < least * 1e3


def _special(row: Row, raw: Raw) -> bool:
    if raw["file"] != "llm_inference_bench":
        return False
    return any(raw["extra"].get(name) not in (None, "", *published.USUAL) for name in published.SPECIAL)


def _unsized(row: Row, raw: Raw) -> bool:
    return row["file"] != "timm" and row["canonical_key"] in UNSIZED


def _unnumbered(row: Row, raw: Raw) -> bool:
    """Whole requests without a stated number of generated tokens."""
    return row["phase"] == "serving" and row["metric"] in ("e2e", "energy") and row["new_tokens"] is None


def _outruns_its_weights(row: Row, raw: Raw) -> bool:
    """Language models with less time per token than reading the weights takes; their size is taken from the name."""
    named = re.search(r"(?<![\dx.])(\d+(\.\d+)?)b\b", row["upstream"].split("/")[-1].lower())
    bandwidth = chips()[row["chip"]].bandwidth
    tokens = {"e2e": row["new_tokens"], "latency": 1}.get(row["metric"]) if row["phase"] in SPOKEN else None
    if not (named and bandwidth and tokens and row["precision"] in PRECISIONS):
        return False
    least = tokens * float(named[1]) * 1e9 * itemsize(row["precision"]) / bandwidth * 1e3
    return bool(row["value"] * 1.05 < least)


_EVIDENCE = {name: drop for name, _, drop in RAW_RULES}
RULES: tuple[tuple[str, str, Callable[[Row, Raw], bool]], ...] = (
    ("training", "no query asks for a training step",
     lambda row, raw: row["phase"].startswith("training") and row["phase"] != "training_fwd"),
    ("training section", "filed as inference, but the table's heading says training",
     lambda row, raw: "training" in str(raw["extra"].get("section", "")).lower()),
    ("no name", "the table's cell is empty", lambda row, raw: not row["canonical_key"]),
    ("speed-up", "the column is a ratio", lambda row, raw: _EVIDENCE["speed-up"](raw)),
    ("1000 / another row", "tokens per second of the time per token beside it",
     lambda row, raw: _EVIDENCE["1000 / another row"](raw)),
    ("mean above its p99", "the mean holds a warm-up call",
     lambda row, raw: _EVIDENCE["mean above its p99"]({**raw, "our": ""})),
    ("quoted baseline", "a competitor's figure in another vendor's table, stack not stated",
     lambda row, raw: raw["file"] == "ascend_modelzoo" and raw["platform"] != "cann"),
    ("steady state", "requests come and go, their mean number is not a batch",
     lambda row, raw: raw["file"] == "mlenergy" and "Avg BS (reqs)" in raw["extra"]),
    ("stack not stated", "upstream names no framework", lambda row, raw: row["stack"] is None),
    ("flagged", "the corpus doubts the figure: labels swapped, to be updated, above the peak",
     lambda row, raw: bool(raw["extra"].get("flags"))),
    ("8 idle GPUs", "the sum of a node's eight GPUs, seven of them idle",
     lambda row, raw: raw["file"] == "co2_inference" and row["metric"] in ("energy", "power")),
    ("open network", "the load came over a network",
     lambda row, raw: raw["extra"].get("division") == "network"),
    ("cloud instance", "some vCPUs of a server chip, or the host of a virtual machine",
     lambda row, raw: row["family"] == "oneapi" and bool(
         re.search(r"\b(aws|instance|cloud|compute engine)\b", str(raw["extra"].get("system", "")), re.I))),
    ("eight samples a query", "MultiStream: whether the eight run as one batch is not stated",
     lambda row, raw: raw["extra"].get("scenario") == "MultiStream"),
    ("with input and output", "whole job or live pre-processing; the core pass is beside it",
     lambda row, raw: "live preprocessing" in row["software"] or (
         raw["file"] == "flagperf" and row["metric"] in TIMES
         and not str(raw["extra"].get("column", "")).endswith("_core"))),
    ("denoising steps", "images or steps per second is not stated",
     lambda row, raw: raw["file"] == "flagperf" and "diffusion" in row["upstream"]),
    ("card of Ascend 310", "rows that do not state four chips are up to 2.6 times the peak",
     lambda row, raw: raw["chip"] == "huawei-ascend-310" and raw["n_chips"] != DIES),
    ("several chips", "more than one chip, or how many is not stated; wall power of a system says how many",
     lambda row, raw: row["n_chips"] != 1 and not (
         raw["file"] == "mlperf_inference" and row["n_chips"] and row["metric"] in ("power", "energy"))),
    ("other inputs", "resnet50_mmlab runs 32 x 32 images; Resnet50_mlperf exceeds the fp16 peak: probably int8",
     lambda row, raw: raw["file"] == "ascend_modelzoo" and bool(
         re.search("resnet50_(mlperf|mmlab)", row["upstream"], re.I))),
    ("other network", "MagicMind's SSD and SegNet are above the peak of the networks of that name",
     lambda row, raw: raw["file"] == "mlu_magicmind_cloud" and row["canonical_key"] in ("ssd", "segnet")),
    ("pruned", "most weights are zero, and the run time skips them",
     lambda row, raw: raw["file"] == "mlperf_inference"
     and bool(re.search("prun|sparse|_obert|jpqd", row["upstream"], re.I))),
    ("precision against the name", "called non-quantised and filed as int8",
     lambda row, raw: "non-quantized" in row["upstream"] and row["precision"] == "int8"),
    ("size not named", "a network that comes in sizes, named without one", _unsized),
    ("special setting", "no KV cache, another KV format, or speculative decoding", _special),
    ("padding removed", "the mean length is half of seq_len", lambda row, raw: "unpadded" in (row["stack"] or "")),
    ("TF32 not stated", "fp32 where TF32 may have been on",
     lambda row, raw: raw["file"] == "nvidia_fastertransformer" and row["precision"] == "fp32"
     and "TF32_OVERRIDE" in str(raw["extra"].get("ctx"))),
    ("quantised weights", "GPTQ, AWQ or bitsandbytes inside a fp16 model",
     lambda row, raw: bool(re.search(r"awq|gptq|bnb", f"{row['upstream']} {raw['precision']} {row['variant']}", re.I))),
    ("precision outside the schema", "weight-only, four-bit and mixed integer formats",
     lambda row, raw: row["precision"] not in ("", *PRECISIONS)),
    ("precision not stated", "a time means little without it",
     lambda row, raw: row["metric"] in (*TIMES, "ttft", "tpot") and not row["precision"]),
    ("batch not stated", "throughput modes, Offline, Server, llama-bench",
     lambda row, raw: row["metric"] in (*TIMES, "energy") and row["batch"] is None),
    ("tokens not stated", "whole requests of unknown length", _unnumbered),
    ("outruns its weights", "tokens faster than the weights can be read", _outruns_its_weights),
    ("rate of a request", "tokens per second of the times beside it, or of an unknown mix of prompt and answer",
     lambda row, raw: row["metric"] == "throughput"),
)  # fmt: skip


def use(row: Row, raw: Raw) -> str:
    """`train`, or `exclude:` and the first rule that holds."""
    if not math.isfinite(row["value"]) or row["value"] <= 0:
        return "exclude:no figure"
    return next((f"exclude:{name}" for name, _, holds in RULES if holds(row, raw)), "train")
