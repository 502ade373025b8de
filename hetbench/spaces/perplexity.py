"""Perplexity of gpt architectures by the surrogates of HW-GPT-Bench, once they are fetched.

Sukthanker et al. 2024 (arXiv:2405.10299) trained one supernet a space on OpenWebText and a network that predicts the
perplexity that an architecture has with the supernet's weights. It is that network's output, not a measurement, and not
the perplexity of the architecture trained by itself. HW-GPT-Bench states no interval, and hetbench has none.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.artifacts import hw_gpt_bench
from hetbench.errors import ArtifactError, RefusedError
from hetbench.spaces._space import Space

__all__ = ["PERPLEXITY", "one_hot", "perplexity", "surrogate_of"]

Array = NDArray[np.float64]
PERPLEXITY = "perplexity"
_ROWS = 8  # at a time: a fixed number, so that rounding depends on neither the batch nor the threads of a BLAS


def surrogate_of(space: Space) -> str:
    """The published file that answers for a space.

    >>> from hetbench.spaces import space
    >>> surrogate_of(space("gpt-s"))
    'automl/HW-GPT-Bench@1f43ee8:data_collection/gpt_datasets/predictor_ckpts/metric/perplexity_s.pt'
    """
    return f"{hw_gpt_bench.REF}/perplexity_{_scale(space)}.pt"


def perplexity(space: Space, codes: NDArray[np.int64]) -> Array:
    """Predicted perplexity of architectures of gpt-s, gpt-m or gpt-l, [n]; lower is better.

    Raises `RefusedError` with the command that fetches the surrogates where they are not there.
    """
    path = hw_gpt_bench.folder() / f"perplexity_{_scale(space)}.npz"
    if not path.exists():
        raise RefusedError(
            f"perplexity of {space.name} needs the surrogates that HW-GPT-Bench publishes. Run: {hw_gpt_bench.FETCH}. "
            f"Without them {space.quality} answers, a function of the number of parameters."
        )
    layers = _layers(path, path.stat().st_mtime_ns, _scale(space))
    given = one_hot(space, codes)
    padded = np.concatenate((given, np.zeros((-len(given) % _ROWS, given.shape[1]), np.float32)))
    hidden = padded.reshape(-1, _ROWS, given.shape[1])
    for number, (weight, bias) in enumerate(layers, 1):
        hidden = hidden @ weight.T + bias
        hidden = hidden if number == len(layers) else np.maximum(hidden, 0)
    return hidden.reshape(-1)[: len(given)].astype(np.float64)


def one_hot(space: Space, codes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Architectures as HW-GPT-Bench writes them, float32 [n, 8 + 6 x layers]: one-hot embed, layers, ratio of each
    layer, heads of each layer, and bias (true, false); zeros for layers that an architecture does not have.

    >>> from hetbench.spaces import space
    >>> s = space("gpt-s")
    >>> int(one_hot(s, s.codes([s.sample(0)])).sum()) == 3 + 2 * s.sample(0)["layers"]
    True
    """
    names = [each.name for each in space.parameters]
    order = ["embed", "layers", *(n for n in names if n.startswith("mlp_ratio.")),
             *(n for n in names if n.startswith("heads.")), "bias"]  # fmt: skip
    exists = space.active(codes)
    parts = []
    for name in order:
        column = space.column[name]
        code = codes[:, column] if name != "bias" else 1 - codes[:, column]
        hot = np.arange(len(space.parameters[column].choices)) == code[:, None]
        parts.append(hot & exists[:, column, None])
    return np.concatenate(parts, axis=1).astype(np.float32)


@lru_cache(maxsize=8)
def _layers(path: Path, changed: int, scale: str) -> list[tuple[Any, Any]]:
    """Weight [out, in] and bias [out] of each layer; a file that changed is read again."""
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in hw_gpt_bench.shapes(scale)}
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{path} is damaged: {error}. Run: {hw_gpt_bench.FETCH}") from None
    return [(arrays[f"fc{n}.weight"], arrays[f"fc{n}.bias"]) for n in range(1, 6)]


def _scale(space: Space) -> str:
    return space.name.removeprefix("gpt-")
