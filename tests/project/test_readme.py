"""The READMEs tell the truth: every example gives the output that stands there, and every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.project.readme import DOCUMENTS, ROOT, matches, rendered

README = ROOT / "README.md"
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as they are made of their words."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_every_example_gives_the_output_that_stands_there(path: Path):
    text = path.read_text(encoding="utf-8")
    assert rendered(text) == text


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_every_link_leads_to_a_file_and_a_heading(path: Path):
    for target, anchor in _LINK.findall(path.read_text(encoding="utf-8")):
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), f"{target} is not there"
        assert not anchor or anchor in _anchors(found), f"{target} has no heading #{anchor}"


def test_the_readme_fits_ten_kilobytes_and_begins_with_what_it_is():
    text = README.read_text(encoding="utf-8")
    assert len(text.encode()) <= 10_000
    assert "```pycon" in text[:700]


def test_the_second_command_is_what_ci_runs():
    text = README.read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for step in ("pip install --editable '.[dev]'", "ruff check .", "mypy", "pytest"):
        assert step in text
    for step in ("--editable '.[dev]'", "ruff\" check .", "/mypy", "-m pytest"):
        assert step in script


def test_an_ellipsis_stands_for_any_text_of_a_line():
    assert matches("a run took ... s", "a run took 0.2 s")
    assert not matches("a run took ... s", "a run took 0.2 minutes")
    assert not matches("1.5 ms", "1.6 ms")
