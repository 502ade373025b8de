"""AIConfigurator's silicon sample: TTFT and TPOT of LLM deployments, the figures that its own predictor is scored by.

A line of the CSV is one deployment at one load: two rows. The requests in flight are those of the source's text,
where that states none the batch of a step. Chips
are those of one copy times the copies; of a disaggregated deployment, those of the prefill and of the decode workers (a
number of workers that is not stated is one). The statistic of the times is not stated upstream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from data_collection.upstream.differences import Known
from data_collection.upstream.files import Tree

__all__ = ["KNOWN", "rows"]

KNOWN = (Known("here", "deployments that the prepared table keeps back", lambda row: True),)

_CHIPS = {
    "b200_sxm": "nvidia-b200-sxm-180gb", "b300_sxm": "nvidia-b300-sxm", "gb200": "nvidia-gb200",
    "gb300": "nvidia-gb300", "h100_sxm": "nvidia-h100-sxm5-80gb", "h200_sxm": "nvidia-h200-sxm-141gb",
}  # fmt: skip
_FIGURES = {"silicon_ttft_ms": "ttft_ms", "silicon_tpot_ms": "tpot_ms"}
_APART = ("model_path", "system", *_FIGURES)
_UNIT = "ms (as measured, statistic not stated)"
_DEGREES = ("num_workers", "tp_size", "pp_size", "attention_dp_size")
_LOAD = re.compile(r"silicon_concurrency=(\d+)")


def rows(tree: Tree) -> Iterator[dict[str, Any]]:
    for path in tree.paths():
        for line, cells in tree.records(path):
            told = {name: cell for name, cell in cells.items() if cell}
            extra: dict[str, Any] = {name: cell for name, cell in told.items() if name not in _APART}
            extra["output_len"] = tree.whole(path, line, told["osl"])
            load = _LOAD.search(told["silicon_data_source"])
            if load:
                extra["concurrency"] = load[1]
            batch = load[1] if load else told.get("batch_size")
            row = {
                "ref": tree.ref(path, f"#L{line}"), "platform": "cuda",
                "chip": tree.known(path, line, _CHIPS, told["system"]), "model": told["model_path"],
                "software": f"{told['backend']} {told.get('backend_version', '')}", "phase": "serving",
                "precision": told.get("precision", "unstated"),
                "batch": tree.whole(path, line, batch) if batch else None,
                "seq_len": tree.whole(path, line, told["isl"]), "n_chips": _chips(tree, path, line, told),
                "unit": _UNIT, "extra": extra,
            }  # fmt: skip
            for column, metric in _FIGURES.items():
                yield row | {"metric": metric, "value": tree.number(path, line, told[column])}


def _chips(tree: Tree, path: str, line: int, told: Mapping[str, str]) -> int:
    """Chips of all workers of a deployment."""
    parts = ("prefill_", "decode_") if told["mode"] == "disagg" else ("",)
    total = 0
    for part in parts:
        each = 1
        for name in _DEGREES:
            each *= tree.whole(path, line, told.get(f"{part}{name}", "1")) or 1  # a degree of 0 is none
        total += each
    return total
