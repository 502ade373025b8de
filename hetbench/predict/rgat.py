"""The RGAT surrogate at query time: stored embeddings of operator types, and a decoder in numpy.

Training (`surrogates.rgat`) runs relational graph attention over the knowledge graph and stores the resulting embedding
of every operator type. The decoder combines it with the features of an operator and returns mean and noise of
log(latency / base), and the coordinates that `hetbench.predict.gaussian_process` uses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.artifacts.integrity import FORMATS
from hetbench.artifacts.sets import EMBEDDED
from hetbench.errors import ArtifactError
from hetbench.loading import load_once
from hetbench.predict.features import CLASSES
from hetbench.predict.perceptron import silu
from hetbench.predict.products import product
from hetbench.schema import PRECISIONS, PROTOCOLS

__all__ = ["CLIP", "COLUMNS", "NOISE_FLOOR", "Decoded", "Rgat", "load"]

FORMAT = FORMATS["rgat.json"]
COLUMNS = 64  # physics features of the widest class, padded
CLIP = 6.0  # standard deviations at which standardised features are clipped
NOISE_FLOOR = 0.02  # least standard deviation of log latency between repeated measurements
_CHUNK = 4096
_DTYPES = {name: at for at, name in enumerate(PRECISIONS)}
_USUAL_DTYPE = _DTYPES["fp32"]  # taken for operators on integers or booleans
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Output of the decoder for operators of one class."""

    mean: NDArray[np.float64]
    """Mean of log(latency / base), [rows]."""
    noise: NDArray[np.float64]
    """Standard deviation of log latency between repeated measurements, [rows]."""
    coordinates: NDArray[np.float64]
    """Coordinates for the kernels of the Gaussian process, [rows, coordinates]."""


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
        """Log amplitudes of the Gaussian process, [classes, 3 + kernels]."""
        self.hidden = [(self.arrays[f"weight{i}"], self.arrays[f"bias{i}"]) for i in range(spec["layers"])]

    def of_kind(self, op: str, dtype: str, protocol: str) -> Array:
        """What operator type, dtype and protocol add to the first layer, [hidden]."""
        made: Array = (
            self.arrays["types"][self.types.get(op, -1)] + self.arrays["dtypes"][_DTYPES.get(dtype, _USUAL_DTYPE)]
            + self.arrays["protocols"][PROTOCOLS.index(protocol)]
        )  # fmt: skip
        return made

    def decode(
        self, cls: str, ratio: Array, kinds: Sequence[tuple[str, str, str]], which: NDArray[np.int64]
    ) -> Decoded:
        """Decode operators of one class from their `ratio` features, float32 [rows, columns].

        `kinds` lists (op, dtype, protocol); `which` is the index of each row's kind, [rows].
        """
        index = CLASSES.index(cls)
        own = np.stack([self.of_kind(*kind) for kind in kinds])  # [choices, hidden]
        columns = ratio.shape[1]
        mean, scale = self.arrays["mean"][index, :columns], self.arrays["deviation"][index, :columns]
        into = self.arrays["into"][index, :columns]
        rows = len(ratio)
        out = np.empty((rows, self.arrays["out_bias"].shape[0]))
        for start in range(0, rows, _CHUNK):
            part = slice(start, start + _CHUNK)
            x = np.clip((np.nan_to_num(ratio[part]) - mean) / scale, -CLIP, CLIP)
            hidden = silu(product(x, into) + own[which[part]])
            for weight, bias in self.hidden:
                hidden += silu(product(hidden, weight) + bias)
            out[part] = product(hidden, self.arrays["out"]) + self.arrays["out_bias"]
        noise = (np.logaddexp(0.0, out[:, 1] - 2) + NOISE_FLOOR) * self.arrays["noise"][index]
        return Decoded(out[:, 0], noise, out[:, 2:])


@load_once(maxsize=4)
def load(folder: Path | None = None) -> Rgat:
    """The RGAT of a folder, by default of the packaged set; raises `ArtifactError` where it cannot be read."""
    path = folder or EMBEDDED
    try:
        spec = json.loads((path / "rgat.json").read_text())
        with np.load(path / "rgat.npz", allow_pickle=False) as stored:
            return Rgat(spec, {name: stored[name] for name in stored.files})
    except (OSError, ValueError, KeyError) as error:
        why = f"the RGAT in {path} cannot be read: {error}. To train one: python -m surrogates.rgat"
        raise ArtifactError(why) from None
