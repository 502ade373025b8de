"""What the fields of published whole-model rows mean: network, sizes, precision, stack, and what was timed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from data_collection.tables import evidence_fields as published
from data_collection.tables.model_columns import Row
from hetbench.schema import PRECISIONS

Raw = Mapping[str, Any]
TIMES = ("latency", "e2e", "throughput")
SAMPLES = r"(samples|images|imgs?|sequences|sentences)/s|fps$"
DIES = 4  # an Atlas 300I card has four Ascend 310; published throughput is that of the card
SPELLED = {
    "amp_fp16": "fp16", "fp16-amp": "fp16", "uint8": "int8", "w:fp16": "fp16", **{name: name for name in PRECISIONS},
}  # fmt: skip
UNKNOWN = ("unstated", "unspecified", "bf16/fp16 (upstream default)")
# parts of an upstream name that do not identify the network
TAGS = (
    r"\(.*?\)", r"\bbs\d+\b", r"\.om\b", r"[_ -](for_)?pytorch(_infer)?\b", r"_inference\b", r"^hf ",
    r" dynamic\b", r" qat\b", r"precision_\w+?(?=-)", r"-(non-)?quantized",
)  # fmt: skip


def stack(raw: Raw) -> str | None:
    """The software stack: `evidence_fields.stack`, and where a heading alone states the framework, that.

    >>> stack({"software": "1.7.0 + neural-compressor", "extra": {"heading": "MXNet Models"}, "precision": "int8"})
    'mxnet+neural-compressor'
    """
    software = raw["software"] or ""
    if re.match(r"[\d.]+ \+ neural-compressor", software):  # the framework is stated in the heading only
        return f"{raw['extra']['heading'].split()[0].lower()}+neural-compressor"
    return published.stack(raw, raw["extra"])


def precision(raw: Raw) -> str:
    """A hetbench precision, or "" if it is not stated; other upstream names are kept and excluded later.

    ATC compiles to fp16 by default; the corpus marks rows without any other statement as `fp16 likely`.
    """
    given = str(raw["precision"] or "")
    if given in UNKNOWN:
        return "fp16" if "fp16 likely" in str(raw["extra"].get("precision_hint")) else ""
    return SPELLED.get(given, given)


def upstream(raw: Raw) -> str:
    """The network's name as upstream writes it; in one NVIDIA table the size is only in the heading."""
    if raw["file"] == "nvidia_dle" and str(raw["extra"].get("ctx", "")).startswith("BERT-Base"):
        return "bert-base"
    return str(raw["model"])


def network(raw: Raw) -> str:
    """The name that identifies the network; MMDeploy writes `ResNet` and names resnet50 in the configuration file."""
    stem = str(raw["extra"].get("config", "")).split("/")[-1].removesuffix(".py")
    if raw["file"] == "mmdeploy" and stem:
        return re.split(r"_\d+xb|_in1k|_1x_|_4xb", stem)[0]
    return upstream(raw)


def canonical_key(file: str, name: str) -> str:
    """One spelling for all names of a network: without folder, tags and separators, except `_` between digits.

    >>> canonical_key("timm", "vit_base_patch16_224.augreg_in21k"), canonical_key("co2_inference", "google/ViT-Base")
    ('vitbasepatch16_224', 'vitbase')
    """
    if file == "timm":
        name = name.split(".")[0]
    folder, _, variant = name.partition(":")
    base, own = (_squeeze(_untagged(part)) for part in (folder.rstrip("/").split("/")[-1], variant))
    if own in base:
        return base
    return own if base in own else f"{base}:{own}"


def _untagged(name: str) -> str:
    name = name.lower()
    for pattern in TAGS:
        name = re.sub(pattern, " ", name)
    return name


def _squeeze(name: str) -> str:
    name = re.sub(r"(?<=\d)[^a-z0-9]+(?=\d)", "_", name)
    return re.sub(r"[^a-z0-9_]+|(?<!\d)_|_(?!\d)", "", name)


def instances(raw: Raw) -> tuple[int | None, int | None, int | None]:
    """Neural Compressor: concurrent instances, cores per instance, and batch; the column overrides `config`.

    >>> instances({"extra": {"column": "Throughput 1s 10ins 4c/ins bs=64 | INT8", "config": ""}})
    (10, 4, 64)
    """
    column, config = str(raw["extra"].get("column", "")), str(raw["extra"].get("config", ""))
    for pattern, text in (
        (r"(?P<c>\d+)c(?P<i>\d+)ins(?P<b>\d+)bs", column),
        (r"(?P<i>\d+)ins (?P<c>\d+)c/ins bs=(?P<b>\d+)", column),
        (r"(?P<c>\d+) cores/instance, (?P<i>\d+) instances, batch (?P<b>\d+)", config),
    ):
        match = re.search(pattern, text)
        if match:
            return int(match["i"]), int(match["c"]), int(match["b"])
    return None, None, None


