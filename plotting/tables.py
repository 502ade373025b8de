"""Answers of HetBench for the figures, as Parquet: coverage, batch scaling, migration, attribution, correlation.

    python -m plotting.tables --out runs/tables
    python -m plotting.tables --seed --out runs/seed     # tables 4 to 8 of Het-Benchmark as CSV, compatibility as JSON

All answers are for the default chip of each family; a refused query has no row.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hetbench import HetBench
from hetbench.answers import LEVELS
from hetbench.catalog.chips import default_chip
from hetbench.catalog.models import models
from hetbench.catalog.support import SUPPORT
from hetbench.errors import RefusedError
from hetbench.graphs import load, operator_coverage
from hetbench.schema import FAMILIES
from hetbench.spaces import BlockSpace, space, spaces
from plotting.seed import write

__all__ = [
    "architectures", "attribution", "batch_scaling", "coverage", "efficiency", "main", "memory_scaling", "migration",
    "shares",
]  # fmt: skip

MODELS = ("resnet-50", "bert-base", "vit-base")
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
SCALED = ("qwen2.5-7b", "gpt2", "bert-base", "resnet-50", "vit-base")
LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192)
ARCHITECTURES = 500
_OF_CHIP = ("latency", "energy")
_OF_NONE = ("memory", "flops", "params")


def coverage(api: HetBench) -> pd.DataFrame:
    """Operator coverage of every catalogue model on every family: model, category, family, chip, `value` in %.

    Columns native ... unknown split the calls in % by support status.
    """
    rows = []
    for name, model in models().items():
        for family in FAMILIES:
            found = _answer(api, name, target=family, metric="coverage")
            if found is not None:
                rows.append({"model": name, "category": model.category, "family": family, "chip": found.chip,
                             "value": found.value, **_split(name, family)})  # fmt: skip
    return pd.DataFrame(rows)


def _split(model: str, family: str) -> dict[str, float]:
    """Share of a model's operator calls by support status, in %."""
    found = operator_coverage(load(model), default_chip(family)[0])
    status = {each.operator: each.status for each in found.operators}
    total = sum(found.calls.values())
    calls = {name: sum(count for op, count in found.calls.items() if status[op] == name) for name in SUPPORT}
    return {name: 100 * count / total for name, count in calls.items()}


def batch_scaling(api: HetBench, names: Sequence[str] = MODELS, batches: Sequence[int] = BATCHES) -> pd.DataFrame:
    """Latency and throughput of models by batch size: value, lower, upper (NaN if measured), unit, level."""
    rows = []
    for name in names:
        for family in FAMILIES:
            for batch in batches:
                for metric in ("latency", "throughput"):
                    found = _answer(api, name, target=family, metric=metric, batch=batch)
                    if found is not None:
                        rows.append({
                            "model": name, "family": family, "chip": found.chip, "batch": batch, "metric": metric,
                            "value": found.value, "lower": found.lower, "upper": found.upper, "unit": found.unit,
                            "level": found.level, "kind": found.kind, "precision": found.precision,
                        })  # fmt: skip
    return pd.DataFrame(rows).astype({"lower": float, "upper": float})


def efficiency(api: HetBench, names: Sequence[str] = MODELS, batches: Sequence[int] = BATCHES) -> pd.DataFrame:
    """Share of the chip's peak FLOP/s that a model reaches by batch size, in %: value, lower, upper, level.

    The peak is that of the precision that is asked. The bounds are those of the latency; NaN where it was measured.
    """
    rows = []
    for each in batch_scaling(api, names, batches).query("metric == 'latency'").itertuples():
        peak = default_chip(each.family)[0].peak_flops(each.precision)
        if peak is not None:
            flops = api.query(each.model, target=each.family, metric="flops", batch=each.batch).value
            share = [100 * flops / (ms / 1e3) / peak for ms in (each.value, each.upper, each.lower)]
            rows.append({"model": each.model, "family": each.family, "chip": each.chip, "batch": each.batch,
                         **dict(zip(("value", "lower", "upper"), share, strict=True)), "level": each.level,
                         "kind": each.kind, "precision": each.precision})  # fmt: skip
    return pd.DataFrame(rows)


def memory_scaling(api: HetBench, names: Sequence[str] = SCALED) -> pd.DataFrame:
    """Memory of models by batch size and by sequence length, in MB, in fp16: model, axis, size, value, weights.

    Exact arithmetic: weights, the peak of live activations and the cache. No chip enters.
    """
    rows = []
    for name in names:
        weights = api.query(name, metric="params").value * 2 / 1e6
        longest = models()[name].max_seq_len or 0
        lengths = [size for size in LENGTHS if size <= longest]
        for axis, sizes in (("batch", BATCHES), ("seq_len", lengths)):
            for size in sizes:
                found = _answer(api, name, metric="memory", precision="fp16", **{axis: size})
                if found is not None:
                    rows.append({"model": name, "axis": axis, "size": size, "value": found.value, "weights": weights})
    return pd.DataFrame(rows)


