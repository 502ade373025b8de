"""Write surrogates/report.md: every hold-out of every surrogate, next to roofline, constant and peer.

    python -m surrogates.publish.report

All figures are copied from the evaluation cards beside the shipped artefacts. `python -m surrogates.publish` puts the
same tables into the model card of a set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hetbench.artifacts import write_whole
from hetbench.errors import command
from surrogates.publish import left_out

OUTPUT = Path(__file__).resolve().parents[1] / "report.md"
CARDS = Path(str(files("hetbench") / "catalog" / "surrogates"))
NAMES = ("card", "whole_card", "power", "memory", "rgat_card", "transfer", "sums")
"""File names of the evaluation cards in a folder; added chips have cards of their own."""
Scores = Mapping[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join("–" if cell is None else str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(scores: Scores, method: str) -> str:
    """Cell of a method: median / mean / tau."""
    found = scores.get(method)
    return "–" if found is None else f"{found['median_ape']} / {found['mean_ape']} / {found['tau']}"


def compared(rows: Iterable[Scores], names: Sequence[str], methods: Sequence[str]) -> str:
    """One line per group: its names, n, and every method."""
    lines = (
        (*(row[name] for name in names), row[methods[0]]["n"], *(cell(row, method) for method in methods))
        for row in rows
    )
    return table((*names, "n", *methods), lines)


def operators(card: Mapping[str, Any]) -> Iterable[str]:
    """Operators: unseen shapes, chips and families per class, and the peer's protocol."""
    splits = card["splits"]

    def gathered(key: str) -> list[dict[str, Any]]:
        return [{"class": name, **row} for name, part in splits.items() for row in part[key]]

    yield "## Operators\n"
    total = sum(card["rows"].values())
    yield f"{total:,} measured cells after cleaning; `{card['made_by']}`, commit {card['commit'][:10]}.\n"
    for title, sentence, head, rows in left_out.parts(card):
        yield f"### {title}\n"
        yield f"{sentence}\n"
        yield table(head, rows)
    yield "### Unseen shapes on seen chips\n"
    yield compared(gathered("unseen_shapes_by_family"), ("class", "family"), ("predicted", "roofline"))
    yield "### A die never seen (near twins leave together)\n"
    yield compared(gathered("leave_chip_out"), ("class", "family", "group"), ("surrogate", "constant", "roofline"))
    yield "### A family never seen\n"
    yield compared(gathered("leave_family_out"), ("class", "family"), ("surrogate", "constant", "roofline"))
    yield "### Intervals: share of measurements inside 90 %, and median upper / lower\n"
    shapes = [("unseen shapes", name, family, row) for name, part in splits.items()
              for family, row in part["interval_coverage_unseen_shapes"].items()]  # fmt: skip
    yield table(("split", "class", "family", "n", "inside %", "width"),
                ((*names, row["n"], row["inside"], row["width"]) for *names, row in shapes))  # fmt: skip
    yield "### NeuSight's protocol: its training rows, its test rows, beside the predictions it ships\n"
    peer = card["neusight_protocol"]
    yield compared(peer["by_group"], ("group",), ("surrogate", "neusight", "roofline"))
    yield "Its end-to-end cases: one forward pass, and the forward part of a training step\n"
    methods = ("surrogate", "neusight", "habitat", "roofline", "measured_nodes")
    yield compared(peer["end_to_end"], ("phase", "group"), methods)