def new_tokens(raw: Raw) -> int | None:
    """Tokens that one request generates; None if none or not stated."""
    extra = raw["extra"]
    if raw["file"] == "co2_inference":
        return 10 if extra["task"].startswith("textgen") else None
    if raw["phase"] not in ("serving", "decode"):
        return None
    found = extra.get("out_len") or extra.get("new_tokens") or extra.get("response_length") or extra.get("output_len")
    return round(found) if found else None


def figure(raw: Raw, row: Row) -> tuple[str, float, str]:
    """Metric, value and unit per call of the whole batch, by exact arithmetic on the published figure."""
    metric, unit = published.METRICS[raw["metric"]]
    value, batch, phase = raw["value"], row["batch"], raw["phase"]
    if metric == "latency" and phase == "serving":
        return "e2e", value, "ms"
    if metric == "latency" and raw["unit"] == "ms (all new tokens)":  # the first token is part of the prefill
        return "latency", value / (row["new_tokens"] - 1), "ms"
    if metric in ("time_to_first_token", "time_per_token"):
        name = {"time_to_first_token": "ttft", "time_per_token": "tpot"}[metric]
        return ("latency" if phase in ("prefill", "decode") else name), value, "ms"
    if metric == "throughput":
        if batch and phase != "serving" and re.match(SAMPLES, raw["unit"] or "", re.IGNORECASE):
            dies = DIES if _card_of_310(raw) else 1
            return "latency", 1e3 * batch * (row["instances"] or 1) * dies / value, "ms"
        return metric, value, raw["unit"] or ""
    if metric == "energy" and re.match(r"J/(image|video)", raw["unit"]):
        return metric, value * batch, unit
    return metric, value * (1.048576 if raw["unit"] == "MiB" else 1), unit


def _card_of_310(raw: Raw) -> bool:
    return bool(raw["chip"] == "huawei-ascend-310" and raw["n_chips"] == DIES)


def chip_count(raw: Raw) -> int | None:
    """Chips per call; a card of four Ascend 310 counts as one, since `figure` divides its throughput by four."""
    return 1 if _card_of_310(raw) else raw["n_chips"]


def variant(raw: Raw) -> str:
    """Settings that are in no other column and distinguish rows."""
    extra = raw["extra"]
    names = ("variant", "task", "option", "quant_mode", "experiment", "Parallelism Type", "KV Cache Block_size", "mode",
             "config", "upstream_precision", "decoding", "decoding_value", "system")  # fmt: skip
    if raw["file"] == "intel_neural_compressor":
        names = ("variant",)
    return "; ".join(str(extra[name]) for name in names if extra.get(name) not in (None, ""))


def note(raw: Raw) -> str:
    """Remarks that a reader of the figure needs."""
    extra, notes = raw["extra"], []
    if raw["file"] == "ascend_modelzoo" and "fp16 likely" in str(extra.get("precision_hint")):
        notes.append("fp16 is the compiler's default, not stated")
    if _card_of_310(raw):
        notes.append("a card of four chips, the rate shared out")
    if extra.get("withdrawn"):
        notes.append("withdrawn by the vendor, read from the history")
    if raw["file"] == "mlperf_inference" and raw["metric"] in ("power_w", "energy_j"):
        notes.append(f"the whole system at the wall, {raw['n_chips']} chips")
    if raw["file"] == "co2_inference":
        notes.append("with pre- and post-processing on the CPU")
    if raw["file"] == "neusight" and raw["chip"] == "amd-mi250":
        notes.append("one die of an MI250")
    if raw["phase"] == "training_fwd":
        notes.append("the forward pass of a training step")
    if raw["phase"] == "decode":
        notes.append("mean over the tokens: the cache grows from seq_len")
    if raw["file"] == "llm_inference_bench" and raw["chip"] == "amd-mi250":
        notes.append("one or both dies of the MI250 is not stated")
    if raw["file"] == "nvidia_fastertransformer" and "bert" in raw["model"]:
        notes.append("the encoder layers alone")
    if upstream(raw) != raw["model"]:
        notes.append(f"the heading says so, the corpus {raw['model']}")
    return "; ".join(notes)
