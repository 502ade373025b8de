"""The outputs and tables of the READMEs, computed: `python -m tests.project.readme` writes them into the files.

A `pycon` block is a session, a `console` block shell commands with their output, a `python` block a program that must
end without an error. `...` in an output stands for any text within a line. `bash` and `text` blocks are not run: they
need hardware, a network or minutes. A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`.
"""

from __future__ import annotations

import code
import contextlib
import importlib.util
import io
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.project.readme_tables import TABLES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path for pattern in ("*.md", "*/README.md", "data_collection/*/README.md") for path in ROOT.glob(pattern)
)
"""Every document that a person is meant to read; cards and reports are written by their own commands."""
_BLOCK = re.compile(r"^```(pycon|console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"<!-- table: ([a-z_]+) -->\n.*?<!-- end of table -->", re.DOTALL)
_SECONDS = 120


def session(block: str, names: dict[str, object]) -> str:
    """The Python session with every output replaced by the true one."""
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


def _said_by_hetbench(words: list[str]) -> tuple[int, str]:
    from hetbench.cli import main

    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(shown):
        try:
            main(words)
        except SystemExit as done:
            return int(done.code or 0), shown.getvalue()
    return 0, shown.getvalue()


def _said_by_module(words: list[str], folder: str) -> tuple[int, str]:
    """`python -m MODULE ...` of the checkout; what it writes goes to a folder that is thrown away."""
    words = [word.replace("runs/", f"{folder}/runs/") for word in words]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    return done.returncode, (done.stdout + (done.stderr if done.returncode else "")).replace(f"{folder}/", "")


def shell(block: str) -> str:
    """The shell commands, each with its true output; a line that ends in a backslash goes on."""
    out = []
    with tempfile.TemporaryDirectory() as folder:
        for lines in re.findall(r"^\$ .*?(?<!\\)$", block, re.MULTILINE | re.DOTALL):
            out.append(lines)
            words = shlex.split(lines[2:].replace("\\\n", " "), comments=True)
            assert words[0] in ("hetbench", "python"), "console blocks run hetbench and python -m only"
            run = _said_by_hetbench(words[1:]) if words[0] == "hetbench" else _said_by_module(words[1:], folder)
            assert not run[0] or "exit code" in lines, f"{lines}: exit code {run[0]}: {run[1]}"
            out += [line.rstrip() for line in run[1].rstrip().splitlines()]
    return "".join(f"{line}\n" for line in out)


def program(block: str) -> str:
    """The program as it stands, after it ran without an error; not run where a library that it imports is missing."""
    needed = re.findall(r"^(?:from|import) (\w+)", block, re.MULTILINE)
    if all(importlib.util.find_spec(name) for name in needed):
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        assert not done.returncode, done.stderr
    return block


def matches(stated: str, true: str) -> bool:
    """Whether an output is the true one, `...` standing for any text within a line."""
    pattern = ".*".join(re.escape(part) for part in stated.split("..."))
    return stated == true or ("..." in stated and re.fullmatch(pattern, true) is not None)


def _kept(stated: str, true: str) -> str:
    """The true output, with the lines that say `...` kept where they still hold."""
    before, after = stated.splitlines(), true.splitlines()
    if len(before) != len(after):
        return true
    return "".join(f"{one if matches(one, other) else other}\n" for one, other in zip(before, after, strict=True))


def rendered(text: str) -> str:
    """A document with the true outputs and tables."""
    names: dict[str, object] = {}

    def true(match: re.Match[str]) -> str:
        kind, block = match.groups()
        found = session(block, names) if kind == "pycon" else shell(block) if kind == "console" else program(block)
        return f"```{kind}\n{_kept(block, found)}```"

    text = _TABLE.sub(lambda match: f"<!-- table: {match[1]} -->\n{TABLES[match[1]]()}<!-- end of table -->", text)
    return _BLOCK.sub(true, text)


def main() -> None:
    """Write the true outputs into the documents that are named, else into all."""
    for path in [Path(name).resolve() for name in sys.argv[1:]] or DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        made = rendered(text)
        if made != text:
            path.write_text(made, encoding="utf-8")
            print(f"{path.relative_to(ROOT)} rewritten")


if __name__ == "__main__":
    main()
