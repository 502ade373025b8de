"""Read the cells of an .xlsx file with the standard library: sheet name -> rows of values by column letter."""

from __future__ import annotations

import io
import re
import zipfile
from xml.etree import ElementTree

__all__ = ["Row", "sheets"]

Row = dict[str, str]
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def sheets(content: bytes) -> dict[str, dict[int, Row]]:
    """Sheet -> row number -> column letter -> text of the cell; without empty cells."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        shared = _shared(archive)
        targets = {
            link.attrib["Id"]: link.attrib["Target"] for link in _parsed(archive, "xl/_rels/workbook.xml.rels")
        }
        found = {}
        for sheet in _parsed(archive, "xl/workbook.xml").iter(f"{_MAIN}sheet"):
            target = targets[sheet.attrib[_LINK]].removeprefix("/")
            path = target if target.startswith("xl/") else f"xl/{target}"
            found[sheet.attrib["name"]] = _rows(_parsed(archive, path), shared)
        return found


def _rows(root: ElementTree.Element, shared: list[str]) -> dict[int, Row]:
    rows: dict[int, Row] = {}
    for cell in root.iter(f"{_MAIN}c"):
        text = _text(cell, shared)
        place = re.fullmatch(r"([A-Z]+)(\d+)", cell.attrib["r"])
        if place and text:
            rows.setdefault(int(place[2]), {})[place[1]] = text
    return rows


def _text(cell: ElementTree.Element, shared: list[str]) -> str:
    kind = cell.attrib.get("t")
    if kind == "inlineStr":
        return "".join(part.text or "" for part in cell.iter(f"{_MAIN}t")).strip()
    value = cell.findtext(f"{_MAIN}v")
    if value is None or kind == "e":
        return ""
    return (shared[int(value)] if kind == "s" else value).strip()


def _shared(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    entries = _parsed(archive, "xl/sharedStrings.xml").iter(f"{_MAIN}si")
    return ["".join(part.text or "" for part in entry.iter(f"{_MAIN}t")) for entry in entries]


def _parsed(archive: zipfile.ZipFile, path: str) -> ElementTree.Element:
    return ElementTree.fromstring(archive.read(path))
