"""The measurement corpus as clean training tables, one per surrogate class, by documented rules.

Every rule names the rows it removes and why; `load` counts them and prints the table. Rows that time the same
(chip, dims, dtype, protocol, library, layout, source) are merged to their median, so that no cell counts twice.

`m` counts the rows of the activation (tokens) and `n` the columns of the weight, as in row-major
C[m,n] = A[m,k] B[k,n]: tables of column-major libraries, whose C is that matrix transposed, have m and n swapped.
`source` is whose figures they are: data set and, where it timed several, engine or back end; `version` is that of the
software.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from hetbench.artifacts import sha256_of
from hetbench.catalog.chips import chips
from hetbench.schema import PRECISIONS
from surrogates.writing import write_table

GEMM = ("Linear", "MatMul", "BMM", "AddMM")
ROWS = ("LayerNorm", "RMSNorm", "Softmax", "LogSoftmax", "SiLUAndMul", "GroupNorm")
ELEMENTWISE = (
    "Add", "AddScalar", "Mul", "MulScalar", "Div", "DivScalar", "Pow", "PowScalar", "Sub", "ReLU", "GELU", "SiLU",
    "Sigmoid", "Tanh", "Exp", "Abs", "Neg", "Reciprocal", "Rsqrt", "Sin", "Cos", "Where", "Cast", "Copy",
)
RENAMED = {"AddMM": "Linear", "Clone": "Copy", "Contiguous(transpose)": "Copy", "Cast(fp16->fp32)": "Cast"}

# What was timed, by data set: kernel (device time), graph (a replayed graph, or a host clock around a queue of calls:
# both amortise the launch), event (device events around each eager call), wall (host clock around each call).
PROTOCOL = {
    "aiconfigurator": "graph", "miopen-finddb": "kernel", "neusight": "event", "vidur": "kernel",
    "rocblas-tensile": "kernel", "hipblaslt-tensile": "kernel", "pipeweave": "kernel", "aiter": "kernel",
    "deepbench": "graph", "flagperf": "event", "hipkittens": "event", "flagos_op": "wall", "candle": "wall",
    "pt_opbench": "wall", "ascend_profiles": "kernel", "aisimulate_b60": "event", "tracelens": "kernel",
    "inferencex_aiter_bf16": "kernel", "mindinsight_profiles": "kernel",
}
_REPLAYED = "lower(r.software) = 'vllm 0.28.0' and coalesce(r.extra->>'stage', '') <> 'context'"
"""Rows of the Arc Pro B60 that were timed in replayed graphs: the least of them take 2 us, where one launch each, as
under the versions before and of attention over a prompt under this one, takes 17 us and more."""
COLUMN_MAJOR = ("deepbench", "rocblas_tensile", "hipblaslt")
_OF_TRAINING_STEPS = ("Linear", "BMM", "Conv2d", "Add", "Mul", "Sub", "Div", "Cast", "ReLU", "GELU", "LayerNorm")
"""Operators of a training step that a forward pass has too."""


@dataclass(frozen=True)
class Rule:
    """Rows that are removed: SQL over the corpus columns, and the reason."""

    name: str
    where: str
    why: str


RULES = (
    Rule(
        "not forward",
        f"phase <> 'fwd' and not (file in ('ascend_profiles', 'mindinsight_910') and op in {_OF_TRAINING_STEPS} "
        "and coalesce(extra->>'synthetic_suspect', extra->>'suspect', 'false') <> 'true')",
        "backward passes and training steps are another question",
    ),
    Rule(
        "operator outside the types", "kind = ''", "collectives, MoE, recurrent cells, Conv3d, views: no operator type"
    ),
    Rule(
        "Triton and FlagGems versions",
        "file in ('mojo_opset_npu', 'vllm_ascend_commits', 'flaggems_ascend_prs') or "
        "(file in ('cann_flagos_op', 'mlu_flagos_op') and not coalesce(extra->>'impl', '') like 'native%') "
        "or software like '%FlagGems%'",
        "not the vendor's library; 2 to 100 times slower",
    ),
    Rule("host-timed forward of fwd+bwd", "file = 'flagperf' and stat = 'unknown'", "one host-timed call"),
    Rule(
        "strided or 1 Gi-element anchors",
        "file = 'flagperf' and op in ('Softmax', 'LogSoftmax', 'GroupNorm')",
        "softmax over a strided axis, sizes that differ between passes",
    ),
    Rule(
        "project's own kernels",
        "file = 'hipkittens' and extra->>'impl' = 'hipkittens'",
        "hand-written kernels that no framework runs",
    ),
    Rule("unreleased parts", "chip like 'amd-gfx1250%'", "no public facts"),
    Rule(
        "placeholder GFLOPS",
        "file in ('rocblas_tensile', 'hipblaslt') and (extra->>'gflops')::double < 1",
        "placeholders and 1 x 1 x 1 problems",
    ),
    Rule(
        "gfx1100 fp32 in hipBLASLt",
        "file = 'hipblaslt' and chip = 'amd-gfx1100' and dtype = 'fp32'",
        "stops at 0.97 of 61 TFLOPS: not what the chip does",
    ),
    Rule("1 microsecond clock", "file = 'vidur' and latency_ms <= 0.004", "four ticks of the clock or fewer"),
    Rule(
        "broadcast Adds in trace",
        "file = 'neusight' and split = 'trace' and op = 'Add' and numel in (67108864, 33554432)",
        "mask adds that read one operand by broadcast",
    ),
    Rule("precision outside the schema", "dtype = ''", "weight-only, mixed and four-bit formats"),
    Rule("chip without peak or bandwidth", "canonical = ''", "no roofline without facts"),
    Rule("no dims", "dims is null", "nothing to predict from"),
)

_PRECISION = {"int8-sq": "int8", "tf32-xf32": "tf32", **{name: name for name in PRECISIONS}}
# rows whose chip is known only by class, mapped to the facts of that class; the card repeats this
_CHIP = {"huawei-ascend-910-unspecified": "huawei-ascend-910b", "neusight:amd-mi250": "amd-mi210"}
DIMS = ("b", "m", "n", "k", "c", "h", "w", "oc", "kh", "kw", "stride", "pad", "groups", "batch", "q_len", "kv_len",
         "heads", "kv_heads", "head_dim", "causal", "window", "numel", "rows", "cols", "tokens", "dim")  # fmt: skip


def _canonical_chips() -> dict[str, str]:
    """Names in the data -> catalogue names, for chips whose facts allow a roofline."""
    usable = {
        name: name if chip.bandwidth and any(chip.peak_flops(p) for p in ("fp32", "fp16", "bf16")) else ""
        for name, chip in chips().items()
    }
    return {alias: usable[name] for name, chip in chips().items() for alias in chip.aliases} | usable


def _kinds() -> dict[str, str]:
    table = dict.fromkeys(GEMM, "gemm") | dict.fromkeys((*ROWS, *ELEMENTWISE, *RENAMED, "Embedding", "RoPE"), "vector")
    return table | {"AddMM": "gemm", "Attention": "attention", "Conv2d": "conv"}


def load(root: Path, cache: Path | None = None) -> dict[str, pd.DataFrame]:
    """Clean tables by surrogate class: gemm, prefill, decode, conv, vector.

    Columns: op, chip, family, dtype, protocol, library, layout, dataset, source, version, split, the dims, latency_ms,
    repeats.
    """
    path = cache / "operators.parquet" if cache else None
    if path and path.exists():
        frame = pd.read_parquet(path)
    else:
        frame = _read(root)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_table(path, frame)
    return {name: part.reset_index(drop=True) for name, part in frame.groupby("cls", sort=True)}


def cited(root: Path) -> dict[str, Any]:
    """What a card says of its corpus: its manifest and the pins in it, or without a manifest its tables' sha256."""
    manifest = root / "manifest.json"
    if not manifest.exists():
        return {"tables": {path.stem: sha256_of(path) for path in sorted(root.glob("op/*.parquet"))}}
    named = ("repository", "commits", "licence", "rows", "sha256")
    sources = json.loads(manifest.read_text())["sources"]
    return {
        "manifest_sha256": sha256_of(manifest),
        "sources": {name: {key: each[key] for key in named} for name, each in sorted(sources.items())
                    if each["table"].startswith("op/")},
    }  # fmt: skip


