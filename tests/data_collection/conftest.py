"""Fixtures of several importers' tests: files of upstreams, a few real lines each."""

from __future__ import annotations

import bz2
import io
import json
import zipfile
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data" / "importers"


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixtures as upstream has them: texts of binary files are packed."""
    root = tmp_path_factory.mktemp("upstream")
    for path in sorted(DATA.rglob("*")):
        if path.is_file():
            name, content = _packed(path)
            target = root / path.relative_to(DATA).with_name(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return root


def _packed(path: Path) -> tuple[str, bytes]:
    if path.name.endswith(".bz2.txt"):
        return path.name.removesuffix(".txt"), bz2.compress(path.read_bytes())
    if path.name.endswith(".parquet.json"):
        return path.name.removesuffix(".json"), _parquet(json.loads(path.read_text()))
    if path.name.endswith(".xlsx.json"):
        return path.name.removesuffix(".json"), _workbook(json.loads(path.read_text()))
    return path.name, path.read_bytes()


def _parquet(records: list[dict[str, object]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), stream)
    return stream.getvalue()


def _workbook(sheets: dict[str, dict[str, dict[str, str]]]) -> bytes:
    main, links = "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "officeDocument/2006/relationships"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        names = enumerate(sheets)
        listed = "".join(f'<sheet name="{name}" r:id="r{n}"/>' for n, name in names)
        archive.writestr("xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="http://schemas.openxmlformats.org/{links}"'
                                            f"><sheets>{listed}</sheets></workbook>")  # fmt: skip
        targets = "".join(f'<Relationship Id="r{n}" Target="worksheets/{n}.xml"/>' for n in range(len(sheets)))
        archive.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{targets}</Relationships>")
        for n, rows in enumerate(sheets.values()):
            cells = "".join(
                f'<c r="{letter}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
                for number, row in rows.items() for letter, text in row.items()
            )  # fmt: skip
            archive.writestr(f"xl/worksheets/{n}.xml", f'<worksheet xmlns="{main}"><row>{cells}</row></worksheet>')
    return stream.getvalue()
