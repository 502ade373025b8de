"""One model on one chip in other precisions, stacks and phases, and by other predictors."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from hetbench.answers import Answer
from tests.benchmarks.physics.asking import (
    CHIPS,
    GENERATING,
    MODELS,
    REPRESENTATIVE,
    ask,
    check_floors,
    predicted,
    told,
    work,
)
from tests.benchmarks.physics.record import Record

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8", "fp8")
NARROWER = (("fp16", "fp32"), ("tf32", "fp32"), ("bf16", "fp32"), ("int8", "fp16"), ("fp8", "fp16"))
STACKS = (
    ("nvidia-rtx-4090", "compiled-amp", "eager-amp", "fp16"),
    ("nvidia-a100-sxm4-80gb", "compiled-amp", "eager-amp", "fp16"),
    ("nvidia-h100-sxm5-80gb", "compiled", "eager", "fp32"),
    ("huawei-ascend-310p", "acl", "eager", "fp16"),
    ("huawei-ascend-910b3", "acl", "eager", "fp16"),
    ("cambricon-mlu370-x4", "magicmind", "eager", "fp16"),
    ("cambricon-mlu370-x4", "magicmind", "eager", "fp32"),
    ("intel-core-i9-10940x", "compiled", "eager", "fp32"),
    ("intel-xeon-8480plus", "compiled", "eager", "fp32"),
)


def precisions(
    record: Record, models: Iterable[str] = tuple(MODELS), chips: Iterable[str] = tuple(REPRESENTATIVE)
) -> None:
    """A narrower precision that the chip computes faster is not slower."""
    for model, chip, batch in itertools.product(models, chips, (1, 32)):
        found = {name: ask(model, chip, batch=batch, precision=name) for name in PRECISIONS}
        for low, high in NARROWER:
            x, y = found[low], found[high]
            peaks = CHIPS[chip].peak_flops(low), CHIPS[chip].peak_flops(high)
            if not predicted(x, y) or not all(peaks) or peaks[0] < 1.5 * peaks[1]:
                continue
            if model == "t5-base" and low == "fp16":  # T5 clamps in fp16, so it runs more operators
                continue
            _narrower(record, (model, chip, batch), low, x, high, y)
        for answer in found.values():
            if predicted(answer):
                check_floors(record, answer, chip, "precisions")


def _narrower(record: Record, where: tuple[object, ...], low: str, x: Answer, high: str, y: Answer) -> None:
    ratio = x.value / y.value
    where = (*where, f"{low} {told(x)}", f"{high} {told(y)}")
    if x.stack == y.stack and x.surrogate.rpartition("/")[2] == y.surrogate.rpartition("/")[2]:
        record.check(f"precision: {low} not slower than {high}, one surrogate and stack", ratio <= 1.02, ratio, *where)
    else:
        record.check(
            f"precision: no jump beyond 2 x the other way where surrogate or stack changes ({low}, {high})",
            ratio <= 2.0,
            ratio,
            *where,
        )


def stacks(record: Record, models: Iterable[str] = tuple(MODELS)) -> None:
    """A stack that compiles the network is not slower than eager launches."""
    for (chip, compiling, eager, precision), model, batch in itertools.product(STACKS, models, (1, 32)):
        x, y = (ask(model, chip, stack=stack, precision=precision, batch=batch) for stack in (compiling, eager))
        if predicted(x, y):
            record.check(
                "stacks: a compiling stack is not slower than eager by 10 %",
                x.value <= 1.1 * y.value,
                x.value / y.value,
                chip,
                model,
                batch,
                precision,
                told(x),
                told(y),
            )
            check_floors(record, x, chip, "stacks")


def phases(
    record: Record, models: Iterable[str] = tuple(GENERATING), chips: Iterable[str] = tuple(REPRESENTATIVE)
) -> None:
    """One forward pass costs alike whatever it is called, and one token less than many."""
    for chip, model, batch in itertools.product(chips, models, (1, 16)):
        whole, prefill, decode = (
            ask(model, chip, batch=batch, **options) for options in ({}, {"phase": "prefill"}, {"phase": "decode"})
        )
        if not predicted(whole, prefill, decode):
            continue
        ratio, more = whole.value / prefill.value, work(whole).flops / work(prefill).flops
        record.check(
            "phases: one forward pass costs alike as inference and as prefill (1.5 x a flop)",
            1 / 1.5 <= ratio <= 1.5 * more,  # the last layer sees every token, or only the last one
            max(ratio / more, 1 / ratio),
            model,
            chip,
            batch,
            told(whole),
            told(prefill),
        )
        record.check(
            "phases: decoding one token is not slower than prefilling 512",
            decode.value <= prefill.value * 1.02,
            decode.value / prefill.value,
            model,
            chip,
            batch,
            told(decode),
            told(prefill),
        )
        for answer in (prefill, decode):
            check_floors(record, answer, chip, "phases")


def predictors(record: Record) -> None:
    """Every predictor by itself keeps to physics."""
    models = ("resnet-50", "mobilenet-v2", "bert-base", "t5-base", "gpt2", "qwen2.5-7b", "whisper-large-v3")
    for model, chip, name in itertools.product(models, REPRESENTATIVE, ("roofline", "rgat", "autogluon")):
        last = None
        for batch in (1, 8, 64):
            answer = ask(model, chip, batch=batch, predictor=name)
            if not predicted(answer):
                continue
            check_floors(record, answer, chip, f"predictor {name}")
            record.check(
                f"predictor {name}: lower <= value <= upper",
                0 < answer.lower <= answer.value <= answer.upper,
                1,
                model,
                chip,
                batch,
            )
            if last:
                record.check(
                    f"predictor {name}: more batch not faster",
                    answer.value >= 0.98 * last,
                    last / answer.value,
                    model,
                    chip,
                    batch,
                )
            last = answer.value
