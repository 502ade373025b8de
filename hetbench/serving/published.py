"""Published deployments as answers: a row answers only a question of exactly its setting.

Model by its layers, chip, engine, weight format, plan, lengths and requests in flight all equal. Publishers do not
state the format of the KV cache, so a question about another than the usual one is predicted. Of several versions of
an engine the newest answers, and the notes name it; a question that names another version is predicted.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from hetbench.answers import Answer
from hetbench.errors import ArtifactError
from hetbench.serving.deployment import Deployment, usual_kv

__all__ = ["FORMAT", "SETTING", "published"]

FORMAT = 2
SETTING = ("shape", "chip", "engine", "weights", "tp", "dp", "pp", "ep", "input_len", "output_len", "concurrency")
_UNITS = {"ttft": "ms", "tpot": "ms", "latency": "ms", "throughput": "1/s", "total_throughput": "1/s"}


def published(deployment: Deployment, metric: str) -> Answer | None:
    """The published figure of exactly this deployment, or None."""
    if metric not in _UNITS or deployment.request_rate is not None or deployment.stage.kv != usual_kv(
        deployment.stage.form.name, deployment.engine
    ):
        return None
    stage, plan = deployment.stage, deployment.plan
    setting = (
        stage.model.shape, stage.chip.name, deployment.engine, stage.form.name, plan.tp, plan.dp, plan.pp, plan.ep,
        deployment.input_len, deployment.output_len, deployment.concurrency,
    )  # fmt: skip
    table = _table()
    found = table["rows"].get(" ".join(map(str, setting)))
    if found is None or metric not in found[0]:
        return None
    figures, ref, version, rows, statistic = found
    if any(letter.isdigit() for letter in deployment.software) and deployment.software != table["versions"][version]:
        return None
    notes = (
        f"{plan} on {plan.chips} x {stage.chip.name}, {deployment.concurrency} requests in flight, "
        f"{deployment.input_len} tokens in, {deployment.output_len} out",
        f"measured with {table['versions'][version]}, the {statistic} of a run; the format of the KV cache is not "
        "stated",
        *deployment.notes,
    )  # fmt: skip
    return Answer(
        float(figures[metric]), _UNITS[metric], kind="measured", level="A", support=int(rows), metric=metric,
        refs=(table["refs"][ref],), model=stage.model.name, chip=stage.chip.name, family=stage.chip.family,
        precision=stage.form.name, batch=deployment.concurrency, seq_len=deployment.input_len, phase="serving",
        stack=deployment.engine, notes=notes,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Any]:
    path = files("hetbench") / "catalog" / "serving_evidence.json.gz"
    try:
        table = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"serving_evidence.json.gz cannot be read: {error}. Reinstall hetbench.") from None
    if table.get("format") != FORMAT:
        raise ArtifactError(
            f"serving_evidence.json.gz has format {table.get('format')!r}; this hetbench reads {FORMAT}."
        )
    return dict(table)
