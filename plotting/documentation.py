"""The documentation site: READMEs, reports, notebooks and the docstrings of hetbench, built by MkDocs.

    python -m plotting.documentation                # writes build/site; needs pip install --editable '.[docs]'
    python -m plotting.documentation --execute      # runs the notebooks first and keeps their outputs

The pages are gathered in build/docs; neither folder is committed.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hetbench.errors import RefusedError, exit_code

__all__ = ["NOTEBOOKS", "api_pages", "as_markdown", "execute", "gather", "main", "notebooks", "settings"]

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = Path(__file__).resolve().parent / "notebooks"
BUILD = ROOT / "build"
_COPIED = (".md", ".png", ".svg")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?\)")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_TITLES = {
    "README.md": "Overview", "hetbench": "Guide", "data_collection": "Data collection", "surrogates": "Surrogates",
    "baselines": "Search", "plotting": "Figures", "tests": "Tests", "findings": "Findings",
}  # fmt: skip


def gather(out: Path, root: Path = ROOT) -> list[Path]:
    """Copy the tracked documents and pictures to `out`, at their places; returns them relative to it.

    A link to a file that is not copied, such as source, becomes its text.
    """
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    names = [Path(line) for line in listed.splitlines() if line.endswith(_COPIED)]
    for name in names:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.suffix == ".md":
            text = (root / name).read_text(encoding="utf-8")
            target.write_text(_linked(text, name, set(names), root), encoding="utf-8")
        else:
            shutil.copyfile(root / name, target)
    return names


def _linked(text: str, name: Path, known: set[Path], root: Path) -> str:
    """The document with only those links that lead to a document or picture of the site."""

    def kept(found: re.Match[str]) -> str:
        target = (root / name.parent / found[2]).resolve()
        inside = target.is_relative_to(root) and target.relative_to(root) in known
        return found[0] if inside else found[1]

    return _LINK.sub(kept, text)


def notebooks(folder: Path = NOTEBOOKS) -> list[Path]:
    """The notebooks, sorted by name."""
    return sorted(folder.glob("*.ipynb"))


def as_markdown(notebook: Mapping[str, Any]) -> str:
    """A notebook as Markdown: its text, its code, and the outputs that it holds; pictures are inside the page."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [_output(each) for each in cell.get("outputs", ())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _output(found: Mapping[str, Any]) -> str:
    data = found.get("data", {})
    if "image/png" in data:
        picture = base64.b64encode(base64.b64decode("".join(data["image/png"]))).decode()
        return f"![figure](data:image/png;base64,{picture})"
    text = "".join(found.get("text", data.get("text/plain", "")))
    return f"```text\n{_ANSI.sub('', text).rstrip()}\n```" if text.strip() else ""


def execute(paths: Iterable[Path]) -> None:
    """Run notebooks from the checkout and write them back with their outputs, without times and machine."""
    import nbformat
    from nbclient import NotebookClient

    for path in paths:
        read = nbformat.read(path, as_version=4)
        NotebookClient(read, timeout=600, resources={"metadata": {"path": str(ROOT)}}).execute()
        for cell in read.cells:
            cell.metadata = {}
        read.metadata = {"kernelspec": read.metadata["kernelspec"], "language_info": {"name": "python"}}
        nbformat.write(read, path)


def api_pages(out: Path, package: str = "hetbench", root: Path = ROOT) -> list[Path]:
    """One page a package of hetbench with every public module in it; returns them relative to `out`."""
    pages: dict[str, list[str]] = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not any(part.startswith("_") for part in parts) and "__all__" in path.read_text(encoding="utf-8"):
            pages.setdefault(parts[1] if len(parts) > 2 else package, []).append(".".join(parts))
    names = []
    for name, modules in pages.items():
        page = Path("reference") / f"{name}.md"
        (out / page.parent).mkdir(parents=True, exist_ok=True)
        text = "\n\n".join(f"## {module}\n\n::: {module}" for module in modules)
        (out / page).write_text(f"# {name}\n\n{text}\n", encoding="utf-8")
        names.append(page)
    return names


def settings(pages: Sequence[Path], reference: Sequence[Path], shown: Sequence[Path], out: Path) -> dict[str, Any]:
    """The configuration of MkDocs."""
    readmes = [page for page in pages if page.name == "README.md" and len(page.parts) <= 2]
    nav: list[Any] = [{_TITLES.get(page.parts[0], page.parts[0]): str(page)} for page in readmes]
    others = [page for page in pages if page.suffix == ".md" and page not in readmes and page.name != "README.md"]
    nav += [{"Notebooks": [{page.stem.replace("_", " "): str(page)} for page in shown]},
            {"Reports": [{str(page.with_suffix("")): str(page)} for page in others]},
            {"Reference": [{page.stem: str(page)} for page in reference]}]  # fmt: skip
    options = {"docstring_style": "google", "show_source": False, "heading_level": 3, "show_root_toc_entry": False}
    return {
        "site_name": "hetbench", "docs_dir": str(out), "site_dir": str(BUILD / "site"), "use_directory_urls": False,
        "theme": {"name": "material", "font": False, "features": ["navigation.indexes", "content.code.copy"]},
        "plugins": ["search", {"mkdocstrings": {"handlers": {"python": {"paths": [str(ROOT)], "options": options}}}}],
        "markdown_extensions": ["admonition", "tables", "fenced_code", "toc"], "nav": nav,
        "validation": {"nav": {"omitted_files": "ignore"}, "links": {"not_found": "warn", "anchors": "warn"}},
    }  # fmt: skip


def _build(run: bool) -> int:
    missing = [name for name in ("mkdocs", "material", "mkdocstrings", *(("nbclient",) if run else ()))
               if find_spec(name) is None]  # fmt: skip
    if missing:
        raise RefusedError(f"the documentation needs {', '.join(missing)}. Run: pip install --editable '.[docs]'")
    if run:
        execute(notebooks())
    out = BUILD / "docs"
    shutil.rmtree(out, ignore_errors=True)
    pages, shown = gather(out), []
    for path in notebooks():
        shown.append(Path("notebooks") / f"{path.stem}.md")
        (out / "notebooks").mkdir(exist_ok=True)
        text = as_markdown(json.loads(path.read_text(encoding="utf-8")))
        (out / shown[-1]).write_text(text, encoding="utf-8")
    chosen = BUILD / "mkdocs.yml"  # JSON is YAML too
    chosen.write_text(json.dumps(settings(pages, api_pages(out), shown, out), indent=1), encoding="utf-8")
    words = ["mkdocs", "build", "--quiet", "--config-file", str(chosen)]
    done = subprocess.run([sys.executable, "-m", *words], check=False)
    sys.stdout.write(f"{BUILD / 'site' / 'index.html'}\n" if done.returncode == 0 else "")
    return done.returncode


def main(argv: Sequence[str] | None = None) -> int:
    """Build the site."""
    made = argparse.ArgumentParser(prog="python -m plotting.documentation", description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    made.add_argument("--execute", action="store_true", help="run the notebooks first and keep their outputs")
    chosen = made.parse_args(argv)
    return exit_code(lambda: _build(chosen.execute), "stopped.")


if __name__ == "__main__":
    sys.exit(main())
