"""Latency along batch, sequence length, context and image size: never faster, no cliffs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.benchmarks.physics.asking import MODELS, REPRESENTATIVE, ask, predicted, told
from tests.benchmarks.physics.record import Record

BATCHES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129, 192, 255, 256)
LENGTHS = (
    1,
    2,
    4,
    7,
    8,
    16,
    17,
    31,
    32,
    33,
    48,
    64,
    96,
    127,
    128,
    129,
    192,
    255,
    256,
    257,
    384,
    511,
    512,
    513,
    768,
    1024,
    1025,
    1536,
    2048,
    3072,
    4095,
    4096,
)


def scan(record: Record, chips: Iterable[str] = tuple(REPRESENTATIVE)) -> None:
    """All axes on each chip."""
    for chip in chips:
        for model in ("resnet-50", "bert-base", "mobilenet-v2", "swin-base"):
            along(record, "batch 1..256", model, chip, "batch", BATCHES)
        along(record, "batch 1..256, decode", "qwen2.5-7b", chip, "batch", BATCHES, phase="decode")
        for model in ("qwen2.5-7b", "bert-base", "tinyllama-1.1b"):
            most = min(4096, MODELS[model].max_seq_len or 4096)
            along(record, "seq_len 1..4096", model, chip, "seq_len", [x for x in LENGTHS if x <= most])
        context = "decode context 1..4096"
        along(record, context, "qwen2.5-7b", chip, "seq_len", LENGTHS, phase="decode")
        along(record, context, "opt-1.3b", chip, "seq_len", [x for x in LENGTHS if x <= 2048], phase="decode", batch=8)
        along(record, "prefill 1..4096", "qwen2.5-7b", chip, "seq_len", LENGTHS, phase="prefill")
        along(
            record,
            "image_size",
            "resnet-50",
            chip,
            "image_size",
            [128, 160, 192, 223, 224, 225, 256, 288, 320, 384, 448, 512],
            batch=8,
        )
        along(record, "image_size", "vit-base", chip, "image_size", [160, 192, 224, 256, 320, 384, 448, 512], batch=8)


def along(record: Record, what: str, model: str, chip: str, axis: str, sizes: Iterable[int], **options: Any) -> None:
    """One model on one chip along one axis."""
    last, top = None, 0.0
    for size in sizes:
        answer = ask(model, chip, **{axis: size}, **options)
        if answer is None:
            break
        if last is not None and predicted(answer, last[1]):
            before = last[1].value
            ratio = answer.value / before
            where = model, chip, options, f"{last[0]} -> {size}: {before:.4g} -> {told(answer)}"
            record.check(f"{what}: never faster beyond 2 %", ratio >= 0.98, 1 / ratio, *where)
            record.check(
                f"{what}: never 10 % below an earlier value", answer.value >= 0.9 * top, top / answer.value, *where
            )
            record.check(
                f"{what}: no jump beyond 2 x and the growth in size",
                ratio <= max(2.0, (size / last[0]) ** 2.05),
                ratio,
                *where,
            )
        last, top = (size, answer), max(top, answer.value)
