"""Answers to a fixed sample of questions of every kind, written as JSON, and the comparison of two such files.

    python -m tests.benchmarks.same_answers write before.json         # on one commit
    python -m tests.benchmarks.same_answers write after.json          # on the other
    python -m tests.benchmarks.same_answers compare before.json after.json

Only the public API is used, so one script runs on commits whose modules have different names. Words (notes, messages)
are left out: a figure, its interval, level, kind and the type of a refusal must be equal to the last digit.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hetbench import HetBench, HetBenchError, chips, metrics, models, operator_types

FAMILIES = ("cuda", "rocm", "oneapi", "cann", "mlu")
NETWORKS = ("resnet101", "convnext_tiny", "llama-2-7b", "vit_base_patch16_224", "mobilenetv3_large_100", "bert_large")
STACKS = (None, None, None, "eager", "compiled", "eager-amp", "tensorrt", "vllm", "acl", "magicmind")
PRECISIONS = (None, None, "fp32", "fp16", "bf16", "int8", "fp8", "tf32")
WORDS = {"notes", "reason", "refused", "why", "surrogate", "refs", "dropped"}


def _plain(value: Any) -> Any:
    """Numbers exactly, records as mappings without prose, arrays as lists."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items() if str(key) not in WORDS}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value.hex()
    return value if isinstance(value, str | int | bool) or value is None else repr(value)


def _outcome(ask: Callable[[], Any]) -> Any:
    try:
        return _plain(ask())
    except HetBenchError as why:
        return {"error": type(why).__name__}


def _model_questions(api: HetBench, draw: random.Random, count: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    names, places = [*models(), *NETWORKS], [*chips(), *FAMILIES, *FAMILIES * 8]
    for index in range(count):
        model = draw.choice(names)
        options: dict[str, Any] = {"batch": draw.choice((None, 1, 8, 64)), "precision": draw.choice(PRECISIONS)}
        options |= {"stack": draw.choice(STACKS), "phase": draw.choice((None, None, "inference", "prefill", "decode"))}
        if draw.random() < 0.2:
            options["source"] = draw.choice(FAMILIES)
        if draw.random() < 0.15:
            options["predictor"] = draw.choice(("autogluon", "rgat", "roofline"))
        if draw.random() < 0.1:
            options["confidence"] = draw.choice((0.5, 0.8, 0.95))
        asked = {key: value for key, value in options.items() if value is not None}
        metric, target = draw.choice([None, "latency", *metrics()]), draw.choice(places)
        yield f"model {index}: {model} {target} {metric} {asked}", (
            lambda m=model, t=target, k=metric, o=asked: api.query(m, target=t, metric=k, **o)
        )  # fmt: skip


def _operator_questions(api: HetBench, draw: random.Random, count: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    kinds = list(operator_types())
    for index in range(count):
        op = draw.choice(kinds)
        dims = {name: draw.choice((1, 2, 8, 64, 128, 1024)) for name in operator_types()[op].dims}
        chip = draw.choice([*chips(), *FAMILIES * 8])
        options = {"precision": draw.choice(("fp32", "fp16", "bf16", "int8"))}
        options["protocol"] = draw.choice(("kernel", "graph", "event", "wall"))
        yield f"operator {index}: {op} {dims} {chip} {options}", (
            lambda o=op, d=dims, c=chip, k=options: api.query_operator(o, d, device=c, **k)
        )  # fmt: skip


def _insights(api: HetBench, draw: random.Random, count: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """explain, coverage, advise and migrate of catalogue models."""
    for index in range(count):
        model, target = draw.choice(list(models())), draw.choice(FAMILIES)
        source = draw.choice([name for name in FAMILIES if name != target])
        yield f"explain {index}: {model} {source} {target}", lambda m=model, s=source, t=target: api.explain(m, s, t)
        yield f"coverage {index}: {model} {target}", lambda m=model, t=target: api.coverage(m, t)
        if index % 4 == 0:
            yield f"advise {index}: {model} {target}", lambda m=model, t=target: api.advise(m, t)
            yield f"migrate {index}: {model} {target}", lambda m=model, t=target, s=source: api.migrate(m, s, t)


def _architectures(count: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    for space in ("gpt-s", "bert", "vit", "resnet"):
        api = HetBench(search_space=space)
        codes = api.search_space.sample_codes(count, seed=1)
        for family in FAMILIES:
            yield f"batch {space} {family}", (
                lambda a=api, c=codes, f=family: a.query_batch(c, device=f, metric="latency", intervals=True)
            )  # fmt: skip
        for seed in range(count // 10):
            arch = api.sample_arch(seed=seed)
            yield f"arch {space} {seed}", lambda a=api, x=arch: _of_architecture(a, x)


def _of_architecture(api: HetBench, arch: Any) -> Any:
    api.set_arch(arch)
    return api.query(metric="energy", device="mlu")


def _observed() -> Iterator[tuple[str, Callable[[], Any]]]:
    api = HetBench()
    dims = [{"m": m, "n": 4096, "k": 4096} for m in (1, 32, 512, 2048)]
    rows = {"op": ["Linear"] * 4, "dtype": ["fp16"] * 4, "phase": ["fwd"] * 4, "chip": ["cann"] * 4, "dims": dims}
    yield "observe", lambda: api.observe({**rows, "latency_ms": [0.08, 0.09, 0.2, 0.7]})
    for model in ("gpt2", "bert-base", "resnet-50"):
        yield f"after observing: {model}", lambda m=model: api.query(m, target="cann", precision="fp16")
    table = {"model": [*models()], "chip": ["cann"] * len(models()), "metric": ["latency"] * len(models())}
    yield "after observing: table", lambda: api.query_models(table)


def questions(seed: int = 0) -> Iterator[tuple[str, Callable[[], Any]]]:
    """About 2,000 named questions of every kind, the same for the same seed."""
    draw, api = random.Random(seed), HetBench()
    yield from _model_questions(api, draw, 1100)
    yield from _operator_questions(api, draw, 600)
    yield from _insights(api, draw, 80)
    yield from _architectures(60)
    yield from _observed()


def main() -> int:
    """Write answers, or compare two files; exit code 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("write", "compare"))
    parser.add_argument("files", type=Path, nargs="+")
    words = parser.parse_args()
    if words.task == "write":
        found = {name: _outcome(ask) for name, ask in questions()}
        words.files[0].write_text(json.dumps(found, indent=0, sort_keys=True), encoding="utf-8")
        refused = sum(isinstance(one, dict) and "error" in one for one in found.values())
        print(f"{len(found)} questions, {refused} of them refused")
        return 0
    before, after = (json.loads(file.read_text(encoding="utf-8")) for file in words.files[:2])
    differ = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    print(f"{len(before.keys() & after.keys())} questions in both files, {len(differ)} differ")
    for name in sorted(differ)[:20]:
        print(f"  {name}\n    {json.dumps(before.get(name))[:300]}\n    {json.dumps(after.get(name))[:300]}")
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())
