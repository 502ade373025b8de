"""The shape of the project: one import direction, no circles, a light import, complete `__all__`, small files."""

from __future__ import annotations

import ast
import importlib
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hetbench

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("hetbench", "data_collection", "surrogates", "baselines", "plotting")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
HEAVY = (
    "torch", "pandas", "pyarrow", "autogluon", "onnx", "onnxruntime", "transformers", "duckdb", "sklearn",
    "huggingface_hub", "gdown", "requests", "httpx",
)  # fmt: skip
FLOORS = (
    "version", "mappings", "loading", "kernel", "errors", "checks", "formats", "schema", "metrics", "plugins",
    "display",
    "answers", "artifacts", "operators", "catalog", "graphs", "spaces", "tracing", "onnx", "predict", "serving",
    "training", "query", "knowledge", "attribution", "migration", "plans", "remote", "api", "pages", "service", "cli",
    "__main__",
)  # fmt: skip
"""Packages and modules of hetbench from the ground up: each imports only those before it."""
STEPS = {
    "data_collection": (
        "shared", "upstream", "importers", "sources", "tables", "extract", "networks", "checkpoints", "backends",
        "chip", "store", "profile", "suite", "tasks", "tune", "calibrate", "report", "validate", "commands",
    ),
    "surrogates": (
        "shared", "operators", "whole", "rgat", "power", "training", "serving", "knowledge", "peers", "publish",
        "commands",
    ),
}  # fmt: skip
"""Packages of the folders that are not installed, in the order of the pipeline: each imports only those before it."""
COMMANDS = {"data_collection": ("doctor",), "surrogates": ("train", "add", "rebuild")}
"""Modules at the top of a folder that stand above its packages; the other modules there are shared by all of them."""


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(path): path for path in SOURCES}


@cache
def _imports(path: Path) -> frozenset[str]:
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
    return frozenset(names)


def _files_imported(path: Path) -> Iterator[str]:
    """Modules of this project that a file imports by their own name: `from a.b import c` is a.b.c where that is one."""
    for name in _imports(path):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        if name and name != _module(path):
            yield name


def _upward(own: str, used: set[str], order: tuple[str, ...]) -> set[str]:
    """What of `used` does not stand before `own`; unknown names count, so a new package must be given its place."""
    before = set(order[: order.index(own) + 1]) if own in order else set()
    return used - before


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_imports_go_from_the_workshop_to_hetbench_and_never_between_its_folders(path: Path):
    own = path.relative_to(ROOT).parts[0]
    others = {name.split(".")[0] for name in _imports(path)} & set(FOLDERS) - {own}
    assert others <= (set() if own == "hetbench" else {"hetbench"})


@pytest.mark.parametrize("path", [p for p in SOURCES if p.is_relative_to(ROOT / "hetbench")], ids=_name)
def test_inside_hetbench_a_package_imports_only_those_below_it(path: Path):
    own = path.relative_to(ROOT / "hetbench").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    used = {name.split(".")[1] for name in _imports(path) if name.startswith("hetbench.")}
    assert not _upward(own, used & {file.split(".")[1] for file in MODULES if file.startswith("hetbench.")}, FLOORS)


def _step(path: Path) -> str:
    """The package of a file of a folder in STEPS, or `commands` or `shared` for the modules at its top."""
    folder, *inside = path.relative_to(ROOT).with_suffix("").parts
    if len(inside) > 1:
        return inside[0]
    return "commands" if inside[0] in COMMANDS[folder] else "shared"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.relative_to(ROOT).parts[0] in STEPS], ids=_name)
def test_inside_data_collection_and_surrogates_a_package_imports_only_those_before_it(path: Path):
    folder = path.relative_to(ROOT).parts[0]
    used = {_step(MODULES[name]) for name in _files_imported(path) if name.split(".")[0] == folder}
    assert not _upward(_step(path), used, STEPS[folder])


@pytest.mark.parametrize("folder", STEPS)
def test_every_package_of_a_folder_has_a_place_in_its_order(folder: str):
    packages = {path.parent.name for path in SOURCES if path.parent.parent == ROOT / folder}
    assert packages == set(STEPS[folder]) - {"shared", "commands"}


@pytest.mark.parametrize("folder", sorted({path.parent for path in SOURCES}), ids=_name)
def test_every_folder_with_code_is_a_package(folder: Path):
    assert (folder / "__init__.py").exists()


def test_a_new_upward_import_would_be_noticed():
    assert _upward("graphs", {"catalog", "query"}, FLOORS) == {"query"}
    assert _upward("predict", {"misc"}, FLOORS) == {"misc"}


def _circle(edges: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_one_another_in_a_circle():
    assert _circle({_module(path): set(_files_imported(path)) for path in SOURCES}) == []


def test_a_circle_would_be_noticed():
    assert sorted(set(_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}))) == ["a", "b", "c"]


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_files_have_at_most_300_lines_and_say_what_they_are(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text))


def test_half_of_the_files_have_at_most_150_lines():
    assert statistics.median(len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES) <= 150


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_the_body_of_a_function_has_at_most_40_lines(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            assert (node.end_lineno or 0) - body[0].lineno < 40, f"{node.name} is too long"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_no_module_is_a_drawer_for_odds_and_ends(path: Path):
    assert path.stem not in ("utils", "helpers", "common", "misc", "tools")


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("hetbench") and "__main__" not in name])
def test_every_all_names_what_is_there(name: str):
    module = importlib.import_module(name)
    listed = list(getattr(module, "__all__", []))
    assert len(listed) == len(set(listed))
    for entry in listed:
        assert getattr(module, entry) is not None


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if path.name == "__init__.py"])
def test_every_package_states_its_job_in_its_first_lines(name: str):
    stated = ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8"))) or ""
    assert 1 <= len(stated.partition("\n\n")[0].splitlines()) <= 2


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
    assert _run(f"import sys, hetbench.cli; print([n for n in {HEAVY} if n in sys.modules])") == "[]"


@pytest.mark.parametrize("first", ["", "import hetbench.catalog.models; ", "from hetbench.catalog import chip; "])
def test_listing_functions_stay_functions_beside_modules_of_the_same_name(first: str):
    code = f"{first}import hetbench; hetbench.HetBench; import hetbench.metrics, hetbench.catalog.chips; "
    code += "from hetbench.catalog.models import model; print(len(hetbench.models()), model('gpt2').name, "
    assert _run(code + "hetbench.metrics()['power'].unit, len(hetbench.chips()) > 100)") == "34 gpt2 W True"


def test_only_the_agreed_folders_are_at_the_top():
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT)
    if tracked.returncode or not tracked.stdout:
        pytest.skip("not a git checkout")
    tops = {line.split("/")[0] for line in tracked.stdout.splitlines() if "/" in line}
    assert tops <= {*FOLDERS, "configs", "tests", "findings", ".ci"}
