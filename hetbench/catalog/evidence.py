"""Evidence: published measurements of the catalogue's models, looked up in constant time.

The table (`catalog/evidence.json.gz`, made by `python -m data_collection.tables.evidence`) is read on first use. The
`use` of a row is one of three. `answer`: every setting is stated, so the row answers a query of exactly that setting.
`compare`: comparable with a prediction; its `note` says what is inferred or different (a generation contains a prefill
and many decoding steps). `show`: a setting is unknown or several chips were used. Unknown is None.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from operator import attrgetter
from typing import Any

from hetbench.catalog.chips import chip as chip_named
from hetbench.catalog.models import model as model_named
from hetbench.checks import known_name
from hetbench.errors import ArtifactError, InvalidInputError, shown
from hetbench.loading import load_once
from hetbench.mappings import ReadOnly
from hetbench.schema import family as family_named

__all__ = ["FORMAT", "USES", "Row", "Setting", "find", "rows", "stacks"]

FORMAT = 1
USES = ("answer", "compare", "show")

Setting = tuple[str, str, str, int | None, int | None, int | None, str]
"""model, chip, precision, batch, seq_len, image_size, phase; the stack is not part of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One published measurement with its setting."""

    model: str
    family: str
    """Family of the chip: one of the five, or `other`."""
    chip: str
    precision: str | None
    """As in a query, else as upstream names it (int4, uint8)."""
    batch: int | None
    seq_len: int | None
    """Input tokens; None also where the model takes no sequence."""
    image_size: int | None
    new_tokens: int | None
    """Generated tokens, where a serving row states them."""
    phase: str
    """inference, prefill, decode, or serving (whole requests: prefill, decode and possibly queueing)."""
    stack: str | None
    """Software stack: eager, compiled, tensorrt, vllm, ..., with suffix `-amp` for autocast and `-nhwc`."""
    software: str | None
    """Software and versions as stated upstream."""
    metric: str
    """latency, throughput, energy, power, memory; for serving also time_to_first_token and time_per_token."""
    value: float
    unit: str
    n_chips: int | None
    """Number of chips used."""
    stat: str
    """Statistic over the repeats: mean, median, p90, p99 or unknown."""
    match: str
    """exact: this model; same-arch: the same architecture under another name."""
    use: str
    """answer, compare or show; see the module."""
    ref: str
    """repository@commit:path."""
    note: str

    @property
    def setting(self) -> Setting:
        """The part of the row that a query must equal, besides metric and stack."""
        return (
            self.model, self.chip, self.precision or "", self.batch, self.seq_len, self.image_size, self.phase,
        )  # fmt: skip


def rows(
    *, model: str | None = None, device: str | None = None, metric: str | None = None, stack: str | None = None,
    use: str | None = None,
) -> tuple[Row, ...]:  # fmt: skip
    """The rows that match all given arguments, rows of use `answer` first.

    `model` is any name of a model; `device` a chip, an alias, or a family for all chips of it. Raises
    `UnknownNameError` for an unknown model, device, metric, stack or use.

    >>> found = rows(model="mistral-7b", device="nvidia-a100-sxm4-80gb", use="answer")
    >>> found[0].phase, found[0].stack, found[0].batch, round(found[0].value, 1)
    ('prefill', 'eager', 1, 63.3)
    """
    wanted: dict[str, str] = {}
    if model is not None:
        wanted["model"] = model_named(model).name
    family = family_named(device)
    if family is not None:
        wanted["family"] = family
    elif device is not None:
        wanted["chip"] = chip_named(device).name
    for name, value in (("metric", metric), ("stack", stack), ("use", use)):
        if value is not None:
            known = USES if name == "use" else _names(name)
            wanted[name] = known_name(name if name != "metric" else "metric of published rows", value, known)
    if not wanted:
        return _table()
    values = tuple(wanted.values())
    read = attrgetter(*wanted)
    return tuple(row for row in _table() if (read(row) if len(values) > 1 else (read(row),)) == values)


@load_once(2)
def _names(field: str) -> tuple[str, ...]:
    """The values of one field that any row has, sorted."""
    return tuple(sorted({getattr(row, field) for row in _table()} - {None}))


def find(setting: Setting, stack: str, metric: str) -> tuple[Row, ...]:
    """The `answer` rows of one complete setting, stack and metric; empty where it was not measured.

    >>> find(("mistral-7b", "nvidia-a100-sxm4-80gb", "fp16", 1, 512, None, "prefill"), "eager", "latency")[0].match
    'exact'
    """
    try:
        return _index().get(setting, {}).get((stack, metric), ())
    except TypeError:
        given = f"{shown(setting)}, {shown(stack)}, {shown(metric)}"
        raise InvalidInputError(f"a setting is a tuple, stack and metric are names; given: {given}.") from None


def stacks(setting: Setting, metric: str) -> Mapping[str, tuple[Row, ...]]:
    """The `answer` rows of one setting and metric, by stack.

    >>> sorted(stacks(("resnet-50", "nvidia-t4", "fp16", 8, None, 224, "inference"), "latency"))
    ['eager-amp', 'mxnet-amp', 'tensorflow-amp', 'tensorflow-xla-amp', 'triton-tensorrt']
    """
    try:
        known = _index().get(setting, {})
    except TypeError:
        raise InvalidInputError(f"a setting is a tuple; given: {shown(setting)}.") from None
    return {stack: found for (stack, kind), found in known.items() if isinstance(metric, str) and kind == metric}


@load_once()
def _table() -> tuple[Row, ...]:
    """Every row, in the order of the file."""
    path = files("hetbench") / "catalog" / "evidence.json.gz"
    try:
        data = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise ArtifactError(f"evidence.json.gz cannot be read: {error}. Reinstall hetbench.") from None
    if data.get("format") != FORMAT:
        raise ArtifactError(f"evidence.json.gz has format {data.get('format')!r}; this hetbench reads {FORMAT}.")
    columns = [_column(data["columns"][name]) for name in Row.__slots__]
    return tuple(map(Row, *columns))


def _column(packed: Mapping[str, Any]) -> Sequence[Any]:
    """The values of a column, one per row; a packed column has codes that index its distinct values."""
    values: Sequence[Any] = packed["values"]
    if "codes" not in packed:
        return values
    return [None if code is None else values[code] for code in packed["codes"]]


@load_once()
def _index() -> Mapping[Setting, Mapping[tuple[str, str], tuple[Row, ...]]]:
    """Rows of use `answer`: setting -> (stack, metric) -> rows."""
    index: dict[Setting, dict[tuple[str, str], tuple[Row, ...]]] = {}
    for row in _table():
        if row.use == "answer" and row.stack is not None:
            cell = index.setdefault(row.setting, {})
            cell[row.stack, row.metric] = (*cell.get((row.stack, row.metric), ()), row)
    return ReadOnly(index)
