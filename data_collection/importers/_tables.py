"""Read the tables of a README, in Markdown or HTML, as grids of plain text with the headings above them.

A cell that spans rows or columns is repeated in each. Links, images, tags and emphasis are removed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NamedTuple

__all__ = ["Table", "number", "plain", "tables"]


class Table(NamedTuple):
    """One table and its context."""

    line: int
    headings: tuple[str, ...]
    """The headings above it, outermost first."""
    above: str
    """Text between the last heading or table and this one."""
    head: list[str]
    """Column names; if there are several header rows, different names are joined by ` | `."""
    body: list[tuple[int, list[str]]]
    """(line, cells), with one cell per column."""


def tables(text: str) -> Iterator[Table]:
    """Every table of a text, in order."""
    lines = text.splitlines()
    headings: list[tuple[int, str]] = []
    above: list[str] = []
    at, fenced = 0, False
    while at < len(lines):
        line = lines[at]
        if line.lstrip().startswith("```") and line.count("```") == 1:
            fenced = not fenced or line.strip() != "```"  # a fence with a language always opens a block
        title = None if fenced else re.match(r"(#+)\s*(.+?)\s*#*$", line)
        if title:
            headings = [each for each in headings if each[0] < len(title[1])] + [(len(title[1]), plain(title[2]))]
            above = []
        elif "<table" in line.lower() or (at + 1 < len(lines) and "|" in line and _rule(lines[at + 1])):
            end, head, body = (_html if "<table" in line.lower() else _markdown)(lines, at)
            yield Table(at + 1, tuple(name for _, name in headings), " ".join(above).strip(), head, body)
            at, above = end, []
            continue
        else:
            above.append(plain(line))
        at += 1


def plain(text: str) -> str:
    """A cell or line without markup.

    >>> plain("**[ResNet-50](https://x.y)** <br>v1.5")
    'ResNet-50 v1.5'
    """
    text = re.sub(r"!\[[^]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    text = html.unescape(re.sub(r"<br ?/?>", " ", re.sub(r"<(?!br)/?[a-zA-Z][^>]*>", "", text)))
    return re.sub(r"\s+", " ", re.sub(r"\*\*|__|`|^\*|\*$", "", text)).strip()


def number(text: str) -> float | None:
    """A cell as a number, or None; commas separate thousands, or the fraction if they cannot.

    >>> number("1,234.5"), number("47,34"), number("12.5x")
    (1234.5, 47.34, None)
    """
    text = text.strip()
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d*)?", text):
        text = text.replace(",", "")
    return float(text.replace(",", ".")) if re.fullmatch(r"\d+([.,]\d*)?|\.\d+", text) else None


def _rule(line: str) -> bool:
    return "-" in line and "|" in line and not set(line) - set("|-: \t")


def _markdown(lines: list[str], at: int) -> tuple[int, list[str], list[tuple[int, list[str]]]]:
    head = _cells(lines[at])
    end, body = at + 2, []
    while end < len(lines) and "|" in lines[end]:
        cells = _cells(lines[end])[: len(head)]
        body.append((end + 1, cells + [""] * (len(head) - len(cells))))
        end += 1
    return end, head, body


def _cells(line: str) -> list[str]:
    return [plain(cell) for cell in re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))]


def _html(lines: list[str], at: int) -> tuple[int, list[str], list[tuple[int, list[str]]]]:
    end = at
    while end < len(lines) and "</table" not in lines[end].lower():
        end += 1
    parser = _Parser(at)
    parser.feed("\n".join(lines[at : end + 1]))
    rows = _spread(parser.rows)
    names = [[plain(cell) for cell in cells] for _, heading, cells in rows if heading]
    head = [" | ".join(dict.fromkeys(column)) for column in zip(*names, strict=True)]
    return end + 1, head, [(line, [plain(cell) for cell in cells]) for line, heading, cells in rows if not heading]


class _Cell(NamedTuple):
    text: str
    rows: int
    columns: int


class _Parser(HTMLParser):
    """(line, in the head, cells) of each row; a cell knows how far it spans."""

    def __init__(self, at: int) -> None:
        super().__init__(convert_charrefs=True)
        self.at = at
        self.rows: list[tuple[int, bool, list[_Cell]]] = []
        self._head = False
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "thead":
            self._head = True
        elif tag == "tbody":
            self._head = False
        elif tag == "tr":
            self.rows.append((self.getpos()[0] + self.at, self._head, []))
        elif tag in ("td", "th") and self.rows:
            self.rows[-1][2].append(_Cell("", int(told.get("rowspan") or 1), int(told.get("colspan") or 1)))
            self._open = True
        elif tag == "br" and self._open:
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "thead":
            self._head = False
        elif tag in ("td", "th", "tr"):
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open and self.rows[-1][2]:
            cell = self.rows[-1][2][-1]
            self.rows[-1][2][-1] = cell._replace(text=cell.text + data)


def _spread(rows: list[tuple[int, bool, list[_Cell]]]) -> list[tuple[int, bool, list[str]]]:
    """The grid: spanning cells are repeated, short rows are filled; without a header, the first row is used."""
    held: dict[int, tuple[int, str]] = {}  # column -> rows still covered, text
    grid = []
    for line, heading, cells in rows:
        row: dict[int, str] = {column: text for column, (_, text) in held.items()}
        held = {column: (left - 1, text) for column, (left, text) in held.items() if left > 1}
        at = 0
        for cell in cells:
            while at in row:
                at += 1
            for _ in range(cell.columns):
                row[at] = cell.text
                if cell.rows > 1:
                    held[at] = (cell.rows - 1, cell.text)
                at += 1
        if row:
            grid.append((line, heading, row))
    width = max((max(row) for _, _, row in grid), default=-1) + 1
    headless = not any(heading for _, heading, _ in grid)
    return [
        (line, heading or (headless and place == 0), [row.get(column, "") for column in range(width)])
        for place, (line, heading, row) in enumerate(grid)
    ]
