"""Operators on sources and software versions never seen: the tables that come first in the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Scores = Mapping[str, Any]
_METHODS = ("served", "learned", "constant", "roofline")
_WORST = 20
_PAIRS = 40


def rows_of(card: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The rows of one table of every class, with the class."""
    return [{"class": name, **row} for name, part in card["splits"].items() for row in part.get(key, ())]


def summary(rows: Iterable[Scores]) -> list[list[object]]:
    """Class, family, level, groups, n, median APE of each method, coverage and width: one line a row."""
    return [
        [row["class"], row["family"], row["level"], row["groups"], row["served"]["n"],
         *(row[method]["median_ape"] for method in _METHODS), row["inside"], row["width"]]
        for row in rows
    ]  # fmt: skip


HEAD: Sequence[str] = (
    "class", "family", "level", "sources", "n", "served %", "head alone %", "constant %", "roofline %", "inside 90 %",
    "upper / lower",
)  # fmt: skip


def parts(card: Mapping[str, Any]) -> Iterable[tuple[str, str, Sequence[str], list[list[object]]]]:
    """Title, sentence, head and rows of each table."""
    yield (
        "A source never seen",
        "All rows of a data set and engine are left out on every chip; the question names neither library nor layout. "
        "`served` is the blend that is answered; an interval is checked by the band that the other sources set. Level "
        "X: the shape lies outside what the chip's other rows cover. Rows of an older version of the engine that "
        "answers are not scored: who names no software means the newest.",
        HEAD, summary(rows_of(card, "leave_source_out")),
    )  # fmt: skip
    yield (
        "A software version never seen", "The newest version of each engine and chip is left out; older ones answer.",
        HEAD, summary(rows_of(card, "leave_version_out")),
    )  # fmt: skip
    worst = sorted(rows_of(card, "each_source"), key=lambda row: -row["served"])
    names = ("class", "source", "family", "level", "n", "ratio", "served", "constant", "roofline")
    yield (
        "The twenty worst sources", "`ratio` is the median measured / answered.", names,
        [[row[name] for name in names] for row in worst if row["n"] >= _WORST][:_WORST],
    )  # fmt: skip
    pairs = sorted(rows_of(card, "reproducibility"), key=lambda row: -row["n"])
    names = ("class", "chip", "one", "other", "protocols", "n", "difference", "ratio", "tenth", "ninetieth")
    yield (
        "Reproducibility",
        "Operators that two sources or versions timed on the same chip: median |log ratio| (`difference`), median "
        "ratio and its tenth and ninetieth percentile. No surrogate can err less on a source never seen.",
        names, [[row[name] for name in names] for row in pairs[:_PAIRS]],
    )  # fmt: skip
