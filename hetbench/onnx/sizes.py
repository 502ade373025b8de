"""The free sizes of a file, what each of them is, and which size each takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any

from hetbench.errors import InvalidInputError, nearest, shown
from hetbench.onnx.file import OnnxFile, symbols
from hetbench.onnx.walk import is_cache

__all__ = ["Sizes", "checked_dims", "parse_dims", "read_sizes"]

MAX_SIZE = 2**24
_ROLES = {
    "batch": ("batch", "batch_size", "batchsize", "n", "bs", "b", "num_batch"),
    "seq_len": ("seq", "seq_len", "seq_length", "seqlen", "sequence", "sequence_length", "s", "length", "num_tokens",
                "encoder_sequence_length", "decoder_sequence_length", "max_seq_len", "time", "t"),
    "image_size": ("height", "width", "h", "w", "image_size", "image_height", "image_width", "img_size"),
    "past": ("past_sequence_length", "past_seq_len", "past", "past_length", "past_len", "past_seq_length"),
    "total": ("total_sequence_length", "total_seq_len", "total_length", "total_seq_length", "attention_mask.1"),
}  # fmt: skip
"""What a free size is, by the names that exporters give it."""
_WORDS = {"batch": "batch", "seq": "seq_len", "seq_len": "seq_len", "image": "image_size", "image_size": "image_size"}


@dataclass(frozen=True)
class Sizes:
    """The sizes of a file's inputs: what is bound for good, and what batch, seq_len and image_size set."""

    bound: Mapping[str, int]
    """Free size -> what the caller gave it by name."""
    roles: Mapping[str, str]
    """Free size -> batch, seq_len, image_size, past or total."""
    stated: Mapping[str, int]
    """batch, seq_len, image_size -> their size where the file, or the caller, fixes it."""
    free: frozenset[str]
    """Those of batch, seq_len, image_size that a query may set."""
    caches: bool
    """Whether keys and values of tokens before come in at a free length: phases prefill and decode."""

    def at(self, batch: int, seq_len: int | None, image_size: int | None, phase: str) -> dict[str, int]:
        """Every free size in one pass; in phase decode one token meets `seq_len` cached ones."""
        past = (seq_len or 0) if phase == "decode" else 0
        new = 1 if phase == "decode" else seq_len or 1
        sizes = {"batch": batch, "seq_len": new, "image_size": image_size or 1, "past": past, "total": past + new}
        return {**{name: sizes[role] for name, role in self.roles.items()}, **self.bound}


def parse_dims(text: str) -> dict[str, int]:
    """Sizes written as batch=8,seq=128.

    >>> parse_dims("batch=8, seq=128")
    {'batch': 8, 'seq': 128}
    """
    found: dict[str, int] = {}
    for word in text.split(","):
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals or not name or not (value.isascii() and value.isdecimal()) or len(value) > 18:
            raise InvalidInputError(f"sizes are given as name=number, such as batch=8,seq=128; given: {shown(text)}.")
        if name in found:
            raise InvalidInputError(f"the size {shown(name)} is given twice: {shown(text)}.")
        found[name] = int(value)
    return found


def checked_dims(dims: Any) -> dict[str, int]:
    """Sizes by name, from a mapping or from text; `InvalidInputError` for anything else."""
    if dims is None:
        return {}
    if isinstance(dims, str):
        dims = parse_dims(dims)
    if not isinstance(dims, Mapping):
        raise InvalidInputError(f"dims are sizes by name, such as {{'batch': 8}}; given: {shown(dims)}.")
    found: dict[str, int] = {}
    for name, value in dims.items():
        try:
            size = index(value)
        except Exception:  # noqa: BLE001 - `__index__` of a caller's object may raise anything
            size = -1
        if not isinstance(name, str) or isinstance(value, bool) or not 0 <= size <= MAX_SIZE:
            raise InvalidInputError(
                f"dims: {shown(name)}={shown(value)} must be a name and a whole number from 0 to {MAX_SIZE:,}."
            )
        found[name] = size
    return found


