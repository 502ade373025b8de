"""Published board watts beside the work and traffic of what ran: what the power surrogate is fitted on.

Three sources: operators under NVML (aiconfigurator; flagperf with a card's average), language models generating one
request at a time (ML.ENERGY 2023) and serving many at once (ML.ENERGY 2024, single GPU). Work and traffic of the
models come from their graphs. Left out: MLPerf (whole systems at the wall) and co2_inference (eight GPUs, seven idle).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chip as chip_named
from hetbench.errors import HetBenchError
from hetbench.graphs import networks
from hetbench.operators import operator_type, operator_types
from hetbench.schema import PRECISIONS, itemsize
from surrogates.reading import read_table

COLUMNS = ("source", "chip", "what", "precision", "flops", "bytes", "latency_ms", "watts", "limit_w")
_CORPUS = "python -m data_collection.sources build"
_A_CELL = 1500  # rows kept of one chip, operator and precision: neighbours of a sweep tell the same
_SHORTEST_MS = 1e-2  # shorter kernels read near idle watts on the H200 at half its peak: gaps between replays count
_PROMPT = 200  # tokens of a chat prompt, not stated: without it 1 % less traffic a request, a fifth less a full batch
_SCALAR = {"Mul": "MulScalar", "Div": "DivScalar", "Pow": "PowScalar"}  # flagperf multiplies by a number
_SEED = 0


def collect(corpus: Path, rows: Path) -> pd.DataFrame:
    """All rows with watts, in `COLUMNS`."""
    parts = [aiconfigurator(corpus), flagperf(corpus), generating(rows), serving(corpus)]
    frame = pd.concat(parts, ignore_index=True)[list(COLUMNS)]
    return frame[(frame.watts > 0) & (frame.latency_ms > 0)].reset_index(drop=True)


def aiconfigurator(corpus: Path) -> pd.DataFrame:
    """Operators replayed for a second and more under NVML, thinned to `_A_CELL` rows a cell."""
    import duckdb

    raw = duckdb.execute(
        f"select chip, op what, dtype as precision, dims, latency_ms, (extra->>'power_w')::double watts, "
        f"(extra->>'power_limit_w')::double limit_w from '{corpus}/op/aiconfigurator.parquet' "
        f"where extra->>'power_w' is not null and latency_ms >= {_SHORTEST_MS} order by ref, chip, op, dtype, dims"
    ).df()
    cells = raw.groupby(["chip", "what", "precision"])
    thin = pd.concat([part.sample(min(len(part), _A_CELL), random_state=_SEED) for _, part in cells])
    return _operators(thin.assign(source="aiconfigurator", dims=thin.dims.map(json.loads)))


def flagperf(corpus: Path) -> pd.DataFrame:
    """One large shape an operator on an A100, the card's average watts; PyTorch's own kernels."""
    needed = ("software", "stat", "phase", "op", "dims", "dtype", "extra", "latency_ms", "chip")
    raw = read_table(corpus / "op/flagperf.parquet", needed, _CORPUS)
    raw = raw[raw.software.str.contains("native") & (raw.stat == "median") & (raw.phase == "fwd")]
    extra = raw.extra.map(json.loads)
    return _operators(raw.rename(columns={"dtype": "precision"}).assign(
        source="flagperf", what=raw.op.replace(_SCALAR), dims=raw.dims.map(json.loads),
        watts=[each.get("card_avg_power_w") for each in extra], limit_w=[each.get("card_tdp_w") for each in extra],
    ))  # fmt: skip


def _operators(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows whose operator type is known, with flops and bytes."""
    frame = frame[frame.precision.isin(PRECISIONS) & frame.what.isin([*operator_types(), "Quantize"])]
    costs = [_cost(*row) for row in zip(frame.what, frame.dims, frame.precision, strict=True)]
    frame = frame.assign(
        chip=[chip_named(name).name for name in frame.chip], flops=[cost[0] for cost in costs],
        bytes=[cost[1] for cost in costs],
    )  # fmt: skip
    return frame[frame.bytes > 0]


