"""Read a Hugging Face configuration: `config.json` as a file or a mapping, with the defaults of its model type.

What a configuration leaves out is what the class of transformers fills in; those defaults, and the other names that a
class takes for a hyper-parameter, are read from the shipped table (`hetbench.graphs.huggingface.shipped`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from hetbench.errors import InvalidInputError, shown
from hetbench.graphs.huggingface.shipped import type_facts

__all__ = ["Config", "read"]

_MOST = 2**31
_JSON = (bool, int, float, str, list, tuple, Mapping, NoneType)


class Config:
    """The hyper-parameters of one network.

    >>> config = Config({"model_type": "gpt2", "n_embd": 64})
    >>> config.size("hidden_size"), config.size("n_layer")
    (64, 12)
    """

    def __init__(self, values: Mapping[str, Any], like: str = "") -> None:
        """`like` is the type whose defaults hold; left out, that of the configuration."""
        named = values.get("model_type") or like
        self.model_type = named if isinstance(named, str) else shown(named)
        facts = type_facts(like or self.model_type)
        self._other: Mapping[str, str] = facts["aliases"]
        self._values = dict(values)
        for shared, own in self._other.items():
            if shared in values:
                self._values.setdefault(own, values[shared])
        self._defaults: Mapping[str, Any] = facts["defaults"]

    def value(self, name: str, default: Any = None) -> Any:
        """The value under any of its names; None where neither the configuration nor its class has one."""
        own = self._other.get(name, name)
        found = self._values.get(own)
        if found is None:
            found = self._defaults.get(own)
        if not isinstance(found, _JSON):
            raise self._wrong(name, "a value of JSON", found)
        return default if found is None else found

    def given(self, name: str) -> bool:
        """Whether the configuration itself says something."""
        return self._values.get(self._other.get(name, name)) is not None

    def size(self, name: str, default: int | None = None) -> int:
        """A positive whole number; `InvalidInputError` where it is missing or none."""
        found = self.value(name, default)
        if isinstance(found, list) and 1 <= len(found) <= 3 and all(type(each) is int for each in found):
            found = found[0] if len(set(found)) == 1 else found  # [16, 16]: both sides of a patch
        whole = isinstance(found, int) or (isinstance(found, float) and found.is_integer())
        if not whole or isinstance(found, bool) or not 1 <= found <= _MOST:
            raise InvalidInputError(
                f"a configuration of type {shown(self.model_type)} needs {name}, a positive whole number; "
                + ("it is missing." if found is None else f"given: {shown(found)}.")
            )
        return int(found)

    def count(self, name: str, default: int = 0) -> int:
        """A whole number of at least 0."""
        found = self.value(name, default)
        return self.size(name, default) if found else 0

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false; `InvalidInputError` for anything else, "no" for instance."""
        found = self.value(name, default)
        if not isinstance(found, bool | int) or found not in (0, 1):
            raise self._wrong(name, "true or false", found)
        return bool(found)

    def bit(self, name: str, default: bool = False) -> int:
        """1 or 0, as the dims of operators want it."""
        return int(self.flag(name, default))

    def number(self, name: str, default: float) -> float:
        """A real number."""
        found = self.value(name, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not -_MOST <= found <= _MOST:
            raise self._wrong(name, "a number", found)
        return float(found)

    def text(self, name: str, default: str = "") -> str:
        """A word."""
        found = self.value(name, default)
        if not isinstance(found, str):
            raise self._wrong(name, "a word", found)
        return found

    def _wrong(self, name: str, wanted: str, found: object) -> InvalidInputError:
        return InvalidInputError(
            f"a configuration of type {shown(self.model_type)} has {name}={shown(found)}, which must be {wanted}."
        )

    def child(self, name: str, like: str = "") -> Config:
        """A nested configuration, such as `text_config`."""
        values = self.value(name)
        if not isinstance(values, Mapping):
            raise InvalidInputError(f"a configuration of type {shown(self.model_type)} needs {name}, a mapping.")
        return Config(values, like or str(values.get("model_type") or ""))

    @property
    def hidden(self) -> int:
        """Width of a token."""
        return self.size("hidden_size")

    @property
    def depth(self) -> int:
        """Layers."""
        return self.size("num_hidden_layers")

    @property
    def heads(self) -> int:
        """Heads of the queries."""
        return self.size("num_attention_heads")

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values: as many as of queries unless fewer are stated."""
        found = self.size("num_key_value_heads", self.heads)
        if self.heads % found:
            raise InvalidInputError(f"num_key_value_heads={found} must divide num_attention_heads={self.heads}.")
        return found

    @property
    def head_dim(self) -> int:
        """Width of a head: the share of one head unless stated."""
        return self.size("head_dim", max(self.hidden // self.heads, 1))

    def rotated(self, usual: float) -> int:
        """Rotated width of a head: `partial_rotary_factor` of it, wherever the configuration states that."""
        places = [self._values, *(self._values.get(name) for name in ("rope_parameters", "rope_scaling"))]
        stated = [place["partial_rotary_factor"] for place in places
                  if isinstance(place, Mapping) and place.get("partial_rotary_factor") is not None]  # fmt: skip
        share = stated[0] if stated else usual
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise self._wrong("partial_rotary_factor", "a number above 0 and up to 1", share)
        return int(self.head_dim * share)


def read(source: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """The configuration in a mapping, or in a JSON file or the folder that holds `config.json`.

    Raises `InvalidInputError` where that is no JSON object or names no `model_type`.
    """
    if isinstance(source, Mapping):
        values: Any = dict(source)
    else:
        path = Path(source)
        path = path / "config.json" if path.is_dir() else path
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidInputError(f"cannot read {path}: {error.strerror}.") from None
        except RecursionError:
            raise InvalidInputError(f"{path} is nested too deeply to be read.") from None
        except ValueError as error:
            raise InvalidInputError(f"{path} is no JSON: {error}.") from None
    if not isinstance(values, dict) or not isinstance(values.get("model_type"), str) or not values["model_type"]:
        raise InvalidInputError(
            'a model configuration is a JSON object with "model_type", as Hugging Face repositories hold it in '
            "config.json."
        )
    return values
