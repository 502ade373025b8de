"""From whatever a query takes for a model to the facts of its language model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hetbench.catalog.models import models
from hetbench.errors import RefusedError
from hetbench.graphs.huggingface import ConfigGraph, checkpoints, compose
from hetbench.graphs.model_graph import ModelGraph
from hetbench.graphs.names import find
from hetbench.serving.language import LanguageModel, language_model

__all__ = ["language_of", "named"]


@lru_cache(maxsize=512)
def named(name: str) -> LanguageModel:
    """The facts of the language model called `name`, by any name that `hetbench.graphs.names` resolves.

    >>> named("meta-llama/Llama-3.1-8B-Instruct").params  # 8,030,261,248 with the norms
    8029995008
    """
    return language_of(find(name))


def language_of(graph: ModelGraph) -> LanguageModel:
    """The facts of the language model that a graph is of.

    Raises `RefusedError` for a network that generates no text, or whose configuration is not known.
    """
    config = graph if isinstance(graph, ConfigGraph) else _configured(graph.name)
    if config is None or config.network.decoder is None:
        raise RefusedError(
            f"serving is answered for language models that generate from a Hugging Face configuration; {graph.name} "
            "is none. Give the model by its name on the hub, or by the path of its config.json."
        )
    return language_model(config.network.decoder, config.name, config.precision or "")


@lru_cache(maxsize=64)
def _configured(name: str) -> ConfigGraph | None:
    """The graph of a catalogue model's configuration."""
    record = models().get(name)
    known: Mapping[str, Any] = checkpoints()
    if record is not None:
        for spelling in (record.hf_id, *record.aliases):
            if spelling in known:
                return compose(known[spelling].config, name, known[spelling].ref)
    return None