def _cost(op: str, dims: dict[str, Any], precision: str) -> tuple[float, float]:
    if op == "Quantize":  # reads bf16, writes fp8
        numel = float(dims.get("rows") or dims["m"]) * float(dims.get("cols") or dims["k"])
        return numel, 3 * numel
    kind = operator_type(op)
    known = {name: int(dims[name]) for name in (*kind.dims, *kind.optional) if dims.get(name) is not None}
    try:
        full = kind.check(known)
    except HetBenchError:
        return 0.0, 0.0
    return float(kind.flops(full)), float(kind.bytes_moved(full, itemsize(precision)))


def generating(rows: Path) -> pd.DataFrame:
    """ML.ENERGY 2023: one request at a time; watts = joules / seconds of the same setting."""
    needed = ("file", "phase", "new_tokens", "chip", "upstream", "variant", "metric", "value")
    table = read_table(rows, needed, "python -m data_collection.tables.model_rows")
    table = table[(table.file == "mlenergy") & (table.phase == "serving") & table.new_tokens.notna()]
    keys = ["chip", "upstream", "variant", "new_tokens"]
    wide = table.pivot_table(index=keys, columns="metric", values="value", aggfunc="median").dropna().reset_index()
    return pd.DataFrame(_generated(wide))


def _generated(wide: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in wide.itertuples():
        cost = _decode(row.upstream, 1, int(row.new_tokens))
        if cost is not None:
            yield {
                "source": "mlenergy-2023", "chip": row.chip, "what": row.upstream, "precision": "fp16",
                "flops": cost[0] * row.new_tokens, "bytes": cost[1] * row.new_tokens, "latency_ms": row.e2e,
                "watts": row.energy / (row.e2e / 1e3), "limit_w": chip_named(row.chip).tdp_w,
            }  # fmt: skip


def serving(corpus: Path) -> pd.DataFrame:
    """ML.ENERGY 2024 on one GPU: watts = joules a request x requests a second, over one decoding step's work."""
    needed = ("metric", "phase", "dataset", "n_chips", "extra", "model", "chip", "value")
    raw = read_table(corpus / "model/mlenergy.parquet", needed, _CORPUS)
    raw = raw[(raw.metric == "energy_j") & (raw.phase == "serving") & (raw.dataset == "mlenergy_v2")]
    return pd.DataFrame(_served(raw[raw.n_chips == 1]))


def _served(raw: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in raw.itertuples():
        extra = json.loads(row.extra)
        tokens, rate = extra["Avg Output Tokens"], extra["Token tput (tok/s)"]
        batch = max(1, round(extra["Avg BS (reqs)"]))
        cost = _decode(row.model, batch, int(tokens))
        if cost is not None:
            chip = chip_named(row.chip)
            yield {
                "source": "mlenergy-2024", "chip": chip.name, "what": row.model, "precision": "fp16",
                "flops": cost[0], "bytes": cost[1], "latency_ms": 1e3 * batch / rate,
                "watts": row.value * rate / tokens, "limit_w": chip.tdp_w,
            }  # fmt: skip


def _decode(upstream: str, batch: int, new_tokens: int) -> tuple[float, float] | None:
    """Flops and bytes of a decoding step half way through; None where no graph is known."""
    try:
        graph = networks.load(networks.resolve(upstream, "mlenergy")[0])
        table = graph.operators(batch, _PROMPT + new_tokens // 2, None, "fp16", "decode")
    except HetBenchError:
        return None
    return float(table.flops), float(table.bytes)


def fractions(frame: pd.DataFrame) -> pd.DataFrame:
    """With utilisation of compute and of bandwidth, and the watts as a share of the limit; chips without facts out."""
    found = frame.assign(
        peak=[chip_named(c).peak_flops(p) or np.nan for c, p in zip(frame.chip, frame.precision, strict=True)],
        bandwidth=[chip_named(c).bandwidth or np.nan for c in frame.chip],
    )
    seconds = found.latency_ms / 1e3
    found["compute"] = found.flops / seconds / found.peak
    found["memory"] = found.bytes / seconds / found.bandwidth
    found["fraction"] = found.watts / found.limit_w
    return found.dropna(subset=["compute", "memory", "fraction"]).reset_index(drop=True)
