"""Tables of the READMEs, each computed from the shipped catalogue, artefacts and cards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from hetbench.schema import FAMILIES

_SHOWN = ("resnet-50", "bert-base", "gpt2")


def coverage_table() -> str:
    """What the shipped surrogates and evidence hold for each family, and the level at which they answer."""
    from hetbench import HetBench, chips
    from hetbench.catalog import evidence
    from hetbench.catalog.chips import default_chip
    from hetbench.predict import models as whole
    from hetbench.predict import operators

    api = HetBench()
    cells = [cell for spec in operators.load().classes.values() for cell in spec["cells"]]
    wholes = {cell.split("|")[0] for group in whole.load().groups.values() for cell in group["cells"]}
    family = {name: chip.family for name, chip in chips().items()}
    lines = [
        "| family | default chip | chips in the catalogue | with operator rows | with whole-model rows |"
        " measured rows of the 34 models | level of ResNet-50, BERT-Base, GPT-2 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in FAMILIES:
        measured = {cell[1] for cell in cells if family.get(cell[1]) == name}
        rows = sum(row.family == name for row in evidence.rows())
        whole_chips = sum(family[each] == name for each in wholes)
        levels = [api.query(model, target=name, metric="latency", batch=3).level for model in _SHOWN]
        lines.append(
            f"| {name} | {default_chip(name)[0].name} | {sum(each == name for each in family.values())} |"
            f" {len(measured)} | {whole_chips} | {rows:,} | {', '.join(map(str, levels))} |"
        )
    return "\n".join(lines) + "\n"


def accuracy_table() -> str:
    """Median errors of the cards, the roofline's in brackets."""
    folder = Path(str(files("hetbench"))) / "catalog" / "surrogates"
    splits = json.loads((folder / "card.json").read_text())["splits"]
    groups = json.loads((folder / "whole_card.json").read_text())["groups"]
    lines = ["| what was held out | " + " | ".join(FAMILIES) + " |", "|---" * (len(FAMILIES) + 1) + "|"]

    def line(title: str, rows: list[dict[str, Any]], method: str) -> None:
        of = {row["family"]: f"{row[method]['median_ape']} ({row['roofline']['median_ape']})" for row in rows}
        lines.append(f"| {title} | " + " | ".join(of.get(family, "–") for family in FAMILIES) + " |")

    for title, key in (("a source", "leave_source_out"), ("a software version", "leave_version_out")):
        for name, part in splits.items():
            if part.get(key):
                line(f"{name} operators, {title} never seen", _by_family(part[key]), "served")
    for name, part in splits.items():
        line(f"{name} operators, shapes never seen", part["unseen_shapes_by_family"], "predicted")
    for name, part in splits.items():
        line(f"{name} operators, a die never seen", part["leave_chip_out_by_family"], "surrogate")
    passes = [part for name, part in groups.items() if name != "generation"]
    for title, key in (("models", "unseen_models"), ("models of a family of architectures", "unseen_architectures")):
        line(f"whole {title} never seen", [row for part in passes for row in part[key]], "surrogate")
    line("generating models never seen", groups["generation"]["unseen_models"], "surrogate")
    return "\n".join(lines) + "\n"


