"""The documentation site: what is gathered, which links stay, and notebooks whose code runs."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from plotting import documentation


def test_documents_keep_their_places_and_only_links_that_lead_somewhere(tmp_path: Path):
    pages = documentation.gather(tmp_path)
    assert {Path("README.md"), Path("hetbench/README.md"), Path("baselines/report.md")} <= set(pages)
    for page in pages:
        assert (tmp_path / page).exists()
    for page in (page for page in pages if page.suffix == ".md"):
        for _, target, _ in documentation._LINK.findall((tmp_path / page).read_text(encoding="utf-8")):
            assert (tmp_path / page.parent / target).exists(), f"{page}: {target}"


def test_a_link_to_source_becomes_its_text():
    known = {Path("a/README.md"), Path("b.md")}
    text = "[b](../b.md#top) [code](../hetbench/api.py) [web](https://example.org) ![p](p.png)"
    made = documentation._linked(text, Path("a/README.md"), known, documentation.ROOT)
    assert made == "[b](../b.md#top) code [web](https://example.org) ![p](p.png)"


def test_every_public_module_of_hetbench_has_a_place_in_the_reference(tmp_path: Path):
    pages = documentation.api_pages(tmp_path)
    text = "".join((tmp_path / page).read_text(encoding="utf-8") for page in pages)
    for module in ("hetbench.api", "hetbench.query.architecture_queries", "hetbench.spaces.quality"):
        assert f"::: {module}\n" in text
    assert "._" not in text


def test_the_site_names_only_pages_that_are_there(tmp_path: Path):
    pages, reference = documentation.gather(tmp_path), documentation.api_pages(tmp_path)
    made = documentation.settings(pages, reference, [], tmp_path)

    def places(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        inside = entry.values() if isinstance(entry, dict) else entry
        return [place for each in inside for place in places(each)]  # type: ignore[attr-defined]

    named = places(made["nav"])
    assert len(named) == len(set(named)) > 20
    assert all((tmp_path / name).exists() for name in named)
    assert {"Overview": "README.md"} in made["nav"]


def test_a_notebook_becomes_text_code_and_outputs():
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": ["print(1)"], "outputs": [{"output_type": "stream", "text": ["1\n"]}]},
        {"cell_type": "code", "source": ["x"], "outputs": [{"data": {"image/png": "aGk=\n"}}]},
    ]
    assert documentation.as_markdown({"cells": cells}) == (
        "# Title\nwords\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n```python\nx\n```\n\n"
        "![figure](data:image/png;base64,aGk=)\n"
    )


def test_without_mkdocs_the_command_says_what_to_install(capsys: pytest.CaptureFixture[str]):
    if find_spec("mkdocs"):
        pytest.skip("MkDocs is installed here")
    assert documentation.main([]) == 3
    assert "pip install --editable '.[docs]'" in capsys.readouterr().err


@pytest.mark.parametrize("path", documentation.notebooks(), ids=lambda path: path.stem)
def test_the_code_of_a_notebook_runs_and_its_outputs_are_there(path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("torch", "matplotlib"):
        pytest.importorskip(name)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert any(cell["outputs"] for cell in cells)
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    names: dict[str, object] = {}
    for cell in cells:
        source = "".join(line for line in cell["source"] if not line.startswith("%"))
        exec(compile(source, str(path), "exec"), names)


def test_there_are_three_notebooks_of_at_most_a_hundred_kilobytes():
    found = documentation.notebooks()
    assert [path.stem for path in found] == ["measure_and_calibrate", "migrate_serving", "nas_five_families"]
    assert all(path.stat().st_size < 100_000 for path in found)
