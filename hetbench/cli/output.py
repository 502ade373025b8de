"""How commands print: answers and tables as text, everything else as JSON or as lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hetbench.answers import Answer, Answers, digits, number
from hetbench.errors import escaped

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["print_answer", "print_answers", "print_json", "print_lines", "print_table"]

_WIDTH = 160  # columns of a table that is not printed to a terminal
_SHARES = 5  # operator types whose share of the time is printed


def print_json(value: Any) -> None:
    """A value as indented JSON."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_lines(lines: Iterable[str]) -> None:
    """Lines as they are, wrapped by nothing but the terminal; rich is not loaded for them."""
    for line in lines:
        print(escaped(line, keep="\n"))
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], as_json: bool) -> None:
    """Rows as an aligned table, or as JSON objects with the columns as keys."""
    from rich.table import Table

    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(_cell, row))
    _console().print(table)


def print_answer(answer: Answer) -> None:
    """One answer with its setting, notes and references."""
    print_lines([str(answer), f"  {_setting(answer)}", *(f"  {line}" for line in _evidence(answer))])


def print_answers(answers: Answers) -> None:
    """The answers in all metrics as a table, then notes, references and refusals."""
    from rich.table import Table

    print_lines([_setting(next(iter(answers.values())))] if answers else ["nothing could be answered"])
    both = any(answer.source is not None for answer in answers.values())
    table = Table("metric", "value", "interval", "kind", "level", "rows", box=None, pad_edge=False, header_style="bold")
    if both:
        table.add_column("source")
        table.add_column("ratio")
    for name, answer in answers.items():
        cells = [name, number(answer.value, answer.unit), _interval(answer), answer.kind, answer.level, answer.support]
        if both:
            cells += [number(answer.source.value, answer.unit) if answer.source else "", _ratio(answer)]
        table.add_row(*map(_cell, cells))
    _console().print(table)
    lines = [line for answer in answers.values() for line in _evidence(answer)]
    refused = (f"refused: {name}: {why}" for name, why in answers.refused.items())
    print_lines(f"  {line}" for line in (*dict.fromkeys(lines), *refused))


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False, markup=False)


def _cell(value: Any) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    if isinstance(value, list | tuple):
        return escaped(" ".join(map(str, value)))
    return escaped(str(value))


def _interval(answer: Answer) -> str:
    if answer.lower is None or answer.upper is None:
        return ""
    return f"{digits(answer.lower)} .. {digits(answer.upper)} at {100 * answer.interval_level:g} %"


def _ratio(answer: Answer) -> str:
    return "" if answer.ratio is None else digits(answer.ratio)


def _setting(answer: Answer) -> str:
    names = ("precision", "batch", "seq_len", "image_size", "phase", "stack", "protocol")
    known = [f"{name} {getattr(answer, name)}" for name in names if getattr(answer, name) is not None]
    where = [f"{answer.chip} ({answer.family})"] if answer.chip else []
    return ", ".join([str(answer.model or answer.operator), *where, *known])


def _evidence(answer: Answer) -> list[str]:
    """Shares of the time by operator type, notes and references, of the answer and of its source."""
    lines = []
    if answer.shares:
        top = sorted(answer.shares.items(), key=lambda item: -item[1])[:_SHARES]
        total = sum(answer.shares.values())
        lines.append("time: " + ", ".join(f"{name} {ms / total:.0%}" for name, ms in top))
    lines += [f"note: {note}" for note in answer.notes] + [f"ref: {ref}" for ref in answer.refs]
    if answer.source is not None:
        lines.append(f"source: {answer.source}")
        lines += [f"source note: {note}" for note in answer.source.notes]
        lines += [f"source ref: {ref}" for ref in answer.source.refs]
    return lines
