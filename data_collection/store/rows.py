"""One row of the store: its columns, checks and key.

Rows of operators and of models share one table: `name` is an operator type with `dims`, or a catalogue model with
batch and sizes. What does not apply or is not known is None, never 0. Only rows of status `ok` and `noisy` have a
latency; the repeats of a disturbed row are kept in `raw_ms`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, get_args, get_type_hints

from hetbench.catalog.models import models
from hetbench.errors import InvalidInputError, UnknownNameError
from hetbench.operators import operator_type
from hetbench.schema import FAMILIES, PHASES, PROTOCOLS, STORAGE_BYTES
from hetbench.training import TRAINING

__all__ = ["FIGURES", "FORMAT", "IDENTITY", "KINDS", "STATUSES", "TIMED", "Row", "check", "decode", "encode", "key",
           "schema"]  # fmt: skip

FORMAT = 1
KINDS = ("operator", "model")
TIMED = ("ok", "noisy")
STATUSES = (*TIMED, "disturbed", "oom", "timeout", "unsupported", "error")
"""`noisy`: other work ran on the machine, and the latency is that of the quietest part, corrected (`profile.noise`).
`disturbed`: likewise, without a latency. `unsupported`: the stack refused it. `error`: it failed."""
CACHES = ("hot", "cold")
LAYOUTS = ("contiguous", "channels_last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement. Latencies are milliseconds of one call on the whole batch."""

    kind: str
    name: str
    """Operator type, or model of the catalogue."""
    dims: str | None = None
    """Operator: its dims as JSON, keys sorted. Model in phase training: its optimizer as JSON."""
    batch: int | None = None
    seq_len: int | None = None
    image_size: int | None = None
    precision: str
    phase: str
    """Operator: `fwd`. Model: inference, prefill, decode or training."""
    stack: str
    """eager, compiled, onnxruntime or openvino."""
    layout: str = "contiguous"
    cache: str = "hot"
    """`cold`: the caches were evicted before every call."""
    protocol: str
    threads: int | None = None
    """CPU threads; None on an accelerator."""
    family: str
    chip: str
    software: str
    library: str | None = None
    """Library that executed it, as the libraries report: MKL, oneDNN, ATen ... or `unknown`."""
    cpu_fallback: bool | None = None
    """Whether an accelerator fell back to the CPU; None if that cannot be detected."""
    status: str
    reason: str | None = None
    latency_ms: float | None = None
    """Median of the repeats."""
    p90_ms: float | None = None
    p99_ms: float | None = None
    iqr_ms: float | None = None
    min_ms: float | None = None
    spread: float | None = None
    """Half the 95 % interval of the median, divided by the median; of a noisy row, how far it may be off."""
    kernel_ms: float | None = None
    """Device time of the kernels, from the profiler."""
    repeats: int | None = None
    calls_per_repeat: int | None = None
    """Calls per repeat: a repeat is the mean of these, and quantiles are over repeats."""
    raw_ms: tuple[float, ...] | None = None
    energy_j: float | None = None
    """Joules per call, from the chip's own counter."""
    peak_memory_bytes: int | None = None
    """Peak over the memory held before: weights, inputs, activations and workspace."""
    canary_ms: float | None = None
    """Time of the reference operator, the slower one of before and after."""
    canary_reference_ms: float | None = None
    others_cores: float | None = None
    """CPU cores that other processes and the host used during the measurement."""
    environment: str
    """Id of the environment; the manifest of the run describes it."""
    run: str
    started: str
    """UTC, ISO 8601."""


IDENTITY = (
    "kind", "name", "dims", "batch", "seq_len", "image_size", "precision", "phase", "stack", "layout", "cache",
    "protocol", "threads", "chip", "software",
)  # fmt: skip
"""Chip, setting and software of a measurement; rows of the same key are repetitions."""
FIGURES = ("latency_ms", "p90_ms", "p99_ms", "iqr_ms", "min_ms", "spread", "kernel_ms", "energy_j")
_INT64, _INT53 = 2**63, 2**53
_HINTS = get_type_hints(Row)
_KNOWN = {
    "kind": KINDS, "status": STATUSES, "cache": CACHES, "layout": LAYOUTS, "protocol": PROTOCOLS, "family": FAMILIES,
    "precision": tuple(STORAGE_BYTES),
}  # fmt: skip


