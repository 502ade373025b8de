"""Tables of the catalogue: TOML is what people write, JSON beside it what is read, since TOML takes long to parse.

`python -m data_collection.tables.catalogue` writes the JSON anew. It holds the checksum of the TOML it was made of;
where that has changed since, the TOML is parsed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zlib import crc32

__all__ = ["TABLES", "packed_table", "parsed", "read_table"]

TABLES = ("chips", "models", "sources")
_FOLDER = Path(__file__).parent


def read_table(name: str) -> dict[str, Any]:
    """What the TOML table of a name holds.

    >>> sorted(read_table("chips"))
    ['chips', 'defaults']
    """
    path = _FOLDER / f"{name}.toml"
    packed = path.read_bytes()
    try:
        twin = json.loads(path.with_suffix(".json").read_bytes())
        if twin["of"] == crc32(packed):
            return dict(twin["table"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return parsed(packed)


def packed_table(name: str) -> str:
    """The JSON that belongs beside the TOML table of a name."""
    packed = (_FOLDER / f"{name}.toml").read_bytes()
    return json.dumps({"of": crc32(packed), "table": parsed(packed)}, ensure_ascii=False, separators=(",", ":")) + "\n"


def parsed(packed: bytes) -> dict[str, Any]:
    """What the text of a TOML file holds."""
    import tomllib  # only where the JSON does not speak for it

    return tomllib.loads(packed.decode("utf-8"))
