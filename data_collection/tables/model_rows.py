"""Published measurements of whole models as one clean table: what a whole-model surrogate is trained and scored on.

    python -m data_collection.tables.model_rows --corpus ../shared/corpus --out runs/models/rows.parquet

One row is one setting and metric; throughput has become milliseconds of a call of the whole batch. Rows that may not
train go to `rows.excluded.parquet` beside it, `match_use` naming the rule; every rule prints how many rows it takes.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from data_collection.tables import evidence_rules as published
from data_collection.tables import model_rules as rules
from data_collection.tables.evidence import chip_aliases
from hetbench.catalog.chips import Chip, chips

COLUMNS: dict[str, str] = {
    "file": "string", "ref": "string", "family": "string", "chip": "string", "upstream": "string",
    "canonical_key": "string", "precision": "string", "batch": "int64", "seq_len": "int64", "image_size": "int64",
    "image_text": "string", "shapes": "string", "phase": "string", "stack": "string", "software": "string",
    "layout": "string", "compiled": "bool", "instances": "int64", "cores": "int64", "new_tokens": "int64",
    "n_chips": "int64", "stat": "string", "metric": "string", "value": "double", "unit": "string",
    "printed": "string", "variant": "string", "scenario": "string", "division": "string", "gmacs": "double",
    "macts": "double", "mparams": "double", "repeats": "int64", "spread": "double", "match_use": "string",
    "note": "string",
}  # fmt: skip
FIGURES = ("ref", "value", "gmacs", "macts", "mparams", "repeats", "spread", "match_use", "note", "date", "shapes")
SETTING = tuple(name for name in (*COLUMNS, "own") if name not in FIGURES)
SERIES = tuple(name for name in SETTING if name not in ("batch", "variant"))
COMPRESSOR = "intel_neural_compressor"  # its tables are measured again every few months
OFF = 3.0  # how far a cell may lie from where its neighbours' batches leave room (trap 4)
FALLS = 0.15  # share of its best rate that a series must keep at its largest batch (trap 1)
DISAGREE = 1.5  # largest over smallest figure of one setting (trap 7, and READMEs that time an encoder and a decoder)

Raw = dict[str, Any]
Row = dict[str, Any]
Say = Callable[[str], None]


def read(corpus: Path) -> Iterable[Raw]:
    """Every model row of the corpus as a dict, `extra` parsed, chips named as the catalogue does."""
    import pyarrow.parquet as pq

    aliases = chip_aliases(corpus)
    for path in sorted((corpus / "model").glob("*.parquet")):
        for raw in pq.read_table(path).to_pylist():
            alias = aliases.get((raw["platform"], raw["chip"]), {})
            die = path.stem == "neusight" and raw["chip"] == "amd-mi250"  # NeuSight runs one die: an MI210's
            yield raw | {
                "file": path.stem, "extra": json.loads(raw["extra"]) if raw["extra"] else {},
                "chip_name": "amd-mi210" if die else alias.get("canonical", ""),
                "certainty": alias.get("certainty", ""), "n_chips": _whole(raw["n_chips"]),
            }  # fmt: skip


def _whole(value: Any) -> int | None:
    """A positive whole number; None where upstream states none, or a size per side."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return int(found) if math.isfinite(found) and found > 0 else None


def _usable(chip: Chip | None) -> bool:
    return bool(chip and chip.bandwidth and any(chip.peak_flops(name) for name in ("fp32", "fp16", "bf16")))


DROPS: tuple[tuple[str, str, Callable[[Raw], bool]], ...] = (
    ("part of a chip", "a MIG slice, a virtual GPU, or CPU and GPU together",
     lambda raw: raw["certainty"] == "partial"),
    ("chip without facts", "not in the catalogue, or without bandwidth or peak: no roofline",
     lambda raw: not _usable(chips().get(raw["chip_name"]))),
    ("other metric", "mfu, time to train, rates per card", lambda raw: _metric(raw) is None),
)  # fmt: skip


def _metric(raw: Raw) -> str | None:
    return published.METRICS.get(raw["metric"].removesuffix("_allocated"), (None, None))[0]