def migration(api: HetBench, names: Sequence[str] = MODELS) -> pd.DataFrame:
    """Latency on the target over latency on the source for every pair of default chips, with the weaker level."""
    rows = []
    for name in names:
        for source in FAMILIES:
            for target in FAMILIES:
                found = _answer(api, name, source=source, target=target, metric="latency")
                if found is not None and found.ratio is not None:
                    levels = (found.level, found.source.level)
                    rows.append({"model": name, "source": source, "target": target, "ratio": found.ratio,
                                 "level": max(filter(None, levels), key=LEVELS.index, default=""),
                                 "value": found.value, "unit": found.unit, "precision": found.precision})  # fmt: skip
    return pd.DataFrame(rows)


def attribution(api: HetBench, names: Sequence[str] = MODELS) -> pd.DataFrame:
    """Shapley contributions of operator groups to the latency change from cuda to each other default chip, in ms."""
    rows = []
    for name in names:
        for family in FAMILIES[1:]:
            found = api.explain(name, source=FAMILIES[0], target=family)
            level = max((str(each.level) for each in (found.target, found.source) if each), key=LEVELS.index)
            rows += [
                {"model": name, "source": found.source.chip if found.source else "", "target": found.target.chip,
                 "source_ms": found.source_ms, "target_ms": found.target_ms, "group": each.name,
                 "value_ms": each.value_ms, "level": level} for each in found.groups
            ]  # fmt: skip
    return pd.DataFrame(rows)


def shares(api: HetBench, names: Sequence[str] = MODELS) -> pd.DataFrame:
    """Contributions of operator groups to the latency on each default chip, in ms."""
    return pd.DataFrame([
        {"model": name, "chip": found.target.chip, "group": each.name, "ms": each.value_ms, "level": found.target.level}
        for name in names for family in FAMILIES
        for found in [api.explain(name, target=family)] for each in found.groups
    ])  # fmt: skip


def architectures(name: str, count: int = ARCHITECTURES, seed: int = 0) -> pd.DataFrame:
    """Metrics of architectures sampled from a space, [count] each: `latency@cuda` ... `memory`, `params`, proxy."""
    found, api = space(name), HetBench(search_space=name)
    codes = found.sample_codes(count, seed)
    asked: list[tuple[str, str | None]] = [(metric, family) for metric in _OF_CHIP for family in FAMILIES]
    asked += [(metric, None) for metric in (*_OF_NONE, *filter(None, [found.quality]))]
    columns: dict[str, Any] = {}
    for metric, family in asked:
        try:
            column = f"{metric}@{family}" if family else metric
            columns[column] = api.query_batch(codes, device=family, metric=metric)
        except RefusedError:
            continue
    return pd.DataFrame(columns)


def _answer(api: HetBench, model: str, **question: Any) -> Any:
    """The answer, or None if it is refused."""
    try:
        return api.query(model, **question)
    except RefusedError:
        return None


def main() -> None:
    """Write all tables."""
    known = [name for name, each in spaces().items() if isinstance(each, BlockSpace)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/tables"), help="folder; default: %(default)s")
    parser.add_argument("--seed", action="store_true", help="tables of Het-Benchmark, compatibility as JSON")
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="models for batch scaling and migration")
    parser.add_argument("--spaces", nargs="*", default=["gpt-s", "resnet"], choices=known, help="for the correlation")
    chosen = parser.parse_args()
    if chosen.seed:
        for path, rows in write(chosen.out):
            print(f"{path}: {rows:,} rows")
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    api = HetBench()
    made = {"coverage": coverage(api), "batch_scaling": batch_scaling(api, chosen.models),
            "migration": migration(api, chosen.models), "attribution": attribution(api, chosen.models),
            "shares": shares(api, chosen.models), "efficiency": efficiency(api, chosen.models),
            "memory": memory_scaling(api)}  # fmt: skip
    made |= {f"architectures-{name}": architectures(name) for name in chosen.spaces}
    chips = {family: default_chip(family)[0].name for family in FAMILIES}
    for name, table in made.items():
        table.attrs = {"chips": chips}
        path = chosen.out / f"{name}.parquet"
        table.to_parquet(path)
        print(f"{path}: {len(table):,} rows")


if __name__ == "__main__":
    main()
