"""Write the model card of a set of surrogates: purpose, download, training data, and all hold-outs.

Figures are copied from the evaluation cards beside the arrays (`surrogates.publish.report`); nothing is computed here.
"""

from __future__ import annotations

import json
from pathlib import Path

from hetbench.artifacts import FORMATS
from hetbench.catalog.sources import sources
from surrogates.publish.report import table, tables

_HEAD = """---
license: mit
library_name: hetbench
tags: [benchmark, latency, energy, accelerator, surrogate, nas]
---

# {name}

Surrogates of [hetbench](https://pypi.org/project/hetbench/): how long an AI model or operator takes on a chip, and what
it draws, predicted with an interval from published measurements. Arrays and tables alone (npz, JSON): nothing in this
set runs code when it is read.

```bash
hetbench download {label} --from {source}
hetbench artifacts use {label}
```
```python
from hetbench import HetBench
HetBench(artifacts="{label}").query("resnet-50", target="cuda", metric="latency")
```

Published by hetbench {version}, commit {commit}; `manifest.json` states the size and sha256 of every file.
"""
_LIMITS = """## What it is not

No measurement: a level A answer of hetbench is a published row, which is not in this set. Chips, stacks and families
that nothing here was fitted on are answered with the error of the tables below that leave them out, or refused.
"""


def model_card(folder: Path, name: str, source: str, version: str, commit: str) -> str:
    """The card as Markdown with the hub's front matter; `source` is the address of the published set."""
    label = name.rpartition("/")[2]
    parts = [
        _HEAD.format(name=name, label=label, source=source, version=version, commit=commit[:10]),
        "## Parts\n", table(("file", "id", "made by"), _parts(folder)),
        _LIMITS,
        "## Learned from\n",
        "Upstreams of measurements and their licences, as stated there; `hetbench sources` gives commits.\n",
        table(("source", "repository", "licence"), _upstreams()),
        "# What it reaches on what it never saw\n",
        "Cells: median absolute percentage error / mean / Kendall tau.\n",
        *tables(folder),
    ]  # fmt: skip
    return "\n".join(parts)


def _parts(folder: Path) -> list[tuple[str, object, object]]:
    """Each table of the set with its id and, if recorded, the command that made it."""
    rows = []
    for name in FORMATS:
        data = json.loads((folder / name).read_text())
        rows.append((name, data.get("id"), data.get("made_by")))
    return rows


def _upstreams() -> list[tuple[str, object, object]]:
    read = (each for each in sources().values() if each.operator_rows or each.model_rows)
    return [(each.name, each.repository, each.licence or "not known") for each in read]