def normalise(raw: Raw) -> Row:
    """One row in the table's columns; what is not stated is None."""
    raw = raw | {"metric": raw["metric"].removesuffix("_allocated")}
    extra, file = raw["extra"], raw["file"]
    compressor = file == COMPRESSOR
    count, cores, batch = rules.instances(raw) if compressor else (None, None, None)
    size, text = _image(raw)
    shapes, stack = extra.get("input_shapes"), rules.stack(raw)
    row: Row = {
        "file": file, "ref": raw["ref"], "family": chips()[raw["chip_name"]].family, "chip": raw["chip_name"],
        "upstream": rules.upstream(raw), "canonical_key": rules.canonical_key(file, rules.network(raw)),
        "precision": rules.precision(raw), "batch": batch or _whole(raw["batch"]),
        "seq_len": _whole(raw["seq_len"]) or _whole(extra.get("in_len")), "image_size": size, "image_text": text,
        "shapes": json.dumps(shapes) if shapes else None, "phase": raw["phase"], "stack": stack,
        "software": raw["software"] or "", "layout": extra.get("layout") or "",
        "compiled": "compiled" in (stack or ""), "instances": count, "cores": cores,
        "new_tokens": rules.new_tokens(raw), "n_chips": rules.chip_count(raw),
        "stat": published.statistic(raw, extra), "printed": f"{raw['metric']} {raw['unit']}",
        "variant": rules.variant(raw), "scenario": extra.get("scenario") or "",
        "division": extra.get("division") or "", "gmacs": extra.get("gmacs"), "macts": extra.get("mactsM"),
        "mparams": extra.get("param_count_m"), "repeats": 1, "spread": 1.0, "note": rules.note(raw),
        "date": extra.get("commit_date", ""), "own": raw["chip"] if raw["chip_name"] == "amd-mi210" else "",
    }  # fmt: skip
    row["metric"], row["value"], row["unit"] = rules.figure(raw, row)
    return row | {"match_use": rules.use(row, raw)}


def _image(raw: Raw) -> tuple[int | None, str | None]:
    """Side of a square image, or the text of another; ModelZoo's language models carry other networks' sizes."""
    text = str(raw["image_size"] or raw["extra"].get("spatial") or "")
    text = "" if text == "nan" else text
    if raw["file"] == "ascend_modelzoo" and re.search("/nlp/|tinybert", raw["model"], re.I) and "x" in text:
        text = "" if re.search("bert|gpt|textcnn", raw["model"], re.I) else text
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match:
        return (int(match[1]), None) if match[1] == match[2] else (None, text)
    return _whole(raw["image_size"]) if text else None, None


def copies(rows: list[Row]) -> set[int]:
    """ModelZoo keeps some networks in up to three folders (trap 5): the same rates at the same batches.

    Two different networks may meet in one figure by chance; copies share their name, or two figures or more.
    """
    cells = defaultdict(list)
    for index, row in enumerate(rows):
        if row["file"] == "ascend_modelzoo":
            cells[row["chip"], row["batch"], row["metric"], round(row["value"], 6)].append(index)
    shared: dict[tuple[str, str], list[int]] = defaultdict(list)
    for found in cells.values():
        for second in found[1:]:
            if rows[second]["upstream"] != rows[found[0]]["upstream"]:
                shared[rows[found[0]]["upstream"], rows[second]["upstream"]].append(second)
    gone = set()
    for indices in shared.values():
        keys = {rows[index]["canonical_key"] for index in indices}
        first = next(found[0] for found in cells.values() if indices[0] in found)
        if len(indices) > 1 or keys == {rows[first]["canonical_key"]}:
            gone.update(indices)
    return gone


def repeated(rows: list[Row]) -> set[int]:
    """The same figure at the same setting in the same repository."""
    seen: set[tuple[Any, ...]] = set()
    gone = set()
    for index, row in enumerate(rows):
        key = (row["ref"].split("@")[0], row["value"], *(row[name] for name in SETTING))
        if key in seen and row["file"] != "co2_inference":  # whose repeats are runs of their own
            gone.add(index)
        seen.add(key)
    return gone


