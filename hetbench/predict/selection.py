"""Selection of what answers for an operator on a chip: the head, the measurement cell, the evidence level.

In this order: the head fitted on this chip alone; the full head with the cells of this chip (level B: where no library
is named, the mean over the engines that timed it), or with a cell of another dtype, of a stand-in operator or of a chip
with the same die (level C); the ratio head (level C where the chip has any rows, else D), blended with the RGAT by the
share that validated best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hetbench.catalog.chips import Chip
from hetbench.catalog.estimates import peak_flops
from hetbench.errors import InvalidInputError, RefusedError, UnknownNameError, shown
from hetbench.predict.cells import Cell, Choice
from hetbench.predict.class_surrogate import ClassSurrogate
from hetbench.predict.protocols import measured_protocol

__all__ = ["STAND_INS", "Selector", "said_by"]

_SIBLING = {"fp16": ("bf16",), "bf16": ("fp16",)}  # same width, same matrix units
_ANY_DTYPE = ("fp32", "fp16", "bf16")  # a memory-bound operator's efficiency hardly depends on the dtype

# operator -> operators of the same traffic pattern, whose rows are used where it has none
STAND_INS = {
    "MatMul": ("Linear",), "BMM": ("Linear",), "Linear": ("MatMul",), "Conv1d": ("Conv2d",),
    "BatchNorm2d": ("Mul", "Add"), "GroupNorm": ("LayerNorm",), "RMSNorm": ("LayerNorm",), "LayerNorm": ("RMSNorm",),
    "LogSoftmax": ("Softmax",), "Softmax": ("LayerNorm", "RMSNorm"), "CumSum": ("Softmax",),
    "MaxPool2d": ("ReLU", "Add"), "AvgPool2d": ("ReLU", "Add"), "AdaptiveAvgPool2d": ("ReLU", "Add"),
    "GroupedMatMul": ("BMM", "Linear", "MatMul"), "Conv3d": ("Conv2d",),
    "ConvTranspose1d": ("Conv1d", "Conv2d"), "ConvTranspose2d": ("Conv2d",), "ConvTranspose3d": ("Conv2d",),
    "VarMean": ("LayerNorm", "Softmax"), "Sort": ("Softmax",), "TopK": ("Softmax",), "RoPE": ("Mul", "Add"),
    "SiLUAndMul": ("Mul", "Add"), "Embedding": ("ReLU", "Add"),
}  # fmt: skip
_ANY_VECTOR = ("ReLU", "Mul", "Add", "GELU", "SiLU")
_MOST_KEPT = 50_000  # choices; chips of the caller's own make their number unbounded


class Selector:
    """Chooses head and cell for operators, and remembers its choices."""

    def __init__(
        self, classes: Mapping[str, Any], surrogate_of: Callable[[str], ClassSurrogate],
        rgat_share: Callable[[str], float],
    ) -> None:  # fmt: skip
        self._classes, self._surrogate_of, self._rgat_share = classes, surrogate_of, rgat_share
        self._choices: dict[tuple[Any, ...], Choice] = {}

    def choose(
        self, cls: str, op: str, dtype: str, chip: Chip, protocol: str, library: str | None, layout: str | None,
        predictor: str = "auto",
    ) -> Choice:  # fmt: skip
        """Head and cell for an operator; cached, since they depend on names only.

        Raises `RefusedError` for a class without surrogate and for a chip without stated memory bandwidth.
        """
        key = (cls, op, dtype, chip.name, chip.die, chip.family, chip.bandwidth, protocol, library, layout, predictor)
        try:
            found = self._choices.get(key)
        except TypeError:
            given = f"{shown(library)}, {shown(layout)}"
            raise InvalidInputError(f"library and layout are names; given: {given}.") from None
        if found is None:
            found = self._choose(cls, op, dtype, chip, protocol, library, layout, predictor)
            if len(self._choices) >= _MOST_KEPT:
                self._choices.clear()
            self._choices[key] = found
        return found

    def _check_labels(self, library: str | None, layout: str | None) -> None:
        """`UnknownNameError` for a library or layout that no measured row has; "" is that of rows that state none."""
        for label, given, at in (("library", library, 4), ("layout", layout, 5)):
            if given is not None:
                names = {str(cell[at]) for spec in self._classes.values() for cell in spec["cells"]}
                if given not in names:
                    raise UnknownNameError(label, given, sorted(names - {""}))

    def _choose(
        self, cls: str, op: str, dtype: str, chip: Chip, protocol: str, library: str | None, layout: str | None,
        predictor: str,
    ) -> Choice:  # fmt: skip
        if cls not in self._classes:
            known = ", ".join(sorted(self._classes))
            raise RefusedError(f"no surrogate covers {op} (class {cls}). Covered classes: {known}.")
        self._check_labels(library, layout)
        if not chip.bandwidth:
            raise RefusedError(
                f"{chip.name} has no stated memory bandwidth, so no latency can be predicted for it. "
                "Give its datasheet with `hetbench query ... --chip-file FILE`."
            )
        if cls != "vector" and peak_flops(chip, dtype) is None:
            raise RefusedError(
                f"{chip.name} states no peak at {dtype}, and no related chip tells how it relates to its other peaks. "
                "Give its datasheet with `hetbench query ... --chip-file FILE`."
            )
        if predictor == "roofline":
            return Choice("roofline", _NO_EFFECTS, 0, protocol, "D", 0, "roofline", 0.0, dtype)
        if predictor == "rgat":
            return replace(self._ratio(cls, op, dtype, chip, protocol), rgat=1.0, alone=True, source="RGAT alone")
        own_head = self._surrogate_of(cls).chip_head(chip, op, (dtype, *_SIBLING.get(dtype, ())))
        if own_head is not None:
            return own_head
        index = self._surrogate_of(cls).cells
        stand_ins = STAND_INS.get(op, ()) + (_ANY_VECTOR if cls == "vector" else ())
        dtypes = [dtype, *_SIBLING.get(dtype, ())] + (list(_ANY_DTYPE) if cls == "vector" else [])
        for own in (True, False):
            for name in (op, *stand_ins):
                for measured_as in dict.fromkeys(dtypes):
                    cells = index.best(chip, own, name, measured_as, protocol, library, layout)
                    if cells:
                        exact = own and name == op and measured_as in (dtype, *_SIBLING.get(dtype, ()))
                        level, chosen = ("B", cells) if exact else ("C", cells[:1])
                        return _of_cells(chosen, level, op, dtype, alone=predictor != "auto")
        found = self._ratio(cls, op, dtype, chip, protocol)
        if predictor != "auto" or not np.isnan(found.constant):  # a family without rows has the median of three
            return replace(found, alone=predictor != "auto")
        share = self._rgat_share(cls)
        source = f"{found.source}; blended with {share:.0%} RGAT" if share else found.source
        return replace(found, rgat=share, source=source)

    def _ratio(self, cls: str, op: str, dtype: str, chip: Chip, protocol: str) -> Choice:
        head = self._surrogate_of(cls)
        group = chip.family if chip.family in head.spec["ratio"] else "any"
        spec = head.spec["ratio"][group]
        default = float(spec["default"])
        constant = np.nan
        if chip.family not in head.spec["protocol"]:  # the family has no row of the class
            constant = _first(head.spec["constant"], (f"{op}/{dtype}", op, ""), default)
        effects = [
            _first(spec["op"], (op, *STAND_INS.get(op, ()), *_ANY_VECTOR), default),
            _first(spec["library"], (chip.family,), default),
            _first(spec["layout"], (chip.family,), default),
            _first(spec["dtype"], (dtype, *_SIBLING.get(dtype, ()), *_ANY_DTYPE), default),
            0.0,  # no cell, no effect of one
        ]
        few = head.cells.rows_of(chip.name)
        bias = spec["bias"].get(chip.name, 0.0)
        known = few or any(chip.name in c["chips"] for c in self._classes.values())
        source = f"ratio head, {few} rows of the class on this chip" if few else "ratio head, rows of other chips only"
        measured = measured_protocol(head.spec.get("measured", {}), dtype, protocol)  # of all families
        native = measured if group == "any" else head.spec["protocol"].get(chip.family, measured)
        return Choice(
            f"ratio/{group}", np.array(effects, dtype=np.float32), 0, native,
            "C" if known else "D", few, source, bias, dtype, constant, op,
        )  # fmt: skip


def said_by(on: Chip, chip: Chip, choice: Choice) -> Choice:
    """The choice of the chip `on` as it stands for `chip`: rows of another chip of the die are no rows of this one."""
    if on.name == chip.name or choice.level == "D":
        return choice
    return replace(choice, level="C" if choice.head == "full" else "D")


def _of_cells(cells: Sequence[Cell], level: str, op: str, dtype: str, *, alone: bool) -> Choice:
    """The full head with the cells of one or several engines."""
    first, *peers = cells
    source = f"rows of {first.op} {first.dtype} on {first.chip}"
    if peers:
        source += f" by {len(cells)} engines"
    return Choice(
        "full", first.effects, first.index, first.protocol, level, sum(cell.rows for cell in cells), source, 0.0, dtype,
        op=op, alone=alone, peers=tuple(peers),
    )  # fmt: skip


_NO_EFFECTS = np.zeros(5, dtype=np.float32)


def _first(table: Mapping[str, float], names: Sequence[str], default: float) -> float:
    """The value of the first of `names` that the table holds."""
    return next((table[name] for name in names if name in table), default)
