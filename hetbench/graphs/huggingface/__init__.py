"""Operator graphs composed from Hugging Face configurations by arithmetic, without torch or transformers;
configurations and defaults of named checkpoints ship with hetbench."""

from __future__ import annotations

from hetbench.graphs.huggingface.graph import ConfigGraph
from hetbench.graphs.huggingface.registry import compose, model_types
from hetbench.graphs.huggingface.shipped import Checkpoint, checkpoints

__all__ = ["Checkpoint", "ConfigGraph", "checkpoints", "compose", "model_types"]
