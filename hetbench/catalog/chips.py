"""Chips: datasheet facts with source and confidence, from the catalogue or from the user's own datasheet.

An unknown fact is None. A family name means the default chip of the family; the catalogue states why it is that one.
Case, spaces and underscores in names do not count; aliases are the names of a chip in published data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from importlib.resources import files
from numbers import Real
from pathlib import Path
from typing import Any

from hetbench.catalog.plausible import check_plausible
from hetbench.catalog.short_names import advice, expand
from hetbench.catalog.toml_tables import read_table
from hetbench.errors import InvalidInputError, UnknownNameError, nearest, shown
from hetbench.formats import FORMATS, STORED
from hetbench.loading import load_once
from hetbench.mappings import ReadOnly
from hetbench.schema import FAMILIES, PRECISIONS
from hetbench.schema import family as family_named

__all__ = ["CATALOGUE", "PEAK_COLUMNS", "Chip", "chip", "chips", "default_chip", "families"]

CATALOGUE = Path(str(files("hetbench") / "catalog" / "chips.toml"))
PEAK_COLUMNS = {  # precision -> facts that state its peak; the first given counts
    "fp64": ("fp64_matrix_tflops", "fp64_tflops"), "fp32": ("fp32_tflops", "fp32_vector_tflops"),
    "tf32": ("tf32_tflops",), "fp16": ("fp16_tflops",), "bf16": ("bf16_tflops",), "fp8": ("fp8_tflops",),
    "int8": ("int8_tops",), "fp4": ("fp4_tflops",),
}  # fmt: skip
_ALWAYS_STATED = ("bf16", "fp8", "tf32")  # stated by every datasheet of a chip with such units


@dataclass(frozen=True, slots=True)
class Chip:
    """One chip. Peaks are dense, in TFLOPS (int8: TOPS); the names of other facts end with their unit."""

    name: str
    family: str
    vendor: str | None = None
    kind: str | None = None
    """gpu, cpu or npu."""
    arch: str | None = None
    launch_year: int | None = None
    process_nm: float | None = None
    compute_units: int | None = None
    """Streaming multiprocessors, compute units, Xe cores, AI cores or CPU cores."""
    boost_mhz: float | None = None
    fp64_tflops: float | None = None
    fp64_matrix_tflops: float | None = None
    fp32_vector_tflops: float | None = None
    fp32_tflops: float | None = None
    tf32_tflops: float | None = None
    fp16_tflops: float | None = None
    bf16_tflops: float | None = None
    fp8_tflops: float | None = None
    int8_tops: float | None = None
    fp4_tflops: float | None = None
    fp16_vector_tflops: float | None = None
    mem_gb: float | None = None
    mem_type: str | None = None
    mem_bw_gbs: float | None = None
    l2_mb: float | None = None
    llc_mb: float | None = None
    l1_shared_kb_per_unit: float | None = None
    tdp_w: float | None = None
    interconnect_gbs: float | None = None
    interconnect_type: str | None = None
    stack: str | None = None
    source: str | None = None
    confidence: str | None = None
    """high, medium or low, as judged in the review of the catalogue; None for a user's own datasheet."""
    notes: str | None = None
    estimated: str | None = None
    """Facts that were estimated from a related chip, by the rule that `notes` gives; comma-separated."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Name in published data -> certainty that it means this chip."""

    def __hash__(self) -> int:
        return hash(self.name)

    def peak_flops(self, precision: str) -> float | None:
        """Dense peak in FLOP/s of the fastest units at a precision; None where none is stated.

        >>> chip("nvidia-a100-sxm4-80gb").peak_flops("fp16")
        312000000000000.0
        """
        return _peak_flops(self, precision)

    def computed_in(self, precision: str) -> str:
        """The precision itself; of a format of stored weights the best whose peak the datasheet states."""
        if precision not in STORED:
            return precision
        tries = FORMATS[precision].compute
        stated = (name for name in tries if any(getattr(self, each) for each in PEAK_COLUMNS.get(name, ())))
        return next(stated, tries[-1])

    @property
    def die(self) -> str:
        """The die, that is `arch` without the part in parentheses; chips of one die differ in clock, memory, power.

        >>> chip("nvidia-h100-sxm5-80gb").die == chip("nvidia-h200-sxm-141gb").die
        True
        """
        return (self.arch or self.name).split(" (")[0]

    @property
    def vector_flops(self) -> float | None:
        """fp32 peak in FLOP/s of the vector units, else the stated fp32 peak; None where unknown."""
        value = self.fp32_vector_tflops if self.fp32_vector_tflops is not None else self.fp32_tflops
        return None if value is None else value * 1e12

    @property
    def bandwidth(self) -> float | None:
        """Device memory bandwidth in bytes per second; None where unknown."""
        return None if self.mem_bw_gbs is None else self.mem_bw_gbs * 1e9

    @property
    def memory_bytes(self) -> float | None:
        """Device memory in bytes, at 10**9 bytes per GB as in datasheets; None where unknown."""
        return None if self.mem_gb is None else self.mem_gb * 1e9

    def supports(self, precision: str) -> bool | None:
        """Whether the chip has units for a precision; None where that is unknown.

        True where a peak is stated. False for bf16, fp8 and tf32 where facts of medium or high confidence state other
        peaks but not this one.

        >>> chip("nvidia-v100-sxm2-16gb").supports("bf16")
        False
        """
        if self.peak_flops(precision) is not None:
            return True
        stated = any(self.peak_flops(other) for other in PRECISIONS)
        if precision in _ALWAYS_STATED and stated and self.confidence in ("high", "medium"):
            return False
        return None

    @classmethod
    def from_mapping(cls, facts: Mapping[str, Any]) -> Chip:
        """A chip from the facts of a datasheet: name, family, mem_bw_gbs and at least one peak are required.

        Raises `InvalidInputError` for unknown, missing or invalid facts, `UnknownNameError` for an unknown family.

        >>> Chip.from_mapping({"name": "my-npu", "family": "cann", "fp16_tflops": 100, "mem_bw_gbs": 800}).mem_gb
        """
        if not isinstance(facts, Mapping):
            raise InvalidInputError(f"a datasheet is a file or a mapping of facts; given: {shown(facts)}.")
        known = [f.name for f in fields(cls)]
        for key in facts:
            if key not in known:
                near = nearest(key, known, 1) if isinstance(key, str) else []
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise InvalidInputError(f"a chip has no fact {shown(key)}.{hint} Known: {', '.join(known)}.")
        values = {key: _checked(key, value) for key, value in facts.items() if value is not None}
        missing = [key for key in ("name", "family", "mem_bw_gbs") if values.get(key) is None]
        if not any(values.get(column) for columns in PEAK_COLUMNS.values() for column in columns):
            missing.append("a peak such as fp16_tflops or fp32_tflops")
        if missing:
            raise InvalidInputError(
                f"the chip's datasheet lacks {', '.join(missing)}; given: {', '.join(facts) or 'nothing'}."
            )
        family = family_named(values["family"])
        if family is None:
            raise UnknownNameError("family", values["family"], FAMILIES)
        check_plausible(values, ({name: getattr(each, name) for name in NUMBERS} for each in chips().values()))
        return cls(**{**values, "family": family})


