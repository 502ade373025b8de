"""The shape of the project: one import direction, a light import, complete `__all__`, small files."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import hetbench

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("hetbench", "data_collection", "surrogates", "baselines", "plotting")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
HEAVY = (
    "torch", "pandas", "pyarrow", "autogluon", "onnxruntime", "transformers", "duckdb", "sklearn", "huggingface_hub",
    "gdown", "requests", "httpx",
)  # fmt: skip
ORDER = (
    "errors", "staging", "plugins", "metrics", "schema", "chips", "models", "operators", "features", "evidence",
    "signature", "knowledge_store", "why", "graph_export", "knowledge", "graph_memory", "graph", "auxiliary", "spaces",
    "composition", "forest", "perceptron", "heads", "answers", "sources", "sniff", "artifacts", "unpack", "remote",
    "download", "conditioning", "rgat",
    "predictors", "whole", "power", "migration", "question", "intervals", "latency", "batch", "solve", "tables",
    "observe", "transfer", "sides", "shapley", "split", "coverage", "placement", "rooflines", "contributions",
    "attribution", "actions", "grounds", "plans", "formats", "variants", "effects", "plan_search", "advise",
    "migrate", "fleet", "search", "tracing", "api", "explain", "page_parts",
    "page_svg", "page_data", "page_catalogue", "page_sections", "page", "page_site", "cli_artifacts", "cli_graph",
    "cli_insight", "cli_page", "cli", "__main__",
)  # fmt: skip


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _imports(path: Path) -> set[str]:
    """Dotted names that a file imports anywhere, type-checking blocks left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        pending += list(ast.iter_child_nodes(node))
    return names


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_imports_go_from_the_workshop_to_hetbench_and_never_between_its_folders(path: Path):
    own = path.relative_to(ROOT).parts[0]
    others = {name.split(".")[0] for name in _imports(path)} & set(FOLDERS) - {own}
    assert others <= (set() if own == "hetbench" else {"hetbench"})


@pytest.mark.parametrize("path", [p for p in SOURCES if p.is_relative_to(ROOT / "hetbench")], ids=_name)
def test_inside_hetbench_a_module_imports_only_those_above_it(path: Path):
    own = path.relative_to(ROOT / "hetbench").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    used = {name.split(".")[1] for name in _imports(path) if name.startswith("hetbench.")}
    below = {name for name in used & set(ORDER) if ORDER.index(name) > ORDER.index(own)}
    assert below <= ({"tracing"} if own == "graph" else set())


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_files_are_small_and_say_what_they_are(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text)) or not text.strip()


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_functions_have_at_most_60_lines(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} is too long"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_no_module_is_a_drawer_for_odds_and_ends(path: Path):
    assert path.stem not in ("utils", "helpers", "common", "misc", "tools")


def _public_modules() -> list[str]:
    files = [path.relative_to(ROOT) for path in SOURCES if path.is_relative_to(ROOT / "hetbench")]
    return [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files]


@pytest.mark.parametrize("name", _public_modules())
def test_every_all_names_what_is_there(name: str):
    module = importlib.import_module(name)
    listed = list(getattr(module, "__all__", []))
    assert len(listed) == len(set(listed))
    for entry in listed:
        assert getattr(module, entry) is not None


def test_the_public_names_are_those_of_the_contract():
    assert hetbench.__all__ == sorted(hetbench.__all__)
    assert set(hetbench.__all__) >= {"Answer", "HetBench", "chips", "metrics", "models"}
    assert set(hetbench.__all__) <= set(dir(hetbench))


def _run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()  # fmt: skip


def test_importing_hetbench_loads_nothing_heavy():
    found = _run(f"import sys, hetbench; print([n for n in {HEAVY} + ('numpy',) if n in sys.modules])")
    assert found == "[]"


def test_a_query_loads_nothing_heavy():
    code = "import sys, hetbench; hetbench.HetBench().query('gpt2', target='cuda'); print(['numpy' in sys.modules] + "
    assert _run(code + f"[n for n in {HEAVY} if n in sys.modules])") == "[True]"


def test_the_commands_load_nothing_heavy_before_one_needs_it():
    assert _run(f"import sys, hetbench.cli.app; print([n for n in {HEAVY} if n in sys.modules])") == "[]"


@pytest.mark.parametrize("first", ["", "import hetbench.catalog.models; ", "from hetbench.catalog.chips import chip; "])
def test_listing_functions_stay_functions_beside_modules_of_the_same_name(first: str):
    code = f"{first}import hetbench; hetbench.HetBench; import hetbench.catalog.models, hetbench.catalog.chips, hetbench.metrics; "
    code += "from hetbench.catalog.models import model; print(len(hetbench.models()), model('gpt2').name, "
    assert _run(code + "hetbench.metrics()['power'].unit, len(hetbench.chips()) > 100)") == "34 gpt2 W True"


def test_only_the_agreed_folders_are_at_the_top():
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT)
    if tracked.returncode or not tracked.stdout:
        pytest.skip("not a git checkout")
    tops = {line.split("/")[0] for line in tracked.stdout.splitlines() if "/" in line}
    assert tops <= {*FOLDERS, "configs", "tests", ".ci"}