def wholes(card: Mapping[str, Any]) -> Iterable[str]:
    """Whole models: unseen models, families of architectures and chips per group."""
    methods = ("surrogate", "network", "trees", "constant", "roofline")
    groups = card["groups"]

    def gathered(key: str) -> list[dict[str, Any]]:
        return [{"surrogate of": name, **row} for name, part in groups.items() for row in part[key]]

    sizes = ", ".join(f"{name} {part['rows']:,} rows of {part['graphs']} graphs" for name, part in groups.items())
    yield "## Whole models\n"
    yield f"{sizes}. `constant` is the usual factor on the roofline of the chip, stack and precision.\n"
    by_set = ("surrogate of", "family", "file", "precision")
    yield "### A model never seen, on a chip and stack that were\n"
    yield compared(gathered("unseen_models_by_set"), by_set, methods)
    yield "### A family of architectures never seen\n"
    yield compared(gathered("unseen_architectures_by_set"), by_set, methods)
    yield "### A chip never seen, under a stack that was\n"
    yield compared(gathered("unseen_chips"), ("surrogate of", "family", "away"), methods)
    yield "### Intervals on unseen models: each half of the models checked by the bands of the other\n"
    yield table(("surrogate of", "family", "n", "inside %", "width"), (
        (row["surrogate of"], row["family"], row["n"], row["inside"], row["width"])
        for row in gathered("interval_coverage_unseen_models")
    ))  # fmt: skip
    yield "### Intervals on chips never seen: set by unseen models and the other chips left out\n"
    yield table(("surrogate of", "family", "away", "n", "inside %", "width"), (
        (row["surrogate of"], row["family"], row["away"], row["n"], row["inside"], row["width"])
        for row in gathered("interval_coverage_unseen_chips")
    ))  # fmt: skip
    yield "### The worst cases\n"
    worst = sorted(gathered("worst"), key=lambda row: -abs(math.log(row["measured_over_predicted"])))
    for row in worst[:10]:
        ratio = row["measured_over_predicted"]
        said = f"{ratio:g} times slower than predicted" if ratio > 1 else f"{1 / ratio:.3g} times faster than predicted"
        yield (f"* {row['graph']} in {row['precision']} on {row['chip']} under {row['stack']}, {row['rows']} rows of "
               f"{row['file']}: {said} where the model was left out.\n")  # fmt: skip


def observed(card: Mapping[str, Any], transfer: Mapping[str, Any]) -> Iterable[str]:
    """RGAT: error by number of observed operators, ablation of its parts, and the benefit of a source value."""
    yield "## Unseen chips with a few observed operators: RGAT and ratio head\n"
    yield ("Median error in percent, the mean over dies, after 0, 5, 20 or 100 operators of the class were observed "
           f"on the chip ({card['draws']} draws each). Made by `{card['made_by']}`.\n")  # fmt: skip
    yield _lines(card["leave_die_out"])
    yield "### Each die\n"
    yield _lines(card["dies"])
    yield "### A family never seen\n"
    yield _lines(card["leave_family_out"])
    yield "### What each part brings, on dies never seen\n"
    yield _lines([{"what": name, **row} for name, part in card["ablations"].items() for row in part])
    yield "### Operator types that nothing was trained on\n"
    yield _lines(card["unseen_types"])
    yield "### Intervals: share inside 90 %, the band set on the other dies\n"
    yield _lines(card["interval_coverage"])
    yield "## What a figure measured on the source is worth\n"
    yield ("Median error in percent of models never seen, on the target, with the source's measured / predicted "
           "ignored, taken in full, or by the exponent found on other networks.\n")  # fmt: skip
    yield _lines(transfer["scores"])


