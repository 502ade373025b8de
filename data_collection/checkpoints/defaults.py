"""What the configuration classes of the installed transformers fill in, by model type."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

__all__ = ["facts", "version"]

_ASIDE = frozenset({
    "transformers_version", "architectures", "output_hidden_states", "return_dict", "dtype", "chunk_size_feed_forward",
    "id2label", "label2id", "problem_type", "use_cache", "initializer_range",
})  # fmt: skip
_ENDS = ("dropout", "_eps", "_epsilon", "pdrop", "_std", "_coef", "_loss", "_token_id")


def version() -> str:
    """Of transformers."""
    import transformers

    return str(transformers.__version__)


def facts(model_type: str, wanted: Iterable[str]) -> dict[str, Any]:
    """Defaults among the hyper-parameters that are `wanted`, and the other names that those have."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    made = CONFIG_MAPPING[model_type]
    aliases = dict(getattr(made, "attribute_map", {}))
    read = {*wanted, *(aliases[name] for name in wanted if name in aliases)}
    return {
        "defaults": {name: value for name, value in _values(made) if name in read},
        "aliases": {name: own for name, own in aliases.items() if name in read or own in read},
    }


def _values(made: Any) -> Iterable[tuple[str, Any]]:
    for field in dataclasses.fields(made):
        value = field.default
        if field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        kept = isinstance(value, int | float | str | list | tuple) and field.name not in _ASIDE
        if kept and not field.name.endswith(_ENDS):
            yield field.name, list(value) if isinstance(value, tuple) else value