def _read(root: Path) -> pd.DataFrame:
    db = clean(root)
    dims = ", ".join(f'"{name}"' for name in DIMS)
    frame = db.execute(
        f"select cls, op, canonical chip, family, dtype, protocol, library, layout, any_value(dataset) dataset, "
        f"source, version, split, {dims}, median(latency_ms) latency_ms, count(*) repeats from staged "
        f"group by cls, op, canonical, family, dtype, protocol, library, layout, source, version, split, {dims} "
        "order by all"
    ).df()
    print(f"  = {len(frame):>9,}  cells after merging repeats to their median")
    return frame


def clean(root: Path) -> duckdb.DuckDBPyConnection:
    """The rows that the rules keep, one by one with the chip as published, ref and licence, as table `staged`."""
    db = duckdb.connect()
    _stage(db, root)
    total = db.execute("select count(*) from staged").fetchone()[0]
    print(f"corpus: {total:,} operator rows")
    for rule in RULES:
        dropped = db.execute(f"select count(*) from staged where {rule.where}").fetchone()[0]
        db.execute(f"delete from staged where coalesce({rule.where}, false)")
        print(f"  - {dropped:>9,}  {rule.name}: {rule.why}")
    return db


def _stage(db: duckdb.DuckDBPyConnection, root: Path) -> None:
    lookup = pd.DataFrame(_canonical_chips().items(), columns=["alias", "canonical"])
    kinds = pd.DataFrame(_kinds().items(), columns=["op", "kind"])
    renamed = pd.DataFrame(RENAMED.items(), columns=["op", "new"])
    precisions = pd.DataFrame(_PRECISION.items(), columns=["dtype", "precision"])
    mapped = pd.DataFrame(_CHIP.items(), columns=["data", "target"])
    protocols = pd.DataFrame(PROTOCOL.items(), columns=["dataset", "protocol"])
    for name, table in {
        "lookup": lookup,
        "kinds": kinds,
        "renamed": renamed,
        "precisions": precisions,
        "mapped": mapped,
        "protocols": protocols,
    }.items():
        db.register(name, table)
    dims = ", ".join(_dim_sql(name) for name in DIMS)
    files = f"{root}/op/*.parquet"
    db.execute(f"""
        create table raw as select *, regexp_extract(filename, '([^/]+).parquet', 1) file
        from read_parquet('{files}', union_by_name = true, filename = true)""")
    db.execute(f"""
        create table staged as
        select r.dataset, r.ref, r.licence, r.file, r.chip, r.phase, r.stat, r.software, r.extra, r.dims, r.latency_ms,
            coalesce(r.split, '') split, coalesce(n.new, r.op) op, coalesce(k.kind, '') kind,
            case when k.kind = 'attention' then if((r.dims->>'q_len')::bigint = 1, 'decode', 'prefill')
                 else coalesce(k.kind, '') end cls,
            coalesce(t.precision, '') as dtype, r.platform family,
            coalesce(l.canonical, '') canonical,
            case when r.chip = 'intel-arc-pro-b60' then if({_REPLAYED}, 'graph', 'event')
                 when r.file = 'deepbench' and r.platform = 'oneapi' then 'wall'
                 else coalesce(p.protocol, 'wall') end protocol,
            {_LIBRARY} library, {_LAYOUT} layout, {_SOURCE} source,
            coalesce(r.software, '') as version, {dims}
        from raw r
        left join kinds k on k.op = r.op left join renamed n on n.op = r.op
        left join precisions t on t.dtype = r.dtype
        left join mapped m on m.data = r.chip or m.data = r.file || ':' || r.chip
        left join lookup l on l.alias = coalesce(m.target, r.chip)
        left join protocols p on p.dataset = r.dataset""")
    db.execute("drop table raw")


