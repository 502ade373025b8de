"""Measured training steps joined to networks: what the surrogate of training steps learns from and is scored on.

Each source states in its own way what a step was; what it leaves unsaid (optimizer, loader, several chips) is settled
here, with the reason. Rows whose network, batch or precision is not stated are left out and counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hetbench.catalog.chips import chip as chip_named
from hetbench.errors import HetBenchError
from hetbench.graphs import ModelGraph, networks
from hetbench.graphs.names import find
from hetbench.training import TRAINING
from surrogates.reading import read_table
from surrogates.training.heads import MASKED, MaskedBert
from surrogates.whole.rows import OWN_COLUMNS

__all__ = ["COLUMNS", "graph_of", "read", "read_memory"]

COLUMNS = ("source", "chip", "model", "graph", "precision", "batch", "seq_len", "image_size", "stack", "optimizer",
           "chips", "ms", "memory_mb", "ref")  # fmt: skip
_NEEDED = ("file", "chip", "upstream", "precision", "batch", "seq_len", "image_size", "stack", "metric", "value",
           "unit", "n_chips", "phase", "match_use", "ref", "variant", "printed")  # fmt: skip
_MADE_BY = "python -m data_collection.tables.model_rows"
MILABENCH: Mapping[str, tuple[str, str, str]] = {
    # bench: network, precision, optimizer, by its configuration (config/base.yaml); those with a loader of files,
    # several chips or adapters are left out
    "resnet50-noio": ("resnet50", "fp16", "sgd-momentum"),
    "convnext_large-fp32": ("convnext_large", "fp32", "sgd-momentum"),
    "convnext_large-fp16": ("convnext_large", "fp16", "sgd-momentum"),
    "convnext_large-tf32": ("convnext_large", "tf32", "sgd-momentum"),
    "convnext_large-tf32-fp16": ("convnext_large", "fp16", "sgd-momentum"),
    "bert-fp32": (MASKED, "fp32", "adamw"), "bert-fp16": (MASKED, "fp16", "adamw"),
    "bert-tf32": (MASKED, "tf32", "adamw"), "bert-tf32-fp16": (MASKED, "fp16", "adamw"),
    "focalnet": ("focalnet_base_lrf", "fp16", "adamw"), "regnet_y_128gf": ("regnety_1280", "fp16", "sgd-momentum"),
}
_LENGTH = {MASKED: 512}
_SIDE = 224  # of the images of milabench and of the TensorFlow tables
_SIZES = ("batch", "seq_len", "image_size")
Say = Callable[[str], None]
_RAW = ("model", "phase", "metric", "software", "precision", "batch", "seq_len", "value", "chip", "extra", "ref")
_FRAMEWORK = {"pytorch": "eager-fused", "tensorflow2": "tensorflow", "tensorflow": "tensorflow",
              "paddlepaddle": "paddle"}  # fmt: skip
_PRINTED = {"fp32": "fp32", "tf32": "tf32", "amp_fp16": "fp16"}


def graph_of(name: str) -> ModelGraph:
    """The network of a row: one of the catalogue, or an auxiliary one."""
    if name == MASKED:
        return MaskedBert()
    try:
        return networks.load(name)
    except HetBenchError:
        return find(name)


def read(rows: Path, corpus: Path, own: Iterable[Path] = (), say: Say = print) -> pd.DataFrame:
    """Every usable step on one chip or on several that exchange gradients, in `COLUMNS`; the same step once, at its
    median. `own` are files of `python -m data_collection.store publish`."""
    excluded = rows.with_name(f"{rows.stem}.excluded.parquet")
    table = read_table(excluded, _NEEDED, _MADE_BY)
    table = table[table.match_use == "exclude:training"]
    made = [*_timm(table), *_neusight(table), *_mindcv(table), *_cambricon(table), *_milabench(table),
            *_examples(corpus), *(row for path in own for row in _measured(path))]  # fmt: skip
    frame = pd.DataFrame(made, columns=list(COLUMNS))
    say(f"{len(table):6d} rows of training steps, {len(frame)} usable")
    keys = [name for name in COLUMNS if name not in ("ms", "memory_mb", "ref")]
    found = frame.groupby(keys, dropna=False, as_index=False).agg(ms=("ms", "median"), memory_mb=("memory_mb", "first"),
                                                                  ref=("ref", "first"))  # fmt: skip
    for source, part in found.groupby("source"):
        say(f"{len(part):6d} steps of {part.graph.nunique()} networks on {part.chip.nunique()} chips: {source}")
    return found


def read_memory(rows: Path) -> pd.DataFrame:
    """Peak memory of milabench's steps in MB of 10**6 bytes, in `COLUMNS`."""
    table = read_table(rows.with_name(f"{rows.stem}.excluded.parquet"), _NEEDED, _MADE_BY)
    return pd.DataFrame(list(_milabench(table, "memory")), columns=list(COLUMNS))


def _row(raw: Any, graph: str, **more: Any) -> dict[str, Any]:
    size = {name: None if pd.isna(getattr(raw, name)) else int(getattr(raw, name)) for name in _SIZES}
    plain = {"source": raw.file, "chip": raw.chip, "model": raw.upstream, "graph": graph, "chips": 1,
             "ms": raw.value, "memory_mb": None, "ref": raw.ref, "stack": raw.stack.replace("-amp", ""),
             "precision": raw.precision}  # fmt: skip
    return plain | size | more


