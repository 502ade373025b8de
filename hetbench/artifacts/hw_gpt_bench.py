"""HW-GPT-Bench's perplexity surrogates: their commit, the size and sha256 of each file, and where hetbench keeps them.

Three networks of 0.3 MB each, one for each of gpt-s, gpt-m and gpt-l (Apache-2.0). They are not part of hetbench;
`hetbench download --from hw-gpt-bench` fetches them to

    HOME/hw-gpt-bench/1f43ee8/perplexity_{s,m,l}.npz      HOME: $HETBENCH_HOME, else hetbench in the user's cache
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from hetbench.artifacts.integrity import home

__all__ = ["ADDRESS", "COMMIT", "FETCH", "NAME", "PINS", "REF", "SCALES", "Pin", "folder", "shapes"]

NAME = "hw-gpt-bench"
"""What `hetbench download --from` calls them."""
FETCH = f"hetbench download --from {NAME}"
COMMIT = "1f43ee8322e6295d56c1e2004319123509fd53b8"
_PATH = "data_collection/gpt_datasets/predictor_ckpts/metric"
REF = f"automl/HW-GPT-Bench@{COMMIT[:7]}:{_PATH}"
ADDRESS = f"https://raw.githubusercontent.com/automl/HW-GPT-Bench/{COMMIT}/{_PATH}"
SCALES = MappingProxyType({"s": 12, "m": 24, "l": 36})
"""Space gpt-* -> layers of its deepest network."""
WIDTH = 128


@dataclass(frozen=True, slots=True)
class Pin:
    """What a published file must be."""

    bytes: int
    sha256: str


PINS = MappingProxyType({
    "s": Pin(243_966, "e843a1afdcaa35707bd0a0659b8d88d9565ee7e2bc1ec30fb55e685f6193407b"),
    "m": Pin(280_830, "b2a05ec30a8b189ff7869bd02f0930687e76583e4ac67804f0c44e5cf3e19178"),
    "l": Pin(317_694, "4eb94732b81d45453109465fe965f46a087c5ac7cc573919bec0ecf666f5af30"),
})


def folder() -> Path:
    """Where the converted files are, or will be."""
    return home().parent / NAME / COMMIT[:7]


def shapes(scale: str) -> dict[str, tuple[int, ...]]:
    """Array -> shape of the network of a space: five linear layers on the one-hot choices of an architecture.

    >>> shapes("s")["fc1.weight"], shapes("s")["fc5.bias"]
    ((128, 80), (1,))
    """
    widths = (6 + 6 * SCALES[scale] + 2, WIDTH, WIDTH, WIDTH, WIDTH, 1)
    pairs = enumerate(zip(widths[1:], widths, strict=False), 1)
    return {
        f"fc{layer}.{what}": size
        for layer, (out, inner) in pairs for what, size in (("weight", (out, inner)), ("bias", (out,)))
    }  # fmt: skip
