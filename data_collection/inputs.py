"""Standard inputs: 90 specifications in six categories, batch by length or size, generated from a seed, with checksums.

    python -m data_collection.inputs list
    python -m data_collection.inputs write NAME ... --out DIR [--seed 0]
    python -m data_collection.inputs check NAME ... --out DIR

Nothing is downloaded. Values are computed by integer arithmetic on the bits of the Philox generator, so that every
machine and every numpy version gives the same bytes: token ids below the vocabulary size, reals in [-1, 1).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_collection.arguments import count
from hetbench.artifacts import replacing, write_whole
from hetbench.errors import UnknownNameError, exit_code

__all__ = ["InputSpec", "checksum", "generate", "reals", "specs", "tokens"]

Array = NDArray[Any]
_SAMPLE_RATE = 16_000
_VOCABULARIES = {"llm": 32_000, "nlp": 30_000, "multimodal": 49_408}
"""Smallest vocabulary of the catalogue's models of a category, so that the tokens are valid for all of them."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One standard input: the shape of each tensor. Token ids and diffusion steps are integers, the rest is real."""

    name: str
    category: str
    shapes: Mapping[str, tuple[int, ...]]


def _grid() -> Iterator[InputSpec]:
    for b, s in product((1, 4, 8, 16), (128, 256, 512, 1024, 2048)):
        yield InputSpec(f"llm-b{b}-s{s}", "llm", {"input_ids": (b, s)})
    for b, side in product((1, 4, 8, 16, 32), (224, 384, 512)):
        yield InputSpec(f"cv-b{b}-{side}px", "cv", {"pixel_values": (b, 3, side, side)})
    for b, s in product((1, 8, 16, 32), (64, 128, 256, 512)):
        yield InputSpec(f"nlp-b{b}-s{s}", "nlp", {"input_ids": (b, s)})
    for b, seconds in product((1, 4, 8), (1, 2, 3, 5)):
        yield InputSpec(f"audio-b{b}-{seconds}s", "audio", {"input_values": (b, seconds * _SAMPLE_RATE)})
    for b, side, s in product((1, 4, 8), (224, 336), (32, 64, 77)):
        shapes = {"input_ids": (b, s), "pixel_values": (b, 3, side, side)}
        yield InputSpec(f"multimodal-b{b}-{side}px-s{s}", "multimodal", shapes)
    for b, side in product((1, 2, 4), (64, 96, 128)):  # latents: an eighth of the image's side
        shapes = {"latents": (b, 4, side, side), "timestep": (b,), "encoder_hidden_states": (b, 77, 768)}
        yield InputSpec(f"diffusion-b{b}-{side}", "diffusion", shapes)


def specs() -> Mapping[str, InputSpec]:
    """All specifications by name.

    >>> len(specs()), specs()["cv-b4-224px"].shapes["pixel_values"]
    (90, (4, 3, 224, 224))
    """
    return MappingProxyType({spec.name: spec for spec in _grid()})


def generate(name: str, seed: int = 0) -> dict[str, Array]:
    """The arrays of one specification: int64 token ids and steps, float32 reals.

    >>> generate("nlp-b1-s64")["input_ids"].shape
    (1, 64)
    """
    if name not in specs():
        raise UnknownNameError("input", name, specs())
    spec, made = specs()[name], {}
    for tensor, shape in spec.shapes.items():
        stream = seed * 2**32 + zlib.crc32(f"{name}/{tensor}".encode())  # a separate random stream per tensor
        if tensor == "input_ids":
            made[tensor] = tokens(shape, _VOCABULARIES[spec.category], stream)
        elif tensor == "timestep":
            made[tensor] = tokens(shape, 1000, stream)
        else:
            made[tensor] = reals(shape, stream)
    return made


def tokens(shape: Sequence[int], below: int, seed: int) -> Array:
    """int64 values from 0 to `below` - 1, of the given shape."""
    return (_bits(prod(shape), seed) % np.uint64(below)).astype(np.int64).reshape(shape)


def reals(shape: Sequence[int], seed: int) -> Array:
    """float32 values in [-1, 1) in steps of 2**-23, of the given shape."""
    steps = (_bits(prod(shape), seed) >> np.uint64(40)).astype(np.float32)  # 24 bits: exact in float32
    return (steps * np.float32(2.0**-23) - np.float32(1)).reshape(shape)


def _bits(count: int, seed: int) -> NDArray[np.uint64]:
    return np.random.Philox(key=seed).random_raw(count)


def checksum(arrays: Mapping[str, Array]) -> str:
    """sha256 over the arrays' names, types, shapes and little-endian bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m data_collection.inputs", description=__doc__, formatter_class=raw)
    parser.add_argument("command", choices=("list", "write", "check"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="specifications or categories; default: all")
    parser.add_argument("--out", type=Path, default=Path("runs") / "inputs")
    parser.add_argument("--seed", type=count(0, 2**31 - 1), default=0)
    chosen = parser.parse_args(argv)
    work = partial(_run, chosen.command, chosen.names, chosen.out, chosen.seed)
    return exit_code(work, "stopped; the files before are written.")


def _named(names: Sequence[str]) -> list[InputSpec]:
    known = specs()
    categories = {spec.category for spec in known.values()}
    for name in names:
        if name not in known and name not in categories:
            raise UnknownNameError("input", name, (*known, *categories))
    return [spec for spec in known.values() if not names or spec.name in names or spec.category in names]


def _run(command: str, names: Sequence[str], folder: Path, seed: int) -> int:
    wrong = 0
    for spec in _named(names):
        if command == "list":
            print(f"{spec.name}\t" + "\t".join(f"{name} {shape}" for name, shape in spec.shapes.items()))
            continue
        path = folder / f"{spec.name}-seed{seed}.npz"
        if command == "write":
            print(f"{path}\t{_write(path, generate(spec.name, seed))}", flush=True)
        else:
            fault = _fault(path, checksum(generate(spec.name, seed)))
            wrong += bool(fault)
            print(f"{path}\t{fault or 'ok'}")
    return int(wrong > 0)


def _write(path: Path, arrays: Mapping[str, Array]) -> str:
    """Write the arrays and a file with their checksum; returns the checksum."""
    said = checksum(arrays)
    with replacing(path, "--out DIR") as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    write_whole(path.with_suffix(".json"), json.dumps({"sha256": said}) + "\n", "--out DIR")
    return said


def _fault(path: Path, expected: str) -> str:
    try:
        with path.open("rb") as stream, np.load(stream) as stored:
            found = checksum({name: stored[name] for name in stored.files})
    except (OSError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        return f"cannot be read: {error}"
    return "" if found == expected else f"has checksum {found}, not {expected}"


if __name__ == "__main__":
    sys.exit(main())
