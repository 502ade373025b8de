"""Questions that the scan asks, the work behind an answer, and the physical minimum that no answer may undercut."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

from hetbench import HetBench
from hetbench.answers import Answer
from hetbench.catalog.chips import Chip, chips
from hetbench.catalog.models import models
from hetbench.errors import HetBenchError
from hetbench.graphs import model_graph, networks
from hetbench.graphs.model_graph import OperatorTable
from tests.benchmarks.physics.record import Record

API, CHIPS, MODELS = HetBench(), chips(), models()
ITEM_BYTES = {"fp64": 8, "fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1}
GENERATING = [name for name in MODELS if "decode" in MODELS[name].phases]
USABLE = [name for name in CHIPS if CHIPS[name].bandwidth]
REPRESENTATIVE = [
    "nvidia-a100-sxm4-80gb",
    "nvidia-a100-pcie-40gb",
    "nvidia-h100-sxm5-80gb",
    "nvidia-h200-sxm-141gb",
    "nvidia-t4",
    "nvidia-rtx-4090",
    "nvidia-jetson-agx-orin-64gb",
    "amd-mi210",
    "amd-mi300x",
    "amd-rx-7900-xtx",
    "intel-arc-pro-b60",
    "intel-core-i9-10940x",
    "intel-xeon-8480plus",
    "huawei-ascend-910b3",
    "huawei-ascend-310p",
    "cambricon-mlu370-x4",
    "cambricon-mlu370-x8",
]
FASTEST_LAUNCH_MS = 2.5e-3  # no framework launches faster than this, eagerly
ROUNDING = 0.98
EMBEDDED = 0.9  # of the weights of a model that generates: those of its input embeddings are looked up, not streamed
refused: Counter[str] = Counter()


class Work(NamedTuple):
    """What an answer's setting consists of."""

    flops: float
    weight_bytes: float
    launches: int
    table: OperatorTable


def ask(model: str, chip: str, **options: Any) -> Answer | None:
    """The latency, or None where it is refused."""
    try:
        return API.query(model, target=chip, metric="latency", **options)
    except HetBenchError as why:
        refused[type(why).__name__] += 1
        return None


def predicted(*answers: Answer | None) -> bool:
    """Whether all of them are predictions."""
    return all(each is not None and each.kind == "predicted" for each in answers)


def told(answer: Answer) -> str:
    """An answer in a few words."""
    return f"{answer.value:.4g} ms {answer.stack} {answer.level} {(answer.surrogate or '').rpartition('/')[2]}"


def work(answer: Answer) -> Work:
    """The work of the setting of an answer."""
    return _work(
        str(answer.model), str(answer.precision), answer.batch, answer.seq_len, answer.image_size, str(answer.phase)
    )


@lru_cache(maxsize=20_000)
def _work(
    model: str, precision: str, batch: int | None, seq_len: int | None, image_size: int | None, phase: str
) -> Work:
    graph = model_graph.load(model) if model in MODELS else networks.find(model)
    table = graph.operators(batch, seq_len, image_size, precision, phase)
    return Work(float(table.flops), float(graph.params) * ITEM_BYTES[precision], table.launches, table)


def cache_bytes(chip: Chip) -> float:
    """Bytes of the largest cache."""
    return max((size for size in (chip.l2_mb, chip.llc_mb) if size), default=0.0) * 2**20


def _highest_peak(kind: str, precision: str) -> float:
    return max((chip.peak_flops(precision) or 0.0 for chip in CHIPS.values() if chip.kind == kind), default=0.0)


HIGHEST = {
    (kind, precision): _highest_peak(kind, precision) for kind in ("gpu", "npu", "cpu") for precision in ITEM_BYTES
}
_FP32_BELIEVED = {"gpu": 40e12, "npu": 40e12, "cpu": 10e12}  # FLOP/s: twice the best vector units of their years


def check_floors(record: Record, answer: Answer, name: str, what: str) -> None:
    """A prediction against the peak, the bandwidth and the launches of its chip."""
    done, chip = work(answer), CHIPS[name]
    peak = chip.peak_flops(str(answer.precision))
    key = (
        what,
        answer.model,
        name,
        answer.precision,
        answer.batch,
        answer.seq_len,
        answer.image_size,
        answer.phase,
        told(answer),
    )
    if peak:
        least = 1e3 * done.flops / peak
        record.check(
            f"{what}: latency >= flops / stated peak",
            answer.value >= ROUNDING * least,
            least / answer.value,
            *key,
            f"{least:.4g} ms at peak",
        )
    else:
        kind = chip.kind or "gpu"
        usual = HIGHEST[kind, str(answer.precision)] or HIGHEST[kind, "bf16"] or HIGHEST[kind, "fp32"]
        usual = _FP32_BELIEVED[kind] if answer.precision == "fp32" else usual
        reached = 1e3 * done.flops / answer.value
        record.check(
            f"{what}: chips without a stated peak do not compute beyond belief",
            reached <= usual,
            reached / usual,
            *key,
            f"{reached / 1e12:.0f} TFLOPS implied",
        )
    streamed = done.weight_bytes * (EMBEDDED if answer.model in GENERATING else 1.0)
    least = 1e3 * max(0.0, streamed - cache_bytes(chip)) / (chip.bandwidth or float("inf"))
    record.check(
        f"{what}: latency >= (weights - cache) / bandwidth",
        answer.value >= ROUNDING * least,
        least / answer.value,
        *key,
        f"{least:.4g} ms",
    )
    if answer.stack == "eager" and chip.kind in ("gpu", "npu"):
        least = FASTEST_LAUNCH_MS * done.launches
        record.check(
            f"{what}: eager latency >= 2.5 us a launch",
            answer.value >= least,
            least / answer.value,
            *key,
            f"{done.launches} launches, {least:.3g} ms",
        )