def _lines(rows: Sequence[Scores]) -> str:
    """A table of records that have the same keys."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return table(names, ([row.get(name) for name in names] for row in rows))


def powers(card: Mapping[str, Any]) -> Iterable[str]:
    """Board power on held-out dies."""
    yield "## Power and energy\n"
    yield "Mean absolute error of board watts, as a share, on dies left out; energy is power times latency.\n"
    rows = card["scores"]["die_left_out"]
    yield table(list(rows[0]), (list(row.values()) for row in rows))


def memories(card: Mapping[str, Any]) -> Iterable[str]:
    """Derived against measured memory."""
    yield "## Memory\n"
    yield "What was measured over what the graph derives, and the error with the stack's median overhead added.\n"
    rows = [{name: value for name, value in row.items() if name != "refs"} for row in card["stacks"]]
    yield table(list(rows[0]), (list(row.values()) for row in rows))


def sums(card: Mapping[str, Any]) -> Iterable[str]:
    """Sums: measured eager passes relative to the predicted sum of their operators, and coverage of the intervals."""
    yield "## Sums over operators\n"
    yield (
        f"{card['rows']} passes measured eagerly, none of which taught an operator; `{card['made_by']}`. `ratio` is "
        "the median measured / sum. Inside: percent in the 90 % interval of the operators alone, and in that of an "
        "answer, which is never surer than passes on the other dies allow.\n"
    )
    names = ("die", "n", "ratio", "operators_inside", "inside", "width")
    yield table(names, ([row[name] for name in names] for row in card["dies"]))


def added(chips: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Added chips: surrogates trained on rows measured on them, and their whole models."""
    for chip in chips:
        yield f"## {chip['chip']}, measured by this project\n"
        yield (
            "Heads of this chip alone (`python -m surrogates.add`); folds of shapes left out. `before` is what "
            "answered until then: surrogates that had seen no CPU. Last column: percent inside 90 % intervals.\n"
        )
        yield table(
            ("class", "rows", "own head", "before", "roofline", "inside"),
            ((name, each["rows"], *(cell(each["scores"], method) for method in ("own head", "before", "roofline")),
              each["held"]["inside"]) for name, each in sorted(chip["classes"].items())),
        )  # fmt: skip
        if chip.get("end_to_end"):
            yield "### Whole models, eager, batch 1, ms\n"
            yield from _passes(chip["end_to_end"])


def _passes(rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Measured passes beside prediction, sum of operators, and roofline."""
    def median(method: str) -> float:
        errors = sorted(abs(row[method] / row["measured"] - 1) for row in rows)
        return round(100 * errors[len(errors) // 2], 1)

    ratios = sorted(row["measured"] / row["summed"] for row in rows)
    inside = sum(row["lower"] <= row["measured"] <= row["upper"] for row in rows)
    yield (
        f"`predicted`: the sum over operators by the chip's own heads, {inside} of {len(rows)} passes inside its 90 % "
        f"interval; `summed`: operators measured by themselves, and the prediction of the others (`share` was "
        f"measured). Median error: predicted {median('predicted')} %, summed {median('summed')} %, roofline "
        f"{median('roofline')} %. A pass takes {ratios[len(ratios) // 2]:.2f} times its operators timed alone "
        f"(median), whose weights stay in the cache. What the whole-model surrogates say of models left out stands "
        f"under the file `own` below.\n"
    )
    names = ("model", "precision", "seq_len", "image_size", "measured", "predicted", "summed", "share", "roofline")
    yield table(names, ([_short(row[name]) for name in names] for row in rows))


def _short(value: Any) -> object:
    if not isinstance(value, float):
        return value
    return int(value) if value.is_integer() else f"{value:.4g}" if value > 1000 else f"{value:.3g}"


def tables(folder: Path) -> list[str]:
    """All parts of the page, from the cards in a folder."""
    cards = {name: json.loads((folder / f"{name}.json").read_text()) for name in NAMES}
    chips = [json.loads(path.read_text()) for path in sorted(folder.glob("chip-*.json"))]
    return [
        *operators(cards["card"]), *observed(cards["rgat_card"], cards["transfer"]),
        *sums(cards["sums"]), *added(chips), *wholes(cards["whole_card"]), *powers(cards["power"]),
        *memories(cards["memory"]),
    ]  # fmt: skip


@command("stopped")
def main() -> None:
    """Write the page."""
    parts = [
        "# What the surrogates reach on what they never saw\n",
        "Cells: median absolute percentage error / mean / Kendall tau. Written by "
        "`python -m surrogates.publish.report` from the cards beside the artefacts; what each split holds out is in "
        "`surrogates/splits.py`.\n",
        *tables(CARDS),
    ]
    write_whole(OUTPUT, "\n".join(parts))
    print(f"{OUTPUT}: {OUTPUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
