"""Answers beside what is near them: bigger networks of one architecture, an operator type's share, measured rows."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from statistics import median
from typing import Any

import numpy as np

from hetbench.answers import Answer
from hetbench.catalog import evidence
from hetbench.errors import HetBenchError
from hetbench.operators import operator_type
from hetbench.schema import STORAGE_BYTES
from tests.benchmarks.physics.asking import API, CHIPS, MODELS, REPRESENTATIVE, ask, check_floors, predicted, told, work
from tests.benchmarks.physics.record import Record

VISION = (
    ("resnet18", "resnet34", "resnet-50", "resnet101", "resnet152"),
    ("deit_tiny_patch16_224", "deit_small_patch16_224", "deit-base"),
    ("vgg11", "vgg13", "vgg16", "vgg19"),
    ("convnext_tiny", "convnext_small", "convnext_large"),
    ("convnext_small", "convnext-base"),
    ("swin_tiny_patch4_window7_224", "swin_small_patch4_window7_224", "swin_large_patch4_window7_224"),
    ("densenet121", "densenet169", "densenet201"),
    ("mobilenet-v1-0.25", "mobilenet-v1-0.5", "mobilenet-v1-1.0"),
    (
        "regnetx_002",
        "regnetx_004",
        "regnetx_008",
        "regnetx_016",
        "regnetx_032",
        "regnetx_064",
        "regnetx_160",
        "regnetx_320",
    ),
    ("efficientnet-b0", "efficientnet_b1"),
)
LANGUAGE = (
    ("bert-tiny", "bert-mini", "distilbert-base", "bert-base", "bert-large"),
    ("opt-125m", "opt-1.3b", "opt-6.7b", "opt-13b"),
    ("llama-2-7b", "llama-2-13b", "llama-2-70b"),
    ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"),
    ("bloom-560m", "bloom-1b7", "bloom-3b", "bloom-7b1"),
    ("qwen2-0.5b", "qwen2-1.5b", "qwen2.5-7b", "qwen2-72b"),
    ("pythia-1.4b", "pythia-12b"),
    ("flan-t5-base", "flan-t5-large", "flan-t5-xl"),
)
SHARED_ON = (
    ("nvidia-a100-sxm4-80gb", "fp16", None),
    ("nvidia-rtx-4090", "fp16", None),
    ("nvidia-t4", "fp16", None),
    ("nvidia-v100-sxm2-16gb", "fp16", None),
    ("nvidia-h100-sxm5-80gb", "fp32", None),
    ("amd-mi210", "fp32", None),
    ("nvidia-rtx-4090", "fp16", "compiled-amp"),
    ("huawei-ascend-310p", "fp16", None),
    ("cambricon-mlu370-x4", "fp16", None),
    ("intel-core-i9-10940x", "fp32", None),
    ("nvidia-h200-sxm-141gb", "fp16", None),
)
_LAUNCH_MS = 0.03  # generous for one eager launch


def siblings(record: Record) -> None:
    """Of two networks of one architecture the one with more work and no fewer launches is not faster."""
    for chip, family, batch in itertools.product(REPRESENTATIVE, (*VISION, *LANGUAGE), (1, 16)):
        last: Answer | None = None
        for name in family:
            answer = ask(name, chip, batch=batch, image_size=224 if family in VISION else None)
            if answer is None:
                continue
            if predicted(answer):
                check_floors(record, answer, chip, "networks")
            if last and predicted(answer, last) and (answer.stack, answer.precision) == (last.stack, last.precision):
                more, less = work(answer), work(last)
                if more.flops > less.flops and more.launches >= 0.97 * less.launches:
                    ratio = answer.value / last.value
                    record.check(
                        "siblings: the bigger network is not faster",
                        ratio >= 0.98,
                        1 / ratio,
                        chip,
                        batch,
                        f"{last.model} {told(last)}",
                        f"{name} {told(answer)}",
                    )
            last = answer


def shares(record: Record) -> None:
    """What an operator type takes beside what its bytes, flops and launches can take."""
    for (chip, precision, stack), model, batch in itertools.product(SHARED_ON, MODELS, (1, 16, 64)):
        answer = ask(model, chip, precision=precision, stack=stack, batch=batch)
        if not answer or not answer.shares:
            continue
        roof, launches = _rooflines(answer, chip, precision)
        for op, ms in answer.shares.items():
            if ms > 0.1 * answer.value:
                limit = 10 * (roof[op] + _LAUNCH_MS * launches[op])
                record.check(
                    "shares: no operator type that matters takes 10 x (its roof + 30 us a launch)",
                    ms <= limit,
                    10 * ms / limit,
                    model,
                    chip,
                    precision,
                    batch,
                    told(answer),
                    f"{op} {ms:.4g} ms, roof {roof[op]:.3g} ms, {launches[op]} launches",
                )


def _rooflines(answer: Answer, name: str, precision: str) -> tuple[Counter[str], Counter[str]]:
    """ms on the roofline and launches of each operator type."""
    roof, launches, chip = Counter[str](), Counter[str](), CHIPS[name]
    for group in work(answer).table.groups:
        kind = operator_type(group.op)
        if kind.cost_class == "free":
            continue
        peak = chip.vector_flops if kind.cost_class == "vector" else chip.peak_flops(precision) or chip.vector_flops
        compute = np.asarray(kind.flops(group.dims), float) / (peak or 1e15)
        moved = kind.bytes_moved(group.dims, STORAGE_BYTES[group.dtype]) / chip.bandwidth
        roof[group.op] += float(1e3 * np.maximum(compute, moved) @ group.count)
        launches[group.op] += int(group.count.sum())
    return roof, launches


def measured(record: Record) -> None:
    """Published rows answer their own setting, keep to physics, and agree with the predictions around them."""
    settings: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for row in evidence.rows(use="answer"):
        settings[
            row.model, row.chip, row.precision, row.batch, row.seq_len, row.image_size, row.phase, row.stack, row.metric
        ].append(row.value)
    for (model, chip, precision, batch, seq_len, image_size, phase, stack, metric), values in settings.items():
        given = {"seq_len": seq_len, "image_size": image_size, "precision": precision, "phase": phase, "stack": stack}
        options = {name: value for name, value in given.items() if value}
        where = model, chip, options
        try:
            answer = API.query(model, target=chip, metric=metric, batch=batch, **options)
        except HetBenchError as why:
            record.check("measured: a measured setting returns its row", False, 1, *where, str(why)[:80])
            continue
        same = answer.kind == "measured" and abs(answer.value / median(values) - 1) < 1e-9
        record.check("measured: a measured setting returns its row", same, 1, *where, answer.value, median(values))
        if metric == "latency":
            _around(record, answer, model, chip, batch, options)


def _around(record: Record, answer: Answer, model: str, chip: str, batch: int, options: dict[str, Any]) -> None:
    peak, where = CHIPS[chip].peak_flops(str(answer.precision)), (model, chip, batch, options)
    if peak:
        record.check(
            "measured: rows are not faster than the chip's peak",
            answer.value >= 0.95e3 * work(answer).flops / peak,
            1,
            *where,
            answer.value,
        )
    try:
        watts, joules = (
            API.query(model, target=chip, metric=name, batch=batch, **options) for name in ("power", "energy")
        )
        ratio = joules.value / (watts.value * answer.value / 1e3)
        record.check(
            "measured: energy beside a measured latency is power x that latency (25 %)",
            0.8 <= ratio <= 1.25,
            max(ratio, 1 / ratio),
            *where,
            f"{answer.value:.4g} ms x {watts.value:.4g} W, {joules.value:.4g} J",
        )
    except HetBenchError:
        pass
    near = ask(model, chip, batch=batch + 1, **options)
    if near is None or not predicted(near):
        return
    ratio, more = near.value / answer.value, (batch + 1) / batch
    where = (*where, f"{answer.value:.4g} ms measured, {told(near)} [{near.lower:.4g}, {near.upper:.4g}] beside it")
    record.check(
        "measured: one sample more than a measured setting is within 2 x of it",
        0.5 <= ratio <= 2 * more,
        max(ratio, 1 / ratio),
        *where,
    )
    record.check(
        "measured: the interval one sample on reaches what was measured, as it is or scaled to the batch",
        near.lower <= answer.value * more * 1.02 and answer.value * 0.98 <= near.upper,
        1,
        *where,
    )
