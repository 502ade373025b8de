"""Answers of HetBench for the figures, as Parquet: coverage, batch scaling, migration, attribution, correlation.

    python -m plotting.tables --out runs/tables

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

__all__ = ["architectures", "attribution", "batch_scaling", "coverage", "main", "migration", "shares"]

MODELS = ("resnet-50", "bert-base", "vit-base")
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
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
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="models for batch scaling and migration")
    parser.add_argument("--spaces", nargs="*", default=["gpt-s", "resnet"], choices=known, help="for the correlation")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    api = HetBench()
    made = {"coverage": coverage(api), "batch_scaling": batch_scaling(api, chosen.models),
            "migration": migration(api, chosen.models), "attribution": attribution(api, chosen.models),
            "shares": shares(api, chosen.models)}  # fmt: skip
    made |= {f"architectures-{name}": architectures(name) for name in chosen.spaces}
    chips = {family: default_chip(family)[0].name for family in FAMILIES}
    for name, table in made.items():
        table.attrs = {"chips": chips}
        path = chosen.out / f"{name}.parquet"
        table.to_parquet(path)
        print(f"{path}: {len(table):,} rows")


if __name__ == "__main__":
    main()
