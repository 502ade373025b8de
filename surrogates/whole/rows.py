"""Measured whole-model rows joined to operator graphs: what the whole-model surrogates learn from.

Reads the table of `python -m data_collection.tables.model_rows` and the passes that the project published of its own
machines. A published row joins where its upstream name is reviewed as `exact` or `same-arch`; rules remove, with a
count, what has no graph, no sizes, or is faster than the chip's peak allows.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hetbench.catalog.chips import chips
from hetbench.errors import HetBenchError
from hetbench.graphs import ModelGraph, OperatorTable, networks
from hetbench.predict.model_features import Composition, composition
from hetbench.predict.models import group_of
from surrogates.reading import read_table
from surrogates.splits import architecture

# data sets whose figure is not that of the network alone, or lacks what says how much work it was
LEFT_OUT = {
    "co2_inference": "a pipeline with pre- and post-processing on the CPU", "mlenergy": "prompt length not stated",
    "flagperf": "5 rows a network, beside validation I/O",
}  # fmt: skip
CEILING = 0.95  # a row faster than this share of the time at the peak has a wrong unit, precision or network
OWN = Path("data_collection/measurements")
Calls = list[tuple[float, OperatorTable]]


@dataclass(frozen=True)
class WholeRows:
    """Rows of one surrogate, flattened: `starts[i]:starts[i + 1]` are the operators of row i."""

    frame: pd.DataFrame
    """family, chip, graph, architecture, file, stack, precision, batch, phase, ms; one line a row."""
    matrix: np.ndarray  # [operators, COLUMNS + log2 batch]
    operator: np.ndarray  # [operators], type
    count: np.ndarray
    base_ms: np.ndarray
    starts: np.ndarray  # [rows + 1]
    summary: np.ndarray  # [rows, SUMMARY]
    base_log: np.ndarray  # [rows], log of the summed base
    compute_ms: np.ndarray  # [rows], at the chip's peak

    def __len__(self) -> int:
        return len(self.frame)


def add_rows(parser: ArgumentParser) -> None:
    """The options `--rows` and `--own`, which `read` takes."""
    parser.add_argument("--rows", type=Path, default=Path("runs/models/rows.parquet"))
    parser.add_argument("--own", type=Path, nargs="*", default=sorted(OWN.glob("*.parquet")),
                        help="files of `python -m data_collection.store publish`; default: those of the project")


def calls_of(graph: ModelGraph, row: object) -> Calls:
    """The calls that a row consists of."""
    sizes = tuple(None if pd.isna(v) else int(v) for v in (row.batch, row.seq_len, row.image_size))
    if row.metric == "e2e":
        return generation(graph, *sizes, row.precision, int(row.new_tokens))
    phase = row.phase if row.phase in graph.phases else "inference"
    return [(1.0, graph.operators(*sizes, row.precision, phase))]


_PUBLISHED = (
    "metric", "family", "file", "batch", "new_tokens", "seq_len", "n_chips", "upstream", "software", "value", "stack",
    "cores", "phase", "chip", "precision", "image_size",
)  # fmt: skip
OWN_COLUMNS = (
    "kind", "layout", "cache", "family", "chip", "precision", "batch", "seq_len", "image_size", "phase", "stack",
    "name", "latency_ms",
)  # fmt: skip
"""Columns of a file of `python -m data_collection.store publish` that are read."""


def generation(
    graph: ModelGraph, batch: int | None, seq_len: int | None, image_size: int | None, precision: str, new_tokens: int
) -> Calls:
    """A prefill, which gives the first token, and the decoding steps, by the trapezoid of the first and the last."""
    calls = [(1.0, graph.operators(batch, seq_len, image_size, precision, "prefill"))]
    if new_tokens > 1:
        for length in (seq_len, (seq_len or 0) + new_tokens - 1):
            calls.append(((new_tokens - 1) / 2, graph.operators(batch, length, image_size, precision, "decode")))
    return calls


def read(path: Path, own: Iterable[Path] = (), say: Callable[[str], None] = print) -> dict[str, WholeRows]:
    """The rows of every surrogate, by its name; `own` are files of `python -m data_collection.store publish`."""
    published = _joined(read_table(path, _PUBLISHED, "python -m data_collection.tables.model_rows"), say)
    frame = pd.concat([published, *(_measured(each, say) for each in own)], ignore_index=True)
    made: dict[tuple[object, ...], Composition | str] = {}
    settings = ["graph", "chip", "precision", "batch", "seq_len", "image_size", "phase", "metric", "new_tokens"]
    keys = list(frame[settings].astype(object).where(frame[settings].notna(), None).itertuples(index=False, name=None))
    catalogue = chips()
    for key, row in zip(keys, frame.itertuples(), strict=True):
        if key not in made:
            try:
                made[key] = composition(calls_of(networks.load(row.graph), row), catalogue[row.chip])
            except HetBenchError as why:
                made[key] = str(why)
    built = np.array([isinstance(made[key], Composition) for key in keys])
    reasons = Counter(made[key] for key, good in zip(keys, built, strict=True) if not good)
    say(f"  - {(~built).sum():>6}  the graph has no such setting: {dict(reasons.most_common(3))}")
    fast = np.zeros(len(frame), dtype=bool)
    for place in np.flatnonzero(built):
        chip = catalogue[frame.chip.iloc[place]]
        fast[place] = chip.kind != "cpu" and made[keys[place]].compute_ms * CEILING > frame.ms.iloc[place]
    say(f"  - {fast.sum():>6}  faster than the chip's peak allows: {frame[fast].groupby('graph').size().to_dict()}")
    kept = np.flatnonzero(built & ~fast)
    frame, compositions = frame.iloc[kept].reset_index(drop=True), [made[keys[place]] for place in kept]
    say(f"  = {len(frame):>6}  rows of {frame.graph.nunique()} graphs on {frame.chip.nunique()} chips")
    return {
        name: _flat(frame.iloc[rows].reset_index(drop=True), [compositions[row] for row in rows])
        for name, rows in frame.groupby("group", sort=True).indices.items()
    }


def _joined(frame: pd.DataFrame, say: Callable[[str], None]) -> pd.DataFrame:
    """Rows with their graph; the columns that training needs, under the names it uses."""
    say(f"{len(frame):>10}  rows of the table")
    rules = (
        ("not a latency", ~frame.metric.isin(["latency", "e2e"])),
        ("family outside the five", frame.family == "other"),
        *((f"{name}: {why}", frame.file == name) for name, why in LEFT_OUT.items()),
        ("batch or new tokens not stated", frame.batch.isna() | ((frame.metric == "e2e") & frame.new_tokens.isna())),
        ("generation without a stated prompt length", (frame.metric == "e2e") & frame.seq_len.isna()),
        ("several chips", frame.n_chips != 1),
    )
    for why, drop in rules:
        drop = drop.reindex(frame.index)
        say(f"  - {drop.sum():>6}  {why}")
        frame = frame[~drop]
    names = {key: _graph_of(*key) for key in set(zip(frame.file, frame.upstream, frame.software, strict=True))}
    graphs = [names[key] for key in zip(frame.file, frame.upstream, frame.software, strict=True)]
    frame = frame.assign(graph=graphs, ms=frame.value, stack=frame["stack"].fillna("unnamed"))
    say(f"  - {frame.graph.isna().sum():>6}  no graph of the model, or not surely the same network")
    frame = frame[frame.graph.notna()]
    cores = frame.cores.notna()
    frame.loc[cores, "stack"] += "-" + frame.cores[cores].astype(int).astype(str) + "cores"
    frame.loc[frame.phase == "training_fwd", "stack"] += "-training"
    phase = frame.phase.where(frame.metric != "e2e", "serving").replace({"training_fwd": "inference"})
    return _grouped(frame.assign(phase=phase)).reset_index(drop=True)


def _measured(path: Path, say: Callable[[str], None]) -> pd.DataFrame:
    """Passes of the catalogue's models as the project measured them, tensors contiguous and caches hot."""
    frame = read_table(path, OWN_COLUMNS, "python -m data_collection.store publish FILE")
    frame = frame[(frame.kind == "model") & (frame.layout == "contiguous") & (frame.cache == "hot")]
    frame = frame[frame.phase != "training"]  # steps: `surrogates.training`
    say(f"  + {len(frame):>6}  passes of {path.name}")
    return _grouped(frame[["family", "chip", "precision", "batch", "seq_len", "image_size", "phase", "stack"]].assign(
        graph=frame.name, ms=frame.latency_ms, file="own", metric="latency", new_tokens=np.nan
    ))  # fmt: skip


