"""Quantities that a search optimises or constrains, parsed from words such as `latency@cann` and `memory@cuda<16GB`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench import HetBench
from hetbench.errors import InvalidInputError, UnknownNameError
from hetbench.metrics import METRICS
from hetbench.spaces import Space
from hetbench.spaces.quality import QUALITIES

__all__ = ["Constraint", "Quantity", "api", "constraint", "metric_names", "quality_function", "quantity"]

Array = NDArray[np.float64]
QUALITY = "quality"
"""Name of the objective that the caller's own function returns."""
_PLACELESS = ("memory", "params", "flops")  # what needs no chip, though the precision of one changes the memory
_ON_CHIPS = ("latency", "energy", "power", "throughput")
_UNITS = {
    "ms": {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3},
    "J": {"mJ": 1e-3, "J": 1.0, "kJ": 1e3, "Wh": 3600.0},
    "W": {"mW": 1e-3, "W": 1.0, "kW": 1e3},
    "MB": {"KB": 1e-3, "MB": 1.0, "GB": 1e3, "TB": 1e6, "KiB": 1.024e-3, "MiB": 1.048576, "GiB": 1073.741824},
    "FLOP": {"FLOP": 1.0, "MFLOP": 1e6, "GFLOP": 1e9, "TFLOP": 1e12},
    "1/s": {"1/s": 1.0},
    "1": {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9},
}
_CONSTRAINT = re.compile(r"\s*([^<>=\s]+)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(\S*)\s*")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity of an architecture."""

    name: str
    """As given: `latency@cann`."""
    metric: str
    device: str | None
    unit: str
    better: str
    """`lower` or `higher`; `lower` for a metric without a direction, such as params."""

    @property
    def sign(self) -> float:
        """Sign that turns values into minimised ones."""
        return -1.0 if self.better == "higher" else 1.0


@dataclass(frozen=True, slots=True)
class Constraint:
    """A quantity that must stay below or above a limit."""

    text: str
    quantity: Quantity
    limit: float
    """In the unit of the quantity."""
    relation: str
    """One of `<`, `<=`, `>`, `>=`."""

    def excess(self, values: Array) -> Array:
        """Relative violation of the limit: 0 where satisfied, 1 where unknown, [n]."""
        holds = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[self.relation]
        over = np.abs(values - self.limit) / (abs(self.limit) or 1.0)
        return np.where(np.isnan(values), 1.0, np.where(holds(values, self.limit), 0.0, over))

    @property
    def slug(self) -> str:
        """The constraint as part of a file name."""
        words = {"<": "_lt_", "<=": "_le_", ">": "_gt_", ">=": "_ge_"}
        return f"{self.quantity.name}{words[self.relation]}{self.limit:g}{self.quantity.unit.replace('/', 'p')}"


@lru_cache(maxsize=16)
def api(space: str) -> HetBench:
    """The `HetBench` of a space, one per process, so that its tables are compiled once."""
    return HetBench(search_space=space)


def metric_names(space: Space) -> list[str]:
    """Metrics that objectives and constraints of a space can name."""
    return [*_ON_CHIPS, *_PLACELESS, *space.qualities, QUALITY]


def quantity(text: str, space: Space, quality: str | None = None) -> Quantity:
    """The quantity that words such as `latency@cann` mean in a space.

    >>> from hetbench.spaces import space
    >>> quantity("latency@cann", space("gpt-s")).unit
    'ms'
    """
    name = text.strip()
    metric, at, device = name.partition("@")
    known = metric_names(space)
    if metric not in known:
        raise UnknownNameError(f"objective of {space.name}", metric, known)
    if metric == QUALITY:
        if quality is None:
            raise InvalidInputError("the objective 'quality' needs your own function, given as module:function.")
        function = quality_function(quality)
        return Quantity(name, metric, None, getattr(function, "unit", "1"), getattr(function, "better", "lower"))
    if at and not (device and metric in (*_ON_CHIPS, "memory")):
        raise InvalidInputError(f"{name!r}: {metric} is the same on every chip; write '{metric}'." if device else
                                f"{name!r} names no chip after '@'; write {metric}@cuda or a chip's name.")  # fmt: skip
    own_chip = "chip" in space.column  # an entry of the deployment space says itself where it runs
    if at and own_chip:
        raise InvalidInputError(f"{name!r}: an entry of {space.name} names its own chip; write '{metric}'.")
    if at:
        api(space.name).chip(device)
    elif metric in _ON_CHIPS and not own_chip:
        raise InvalidInputError(f"{metric!r} is that of a chip: write {metric}@cann, or another family or chip.")
    found = METRICS[metric] if metric in METRICS else QUALITIES[metric]
    return Quantity(name, metric, device or None, found.unit, "higher" if found.better == "higher" else "lower")


def constraint(text: str, space: Space, quality: str | None = None) -> Constraint:
    """The constraint that words such as `memory@cuda<16GB` mean, its limit in the quantity's own unit.

    >>> from hetbench.spaces import space
    >>> constraint("memory@cuda<16GB", space("gpt-s")).limit
    16000.0
    """
    match = _CONSTRAINT.fullmatch(text)
    if match is None:
        raise InvalidInputError(f"{text!r} is not a constraint: write QUANTITY<LIMIT, such as latency@mlu<20ms.")
    name, relation, number, unit = match.groups()
    found = quantity(name, space, quality)
    units = _UNITS.get(found.unit, {found.unit: 1.0, "": 1.0})
    if unit not in units:
        known = ", ".join(each or "no unit" for each in units)
        raise InvalidInputError(f"{text!r}: {found.metric} is limited in {known}; given: {unit or 'no unit'}.")
    try:
        limit = float(number) * units[unit]
    except ValueError:
        raise InvalidInputError(f"{text!r}: {number!r} is no number.") from None
    return Constraint(text.strip(), found, limit, relation)


@lru_cache(maxsize=16)
def quality_function(path: str) -> Callable[[list[dict[str, Any]]], Any]:
    """The caller's function `module:function`: architectures -> values, lower is better unless its `better` says
    `higher`; its `unit` is `1` unless it says so."""
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise InvalidInputError(f"a quality function is given as module:function; given: {path!r}.")
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InvalidInputError(f"quality function {path!r}: {error}. Is its folder on PYTHONPATH?") from None
    if not callable(function):
        raise InvalidInputError(f"quality function {path!r} cannot be called.")
    return function  # type: ignore[no-any-return]