_CHOICES = {"kind": ("gpu", "cpu", "npu"), "confidence": ("high", "medium", "low")}
_WHOLE = {"launch_year": (1980, 2100), "compute_units": (1, 10**6)}
LONGEST = 1 << 20
"""Most bytes of a datasheet."""
_LONGEST_NAME = 100  # letters
TEXTS = ("family", "vendor", "kind", "arch", "mem_type", "interconnect_type", "stack", "source", "confidence", "notes",
         "estimated")
NUMBERS = tuple(f.name for f in fields(Chip) if f.name not in (*TEXTS, "name", "aliases"))


def _checked(key: str, value: Any) -> Any:
    if key == "aliases":
        if isinstance(value, Mapping) and all(isinstance(text, str) for pair in value.items() for text in pair):
            return ReadOnly(value)
        raise InvalidInputError(f"aliases={shown(value)} must map names to how sure they are: exact, partial ...")
    if key in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < 1e30:  # type: ignore[operator]
            raise InvalidInputError(f"{key}={shown(value)} must be a number above 0; leave out unknown facts.")
        if key not in _WHOLE:
            return value if isinstance(value, int) else float(value)
        number, (least, most) = float(value), _WHOLE[key]
        if not number.is_integer() or not least <= number <= most:
            raise InvalidInputError(f"{key}={shown(value)} must be a whole number from {least} to {most}.")
        return int(number)
    longest = _LONGEST_NAME if key == "name" else LONGEST
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > longest:
        raise InvalidInputError(f"{key}={shown(value)} must be a text of at most {longest:,} printable characters.")
    if key in _CHOICES and value.lower() not in _CHOICES[key]:
        raise UnknownNameError(f"{key} of a chip", value, _CHOICES[key])
    return value.lower() if key in _CHOICES else value


