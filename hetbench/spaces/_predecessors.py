"""Architectures as other benchmarks and libraries write them, in the parameters of the spaces here.

HW-GPT-Bench writes `sample_embed_dim`, `sample_n_layer`, `sample_n_head`, `sample_mlp_ratio` and `sample_bias`, with
lists as long as its deepest network; AutoFormer `layer_num`, `num_heads` and a list of one `embed_dim` for each layer;
transformers `n_embd`, `hidden_size`, `num_hidden_layers` and `num_attention_heads`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hetbench.errors import InvalidInputError

__all__ = ["counterpart", "in_own_words"]

_WORDS = MappingProxyType({
    "embed_dim": "embed", "n_embd": "embed", "hidden_size": "embed", "d_model": "embed", "n_layer": "layers",
    "layer_num": "layers", "num_layers": "layers", "depth": "layers", "num_hidden_layers": "layers",
    "n_head": "heads", "num_heads": "heads", "num_attention_heads": "heads", "mlp_ratios": "mlp_ratio",
    "d": "depth", "w": "width",
})  # fmt: skip
"""Word of another library -> parameter here, where the space has it and has none of that word itself."""
_SUPERNET = "sample_"  # of HW-GPT-Bench, whose lists cover the deepest network


def counterpart(word: str, names: Collection[str]) -> str | None:
    """The parameter of a space that another library's word means; None where it means none.

    >>> counterpart("sample_n_head", ("embed", "heads")), counterpart("depth", ("depth", "width"))
    ('heads', 'depth')
    """
    bare = word.removeprefix(_SUPERNET)
    meant = bare if bare in names else _WORDS.get(bare)
    return meant if meant in names else None


def in_own_words(arch: Mapping[Any, Any], names: Collection[str]) -> dict[Any, Any]:
    """An architecture with the parameters `names` of a space; entries that have no counterpart stay as they are.

    Raises `InvalidInputError` where two entries mean one parameter.

    >>> in_own_words({"sample_embed_dim": 768, "sample_n_layer": 1, "sample_n_head": [12, 12]},
    ...              ("embed", "layers", "heads"))
    {'embed': 768, 'layers': 1, 'heads': [12]}
    """
    made: dict[Any, Any] = {}
    meant: dict[str, str] = {}
    for word, value in arch.items():
        own = word if word in names or not isinstance(word, str) else counterpart(word, names) or word
        if own in made:
            raise InvalidInputError(f"{meant[own]} and {word} both mean {own}: give one of them.")
        made[own], meant[own] = value, word
    layers = made.get("layers")
    for own, word in meant.items():
        if own == word or not isinstance(made[own], Sequence) or isinstance(made[own], str):
            continue
        if own == "embed" and made[own] and all(each == made[own][0] for each in made[own]):
            made[own] = made[own][0]
        elif isinstance(word, str) and word.startswith(_SUPERNET) and isinstance(layers, int):
            made[own] = list(made[own])[:layers]
    return made
