"""Which share of published single-chip rows can be asked.

    python tests/benchmarks/askable.py --corpus FOLDER [--code FOLDER]

Every distinct setting of `model/*.parquet` whose figure is of one chip is asked as upstream writes it: model name,
software, precision, image size. `--code` measures another checkout, to compare two states. It prints the share of
rows that get a value, by phase and by data set, the reasons of the others, and how many of twelve language models on
ten data-centre chips are answered in fp16 and bf16, prefill and decode.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

COLUMNS = ("model", "chip", "precision", "batch", "seq_len", "image_size", "phase", "software", "metric")
METRICS = {
    "latency_ms": "latency", "throughput": "throughput", "energy_j": "energy", "power_w": "power",
    "memory_mb": "memory",
}  # fmt: skip
PHASES = ("inference", "prefill", "decode")
LANGUAGE = (
    "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-2-7b-chat-hf",
    "mistralai/Mistral-7B-Instruct-v0.3", "mistralai/Mixtral-8x7B-Instruct-v0.1", "Qwen/Qwen2.5-7B-Instruct",
    "Qwen/Qwen3-32B", "Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-R1", "google/gemma-2-9b-it", "microsoft/phi-4",
    "openai/gpt-oss-20b",
)  # fmt: skip
DATA_CENTRE = (
    "nvidia-h100-sxm5-80gb", "nvidia-a100-sxm4-80gb", "nvidia-h200", "nvidia-l40s", "amd-mi300x", "amd-mi250",
    "huawei-ascend-910b3", "cambricon-mlu590-m9", "intel-gaudi2", "intel-arc-pro-b60",
)  # fmt: skip

ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from hetbench import HetBench
table = json.load(open(sys.argv[2]))
found = HetBench().query_models(table)
json.dump({"value": [float(v) if v == v else None for v in found["value"]], "reason": list(map(str, found["reason"]))},
          open(sys.argv[3], "w"))
"""


def rows(corpus: Path) -> Counter[tuple[Any, ...]]:
    """Settings as upstream writes them, each with how many rows it stands for."""
    import pyarrow.parquet as pq

    aliases = _aliases(corpus)
    found: Counter[tuple[Any, ...]] = Counter()
    for path in sorted((corpus / "model").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            metric = METRICS.get(row["metric"])
            if metric is None or row["phase"] not in PHASES or _number(row["n_chips"]) != 1:
                continue
            chip = aliases.get((row["platform"], row["chip"]), row["chip"])
            size = row["image_size"]
            cells = (row["model"], chip, row["precision"], _number(row["batch"]), _number(row["seq_len"]),
                     _number(size) if _number(size) else size, row["phase"], row["software"], metric)  # fmt: skip
            found[(path.stem, *cells)] += 1
    return found


def _aliases(corpus: Path) -> dict[tuple[str, str], str]:
    import csv

    lines = (corpus / "chip_aliases.csv").read_text(encoding="utf-8").splitlines()
    return {(row["platform"], row["chip_as_in_data"]): row["canonical"] for row in csv.DictReader(lines)}


def _number(value: Any) -> int | None:
    try:
        return int(float(value)) if float(value) == float(value) else None
    except (TypeError, ValueError):
        return None


def ask(code: Path, table: dict[str, list[Any]], scratch: Path) -> tuple[list[float | None], list[str]]:
    """Values and reasons of a table of model queries, asked of a checkout in a process of its own."""
    given, answered = scratch / "askable-table.json", scratch / "askable-answers.json"
    given.write_text(json.dumps(table))
    subprocess.run([sys.executable, "-c", ASK, str(code), str(given), str(answered)], check=True, cwd=scratch)
    found = json.loads(answered.read_text())
    return found["value"], found["reason"]


def main() -> None:
    """Ask, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--code", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--scratch", type=Path, default=Path("/tmp"))
    parser.add_argument("--every", type=int, default=1, help="ask every n-th distinct setting only")
    chosen = parser.parse_args()
    counted = rows(chosen.corpus)
    keys = list(counted)[:: chosen.every]
    table = {name: [key[place + 1] for key in keys] for place, name in enumerate(COLUMNS)}
    values, reasons = ask(chosen.code, table, chosen.scratch)
    _shares(counted, keys, values, reasons)
    _language(chosen.code, chosen.scratch)


def _shares(counted: Counter[Any], keys: list[Any], values: list[Any], reasons: list[str]) -> None:
    total, good = Counter[str](), Counter[str]()
    why: Counter[str] = Counter()
    for key, value, reason in zip(keys, values, reasons, strict=True):
        for group in ("all", f"phase {key[7]}", f"data set {key[0]}"):
            total[group] += counted[key]
            good[group] += counted[key] * (value is not None)
        if value is None:
            why[_kind(reason)] += counted[key]
    for group, count in sorted(total.items()):
        print(f"{group:40s} {good[group]:7,d} of {count:7,d}  {100 * good[group] / count:5.1f} %")
    for reason, count in why.most_common(40):
        print(f"{count:7,d}  {reason}")


def _kind(reason: str) -> str:
    return reason.split(". ")[0][:110]


def _language(code: Path, scratch: Path) -> None:
    asked = [(model, chip, precision, phase) for model in LANGUAGE for chip in DATA_CENTRE
             for precision in ("bf16", "fp16") for phase in ("prefill", "decode")]  # fmt: skip
    names = ("model", "chip", "precision", "phase")
    values, reasons = ask(code, {name: [each[at] for each in asked] for at, name in enumerate(names)}, scratch)
    good = sum(value is not None for value in values)
    print(f"language models x data-centre chips: {good} of {len(asked)} answered")
    for reason, count in Counter(_kind(each) for each in reasons if each).most_common(8):
        print(f"{count:7,d}  {reason}")


if __name__ == "__main__":
    main()
