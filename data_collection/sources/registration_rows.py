"""Update operator_registrations.csv from the registration file of a newer back end version.

    python -m data_collection.sources.registration_rows --corpus ../shared/corpus --backend cann --torch 2.13 \\
        --file op_plugin_functions.yaml --out DIR \\
        --ref Ascend/op-plugin@COMMIT:op_plugin/config/op_plugin_functions.yaml

`registrations_BACKEND.py` in this folder reads the registrations of one back end. The rows of its repository are
replaced, all others copied. Then run `python -m data_collection.sources.registrations --corpus DIR`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import data_collection.sources
from hetbench import plugins
from hetbench.artifacts import replacing
from hetbench.errors import command

__all__ = ["Row", "backends", "main", "parsed", "renewed"]

NAME = "operator_registrations.csv"
_PREFIX = "registrations_"


class Row(NamedTuple):
    """One registration; `suffix` follows the reference of the file."""

    platform: str
    operator: str
    support: str
    suffix: str = ""


@command("stopped")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--backend", choices=backends(), required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--ref", required=True, help="repository@commit:path of the file")
    parser.add_argument("--torch", default="", help="PyTorch version, if the file covers several")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with (options.corpus / NAME).open(newline="") as stream:
        old = list(csv.DictReader(stream))
    source = import_module(f"data_collection.sources.{_PREFIX}{options.backend}")
    found = list(source.rows(options.file.read_text(), options.torch))
    new = renewed(old, found, source.REPOSITORY, options.ref)
    options.out.mkdir(parents=True, exist_ok=True)
    with replacing(options.out / NAME) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ("platform", "aten_op", "support", "ref"))
        writer.writeheader()
        writer.writerows(new)
    print(f"{options.out / NAME}: {len(new):,} rows, {len(found):,} of them from {options.ref}; before {len(old):,}")


def backends() -> list[str]:
    """The back ends whose registration files can be read, by file name."""
    listed = plugins.names(data_collection.sources)
    return [each.removeprefix(_PREFIX) for each in listed if each.startswith(_PREFIX)]


def renewed(old: Iterable[dict[str, str]], found: Iterable[Row], repository: str, ref: str) -> list[dict[str, str]]:
    """The rows, with those of one repository (by the prefix of their reference) replaced."""
    kept = [row for row in old if not row["ref"].startswith(repository)]
    return kept + [
        {"platform": row.platform, "aten_op": row.operator, "support": row.support, "ref": ref + row.suffix}
        for row in found
    ]


def parsed(text: str) -> Any:
    """A YAML document as plain values."""
    import yaml

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


if __name__ == "__main__":
    main()
