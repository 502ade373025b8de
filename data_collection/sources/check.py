"""Compare the rows of an importer with a prepared table of the corpus.

The key of a row is operator or model, chip, dims, dtype, phase, software and setting (split of an operator row; batch,
seq_len, image_size, metric, unit and n_chips of a model row). Values of one key are sorted and paired; a pair within
1e-6 is equal. The other rows are on one side only; `KNOWN` of the importer gives the reasons.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import data_collection.importers
from data_collection.upstream.differences import Known
from data_collection.upstream.pins import Pin
from hetbench import plugins

__all__ = ["Comparison", "compare", "prepared", "report"]

TOLERANCE = 1e-6
_KEY = {
    "op": ("op", "chip", "dims", "dtype", "phase", "software", "split"),
    "model": (
        "model", "chip", "precision", "batch", "seq_len", "image_size", "phase", "software", "metric", "unit",
        "n_chips",
    ),
}  # fmt: skip
_FIGURE = {"op": "latency_ms", "model": "value"}
_NUMBERS = ("batch", "seq_len", "image_size", "n_chips")


@dataclass
class Comparison:
    """Counts, and the rows without a partner on the other side."""

    equal: int = 0
    same_extra: int = 0
    """Rows whose key, figure and `extra` all occur on the other side."""
    here: list[dict[str, Any]] = field(default_factory=list)
    corpus: list[dict[str, Any]] = field(default_factory=list)


class _Side(NamedTuple):
    keys: Any  # int64 [rows]
    figures: Any  # float64 [rows]
    extras: Counter[int]


def compare(kind: str, here: Callable[[], Iterable[dict[str, Any]]],
            corpus: Callable[[], Iterable[dict[str, Any]]]) -> Comparison:  # fmt: skip
    """Each side is read once as hashes and values, and once more if it has rows without a partner."""
    mine, theirs = _side(kind, here()), _side(kind, corpus())
    alone_mine, alone_theirs = _paired(mine, theirs)
    made = Comparison(equal=len(mine.keys) - len(alone_mine))
    made.same_extra = sum((mine.extras & theirs.extras).values())
    made.here = _picked(here, alone_mine)
    made.corpus = _picked(corpus, alone_theirs)
    return made


def prepared(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a prepared table, in batches."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=20_000):
        yield from batch.to_pylist()


def report(pin: Pin, made: Comparison, examples: int = 3) -> list[str]:
    """Lines to print: counts, then each reason with the number of rows it explains, then examples of the rest."""
    lines = [
        f"{pin.name}: {made.equal:,} equal ({made.same_extra:,} with equal extra), "
        f"{len(made.here):,} only here, {len(made.corpus):,} only there"
    ]
    known: Sequence[Known] = getattr(plugins.load(data_collection.importers, pin.importer), "KNOWN", ())
    for side, rows in (("here", made.here), ("corpus", made.corpus)):
        left = rows
        for reason in (each for each in known if each.side == side):
            held = [row for row in left if reason.holds(row)]
            left = [row for row in left if not reason.holds(row)]
            if held:
                lines.append(f"  {'only here' if side == 'here' else 'only there'}, {len(held):,}: {reason.why}")
        if left:
            lines.append(f"  {'only here' if side == 'here' else 'only there'}, {len(left):,}: not explained")
            lines += [f"    {_shown(pin.kind, row)}" for row in left[:examples]]
    return lines


def _side(kind: str, rows: Iterable[dict[str, Any]]) -> _Side:
    import numpy as np

    keys, figures, extras = [], [], Counter[int]()
    for row in rows:
        key = _key(kind, row)
        figure = float(row[_FIGURE[kind]])
        keys.append(_hash(key))
        figures.append(figure)
        extras[_hash(f"{key}|{figure:.6g}|{_canonical(row.get('extra'))}")] += 1
    return _Side(np.array(keys, dtype=np.int64), np.array(figures), extras)


def _paired(mine: _Side, theirs: _Side) -> tuple[set[int], set[int]]:
    """Row numbers on each side without a partner."""
    import numpy as np

    orders = [np.lexsort((side.figures, side.keys)) for side in (mine, theirs)]
    alone: tuple[set[int], set[int]] = (set(), set())
    a = b = 0
    while a < len(orders[0]) and b < len(orders[1]):
        i, j = int(orders[0][a]), int(orders[1][b])
        first, second = (mine.keys[i], mine.figures[i]), (theirs.keys[j], theirs.figures[j])
        if first[0] == second[0] and abs(first[1] - second[1]) <= TOLERANCE * max(abs(first[1]), abs(second[1])):
            a, b = a + 1, b + 1
        elif first < second:
            alone[0].add(i)
            a += 1
        else:
            alone[1].add(j)
            b += 1
    alone[0].update(int(i) for i in orders[0][a:])
    alone[1].update(int(j) for j in orders[1][b:])
    return alone


def _picked(rows: Callable[[], Iterable[dict[str, Any]]], wanted: set[int]) -> list[dict[str, Any]]:
    return [row for number, row in enumerate(rows()) if number in wanted] if wanted else []


def _key(kind: str, row: dict[str, Any]) -> str:
    return "|".join(_part(name, row.get(name)) for name in _KEY[kind])


def _part(name: str, value: Any) -> str:
    if value is None or value == "" or value != value:
        return ""
    if name == "dims":
        return _canonical(value)
    if name in _NUMBERS:
        try:
            return f"{float(value):g}"
        except ValueError:
            return str(value)
    return str(value)


def _canonical(text: str | None) -> str:
    return json.dumps(_plain(json.loads(text)), sort_keys=True) if text else ""


def _plain(value: Any) -> Any:
    """Integral floats as integers, other floats to ten digits, so that 1, 1.0 and rounding differences are equal."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(f"{value:.10g}")
    return value


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def _shown(kind: str, row: dict[str, Any]) -> str:
    cells = {name: row.get(name) for name in (*_KEY[kind], _FIGURE[kind], "extra", "ref")}
    return str({name: value for name, value in cells.items() if value is not None})[:600]
