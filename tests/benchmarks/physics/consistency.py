"""Metrics, intervals, directions, tables, aliases, the shell and search spaces say the same."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from contextlib import suppress
from typing import Any

from hetbench import HetBench
from hetbench.answers import Answer
from hetbench.errors import HetBenchError
from hetbench.operators import operator_type
from hetbench.predict.intervals import pass_factor
from hetbench.predict.operators import load
from hetbench.schema import FAMILIES
from tests.benchmarks.physics.asking import API, CHIPS, MODELS, USABLE, ask, predicted, work
from tests.benchmarks.physics.record import Record

SHELL = (
    ("resnet-50", "cann", {}),
    ("bert-base", "rocm", {"batch": 8}),
    ("qwen2.5-7b", "nvidia-h200-sxm-141gb", {"phase": "decode"}),
    ("gpt2", "mlu", {"precision": "fp32"}),
)


def scan(record: Record) -> None:
    """Random questions, the shell and the search spaces."""
    questions(record, 420)
    _shell(record)
    _spaces(record)


def questions(record: Record, count: int) -> None:
    """Random questions, drawn with a fixed seed."""
    draw = random.Random(7)
    for _ in range(count):
        model, chip, options = _drawn(draw)
        answer = ask(model, chip, **options)
        if answer is not None:
            _one(record, answer, model, chip, options, draw.choice(USABLE))


def _drawn(draw: random.Random) -> tuple[str, str, dict[str, Any]]:
    model, chip = draw.choice(list(MODELS)), draw.choice(USABLE)
    options: dict[str, Any] = {
        "batch": draw.choice([1, 2, 3, 8, 16, 33, 128]),
        "phase": draw.choice(MODELS[model].phases),
    }
    precision = draw.choice([None, "fp32", "fp16", "bf16", "int8", "fp8", "tf32"])
    if precision:
        options["precision"] = precision
    if MODELS[model].seq_len and model != "clip-vit-l-14" and draw.random() < 0.5:
        options["seq_len"] = draw.choice([1, 7, 64, 200, 333, MODELS[model].max_seq_len or 512])
    return model, chip, options


def _one(record: Record, answer: Answer, model: str, chip: str, options: dict[str, Any], other: str) -> None:
    where = model, chip, options
    done = answer.batch * (answer.seq_len if answer.phase == "prefill" else 1)
    rate = API.query(model, target=chip, metric="throughput", **options)
    record.check(
        "consistency: throughput = batch / latency",
        answer.kind != rate.kind or answer.kind == "measured" or abs(rate.value * answer.value / 1e3 / done - 1) < 1e-9,
        1,
        *where,
    )
    if predicted(answer):
        half, most = (API.query(model, target=chip, metric="latency", confidence=c, **options) for c in (0.5, 0.98))
        nested = most.lower <= answer.lower <= half.lower <= answer.value <= half.upper <= answer.upper <= most.upper
        record.check(
            "consistency: confidence 0.5 inside 0.9 inside 0.98, value the same",
            half.value == answer.value == most.value and nested,
            1,
            *where,
        )
    _board(record, answer, where)
    same = API.query(model, source=chip, target=chip, metric="latency", **options)
    record.check("consistency: a chip against itself is 1", abs(same.ratio - 1) < 1e-12, 1, *where)
    with suppress(HetBenchError):
        there, back = (
            API.query(model, source=one, target=two, metric="latency", **options)
            for one, two in ((chip, other), (other, chip))
        )
        record.check(
            "consistency: ratio there x ratio back = 1", abs(there.ratio * back.ratio - 1) < 1e-9, 1, *where, other
        )
    table = API.query_models({"model": [model], "chip": [chip], **{name: [value] for name, value in options.items()}})
    record.check(
        "consistency: query_models says what query says",
        table["value"][0] == answer.value and table["level"][0] == (answer.level or ""),
        1,
        *where,
    )
    alias = next((name for name, sure in CHIPS[chip].aliases.items() if sure != "partial"), None)
    if alias is not None:
        found = ask(model, alias, **options)
        record.check(
            "consistency: an alias is its chip",
            found is not None and found.value == answer.value and found.chip == chip,
            1,
            chip,
            alias,
        )
    if (
        predicted(answer)
        and not answer.surrogate.endswith("/whole")
        and answer.phase == "inference"
        and answer.batch == 1
    ):
        _sum(record, answer, chip, where)


def _board(record: Record, answer: Answer, where: tuple[Any, ...]) -> None:
    model, chip, options = where
    tdp, peak = CHIPS[chip].tdp_w, CHIPS[chip].peak_flops(str(answer.precision))
    try:
        watts, joules = (API.query(model, target=chip, metric=name, **options) for name in ("power", "energy"))
    except HetBenchError:
        record.check("consistency: power refused only without TDP or peak", not tdp or not peak, 1, *where)
        return
    ratio = joules.value / (watts.value * answer.value / 1e3)
    record.check(
        "consistency: energy = power x latency",
        abs(ratio - 1) < 1e-6 or "measured" in (watts.kind, joules.kind, answer.kind),
        1,
        *where,
    )
    record.check(
        "consistency: 0.1 TDP <= power <= 1.05 TDP", 0.1 * tdp <= watts.value <= 1.05 * tdp, 1, *where, watts.value
    )
    held = all(each.lower is None or each.lower <= each.value <= each.upper for each in (watts, joules))
    record.check("consistency: intervals of power and energy hold their values", held, 1, *where)


def _sum(record: Record, answer: Answer, chip: str, where: tuple[Any, ...]) -> None:
    total = 0.0
    for group in work(answer).table.groups:
        if operator_type(group.op).cost_class == "free":
            continue
        dims = [{name: int(values[at]) for name, values in group.dims.items()} for at in range(len(group.count))]
        found = API.query_operators(
            {
                "op": [group.op] * len(dims),
                "dims": dims,
                "dtype": [group.dtype] * len(dims),
                "phase": ["fwd"] * len(dims),
                "chip": [chip] * len(dims),
            }
        )
        total += float(found["value"] @ group.count)
    total *= pass_factor(load(), CHIPS[chip])
    off = abs(total / answer.value - 1)
    record.check(
        "consistency: an eager sum is the sum of query_operators times what a pass takes over it",
        off < 1e-6,
        1 + off,
        *where,
        total,
        answer.value,
    )


def _shell(record: Record) -> None:
    for model, chip, options in SHELL:
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = [
            sys.executable,
            "-m",
            "hetbench",
            "query",
            model,
            "--target",
            chip,
            "--metric",
            "latency",
            "--json",
            *words,
        ]
        said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        own = json.loads(json.dumps(API.query(model, target=chip, metric="latency", **options).to_dict()))
        record.check("consistency: the shell says what Python says", said == own, 1, model, chip, options)


def _spaces(record: Record) -> None:
    for name in ("gpt-s", "bert", "vit", "resnet"):
        space = HetBench(search_space=name)
        archs = [space.sample_arch(seed=seed) for seed in range(4)]
        codes = space.search_space.codes(archs)
        for family in FAMILIES:
            for metric in ("latency", "energy", "memory", "flops"):
                try:
                    many = space.query_batch(codes, metric=metric, device=family)
                except HetBenchError:
                    continue
                for arch, value in zip(archs, many, strict=True):
                    space.set_arch(arch)
                    off = abs(space.query(metric=metric, device=family).value / value - 1)
                    record.check("consistency: query_batch says what query says", off < 1e-4, off, name, family, metric)
