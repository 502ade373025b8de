"""What is predicted for every published row of the catalogue's models, beside the row and the roofline.

    python -m surrogates.whole.against_evidence [--artefact FOLDER] [--out runs/evidence]

Takes the rows of the evidence table that a query could ask for (`use` answer or compare: one chip, every setting
known, latency or throughput), predicts each from its operator graph, and scores the predictions by family, category,
stack and level. The prediction is of eager launches whatever the row's stack, so a bias per stack is what the stack
gains. Throughput rows are compared as milliseconds a call; a generation is predicted as a prefill and its decoding
steps, by the trapezoid of the first and the last one.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from hetbench.artifacts import write_whole
from hetbench.catalog import evidence
from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.errors import InvalidInputError, RefusedError, command
from hetbench.graphs import model_graph as graphs
from hetbench.predict.operators import OperatorSurrogate, load
from surrogates.evaluate import score
from surrogates.whole.rows import Calls, generation
from surrogates.writing import write_json

PROTOCOL = "event"  # as queries of whole models are answered
PREDICTORS = ("auto", "roofline")
TABLES: tuple[tuple[str, ...], ...] = (
    ("all",), ("family",), ("family", "category"), ("family", "phase"), ("family", "phase", "stack"), ("level",),
    ("precision",), ("batch_class",), ("family", "chip"), ("category", "model"),
)  # fmt: skip
COLUMNS = ("model", "family", "chip", "precision", "batch", "seq_len", "image_size", "phase", "stack", "metric", "ref")


def measured_ms(row: evidence.Row) -> float:
    """Milliseconds a call that a latency or throughput row says."""
    if row.metric == "latency":
        return row.value
    tokens = (row.seq_len or 1) if row.phase == "prefill" else 1
    return 1e3 * (row.batch or 1) * tokens / row.value


def compare(rows: Iterable[evidence.Row], surrogate: OperatorSurrogate) -> tuple[pd.DataFrame, Counter[str]]:
    """One line a row with what each predictor says, and how many rows were refused and why."""
    lines, refused = [], Counter[str]()
    for row in rows:
        if row.use == "show" or row.n_chips != 1 or row.metric not in ("latency", "throughput"):
            continue
        line = {name: getattr(row, name) for name in COLUMNS}
        line |= {"measured": measured_ms(row), "use": row.use, "category": models()[row.model].category, "all": "all"}
        line |= {"batch_class": "batch 1" if row.batch == 1 else "batch 2-31" if row.batch < 32 else "batch 32+"}
        try:
            line |= predicted(row.setting, row.new_tokens, surrogate)
        except (RefusedError, InvalidInputError) as why:
            refused[f"{row.family} {row.precision}: {why}"] += 1
            continue
        lines.append(line)
    return pd.DataFrame(lines), refused


@cache
def predicted(
    setting: evidence.Setting, new_tokens: int | None, surrogate: OperatorSurrogate
) -> dict[str, float | str]:  # fmt: skip
    """What each predictor answers for the setting of a row."""
    found: dict[str, float | str] = {}
    for name in PREDICTORS:
        parts = [
            (calls, surrogate.predict_model(table, chips()[setting[1]], protocol=PROTOCOL, predictor=name))
            for calls, table in calls_of(setting, new_tokens)
        ]  # fmt: skip
        found[name] = sum(calls * part.value for calls, part in parts)
        if name == "auto":
            found |= {
                "lower": sum(calls * part.lower for calls, part in parts),
                "upper": sum(calls * part.upper for calls, part in parts),
                "level": max(part.level for _, part in parts),
                "launch_share": sum(calls * part.launch_ms for calls, part in parts) / found["auto"],
            }  # fmt: skip
    return found


def calls_of(setting: evidence.Setting, new_tokens: int | None) -> Calls:
    """The calls that a row consists of, with how often each: the operator tables of one setting."""
    model, _, precision, batch, seq_len, image_size, phase = setting
    graph = graphs.load(model)
    if not new_tokens:
        return [(1.0, graph.operators(batch, seq_len, image_size, precision, phase))]
    return generation(graph, batch, seq_len, image_size, precision, new_tokens)


def summary(frame: pd.DataFrame, keys: Sequence[str]) -> list[dict[str, object]]:
    """Scores of each group, the roofline's beside the surrogate's."""
    out = []
    for names, part in frame.groupby(list(keys), sort=True):
        measured = part["measured"].to_numpy()
        inside = part["measured"].between(part["lower"], part["upper"]).mean()
        settings = len(part.drop_duplicates(list(COLUMNS[:9])))
        group = " ".join(map(str, names))
        entry: dict[str, object] = {
            "group": group, "n": len(part), "settings": settings, "inside_interval": round(float(inside), 3)
        }  # fmt: skip
        for name in PREDICTORS:
            values = part[name].to_numpy()
            bias = round(float(np.median(np.log(values / measured))), 3)
            entry[name] = {**score(measured, values), "bias": bias}
        out.append(entry)
    return out


def markdown(tables: dict[str, list[dict[str, object]]]) -> str:
    """The tables in Markdown: errors in %, bias as the median of log(predicted / measured)."""
    lines = [
        "Predicted against measured, whole models, milliseconds a call. APE in %, bias = median log(predicted / "
        "measured), tau = Kendall.", "",
    ]  # fmt: skip
    for name, groups in tables.items():
        lines += [
            f"## by {name}", "",
            "| group | n | settings | median APE | mean APE | within 20 % | bias | tau | in interval "
            "| roofline median | mean | bias | tau |",
            "|" + "---|" * 13,
        ]  # fmt: skip
        for entry in groups:
            ours, floor = entry["auto"], entry["roofline"]
            cells = [entry["group"], entry["n"], entry["settings"], *map(ours.get, SHOWN), entry["inside_interval"]]
            cells += [floor[key] for key in ("median_ape", "mean_ape", "bias", "tau")]
            lines.append("| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


SHOWN = ("median_ape", "mean_ape", "within_20", "bias", "tau")


@command("stopped")
def main() -> None:
    """Predict, score, print, and write the tables and the lines."""
    parser = argparse.ArgumentParser(description="Predictions beside every published row of the catalogue's models.")
    parser.add_argument("--artefact", type=Path, default=None, help="folder of surrogates; the shipped if left out")
    parser.add_argument("--out", type=Path, default=Path("runs/evidence"))
    arguments = parser.parse_args()
    surrogate = load(arguments.artefact)
    frame, refused = compare(evidence.rows(), surrogate)
    tables = {" x ".join(keys): summary(frame, keys) for keys in TABLES}
    text = markdown(tables)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_whole(arguments.out / "against_evidence.csv", frame.to_csv(index=False), "--out DIR")
    write_whole(arguments.out / "against_evidence.md", text, "--out DIR")
    report = {"surrogate": surrogate.id, "rows": len(frame), "refused": dict(refused), "tables": tables}
    write_json(arguments.out / "against_evidence.json", report, indent=1)
    print(text)
    for why, count in refused.most_common():
        print(f"{count:5d} refused, {why}")


if __name__ == "__main__":
    main()
