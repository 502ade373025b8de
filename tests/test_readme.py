"""The README tells the truth: its Python and shell examples are run and give the output that stands there.

`python tests/test_readme.py` writes the true output into the README after a surrogate was trained anew.
"""

from __future__ import annotations

import code
import contextlib
import io
import re
import shlex
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
_BLOCK = re.compile(r"^```(pycon|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TABLE = "<!-- coverage: written by tests/test_readme.py -->", "<!-- end of coverage -->"
_SHOWN = ("resnet-50", "bert-base", "gpt2")


def _python(block: str, names: dict[str, object]) -> str:
    """The session with every output replaced by the true one."""
    out, console = [], code.InteractiveConsole(names)
    for line in block.splitlines():
        if not line.startswith((">>> ", "... ")):
            continue
        out.append(line)
        with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(shown):
            console.push(line[4:])
        text = shown.getvalue().rstrip()
        out += text.splitlines()[-1:] if "Traceback" in text else text.splitlines()
    return "".join(f"{line}\n" for line in out)


def _shell(block: str) -> str:
    from hetbench.cli import main

    out = []
    for line in block.splitlines():
        if not line.startswith("$ "):
            continue
        out.append(line)
        words = shlex.split(line[2:], comments=True)
        assert words[0] == "hetbench", "console blocks run hetbench only; others are bash blocks"
        with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(shown):
            try:
                main(words[1:])
            except SystemExit as done:
                if done.code and "exit code" not in line:
                    raise AssertionError(f"{line}: exit code {done.code}: {shown.getvalue()}") from None
        out += [text.rstrip() for text in shown.getvalue().rstrip().splitlines()]
    return "".join(f"{line}\n" for line in out)


def coverage_table() -> str:
    """What the shipped surrogates and evidence hold for each family, and the level at which they answer."""
    from hetbench import HetBench, chips, evidence, predictors
    from hetbench.chips import default_chip
    from hetbench.schema import FAMILIES

    api = HetBench()
    cells = [cell for spec in predictors.load().classes.values() for cell in spec["cells"]]
    family = {name: chip.family for name, chip in chips().items()}
    lines = [
        "| family | default chip | chips in the catalogue | with operator rows | measured rows of the 34 models |"
        " level of ResNet-50, BERT-Base, GPT-2 |",
        "|---|---|---|---|---|---|",
    ]
    for name in FAMILIES:
        measured = {cell[1] for cell in cells if family.get(cell[1]) == name}
        rows = sum(row.family == name for row in evidence.rows())
        levels = [api.query(model, target=name, metric="latency", batch=3).level for model in _SHOWN]
        lines.append(
            f"| {name} | {default_chip(name)[0].name} | {sum(each == name for each in family.values())} |"
            f" {len(measured)} | {rows:,} | {', '.join(map(str, levels))} |"
        )
    return "\n".join(lines) + "\n"


def rendered(text: str) -> str:
    """The README with the true outputs."""
    names: dict[str, object] = {}

    def true(match: re.Match[str]) -> str:
        kind, block = match.groups()
        body = _python(block, names) if kind == "pycon" else _shell(block)
        return f"```{kind}\n{body}```"

    table = f"{_TABLE[0]}\n{coverage_table()}{_TABLE[1]}"
    return _BLOCK.sub(true, re.sub(f"{_TABLE[0]}.*?{_TABLE[1]}", lambda _: table, text, flags=re.DOTALL))


def test_every_example_gives_the_output_that_stands_there():
    text = README.read_text(encoding="utf-8")
    assert len(_BLOCK.findall(text)) >= 3
    assert rendered(text) == text


def test_the_second_command_is_what_ci_runs():
    text = README.read_text(encoding="utf-8")
    script = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    for step in ("pip install --editable '.[dev]'", "ruff check .", "mypy", "pytest"):
        assert step in text
    for step in ("--editable '.[dev]'", "ruff\" check .", "/mypy", "-m pytest"):
        assert step in script


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