def _settings(rows: list[Row], *without: str, file: str | None = None) -> list[list[int]]:
    names = tuple(name for name in SETTING if name not in without)
    groups = defaultdict(list)
    for index, row in enumerate(rows):
        if file in (None, row["file"]):
            groups[tuple(row[name] for name in names)].append(index)
    return list(groups.values())


def disagreeing(rows: list[Row]) -> set[int]:
    """Settings whose figures differ by more than repeats or versions explain: one name hides two networks."""
    versions = _settings(rows, "software", file=COMPRESSOR)
    gone = set()
    for group in versions + _settings(rows):
        values = [rows[index]["value"] for index in group]
        if max(values) > DISAGREE * min(values):
            gone.update(group)
    return gone


def older(rows: list[Row]) -> set[int]:
    """Neural Compressor rows that a newer commit of the same table measures again."""
    gone = set()
    for group in _settings(rows, "software", file=COMPRESSOR):
        newest = max(rows[index]["date"] for index in group)
        gone.update(index for index in group if rows[index]["date"] != newest)
    return gone


def paired(rows: list[Row]) -> set[int]:
    """Rates beside a printed latency of the same setting: batch / latency, or a mean that a copy loop limits."""
    gone = set()
    for group in _settings(rows, "printed", "stat"):
        rates = [index for index in group if rows[index]["printed"].startswith("throughput")]
        if len(rates) < len(group):
            gone.update(rates)
    return gone


def falling(rows: list[Row]) -> set[int]:
    """Series whose rate drops like 1 / batch: the rate printed was calls, not samples (trap 1)."""
    gone = set()
    for series in _series(rows):
        rate = {index: rows[index]["batch"] / rows[index]["value"] for index in series}
        largest = max(series, key=lambda index: rows[index]["batch"])
        if rate[largest] < FALLS * max(rate.values()):
            gone.update(series)
    return gone


def off_curve(rows: list[Row]) -> set[int]:
    """Single cells off the batch curve of their series (trap 4); the worst goes first and the rest is judged again."""
    gone = set()
    for series in _series(rows):
        left = sorted(series, key=lambda index: rows[index]["batch"])
        while len(left) > 2:
            points = [(rows[index]["batch"], rows[index]["value"]) for index in left]
            worst = max(range(len(left)), key=lambda place: excess(points, place))
            if excess(points, worst) <= OFF:
                break
            gone.add(left.pop(worst))
    return gone


def excess(points: list[tuple[int, float]], place: int) -> float:
    """Factor by which a time lies outside what its neighbours allow, 1 inside.

    More samples take no less time, and no more than in proportion: the rate does not fall.

    >>> excess([(1, 1.0), (2, 80.0), (4, 4.0)], 1)
    20.0
    """
    batch, ms = points[place]
    beside = slice(max(min(place - 1, len(points) - 3), 0), None)  # one on each side, or two where a side is empty
    others = [point for point in points[beside][:3] if point[0] != batch]
    bounds = [sorted((time, time * batch / other)) for other, time in others]
    low, high = min(bound[0] for bound in bounds), max(bound[1] for bound in bounds)  # generous: one may be wrong
    return max(low / ms, ms / high, 1.0)


def _series(rows: list[Row]) -> list[list[int]]:
    """Latency rows of one network in one setting over three batches or more."""
    groups = defaultdict(list)
    for index, row in enumerate(rows):
        if row["metric"] == "latency" and row["batch"]:
            groups[(*(row[name] for name in SERIES if name != "upstream"), _sized(row))].append(index)
    return [group for group in groups.values() if len({rows[index]["batch"] for index in group}) > 2]


def _sized(row: Row) -> str:
    """The upstream name without the batch that ModelZoo writes into it; the variant where that is a setting."""
    name = re.sub(r"\W*bs\d+\W*", "", row["upstream"])
    return name if row["file"] == "ascend_modelzoo" else f"{name}; {row['variant']}"


def merged(rows: list[Row]) -> list[Row]:
    """Repeats of one setting as their median, with the reference of the repeat nearest to it."""
    found = []
    for group in _settings(rows):
        members = [rows[index] for index in group]
        middle = median(row["value"] for row in members)
        nearest = min(members, key=lambda row: abs(row["value"] - middle))
        values = [row["value"] for row in members]
        found.append(nearest | {"value": middle, "repeats": len(members), "spread": max(values) / min(values)})
    return found


