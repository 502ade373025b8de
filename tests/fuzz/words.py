"""Command lines: each ends with a documented exit code, without a traceback, and with JSON only where it answered."""

from __future__ import annotations

import contextlib
import io
import json
import random
from pathlib import Path

from hetbench.cli import main
from tests.fuzz.questions import ANSWERED, REFUSED
from tests.fuzz.values import slip, text

__all__ = ["command_line"]

_LINES = (
    "query gpt2 --target cuda --metric latency",
    "query bert-tiny --source cuda --target rocm --precision fp16 --batch 8 --json",
    "query gpt2 --target cann --phase decode --seq-len 64",
    "operator Linear m=8 n=8 k=8 --device cuda --precision fp16",
    "operator Softmax rows=8 cols=8 --device mlu --json",
    "coverage gpt2 --target mlu",
    "explain bert-tiny --target cann --by type",
    "migrate bert-tiny --targets mlu,cann --slo 5ms",
    "advise bert-tiny --target cuda",
    "models",
    "chips",
    "metrics",
    "operators",
    "spaces",
    "sources",
    "networks resnet",
    "stacks",
    "artifacts list",
    "artifacts use embedded",
    "artifacts verify",
    "artifacts remove x",
    "download --from x",
    "graph neighbours model:gpt2",
    "graph node chip:nvidia-l4",
    "graph why gpt2 cann",
    "graph nearest Linear m=8 n=8 k=8",
    "serve-plan Qwen/Qwen3-8B --target amd-mi300x --precision fp8 --slo ttft=500ms,tpot=30ms",
    "query Qwen/Qwen3-8B --target amd-mi300x --phase serving --chips 2 --parallel tp2",
    "report gpt2 --target cuda -o {scratch}/x.html",
    "query gpt2 --target cuda --chip-file {scratch}/none.toml",
    "query {scratch}/none.json --target cuda",
    "--version",
    "--help",
    "",
)
_EXTRA = (
    "--json",
    "--batch",
    "0",
    "-1",
    "nan",
    "8",
    "--precision",
    "fp99",
    "--stack",
    "--limit",
    "--confidence",
    "2",
    "--metric",
    "--chip-file",
    "/dev/null",
    "--source-value",
    "--artifacts",
    "--",
    "-h",
    "-o",
    "/dev/full",
    "/",
    "{scratch}",
    "\ud800",
)


def command_line(draw: random.Random, scratch: Path) -> str:
    """A command with words dropped, doubled, misspelt, swapped or added."""
    words = draw.choice(_LINES).replace("{scratch}", str(scratch)).split()
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        at = draw.randrange(len(words) + 1)
        way = draw.random()
        if way < 0.25 and words:
            del words[at - 1]
        elif way < 0.45 and words:
            words[at - 1] = slip(draw, words[at - 1])
        elif way < 0.6 and words:
            words[at - 1] = text(draw)[:5000]
        else:
            words.insert(at, draw.choice((*_EXTRA, text(draw)[:5000])).replace("{scratch}", str(scratch)))
    out, err = io.StringIO(), io.StringIO()
    code: object = "none"
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as done:
            code = done.code or 0
    assert code in (0, 2, 3, 4), f"exit code {code!r} of {words!r:.300}"
    said = out.getvalue() + err.getvalue()
    assert "Traceback" not in said, words
    assert said.strip(), f"nothing was said to {words!r:.300}"
    assert all(each.isprintable() or each in "\n\t" for each in said.replace("\x1b[?25h", "")), (
        f"control characters after {words!r:.300}"
    )
    if "--json" in words and code == 0 and "--help" not in words and "-h" not in words and "--version" not in words:
        json.loads(out.getvalue())
    if code:
        assert "{" not in out.getvalue()[:1], f"JSON beside exit code {code}: {words!r:.300}"
    return REFUSED if code else ANSWERED