@lru_cache(maxsize=8192)
def _peak_flops(chip: Chip, precision: str) -> float | None:
    stated = (getattr(chip, column) for column in PEAK_COLUMNS.get(chip.computed_in(precision), ()))
    return next((float(value) * 1e12 for value in stated if value is not None), None)


@load_once()
def _catalogue() -> tuple[Mapping[str, Chip], Mapping[str, tuple[str, str]]]:
    data = read_table("chips")
    found = {name: Chip(name=name, **facts) for name, facts in data["chips"].items()}
    defaults = {family: (entry["chip"], entry["why"]) for family, entry in data["defaults"].items()}
    return ReadOnly(found), ReadOnly(defaults)


def chips() -> Mapping[str, Chip]:
    """All chips of the catalogue by name, read-only.

    >>> len(chips())
    191
    """
    return _catalogue()[0]


def families() -> tuple[str, ...]:
    """The chip families.

    >>> families()
    ('cuda', 'rocm', 'oneapi', 'cann', 'mlu')
    """
    return FAMILIES


def default_chip(family: str) -> tuple[Chip, str]:
    """The default chip of a family, and why it is that one; raises `UnknownNameError` for another name.

    >>> default_chip("oneapi")[0].name
    'intel-arc-pro-b60'
    """
    found = family_named(family)
    if found is None:
        raise UnknownNameError("family", family, FAMILIES)
    name, why = _catalogue()[1][found]
    return chips()[name], why


@lru_cache(maxsize=1024)
def _expanded(name: str) -> str | None:
    """What a short name means among the chips with stated bandwidth: one without, as `nvidia-a100`, is several."""
    return expand(name, [full for full, record in chips().items() if record.bandwidth])


def chip(name: str) -> Chip:
    """The chip of a catalogue name, alias or family; raises `UnknownNameError` for any other name.

    >>> chip("NVIDIA_L4").mem_gb, chip("rocm").name
    (24, 'amd-mi210')
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"the name of a chip must be a text; given: {shown(name)}.")
    found = _spellings().get(normalised_name(name)) or _spellings().get(_expanded(name) or "")
    if found is None:
        raise UnknownNameError("chip", name, (*chips(), *FAMILIES), advice(name))
    return chips()[found]


def normalised_name(name: str) -> str:
    """Lower case, with hyphens for spaces and underscores."""
    return name.strip().lower().replace("_", "-").replace(" ", "-")


@load_once()
def _spellings() -> Mapping[str, str]:
    table: dict[str, str] = {}
    for name, record in chips().items():
        for alias, certainty in record.aliases.items():
            if certainty != "partial":
                table.setdefault(normalised_name(alias), name)
    table |= {normalised_name(name): name for name in chips()}
    return table | {family: default_chip(family)[0].name for family in FAMILIES}
