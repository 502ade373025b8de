"""Weights of a PyTorch checkpoint without PyTorch: a reader that runs nothing of the file.

A checkpoint (`torch.save` of a state dictionary) is a zip of a pickle, which names the tensors, and of their raw
values. A pickle can call whatever it names; this one may name an ordered dictionary and the two parts of a plain
float32 tensor, each of which is a function here, and nothing else.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.errors import ArtifactError

__all__ = ["weights"]

_MOST_BYTES = 16_000_000
"""Of all members of a checkpoint, unpacked."""


def weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """The float32 tensors of a state dictionary by name, in its order, each of its own shape.

    Raises `ArtifactError` for a file that is no checkpoint, and for one that names anything but plain tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(each.file_size for each in archive.infolist()) > _MOST_BYTES:
                raise ArtifactError(f"{path} unpacks to more than {_MOST_BYTES:,} bytes.")
            inside = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
        found = _Reader(inside).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, KeyError, ValueError, TypeError, EOFError, OSError,
            AttributeError, IndexError, NotImplementedError) as error:  # fmt: skip
        raise ArtifactError(f"{path} is no checkpoint of plain float32 tensors: {error}.") from None
    if not isinstance(found, Mapping) or not all(isinstance(each, np.ndarray) for each in found.values()):
        raise ArtifactError(f"{path} is no state dictionary: a mapping of names to tensors.")
    return {str(name): each for name, each in found.items()}


class _Reader(pickle.Unpickler):
    """The pickle of a checkpoint, whose members are given by name."""

    def __init__(self, members: Mapping[str, bytes]) -> None:
        super().__init__(io.BytesIO(members["data.pkl"]))
        self._members = members

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict, ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch", "FloatStorage"): "FloatStorage",
        }  # fmt: skip
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not read")
        return known[module, name]

    def persistent_load(self, pid: Any) -> NDArray[np.float32]:
        kind, storage, key, _, count = pid  # "storage", type, name of the member, device, number of values
        if kind != "storage" or storage != "FloatStorage":
            raise pickle.UnpicklingError(f"it holds {kind} of type {storage}")
        values = np.frombuffer(self._members[f"data/{key}"], dtype="<f4")
        if len(values) != count:
            raise pickle.UnpicklingError(f"data/{key} holds {len(values)} values, not {count}")
        return values.astype(np.float32)


def _tensor(values: Any, offset: int, size: Sequence[int], stride: Sequence[int], *rest: Any) -> Any:
    """A contiguous tensor of stored values, as `torch._utils._rebuild_tensor_v2` makes it."""
    steps = tuple(prod(size[place + 1 :]) for place in range(len(size)))
    if not isinstance(values, np.ndarray) or tuple(stride) != steps or offset < 0:
        raise pickle.UnpicklingError("it holds a tensor that is not contiguous")
    return values[offset : offset + prod(size)].reshape(size)