def key(row: Row) -> str:
    """A short id of `identity`, the same in every run."""
    text = json.dumps([getattr(row, name) for name in IDENTITY])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check(row: Row) -> Row:
    """The row itself; raises `InvalidInputError` that names the invalid value."""
    for name, hint in _HINTS.items():
        value = getattr(row, name)
        if not isinstance(value, _classes(hint)) or (isinstance(value, bool) and bool not in _classes(hint)):
            raise InvalidInputError(f"{name}={value!r} of a row must be {hint}.")
        _check_storable(name, value, exact=_classes(hint)[0] is int)
    for name, known in _KNOWN.items():
        if getattr(row, name) not in known:
            raise UnknownNameError(name, getattr(row, name), known)
    for name in FIGURES:
        value = getattr(row, name)
        if value is not None and not value >= 0:
            raise InvalidInputError(f"{name}={value!r} of a row must be a finite number, 0 or more.")
    if (row.latency_ms or 0) <= 0 if row.status in TIMED else row.latency_ms is not None:
        raise InvalidInputError(f"a row of status {row.status!r} cannot have latency_ms={row.latency_ms!r}.")
    if row.kind == "operator":
        operator_type(row.name).check(_dims(row.dims or "{}"))
    elif row.name not in models():
        raise UnknownNameError("model", row.name, models())
    elif row.phase not in (*PHASES, TRAINING):
        raise UnknownNameError("phase", row.phase, (*PHASES, TRAINING))
    return row


def _check_storable(name: str, value: Any, *, exact: bool) -> None:
    """Raise `InvalidInputError` for a value that a column of a part cannot hold, or that is no finite number.

    With `exact` the column holds whole numbers of 64 bits, else numbers of 53.
    """
    numbers = [each for each in (value if isinstance(value, tuple) else (value,)) if not isinstance(each, str | None)]
    if isinstance(value, tuple) and len(numbers) < len(value):
        raise InvalidInputError(f"{name} of a row must hold numbers only.")
    for each in numbers:
        whole = isinstance(each, int) and not exact
        least, most = (-_INT53, _INT53) if whole else (-_INT64, _INT64)
        if not isinstance(each, int | float) or not least <= each < most:  # NaN is in no range
            bits = 64 if exact else 53
            raise InvalidInputError(f"{name}={each!r:.60} of a row must be a finite number within {bits} bits.")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidInputError(f"{name}={value!r} of a row is not valid Unicode.") from None
    if name == "started":
        try:
            aware = datetime.fromisoformat(value).tzinfo is not None
        except ValueError:
            aware = False
        if not aware:
            raise InvalidInputError(f"started={value!r} of a row must be a time with its offset from UTC.")


def _dims(text: str) -> dict[str, Any]:
    """The dims of an operator's row; raises `InvalidInputError` where the text is no JSON object."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"dims={text!r:.60} of a row must be JSON: {error}.") from None
    if not isinstance(found, dict):
        raise InvalidInputError(f"dims={text!r:.60} of a row must be a JSON object, such as {{\"numel\": 8}}.")
    return found


def _classes(hint: Any) -> tuple[type, ...]:
    """Python classes that a column's annotation allows; an int is a valid float."""
    parts = get_args(hint) if type(None) in get_args(hint) else (hint,)
    found = tuple(getattr(part, "__origin__", part) for part in parts)
    return (*found, int) if float in found else found


def schema() -> Any:
    """The Arrow schema of a part."""
    import pyarrow as pa

    kinds = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64(), tuple: pa.list_(pa.float64())}
    return pa.schema([(field.name, kinds[_classes(_HINTS[field.name])[0]]) for field in fields(Row)])


def encode(row: Row) -> str:
    """One line of a journal."""
    return json.dumps({field.name: getattr(row, field.name) for field in fields(Row)}, allow_nan=False)


def decode(line: str) -> Row:
    """The row of a journal line; raises a `HetBenchError` if it is not one."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"not JSON: {error}") from None
    if not isinstance(values, dict) or set(values) != set(_HINTS):
        raise InvalidInputError("not a row of this format")
    if isinstance(values["raw_ms"], list):
        values["raw_ms"] = tuple(values["raw_ms"])
    return check(Row(**values))
