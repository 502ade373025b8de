"""Configurations of named Hugging Face checkpoints, gathered from public repositories and from transformers, as the
compact table that `hetbench.graphs.huggingface` reads."""