def _grouped(frame: pd.DataFrame) -> pd.DataFrame:
    group = [group_of(*key) for key in zip(frame.family, frame.phase, strict=True)]
    return frame.assign(group=group, architecture=frame.graph.map(architecture))


def _graph_of(file: str, upstream: str, software: str | None) -> str | None:
    """The graph that an upstream name surely means; timm's tables of PyTorch 2.9.1 measured folded networks."""
    try:
        graph, kind = networks.resolve(upstream, file)
    except HetBenchError:
        return None
    if file == "timm" and "2.9.1" in (software or ""):
        graph = networks.fused_variant(graph)
    return graph if kind in networks.SURE else None


def _flat(frame: pd.DataFrame, made: list[Composition]) -> WholeRows:
    sizes = [len(each.count) for each in made]
    batch = np.repeat(np.log2(frame.batch.to_numpy(float)), sizes).astype(np.float32)
    matrix = np.concatenate((np.concatenate([each.matrix for each in made]), batch[:, None]), axis=1)
    return WholeRows(
        frame, matrix, np.array([name for each in made for name in each.operators]),
        np.concatenate([each.count for each in made]), np.concatenate([each.base_ms for each in made]),
        np.concatenate(([0], np.cumsum(sizes))), np.stack([each.summary() for each in made]),
        np.log([each.base_ms @ each.count for each in made]), np.array([each.compute_ms for each in made]),
    )  # fmt: skip