def _resolved(upstream: str, source: str) -> str | None:
    try:
        graph, kind = networks.resolve(upstream, source)
    except HetBenchError:
        return None
    return graph if kind in networks.SURE else None


def _timm(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """timm's benchmark of training: SGD with momentum, random images on the device."""
    for raw in table[(table.file == "timm") & (table.metric == "latency")].itertuples():
        graph = _resolved(raw.upstream, "timm")
        if graph is not None:
            yield _row(raw, graph, optimizer="sgd-momentum")


def _neusight(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Forward and backward without an optimizer, single chips."""
    part = table[(table.file == "neusight") & (table.phase == "training") & (table.n_chips == 1)]
    for raw in part.itertuples():
        graph = _resolved(raw.upstream, "neusight")
        if graph is not None:
            yield _row(raw, graph, optimizer="none")


def _mindcv(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """MindSpore steps with the data pipeline, batch a card, eight cards with an all-reduce, autocast; timm's names."""
    part = table[(table.file == "ascend_mindcv") & table.printed.str.startswith("latency")]
    for raw in part.itertuples():
        graph = _resolved(raw.upstream, "timm")
        if graph is not None and pd.notna(raw.n_chips):
            yield _row(raw, graph, optimizer="sgd-momentum", precision="fp16", chips=int(raw.n_chips))


def _cambricon(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """TensorFlow on one card."""
    part = table[(table.file == "cambricon_modelzoo") & (table.metric == "latency") & (table.n_chips == 1)]
    for raw in part[part.printed.str.contains("img/s")].itertuples():
        graph = _resolved(raw.upstream, "cambricon_modelzoo") or _resolved(raw.upstream.lower(), "timm")
        precision = {"fp32": "fp32", "amp-fp16": "fp16"}.get(raw.precision)
        if graph is not None and precision:
            yield _row(raw, graph, optimizer="sgd-momentum", precision=precision, image_size=_SIDE)


def _milabench(table: pd.DataFrame, metric: str = "throughput") -> Iterator[dict[str, Any]]:
    """Single-chip benches without a file loader, at the number of loader processes that held the chip up least."""
    part = table[table.file.str.startswith("milabench") & table.upstream.isin(MILABENCH) & (table.metric == metric)]
    keys = ["file", "chip", "upstream", "batch"]
    of_all = "max" if metric == "throughput" else "median"
    best = part.groupby(keys, as_index=False).agg(value=("value", of_all), ref=("ref", "first"))
    for raw in best.itertuples():
        graph, precision, optimizer = MILABENCH[raw.upstream]
        if precision == "tf32" and raw.chip.startswith("amd"):  # there the flag does nothing
            precision = "fp32"
        figure = {"ms": 1e3 * raw.batch / raw.value} if metric == "throughput" else {"ms": None, "memory_mb": raw.value}
        yield {
            "source": "milabench", "chip": raw.chip, "model": raw.upstream, "graph": graph, "precision": precision,
            "batch": int(raw.batch), "seq_len": _LENGTH.get(graph), "stack": "eager",
            "image_size": None if graph in _LENGTH else _SIDE, "optimizer": optimizer, "chips": 1, "memory_mb": None,
            "ref": raw.ref, **figure,
        }  # fmt: skip


def _measured(path: Path) -> Iterator[dict[str, Any]]:
    """Steps that the profiler timed, tensors contiguous."""
    table = read_table(path, (*OWN_COLUMNS, "dims", "run"), "python -m data_collection.store publish FILE")
    table = table[(table.kind == "model") & (table.phase == TRAINING) & (table.layout == "contiguous")]
    for raw in table.itertuples():
        yield {
            "source": "own", "chip": raw.chip, "model": raw.name, "graph": raw.name, "precision": raw.precision,
            **{name: None if pd.isna(getattr(raw, name)) else int(getattr(raw, name)) for name in _SIZES},
            "stack": raw.stack, "optimizer": json.loads(raw.dims)["optimizer"], "chips": 1, "ms": raw.latency_ms,
            "memory_mb": None, "ref": f"run {raw.run}",
        }  # fmt: skip


def _examples(corpus: Path) -> Iterator[dict[str, Any]]:
    """BERT-Large of NVIDIA's examples, pre-training on one GPU: many batches of a GPU make one update.

    Its PyTorch fuses attention, layer norm and the optimizer by hand. Tables that count nodes have no column of GPUs
    and are left out, and so are batches of a whole update.
    """
    table = read_table(corpus / "model" / "nvidia_dle.parquet", _RAW, "python -m data_collection.sources build")
    table = table[(table.model == "bert-large") & (table.phase == "training") & (table.metric == "throughput")]
    for raw in table.itertuples():
        printed = json.loads(raw.extra).get("row", {})
        stack, precision = _FRAMEWORK.get(raw.software.split()[0]), _PRINTED.get(raw.precision)
        alone = printed.get("GPUs") == "1" and any(name.startswith("Accumulation") or name.startswith("Gradient")
                                                  for name in printed)  # fmt: skip
        if alone and stack and precision and raw.batch < 1024 and pd.notna(raw.seq_len):
            yield {
                "source": "nvidia_dle", "chip": chip_named(raw.chip).name, "model": raw.model, "graph": "bert-large",
                "precision": precision, "batch": int(raw.batch), "seq_len": int(raw.seq_len), "image_size": None,
                "stack": stack, "optimizer": "none", "chips": 1, "ms": 1e3 * raw.batch / raw.value, "memory_mb": None,
                "ref": raw.ref,
            }  # fmt: skip