TABLE_RULES: tuple[tuple[str, str, Callable[[list[Row]], set[int]]], ...] = (
    ("copy", "the same rates under another folder of ModelZoo", copies),
    ("repeated", "the same figure at the same setting in the same repository", repeated),
    ("figures disagree", f"one setting, figures more than {DISAGREE} times apart", disagreeing),
    ("older commit", "measured again by a newer commit of the same table", older),
    ("throughput beside a latency", "one of the two is enough", paired),
)  # fmt: skip
CURVE_RULES = (
    ("rate falls with batch", f"the largest batch keeps less than {FALLS} of the best rate", falling),
    ("off the batch curve", f"more than {OFF:g} times off what the neighbouring batches allow", off_curve),
)


def table(raws: Iterable[Raw], say: Say = print) -> tuple[list[Row], list[Row]]:
    """Rows that may train, and those that may not with their rule; `say` gets a line for each rule."""
    kept, dropped = [], {name: Counter() for name, _, _ in DROPS}  # type: ignore[var-annotated]
    total = 0
    for raw in raws:
        total += 1
        reason = next((name for name, _, holds in DROPS if holds(raw)), None)
        if reason:
            dropped[reason][raw["file"]] += 1
        else:
            kept.append(normalise(raw))
    say(f"{total:6d} rows of whole models")
    for name, why, _ in DROPS:
        _tell(say, "dropped", name, why, dropped[name])
    rows, excluded = [row for row in kept if row["match_use"] == "train"], []
    for name, why, _ in rules.RULES:
        gone = [row for row in kept if row["match_use"] == f"exclude:{name}"]
        excluded += gone
        _tell(say, "excluded", name, why, Counter(row["file"] for row in gone))
    rows = _sift(rows, TABLE_RULES, excluded, say)
    cells = merged(rows)
    say(f"{len(rows) - len(cells):6d} merged, repeats of one setting: their median stays")
    return _sift(cells, CURVE_RULES, excluded, say), excluded


def _sift(rows: list[Row], sieves: Any, excluded: list[Row], say: Say) -> list[Row]:
    for name, why, find in sieves:
        gone = find(rows)
        _tell(say, "excluded", name, why, Counter(rows[index]["file"] for index in gone))
        excluded += [rows[index] | {"match_use": f"exclude:{name}"} for index in sorted(gone)]
        rows = [row for index, row in enumerate(rows) if index not in gone]
    return rows


def _tell(say: Say, verb: str, name: str, why: str, counts: Counter[str]) -> None:
    detail = ", ".join(f"{file} {count}" for file, count in counts.most_common(5))
    say(f"{counts.total():6d} {verb}, {name}: {why}{f' ({detail})' if detail else ''}")


def write(rows: list[Row], path: Path) -> None:
    """The rows in order of file, chip, network and setting as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
    order = sorted(rows, key=lambda row: tuple(str(row[name] or "").zfill(8) for name in SETTING))
    columns = {name: pa.array([row[name] for row in order], types[kind]) for name, kind in COLUMNS.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, compression="zstd")


def summary(rows: list[Row], say: Say = print) -> None:
    """How many rows there are by family, file, phase, stack, precision and metric."""
    names = ("family", "file", "phase", "metric", "stack", "precision")
    counts = Counter(tuple(str(row[name]) for name in names) for row in rows)
    models: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in rows:
        models[tuple(str(row[name]) for name in names)].add(row["canonical_key"])
    for key, count in sorted(counts.items()):
        say(f"{count:6d} rows {len(models[key]):5d} networks  {'  '.join(key)}")


def main() -> None:
    """Read, clean, write, and print what is there."""
    parser = argparse.ArgumentParser(description="Published measurements of whole models as one clean table.")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/models/rows.parquet"))
    arguments = parser.parse_args()
    rows, excluded = table(read(arguments.corpus))
    write(rows, arguments.out)
    write(excluded, arguments.out.with_suffix(".excluded.parquet"))
    summary(rows)
    print(f"{len(rows):6d} rows in {arguments.out}, {len(excluded)} beside it in {arguments.out.stem}.excluded.parquet")


if __name__ == "__main__":
    main()
