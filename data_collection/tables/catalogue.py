"""Write the JSON beside the TOML tables of the catalogue: `python -m data_collection.tables.catalogue`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hetbench.catalog.toml_tables import TABLES, packed_table

__all__ = ["main"]


def main() -> None:
    """Write every table."""
    folder = Path(str(files("hetbench") / "catalog"))
    for name in TABLES:
        (folder / f"{name}.json").write_text(packed_table(name), encoding="utf-8")


if __name__ == "__main__":
    main()
