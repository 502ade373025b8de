"""Published measurements of whole models as one clean table, on which whole-model surrogates are trained and scored.

    python -m data_collection.tables.model_rows --corpus ../shared/corpus --out runs/models/rows.parquet

One row is one setting and one metric; throughput is converted to milliseconds per call of the whole batch. Rows that
must not be trained on go to `rows.excluded.parquet` beside it, with the rule in column `match_use`; every rule prints
how many rows it excluded.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from data_collection.tables import evidence_fields as published
from data_collection.tables import model_fields as fields
from data_collection.tables.corpus import chip_aliases
from data_collection.tables.model_columns import COLUMNS, SETTING, Row
from data_collection.tables.model_curves import CURVE_RULES
from data_collection.tables.model_filters import RULES, use
from data_collection.tables.model_repeats import COMPRESSOR, TABLE_RULES, merged
from hetbench.artifacts import replacing
from hetbench.catalog.chips import Chip, chips
from hetbench.errors import RefusedError, command

Raw = dict[str, Any]
Say = Callable[[str], None]


def read(corpus: Path) -> Iterable[Raw]:
    """Every model row of the corpus as a dict, with `extra` parsed and the catalogue's chip name added."""
    import pyarrow.parquet as pq

    aliases = chip_aliases(corpus)
    for path in sorted((corpus / "model").glob("*.parquet")):
        for raw in pq.read_table(path).to_pylist():
            alias = aliases.get((raw["platform"], raw["chip"]), {})
            die = path.stem == "neusight" and raw["chip"] == "amd-mi250"  # NeuSight runs one die, which equals an MI210
            yield raw | {
                "file": path.stem, "extra": json.loads(raw["extra"]) if raw["extra"] else {},
                "chip_name": "amd-mi210" if die else alias.get("canonical", ""),
                "certainty": alias.get("certainty", ""), "n_chips": _whole(raw["n_chips"]),
            }  # fmt: skip


def _whole(value: Any) -> int | None:
    """A positive integer; None if upstream states none, or a size per side."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return int(found) if math.isfinite(found) and found > 0 else None


def _usable(chip: Chip | None) -> bool:
    return bool(chip and chip.bandwidth and any(chip.peak_flops(name) for name in ("fp32", "fp16", "bf16")))


def _metric(raw: Raw) -> str | None:
    return published.METRICS.get(raw["metric"].removesuffix("_allocated"), (None, None))[0]


DROPS: tuple[tuple[str, str, Callable[[Raw], bool]], ...] = (
    ("part of a chip", "a MIG slice, a virtual GPU, or CPU and GPU together",
     lambda raw: raw["certainty"] == "partial"),
    ("chip without facts", "not in the catalogue, or without bandwidth or peak: no roofline",
     lambda raw: not _usable(chips().get(raw["chip_name"]))),
    ("other metric", "mfu, time to train, rates per card", lambda raw: _metric(raw) is None),
)  # fmt: skip


def normalise(raw: Raw) -> Row:
    """One row in the table's columns; values that are not stated are None."""
    raw = raw | {"metric": raw["metric"].removesuffix("_allocated")}
    extra, file = raw["extra"], raw["file"]
    compressor = file == COMPRESSOR
    count, cores, batch = fields.instances(raw) if compressor else (None, None, None)
    size, text = _image(raw)
    shapes, stack = extra.get("input_shapes"), fields.stack(raw)
    row: Row = {
        "file": file, "ref": raw["ref"], "family": chips()[raw["chip_name"]].family, "chip": raw["chip_name"],
        "upstream": fields.upstream(raw), "canonical_key": fields.canonical_key(file, fields.network(raw)),
        "precision": fields.precision(raw), "batch": batch or _whole(raw["batch"]),
        "seq_len": _whole(raw["seq_len"]) or _whole(extra.get("in_len")), "image_size": size, "image_text": text,
        "shapes": json.dumps(shapes) if shapes else None, "phase": raw["phase"], "stack": stack,
        "software": raw["software"] or "", "layout": extra.get("layout") or "",
        "compiled": "compiled" in (stack or ""), "instances": count, "cores": cores,
        "new_tokens": fields.new_tokens(raw), "n_chips": fields.chip_count(raw),
        "stat": published.statistic(raw, extra), "printed": f"{raw['metric']} {raw['unit']}",
        "variant": fields.variant(raw), "scenario": extra.get("scenario") or "",
        "division": extra.get("division") or "", "gmacs": extra.get("gmacs"), "macts": extra.get("mactsM"),
        "mparams": extra.get("param_count_m"), "repeats": 1, "spread": 1.0, "note": fields.note(raw),
        "date": extra.get("commit_date", ""), "own": raw["chip"] if raw["chip_name"] == "amd-mi210" else "",
    }  # fmt: skip
    row["metric"], row["value"], row["unit"] = fields.figure(raw, row)
    return row | {"match_use": use(row, raw)}


def _image(raw: Raw) -> tuple[int | None, str | None]:
    """Side of a square image, or the text of another size; ModelZoo's sizes of language models are dropped."""
    text = str(raw["image_size"] or raw["extra"].get("spatial") or "")
    text = "" if text == "nan" else text
    if raw["file"] == "ascend_modelzoo" and re.search("/nlp/|tinybert", raw["model"], re.I) and "x" in text:
        text = "" if re.search("bert|gpt|textcnn", raw["model"], re.I) else text
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match:
        return (int(match[1]), None) if match[1] == match[2] else (None, text)
    return _whole(raw["image_size"]) if text else None, None


def table(raws: Iterable[Raw], say: Say = print) -> tuple[list[Row], list[Row]]:
    """Rows for training, and excluded rows with their rule; `say` is called with a line per rule."""
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
    for name, why, _ in RULES:
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
    """Write the rows as Parquet, sorted by file, chip, network and setting."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
    order = sorted(rows, key=lambda row: tuple(str(row[name] or "").zfill(8) for name in SETTING))
    columns = {name: pa.array([row[name] for row in order], types[kind]) for name, kind in COLUMNS.items()}
    with replacing(path) as partial:
        pq.write_table(pa.table(columns), partial, compression="zstd")


def summary(rows: list[Row], say: Say = print) -> None:
    """Print the number of rows by family, file, phase, metric, stack and precision."""
    names = ("family", "file", "phase", "metric", "stack", "precision")
    counts = Counter(tuple(str(row[name]) for name in names) for row in rows)
    models: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in rows:
        models[tuple(str(row[name]) for name in names)].add(row["canonical_key"])
    for key, count in sorted(counts.items()):
        say(f"{count:6d} rows {len(models[key]):5d} networks  {'  '.join(key)}")


@command("stopped")
def main() -> None:
    """Read, clean, write, and print what is there."""
    parser = argparse.ArgumentParser(description="Published measurements of whole models as one clean table.")
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/models/rows.parquet"))
    arguments = parser.parse_args()
    rows, excluded = table(read(arguments.corpus))
    if not rows:
        raise RefusedError(f"no row of {arguments.corpus} can be used: a corpus has model/*.parquet.")
    write(rows, arguments.out)
    write(excluded, arguments.out.with_suffix(".excluded.parquet"))
    summary(rows)
    print(f"{len(rows):6d} rows in {arguments.out}, {len(excluded)} beside it in {arguments.out.stem}.excluded.parquet")


if __name__ == "__main__":
    main()