def read_sizes(file: OnnxFile, dims: Mapping[str, int], given: Mapping[str, int | None]) -> Sizes:
    """What every free size of a file is; `given` holds batch, seq_len and image_size of the query.

    Raises `InvalidInputError` for a size that is neither bound nor understood, with the list of all free ones, and for
    a name that the file does not have.
    """
    roles = _roles(file)
    asked = {role: size for role, size in given.items() if size is not None}
    flags = {each.name for each in file.inputs if each.type in (6, 7, 9) and not each.shape}
    bound: dict[str, int] = {}
    for name, size in dims.items():
        role = _WORDS.get(name.lower())
        if name in file.free or name in flags:
            bound[name] = size
        elif role in roles.values() or (role is not None and role in _stated(file)):
            asked.setdefault(role, size)  # type: ignore[arg-type]
        else:
            raise InvalidInputError(_no_such(file, name, sorted(flags)))
    open_roles = {role: name for name, role in roles.items() if name not in bound}
    unknown = [name for name in file.free if name not in bound and name not in roles]
    missing = [open_roles[role] for role in ("seq_len", "image_size") if role in open_roles and role not in asked]
    if unknown or missing:
        raise InvalidInputError(_asks(file, [*missing, *unknown]))
    stated = {**_stated(file), **{roles[name]: size for name, size in bound.items() if name in roles}}
    free = frozenset(open_roles) & {"batch", "seq_len", "image_size"}
    stated |= {role: asked[role] for role in free if role in asked}
    return Sizes(bound, {name: role for name, role in roles.items() if name not in bound}, stated, free,
                 "past" in open_roles and "seq_len" in open_roles)  # fmt: skip


def _roles(file: OnnxFile) -> dict[str, str]:
    """What each free size is, by its name, and the batch also by its place: the first axis of every input."""
    found: dict[str, str] = {}
    for name in file.free:
        plain = name.lower().replace("-", "_")
        role = next((role for role, names in _ROLES.items() if plain in names), None)
        if role is not None:
            found[name] = role
    if "batch" not in found.values():
        first = {each.shape[0] for each in file.inputs if each.shape}
        only = next(iter(first)) if len(first) == 1 else None
        if isinstance(only, str) and symbols(only) == [only] and only not in found:
            found[only] = "batch"
    if "seq_len" in found.values() and not any(is_cache(each.name) for each in file.inputs):
        found = {name: "seq_len" if role == "total" else role for name, role in found.items()}
    return found


def _stated(file: OnnxFile) -> dict[str, int]:
    """batch, seq_len and image_size that the file fixes, by the form of its inputs."""
    found: dict[str, int] = {}
    inputs = [each for each in file.inputs if each.shape and not is_cache(each.name)]
    first = {each.shape[0] for each in inputs}
    if len(first) == 1 and isinstance(size := next(iter(first)), int):
        found["batch"] = size
    for each in inputs:
        if len(each.shape) == 2 and each.type in (6, 7) and isinstance(each.shape[1], int):
            found.setdefault("seq_len", each.shape[1])
        if len(each.shape) == 4 and isinstance(each.shape[2], int) and each.shape[2] == each.shape[3]:
            found.setdefault("image_size", each.shape[2])
    return found


def listed(file: OnnxFile) -> str:
    """The inputs of a file as text: `input_ids [batch, seq]`.

    At most eight are listed.
    """
    shown_inputs = [f"{each.name} [{', '.join(map(str, each.shape))}]" for each in file.inputs]
    more = f" and {len(shown_inputs) - 8} more" if len(shown_inputs) > 8 else ""
    return ", ".join(shown_inputs[:8])[:600] + more


def _asks(file: OnnxFile, missing: list[str]) -> str:
    names = ", ".join(missing[:8])
    example = ",".join(f"{name}=128" for name in missing[:3])
    return (
        f"{shown(str(file.path))} leaves {names} free, and no default is known: give "
        f"dims={{{', '.join(f'{name!r}: 128' for name in missing[:3])}}}, or --dims {example}. Its free sizes: "
        f"{', '.join(file.free[:12])}. Its inputs: {listed(file)}."
    )


def _no_such(file: OnnxFile, name: str, flags: list[str]) -> str:
    known = [*file.free, *flags]
    near = nearest(name, known, 1) if known else []
    hint = f" Did you mean {near[0]!r}?" if near else ""
    has = f"Its free sizes: {', '.join(known[:12])}." if known else "All of its sizes are fixed."
    return f"{shown(str(file.path))} has no free size {shown(name)}.{hint} {has} Its inputs: {listed(file)}."
