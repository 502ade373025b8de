"""Every model on every chip at its defaults: floors, batches, twins, datasheet ratios and rankings."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

from hetbench.answers import Answer
from tests.benchmarks.physics.asking import (
    CHIPS,
    GENERATING,
    MODELS,
    REPRESENTATIVE,
    USABLE,
    ask,
    check_floors,
    predicted,
    told,
)
from tests.benchmarks.physics.record import Record

EDGE = [
    "huawei-ascend-310p",
    "huawei-ascend-310",
    "cambricon-mlu370-x4",
    "cambricon-mlu370-x8",
    "cambricon-mlu370-s4",
    "cambricon-mlu270",
    "nvidia-t4",
    "nvidia-l4",
    "nvidia-p4",
    "nvidia-a2",
    "nvidia-jetson-agx-orin-64gb",
    "nvidia-jetson-orin-nx-16gb",
    "nvidia-jetson-agx-xavier",
    "intel-core-ultra-7-258v-igpu",
]
CENTRE = [
    "huawei-ascend-910b",
    "huawei-ascend-910b3",
    "huawei-ascend-910c",
    "huawei-ascend-910a",
    "nvidia-h100-sxm5-80gb",
    "nvidia-a100-sxm4-80gb",
    "nvidia-h200-sxm-141gb",
    "nvidia-b200-sxm-180gb",
    "amd-mi300x",
    "amd-mi250",
    "nvidia-h100-pcie-80gb",
    "nvidia-a100-pcie-40gb",
]
_TELLING = ("resnet-50", "swin-base", "bert-base", "t5-base", "whisper-large-v3", "qwen2.5-7b", "efficientnet-b0")
_RATES = ("fp32_tflops", "tf32_tflops", "fp16_tflops", "bf16_tflops", "int8_tops", "mem_bw_gbs")
_SIZES = ("compute_units", "boost_mhz", "l2_mb")
Answers = dict[tuple[str, str, int], Answer]


def scan(record: Record) -> None:
    """All of it."""
    found: Answers = {}
    for model, chip in itertools.product(MODELS, USABLE):
        for batch in (1, 8, 64) if chip in REPRESENTATIVE else (1, 64):
            answer = ask(model, chip, batch=batch)
            if answer is None:
                continue
            found[model, chip, batch] = answer
            if answer.kind == "predicted":
                check_floors(record, answer, chip, "models")
                record.check(
                    "models: lower <= value <= upper",
                    0 < answer.lower <= answer.value <= answer.upper,
                    1,
                    model,
                    chip,
                    batch,
                )
    _batches(record, found)
    _twins(record, found)
    _ratios(record, found)
    _rankings(record, found)


def _batches(record: Record, found: Answers) -> None:
    for (model, chip, batch), answer in found.items():
        alone = found.get((model, chip, 1)) if batch > 1 else None
        if not predicted(answer, alone):
            continue
        ratio = answer.value / alone.value
        where = model, chip, batch, f"{told(alone)} -> {told(answer)}"
        record.check("models: batch 1 -> 8, 64 not faster", ratio >= 0.98, 1 / ratio, *where)
        record.check(
            "models: throughput does not fall by a quarter with the batch (n x the batch at most 1.25 n x the time)",
            ratio <= 1.25 * batch,
            ratio / batch,
            *where,
        )


def better(one: str, other: str) -> bool:
    """Whether a chip of the same die has at least as much of everything."""
    x, y = CHIPS[one], CHIPS[other]
    if (x.family, x.kind) != (y.family, y.kind) or not x.arch or x.die != y.die:
        return False
    for name in _RATES:
        mine, its = getattr(x, name), getattr(y, name)
        if (mine is None) != (its is None) or (mine is not None and mine < its):
            return False
    sizes = ((getattr(x, name), getattr(y, name)) for name in _SIZES)
    return all(mine is None or its is None or mine >= its for mine, its in sizes)


def _comparable(
    found: Answers, batches: tuple[int, ...], one: str, other: str
) -> Iterator[tuple[str, int, Answer, Answer]]:
    for model, batch in itertools.product(MODELS, batches):
        x, y = found.get((model, one, batch)), found.get((model, other, batch))
        if predicted(x, y) and x.precision == y.precision:
            yield model, batch, x, y


def _twins(record: Record, found: Answers) -> None:
    for one, other in itertools.permutations(USABLE, 2):
        if not better(one, other):
            continue
        twins = better(other, one)
        if twins and one > other:
            continue
        name = (
            "chips: equal datasheets, latency within 25 %"
            if twins
            else "chips: more of everything is not slower by 10 %"
        )
        for model, batch, x, y in _comparable(found, (1, 8, 64), one, other):
            ratio = x.value / y.value
            bad = max(ratio, 1 / ratio) if twins else ratio
            record.check(name, bad <= (1.25 if twins else 1.10), bad, model, batch, one, told(x), other, told(y))


def _ratios(record: Record, found: Answers) -> None:
    """No chip of a family is slower than another by more than twice every ratio of their datasheets."""
    families = defaultdict(list)
    for chip in USABLE:
        if CHIPS[chip].kind != "cpu" and CHIPS[chip].fp16_tflops and CHIPS[chip].mem_bw_gbs:
            families[CHIPS[chip].family].append(chip)
    for members in families.values():
        for one, other in itertools.permutations(members, 2):
            x, y = CHIPS[one], CHIPS[other]
            limit = 2 * max(
                1.0,
                y.fp16_tflops / x.fp16_tflops,
                y.mem_bw_gbs / x.mem_bw_gbs,
                (y.fp32_tflops or 1) / (x.fp32_tflops or 1),
            )
            for model, batch, u, v in _comparable(found, (1, 64), one, other):
                if model in _TELLING and u.precision == "fp16" and u.level == "D":  # measured chips may be slower
                    record.check(
                        "chips: without measurements no ratio beyond twice every datasheet ratio",
                        u.value / v.value <= limit,
                        u.value / v.value / limit,
                        model,
                        batch,
                        one,
                        told(u),
                        other,
                        told(v),
                    )


def _rankings(record: Record, found: Answers) -> None:
    for model, batch, edge, centre in itertools.product(MODELS, (1, 64), EDGE, CENTRE):
        u, v = found.get((model, edge, batch)), found.get((model, centre, batch))
        if not (u and v and CHIPS[edge].family == CHIPS[centre].family):
            continue
        where = v.value / u.value, model, batch, edge, told(u), centre, told(v)
        if batch == 64 or model in GENERATING:
            record.check(
                "rank: no edge card ahead of a data-centre part of its vendor, batch 64 or LLM",
                u.value >= v.value,
                *where,
            )
        if batch == 1:
            record.check(
                "rank: edge and data-centre part of a vendor are set against one another under one stack",
                u.value >= v.value or u.stack == v.stack,
                *where,
            )
