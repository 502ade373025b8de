"""The `rgat` surrogate at query time: cached vectors of operator types, and a decoder of plain arrays.

Training (`surrogates.rgat`) runs relational attention over the knowledge graph and stores what it gives to every
operator type. The decoder adds an operator's physics features and returns the mean, the noise and the kernel
coordinates of log(latency / base); `hetbench.predict.conditioning` turns the last two and observed operators into
corrections.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.artifacts.integrity import FORMATS
from hetbench.artifacts.sets import EMBEDDED
from hetbench.errors import ArtifactError
from hetbench.predict.features import CLASSES
from hetbench.predict.perceptron import silu
from hetbench.schema import PRECISIONS, PROTOCOLS

__all__ = ["CLIP", "COLUMNS", "NOISE_FLOOR", "Decoded", "Rgat", "load"]

FORMAT = FORMATS["rgat.json"]
COLUMNS = 64  # physics features of the widest class, padded
CLIP = 6.0  # standard deviations: features further out count as this far
NOISE_FLOOR = 0.02  # of log latency: no measurement repeats better
_CHUNK = 4096
_DTYPES = {name: at for at, name in enumerate(PRECISIONS)}
_USUAL_DTYPE = _DTYPES["fp32"]  # of operators on integers or booleans
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder says of operators, one entry a row."""

    mean: NDArray[np.float64]
    """log(latency / base)."""
    noise: NDArray[np.float64]
    """Standard deviation of what a repeated measurement would not explain."""
    coordinates: NDArray[np.float64]
    """Where the operator lies for the smooth kernels, [rows, coordinates]."""


class Rgat:
    """The arrays of one trained network.

    >>> features = np.zeros((1, 30), dtype=np.float32)
    >>> load().decode("gemm", features, [("Linear", "fp16", "event")], np.array([0])).mean.shape
    (1,)
    """

    def __init__(self, spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        if spec.get("format") != FORMAT:
            raise ArtifactError(f"rgat.json has format {spec.get('format')!r}; this hetbench reads {FORMAT}.")
        self.spec = spec
        self.id: str = spec["id"]
        self.types = {name: at for at, name in enumerate(spec["types"])}
        self.arrays = {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}
        self.scale = self.arrays["scale"].astype(np.float64)
        """log amplitudes of the kernel, [classes, 3 + smooth kernels]."""
        self._hidden = [(self.arrays[f"weight{i}"], self.arrays[f"bias{i}"]) for i in range(spec["layers"])]

    def decode(
        self, cls: str, ratio: Array, kinds: Sequence[tuple[str, str, str]], which: NDArray[np.int64]
    ) -> Decoded:
        """Mean, noise and coordinates of rows of one class; `which` [rows] numbers each row's (op, dtype, protocol)."""
        index = CLASSES.index(cls)
        own = np.stack([
            self.arrays["types"][self.types.get(op, -1)] + self.arrays["dtypes"][_DTYPES.get(dtype, _USUAL_DTYPE)]
            + self.arrays["protocols"][PROTOCOLS.index(protocol)]
            for op, dtype, protocol in kinds
        ])  # [choices, hidden]  # fmt: skip
        columns = ratio.shape[1]
        mean, scale = self.arrays["mean"][index, :columns], self.arrays["deviation"][index, :columns]
        into = self.arrays["into"][index, :columns]
        rows = len(ratio)
        out = np.empty((rows, self.arrays["out_bias"].shape[0]))
        for start in range(0, rows, _CHUNK):
            part = slice(start, start + _CHUNK)
            x = np.clip((np.nan_to_num(ratio[part]) - mean) / scale, -CLIP, CLIP)
            hidden = silu(x @ into + own[which[part]])
            for weight, bias in self._hidden:
                hidden += silu(hidden @ weight + bias)
            out[part] = hidden @ self.arrays["out"] + self.arrays["out_bias"]
        noise = (np.logaddexp(0.0, out[:, 1] - 2) + NOISE_FLOOR) * self.arrays["noise"][index]
        return Decoded(out[:, 0], noise, out[:, 2:])


@lru_cache(maxsize=4)
def load(folder: Path | None = None) -> Rgat:
    """The network of a folder, by default the one shipped with hetbench."""
    path = folder or EMBEDDED
    try:
        spec = json.loads((path / "rgat.json").read_text())
        with np.load(path / "rgat.npz", allow_pickle=False) as stored:
            return Rgat(spec, {name: stored[name] for name in stored.files})
    except (OSError, ValueError, KeyError) as error:
        why = f"{path} holds no RGAT that can be read: {error}. Run: python -m surrogates.rgat"
        raise ArtifactError(why) from None
