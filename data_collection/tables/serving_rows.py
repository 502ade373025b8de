"""Published measurements of LLM deployments as one clean table: what the serving surrogate is trained and scored on.

    python -m data_collection.tables.serving_rows --corpus ../shared/corpus --out runs/serving/rows.parquet

One row is one figure of one setting: a deployment, its load, a metric. Times are milliseconds, rates are of the whole
deployment. A row that a rule drops is kept in the table with the rule's name in `drop`, and every rule is counted.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data_collection.tables import serving_protocols as protocols
from data_collection.tables import serving_rules as rules
from data_collection.tables.corpus import chip_aliases
from hetbench.artifacts import replacing
from hetbench.errors import command
from hetbench.graphs.huggingface.shipped import checkpoints
from hetbench.serving.engines import chunk_of, engine_of

Raw = dict[str, Any]
Row = dict[str, Any]
TABLES = ("inferencex", "rocm_atom", "aiconfigurator_silicon", "dstack", "serving_cookbooks", "vllm_ascend_ci",
          "vllm_ascend_commits", "ascend_vllm", "ascend_threads", "llm_inference_bench", "mlenergy",
          "strix_halo_lhl")  # fmt: skip
COLUMNS = ("source", "ref", "model", "upstream", "chip", "engine", "version", "weights", "kv", "chips", "tp", "dp",
           "ep", "pp", "input_len", "output_len", "concurrency", "kind", "statistic", "held", "chunk",
           "metric", "value", "drop")  # fmt: skip
OFF = 1.4  # factor by which a rate may differ from what its own times make
_CHAT_PROMPT = 200  # tokens of ML.ENERGY's prompts, which it does not state


def _plan(tp: float, dp: float = 1, ep: float = 1, pp: float = 1) -> Row:
    return {"tp": tp, "dp": dp, "ep": ep, "pp": pp}


def _inferencex(raw: Raw, e: Raw) -> Row:
    tp, ep, attention = e["decode_tp"], e["decode_ep"], e["decode_dp_attention"]
    scale = raw["n_chips"] if "per chip" in raw["unit"] and raw["metric"] == "throughput" else 1
    row = _plan(1, tp, max(ep, tp)) if attention else _plan(tp, 1, tp if ep > 1 else 1)
    drop = "speculative decoding" if e["spec"] != "none" else "disaggregated" if e["disagg"] else ""
    if "overview" in raw["ref"]:
        drop = "figures of a test of the page upstream"
    if not drop and (e["prefill_tp"], e["num_prefill_gpu"]) != (tp, e["num_decode_gpu"]):
        drop = "disaggregated"
    return row | {"input_len": e.get("input_len"), "output_len": e.get("output_len"), "drop": drop,
                  "concurrency": e["concurrency"], "value": raw["value"] * scale}  # fmt: skip


def _atom(raw: Raw, e: Raw) -> Row:
    name = raw["model"].lower()
    tp = raw["n_chips"]
    plain = not any(word in name for word in ("dp4", "dpa", "-pd-", "tbo", "dspark"))
    drop = "speculative decoding" if e.get("mtp") or "mtp" in name.replace("mtp-moefp4", "") else ""
    return _plan(tp, 1, tp if "ep" in name.rpartition("tp")[2] else 1) | {
        "input_len": e["input_len"], "output_len": e["output_len"], "concurrency": e["concurrency"],
        "drop": drop or ("" if plain else "unusual plan in the name"),
        "precision": "mxfp4" if "mxfp4" in name or "moefp4" in name else raw["precision"],
    }  # fmt: skip


def _silicon(raw: Raw, e: Raw) -> Row:
    if e["mode"] != "agg":
        return {"drop": "disaggregated"}
    tp, dp, ep = (int(e.get(name) or 1) or 1 for name in ("tp_size", "attention_dp_size", "moe_ep_size"))
    pp = int(e.get("pp_size") or 1)
    load = e.get("concurrency") or (float(e["batch_size"]) * dp if e.get("batch_size") else None)
    drop = "unusual plan in the name" if tp * dp * pp > 8 else ""
    return _plan(tp, dp, tp * dp if ep > 1 else 1, pp) | {
        "input_len": e["isl"], "output_len": e["osl"], "concurrency": load, "drop": drop,
    }  # fmt: skip


def _dstack(raw: Raw, e: Raw) -> Row:
    drop = "disaggregated" if "prefill_workers" in e or "P1D" in raw["software"] or "P3D" in raw["software"] else ""
    drop = drop or ("open loop: requests arrive at a rate" if e.get("request_rate") else "")
    drop = drop or ("prompts share a prefix" if e.get("dataset") == "generated-shared-prefix" else "")
    drop = drop or ("copies in the name" if "replicas" in raw["model"] else "")
    return _plan(raw["n_chips"]) | {
        "input_len": e.get("input_len"), "output_len": e.get("output_len"), "concurrency": raw["batch"], "drop": drop,
        "kind": "batch" if "batch_meaning" in e or "offline" in raw["unit"] else "burst",  # all are sent at once
        "precision": "bf16" if raw["precision"] == "unstated" and "405B-Instruct" in raw["model"] and
        raw["chip"] == "amd-mi300x" else raw["precision"],
    }  # fmt: skip


def _cookbook(raw: Raw, e: Raw) -> Row:
    tp = e.get("tp") or raw["n_chips"]
    return _plan(tp) | {"input_len": e.get("input_len"), "output_len": e.get("output_len"),
                        "concurrency": e.get("concurrency")}  # fmt: skip


def _ascend(raw: Raw, e: Raw) -> Row:
    spec = e.get("spec_method") or e.get("acceptance") or e.get("spec") or e.get("accept_length")
    drop = "speculative decoding" if spec else ""
    chips = raw["n_chips"]
    tp, dp = float(e.get("tp") or chips or 0), float(e.get("dp") or 1)
    if "prefix_cache_hit" in e or "prefix" in str(e.get("dataset", "")):
        drop = drop or "prompts share a prefix"
    rate = float(e.get("request_rate") or e.get("qps") or 0)
    arriving = raw["metric"] == "tpot_ms" and e.get("output_len") and chips
    if rate > 0 and not arriving:
        drop = drop or "open loop: requests arrive at a rate"
    if e.get("variant") in ("after",) or "context parallel" in raw["software"]:
        drop = drop or "unusual plan in the name"
    if chips and tp * dp != chips:
        drop = drop or "plan does not multiply to the chips"
    load = e.get("concurrency") or e.get("max_concurrency") or raw["batch"]
    if rate > 0 and arriving:  # Little's law: requests in flight = arrivals per second x seconds that each stays
        load = max(1.0, rate * float(e["output_len"]) * raw["value"] / 1e3)
    return _plan(tp, dp) | {"input_len": e.get("input_len") or raw["seq_len"], "output_len": e.get("output_len"),
                            "concurrency": load, "drop": drop}  # fmt: skip


def _argonne(raw: Raw, e: Raw) -> Row:
    plan = _plan(raw["n_chips"])
    drop = ""
    kind = str(e.get("Parallelism Type", "Tensor Parallelism"))
    if kind in ("Pipeline Parallelism", "PP"):
        plan = _plan(1, 1, 1, raw["n_chips"])
    elif kind == "EP":
        plan = _plan(raw["n_chips"], 1, raw["n_chips"])
    elif kind not in ("Tensor Parallelism", "TP"):
        drop = "unusual plan in the name"
    if "Without" in str(e.get("KV Cache", "")):
        drop = "no KV cache"
    if "speculative_decoding" in e:
        drop = "speculative decoding"
    if raw["software"] == "llama.cpp":  # llama-bench, whose batch is the chunk of the one prompt
        drop = drop or ("chips that work in turn" if raw["n_chips"] != 1 else "")
        raw["batch"], plan["chunk"] = 1, min(e["Batch Size"], chunk_of("llama.cpp"))
    kv = str(e.get("kv_cache_dtype", "")).lower()
    if raw["software"] != "llama.cpp":
        plan["version"] = f"{raw['software']} (2024)"  # measured in 2024: arXiv 2411.00136
    out = e.get("Output Length", e.get("out_len"))
    return plan | {"input_len": e.get("in_len"), "output_len": out, "concurrency": raw["batch"], "kind": "batch",
                   "drop": drop, "kv": "fp8" if kv.endswith("fp8") else "int8" if kv.endswith("int8") else "bf16",
                   "metric": "ttft" if raw["metric"] == "ttft_ms" else None}  # fmt: skip


def _energy(raw: Raw, e: Raw) -> Row:
    if raw["dataset"] != "mlenergy_v2" or "Avg BS (reqs)" not in e:
        return {"drop": "one request at a time under plain generate, or not a language model"}
    row = _plan(e["TP"], 1, 1, e["PP"]) | {
        "input_len": _CHAT_PROMPT, "output_len": e["Avg Output Tokens"], "concurrency": e["Avg BS (reqs)"],
        "kind": "steady",
    }  # fmt: skip
    if raw["metric"] == "energy_j":
        watts = raw["value"] / e["Avg Output Tokens"] * e["Token tput (tok/s)"] / (e["TP"] * e["PP"])
        return row | {"metric": "power", "value": watts}
    return row | {"drop": "the reciprocal of another row" if raw["metric"] == "throughput" else ""}


def _strix(raw: Raw, e: Raw) -> Row:
    if raw["metric"] == "memory_mb":
        return {"drop": "allocated memory of the process, caches included"}
    prompt = raw["phase"] == "prefill"
    row = _plan(1) | {"input_len": e["n_prompt"] if prompt else max(e["depth"], 1), "concurrency": 1,
                      "output_len": 1 if prompt else e["n_gen"], "kind": "pass" if prompt else "serving"}  # fmt: skip
    if "gpt-oss" in raw["model"]:  # such files keep the experts as they were published
        row["precision"] = "mxfp4"
    if raw["metric"] == "power_w":
        return row | {"metric": "power", "drop": "watts of a package with a CPU in it"}
    tokens, metric = (e["n_prompt"], "ttft") if prompt else (1, "tpot")
    return row | {"metric": metric, "value": 1e3 * tokens / raw["value"]}


READERS: dict[str, Callable[[Raw, Raw], Row]] = {
    "inferencex": _inferencex, "rocm_atom": _atom, "aiconfigurator_silicon": _silicon, "dstack": _dstack,
    "serving_cookbooks": _cookbook, "vllm_ascend_ci": _ascend, "vllm_ascend_commits": _ascend, "ascend_vllm": _ascend,
    "ascend_threads": _ascend, "llm_inference_bench": _argonne, "mlenergy": _energy,
    "strix_halo_lhl": _strix,
}  # fmt: skip
_METRICS = {"ttft_ms": "ttft", "tpot_ms": "tpot", "latency_ms": "latency", "power_w": "power", "energy_j": "energy"}


def collect(corpus: Path) -> Iterator[Row]:
    """Every row of the serving tables, in `COLUMNS`."""
    import pyarrow.parquet as pq

    aliases = chip_aliases(corpus)
    known: dict[str, str] = {}
    for name in sorted(checkpoints(), key=len, reverse=True):
        known[name.lower()] = known[name.lower().rpartition("/")[2]] = name
    for table in TABLES:
        for raw in pq.read_table(corpus / "model" / f"{table}.parquet").to_pylist():
            extra = json.loads(raw["extra"]) if raw["extra"] else {}
            if raw["phase"] not in ("serving", "prefill", "generate", "decode"):
                continue
            found = aliases.get((raw["platform"], raw["chip"]), {}).get("canonical") or raw["chip"]
            raw["n_chips"] = _whole(raw["n_chips"])
            row = _row(table, raw, extra, rules.checkpoint(raw["model"], known)) | {"chip": found}
            row |= {"statistic": protocols.statistic(table), "held": protocols.held(row)}
            row["chunk"] = row.get("chunk") or protocols.chunk(row, _month(extra))
            row["drop"] = row.get("drop") or _missing(row)
            yield {name: row.get(name) for name in COLUMNS}


def _row(table: str, raw: Raw, extra: Raw, model: str) -> Row:
    metric = _METRICS.get(raw["metric"], raw["metric"])
    if metric == "throughput" and ("input+output" in raw["unit"] or "in+out" in raw["unit"]):
        metric = "total_throughput"
    row = {
        "source": table, "ref": raw["ref"], "model": model, "upstream": raw["model"], "metric": metric,
        "value": raw["value"], "engine": engine_of(raw["software"]), "version": raw["software"],
        "chips": raw["n_chips"], "kind": "serving", "kv": "fp8" if raw["precision"].endswith("c8") else "bf16",
        "precision": raw["precision"],
    }  # fmt: skip
    own = READERS[table](raw, extra)
    row |= {name: value for name, value in own.items() if value is not None}
    kept = checkpoints().get(model)
    if row["precision"] == "unstated" and kept is not None:  # engines run a checkpoint in its own format by default
        row["precision"] = kept.precision or "bf16"
    row["weights"] = rules.FORMATS.get(str(row["precision"]), "")
    if row["weights"] in rules.EIGHT_BIT_CACHE and row["kind"] != "batch" and row["engine"] != "llama.cpp":
        row["kv"] = "fp8"
    for name in ("tp", "dp", "ep", "pp", "input_len", "output_len", "concurrency"):
        row[name] = _number(row.get(name))
    return row


def _missing(row: Row) -> str:
    if not row["engine"]:
        return "engine not stated"
    if not row["model"]:
        return "no configuration of the model"
    if not row["weights"]:
        return "precision not stated"
    if not all(row[name] and row[name] == row[name] for name in ("input_len", "output_len", "concurrency", "tp")):
        return "lengths, load or chips not stated"
    if not row["value"] or row["value"] <= 0:
        return "no figure"
    return ""


def check_rates(frame: Any) -> Any:
    """Drop rates that Little's law contradicts: requests in flight x tokens / seconds of a request, from the same run.

    InferenceX states some rates of a whole deployment as those of one chip: exactly chips times too high.
    """
    keys = ["source", "ref", "model", "chip", "version", "weights", "tp", "dp", "ep", "pp", "input_len", "output_len",
            "concurrency", "kind"]  # fmt: skip
    kept = frame[(frame["drop"] == "") & (frame.kind == "serving")]
    wide = kept.pivot_table(index=keys, columns="metric", values="value", aggfunc="median").reset_index()
    seconds = (wide.ttft + (wide.output_len - 1) * wide.tpot) / 1e3
    wide["off"] = wide.throughput * seconds / (wide.concurrency * wide.output_len)
    wrong = wide[(wide.off > OFF) | (wide.off < 1 / OFF)][keys].assign(wrong=True)
    marked = frame.merge(wrong, on=keys, how="left")
    at = marked.wrong.notna().to_numpy() & marked.metric.isin(["throughput", "total_throughput"]).to_numpy()
    frame.loc[at & (frame["drop"] == "").to_numpy(), "drop"] = "the rate contradicts its own times"
    return frame


def _month(extra: Raw) -> str:
    """Month of a run, as 2025-11, or an empty string."""
    found = re.search(
        r"20\d\d-\d\d", str(extra.get("date") or "") or extra.get("silicon_data_source", "").partition("measured=")[2]
    )
    return found[0] if found else ""


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number else None


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


@command("stopped")
def main() -> int:
    import pandas as pd

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/serving/rows.parquet"))
    arguments = parser.parse_args()
    frame = check_rates(pd.DataFrame(collect(arguments.corpus), columns=list(COLUMNS)))
    with replacing(arguments.out) as partial:
        frame.to_parquet(partial)
    kept = frame[frame["drop"] == ""]
    print(f"{len(frame):,} rows, {len(kept):,} kept: {arguments.out}")
    print(frame[frame["drop"] != ""].groupby(["drop", "source"]).size().to_string())
    print(kept.groupby(["source", "metric"]).size().to_string())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