def _dim_sql(name: str) -> str:
    swapped = f"r.file in {COLUMN_MAJOR}"
    keys = {"m": f"if({swapped}, r.dims->>'n', r.dims->>'m')",
            "n": f"if({swapped} and r.op <> 'Conv2d', r.dims->>'m', r.dims->>'n')",
            "tokens": "coalesce(r.dims->>'tokens', if(r.op = 'Embedding', r.dims->>'rows', null))",
            "b": "coalesce(r.dims->>'b', '1')", "groups": "coalesce(r.dims->>'groups', '1')",
            "window": "coalesce(r.dims->>'window', '0')", "causal": "coalesce(r.dims->>'causal', '0')",
            "kv_heads": "coalesce(r.dims->>'kv_heads', r.dims->>'heads')"}  # fmt: skip
    return f"coalesce(try_cast({keys.get(name, f'r.dims->>{name!r}')} as bigint), 0) as \"{name}\""


# The library that ran the operator, where it is known before the call; solvers that a tuner picked are not.
# Written "engine version/stage/kernel", so that an unseen version falls back to its kernel and engine.
_LIBRARY = """
    case when r.file in ('aiconfigurator', 'aisimulate_b60') and r.op = 'Attention'
              then lower(r.software) || '/' || (r.extra->>'stage') || '/' || (r.extra->>'kernel_source')
         when r.file in ('aiconfigurator', 'aisimulate_b60') then lower(r.software)
         when r.file = 'miopen' then r.extra->>'backend'
         when r.file = 'hipkittens' then r.extra->>'impl'
         when r.file in ('aiter', 'inferencex_aiter_bf16')
              then 'aiter/' || coalesce(r.extra->>'quant', r.extra->>'outdtype', '')
         when r.file in ('rocblas_tensile', 'hipblaslt') then r.file || '/' || coalesce(r.extra->>'acc', '')
         when r.file = 'deepbench' then 'deepbench/' || r.software
         else r.file end"""
_LAYOUT = """
    case when r.file = 'miopen' then r.extra->>'layout'
         when r.file in ('rocblas_tensile', 'hipblaslt') then r.extra->>'trans'
         when r.file in ('aiconfigurator', 'aisimulate_b60') and r.op = 'Linear' then 'NT' else '' end"""
_SOURCE = """
    case when r.file in ('aiconfigurator', 'aisimulate_b60') then r.file || '/' || split_part(lower(r.software), ' ', 1)
         when r.file = 'miopen' then 'miopen/' || coalesce(r.extra->>'backend', '')
         when r.file = 'deepbench' then 'deepbench/' || r.platform
         when r.file = 'neusight' then 'neusight/' || r.platform
         when r.file = 'tracelens_mi300x_h100' then 'tracelens/' || r.platform else r.file end"""


def shape_hash(frame: pd.DataFrame) -> np.ndarray:
    """A stable 64-bit hash of (operator, dims) a row: every row of one shape falls on the same side of a split."""
    return pd.util.hash_pandas_object(frame[["op", *DIMS]], index=False).to_numpy()