def _by_family(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each family the level with the most rows."""
    most: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["served"]["n"] > most.get(row["family"], {"served": {"n": 0}})["served"]["n"]:
            most[row["family"]] = row
    return list(most.values())


def knowledge_table() -> str:
    """Nodes and edges of the shipped knowledge graph by type."""
    from hetbench.knowledge.graph import knowledge_graph

    counts = knowledge_graph().counts()
    lines = ["| | by type |", "|---|---|"]
    for what, table in counts.items():
        lines.append(f"| {what} | {', '.join(f'{name} {count:,}' for name, count in table.items())} |")
    return "\n".join(lines) + "\n"


def observed_table() -> str:
    """Curves of error against observed operators, by family and class."""
    card = json.loads((Path(str(files("hetbench"))) / "catalog" / "surrogates" / "rgat_card.json").read_text())
    lines = ["| family | class | dies | " + " | ".join(map(str, card["observed"])) + " |", "|---" * 7 + "|"]
    for row in card["leave_die_out"]:
        errors = (row.get(f"at_{count}") for count in card["observed"])
        cells = " | ".join("–" if error is None else str(error) for error in errors)
        lines.append(f"| {row['family']} | {row['class']} | {row['dies']} | {cells} |")
    return "\n".join(lines) + "\n"


def support_table() -> str:
    """How each family runs the operators of each model: native by calls and by time, and what is not covered."""
    from hetbench import HetBench, models
    from hetbench.catalog import support
    from hetbench.catalog.chips import default_chip

    api = HetBench()
    titles = [support.platforms()[support.platform_of(default_chip(family)[0])] for family in FAMILIES]
    lines = [
        "| model | " + " | ".join(f"{name}: {title}" for name, title in zip(FAMILIES, titles, strict=True)) + " |",
        "|---" * (len(FAMILIES) + 1) + "|",
    ]
    for name in models():
        cells = []
        for family in FAMILIES:
            found = api.coverage(name, family)
            native = found.shares()["native"], (found.time_shares() or {}).get("native")
            cell = " / ".join("–" if share is None else f"{share:.0f}" for share in native)
            lacking = "; ".join(f"{each.support.status}: {each.support.operator}" for each in found.uncovered)
            cells.append(f"{cell} ({lacking})" if lacking else cell)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def training_table() -> str:
    """Median errors of training steps on what was left out, those of two rivals, and the share inside the interval."""
    card = json.loads((files("hetbench") / "catalog" / "surrogates" / "training_card.json").read_text("utf-8"))
    lines = [
        "| left out | source | steps | networks | error % | roofline | constant efficiency | inside % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    titles = {"networks_left_out": "a network", "dies_left_out": "a die", "sources_left_out": "a source"}
    for key, title in titles.items():
        for row in card[key]:
            shown = row["surrogate"], row["roofline"], row["constant"], row["inside"]
            lines.append(f"| {title} | {row['source']} | {row['n']:,} | {row['networks']} | "
                         + " | ".join(map(str, shown)) + " |")  # fmt: skip
    return "\n".join(lines) + "\n"


def serving_table() -> str:
    """Hold-outs of deployments: error of the surrogate, of a constant efficiency and of the roofline; intervals."""
    card = json.loads((Path(str(files("hetbench"))) / "catalog" / "surrogates" / "serving_card.json").read_text())
    titles = {
        "setting": "a load and plan", "plan": "a parallel plan", "version": "a version of an engine",
        "model": "a model", "source": "a source of data", "chip": "a generation of chips", "engine": "an engine",
    }  # fmt: skip
    metrics = {"ttft": "TTFT", "tpot": "TPOT", "throughput": "throughput", "latency": "latency of a batch"}
    rows = {(row["split"], row["metric"]): row for row in card["splits"]}
    head = "| never seen | metric | rows | surrogate | constant | roofline | inside | upper / lower |"
    lines = [head, "|---" * 8 + "|"]
    for split, title in titles.items():
        for metric, name in metrics.items():
            row = rows.get((split, metric))
            if row is not None:
                cells = (row[key] for key in ("median_ape", "constant", "roofline", "inside", "width"))
                lines.append(f"| {title} | {name} | {row['rows']:,} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def model_types_table() -> str:
    """Model types that are composed from a configuration, by what they do, with the number of shipped checkpoints."""
    from hetbench.graphs.huggingface import checkpoints, model_types
    from hetbench.graphs.huggingface.registry import GENERATING, MODULES, SAME

    homes = {kind: name for name in MODULES for kind in import_module(f"hetbench.graphs.huggingface.{name}").TYPES}
    shipped = Counter(str(each.config["model_type"]) for each in checkpoints().values())
    groups: dict[str, list[str]] = {"generate text": [], "read, then generate": [], "one pass": []}
    for name in model_types():
        home = homes[SAME.get(name, name)]
        group = "generate text" if home in GENERATING else "read, then generate" if "seq2seq" in home else "one pass"
        groups[group].append(f"{name} ({shipped[name]})" if shipped[name] else name)
    head = f"| {len(model_types())} model types | with the number of the {len(checkpoints())} shipped checkpoints |"
    rows = (f"| {what} | {', '.join(names)} |" for what, names in groups.items())
    return "\n".join([head, "|---|---|", *rows]) + "\n"


TABLES: Mapping[str, Callable[[], str]] = {
    "coverage": coverage_table,
    "accuracy": accuracy_table,
    "knowledge": knowledge_table,
    "observed": observed_table,
    "serving": serving_table, "training": training_table,
    "support": support_table,
    "model-types": model_types_table,
}
"""Every table by the name that stands in the document."""
