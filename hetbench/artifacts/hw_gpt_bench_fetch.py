"""Fetches HW-GPT-Bench's perplexity surrogates: checked by sha256 before they are read, kept as plain arrays."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from hetbench.artifacts.hw_gpt_bench import ADDRESS, COMMIT, PINS, Pin, folder, shapes
from hetbench.artifacts.manifest import sha256_of
from hetbench.artifacts.remote import remote
from hetbench.artifacts.torch_weights import weights
from hetbench.errors import ArtifactError

__all__ = ["URL", "fetch"]

URL = "HETBENCH_HW_GPT_BENCH_URL"
"""Environment variable with another place of the three files: an https address or a folder of this machine."""


def fetch(say: Callable[[str], object] = lambda text: None, pins: Mapping[str, Pin] = PINS) -> Path:
    """Fetch, check and convert the three files; all are kept or none, and the folder that holds them is returned.

    `say` is called with a line for each file. Raises `ArtifactError` where a file cannot be fetched, is not the pinned
    one, or has other arrays than such a network.
    """
    place = remote(os.environ.get(URL) or ADDRESS)
    target = folder()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as made:
            for scale, pin in pins.items():
                name = f"perplexity_{scale}.pt"
                say(f"{name} {pin.bytes:,} bytes")
                raw = Path(made) / name
                place.fetch(name, raw, pin.bytes)
                _convert(raw, pin, scale, place.source)
                raw.unlink()
            target.mkdir(exist_ok=True)
            for path in Path(made).iterdir():
                path.replace(target / path.name)
    except OSError as error:
        raise ArtifactError(f"{target} cannot be written: {error.strerror}. Set HETBENCH_HOME.") from None
    return target


def _convert(raw: Path, pin: Pin, scale: str, source: str) -> None:
    """Check a published file and write its arrays beside it."""
    size, digest = raw.stat().st_size, sha256_of(raw)
    if (size, digest) != (pin.bytes, pin.sha256):
        raise ArtifactError(
            f"{raw.name} of {source} has {size} bytes and sha256 {digest}; that of HW-GPT-Bench@{COMMIT[:7]} has "
            f"{pin.bytes} and {pin.sha256}. Nothing was kept."
        )
    arrays, wanted = weights(raw), shapes(scale)
    if {name: each.shape for name, each in arrays.items()} != wanted:
        raise ArtifactError(f"{raw.name} of {source} is no perplexity surrogate of gpt-{scale}: its arrays differ.")
    np.savez(raw.with_suffix(".npz"), **arrays)  # type: ignore[arg-type]
