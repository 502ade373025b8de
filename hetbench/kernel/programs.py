"""Formulas over columns, recorded once and run by the kernel.

A formula is a function of numpy columns. Called with `Column`s instead, it leaves behind the steps that it takes; a
formula that decides by a value, or uses a function that the kernel lacks, cannot be recorded and stays with numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from hetbench.kernel.records import Record

__all__ = ["MOST_REGISTERS", "Column", "Program", "UnrecordableError", "record_formula"]

MOST_REGISTERS = 160
_STEP = np.dtype([("code", np.int32), ("a", np.int32), ("b", np.int32), ("c", np.int32), ("constant", np.float64)])
_CODES = {
    name: code for code, name in enumerate((
        "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "maximum", "minimum", "greater", "less",
        "equal", "select", "negative", "log2", "ceil", "rint", "constant", "logical_and", "not_equal",
        "greater_equal", "less_equal",
    ))
}  # fmt: skip
_TRUTH = {"greater", "less", "equal", "not_equal", "greater_equal", "less_equal", "logical_and"}
Key = tuple[str, tuple[int, ...], float]


class UnrecordableError(Exception):
    """A formula that the kernel cannot run."""


class Tape:
    """The steps of one formula; equal steps are kept once."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.steps: dict[Key, int] = {}

    def add(self, name: str, *sources: int, constant: float = 0.0) -> int:
        """The register of a step."""
        return self.steps.setdefault((name, sources, constant), self.inputs + len(self.steps))


class Column(NDArrayOperatorsMixin):
    """A column [rows] whose values are not known yet; `whole` and `truth` say whether they are integers or booleans."""

    shape, ndim, size = (1,), 1, 1

    def __init__(self, tape: Tape, register: int, whole: bool = True, truth: bool = False) -> None:
        self.tape, self.register, self.whole, self.truth = tape, register, whole, truth

    def __len__(self) -> int:
        return 1

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise UnrecordableError("the formula decides by a value")

    __bool__ = __int__ = __float__ = __index__ = __array__ = __iter__ = __getitem__ = _refuse

    def astype(self, kind: Any) -> Column:
        """The column as integers or reals; only what is whole already becomes an integer."""
        whole = np.issubdtype(kind, np.integer)
        return Column(self.tape, self.register, whole)

    def __array_ufunc__(self, ufunc: Any, method: str, *given: Any, **options: Any) -> Any:
        name = {"bitwise_and": "logical_and", "true_divide": "divide"}.get(ufunc.__name__, ufunc.__name__)
        if method != "__call__" or options or (name not in _CODES and name != "square"):
            self._refuse()
        columns = [_column(self.tape, value) for value in given]
        if ufunc.__name__ == "bitwise_and" and not all(each.truth for each in columns):
            self._refuse()
        if name == "square":
            name, columns = "multiply", [*columns, *columns]
        truth = name in _TRUTH
        whole = truth or (all(each.whole for each in columns) and name not in ("divide", "log2"))
        return Column(self.tape, self.tape.add(name, *(each.register for each in columns)), whole, truth)

    def __array_function__(self, function: Any, _: Any, given: Sequence[Any], options: Mapping[str, Any]) -> Any:
        if function is np.where and len(given) == 3 and not options:
            columns = [_column(self.tape, value) for value in given]
            register = self.tape.add("select", *(each.register for each in columns))
            return Column(self.tape, register, columns[1].whole and columns[2].whole)
        if function is np.clip and len(given) == 3 and not options:
            return np.minimum(np.maximum(given[0], given[1]), given[2])
        if function is np.ones_like and len(given) == 1 and not options:
            return _column(self.tape, 1)
        return self._refuse()


def _column(tape: Tape, value: Any) -> Column:
    if isinstance(value, Column):
        return value
    if np.size(value) != 1:
        raise UnrecordableError("a constant of several values")
    number = np.asarray(value).reshape(-1)[0]
    register = tape.add("constant", constant=float(number))
    return Column(tape, register, isinstance(number, int | np.integer | np.bool_), isinstance(number, np.bool_))


class Program:
    """Steps that compute `outputs` from `inputs`, as the kernel takes them."""

    def __init__(self, inputs: int, steps: NDArray[Any], outputs: NDArray[np.int32]) -> None:
        self.inputs, self.steps, self.outputs = inputs, Record(steps), outputs


def record_formula(
    formula: Callable[[dict[str, Any]], Mapping[str, Any]], inputs: Sequence[str], constants: Mapping[str, int],
    outputs: Sequence[str],
) -> Program | None:  # fmt: skip
    """Record a formula of named columns; `constants` are columns of one value. None where it cannot be recorded.

    >>> made = record_formula(lambda d: {"area": d["w"] * d["h"] // d["step"]}, ["w", "h"], {"step": 2}, ["area"])
    >>> len(made.steps.values), made.outputs.tolist()
    (3, [4])
    """
    tape = Tape(len(inputs))
    columns = {name: Column(tape, index) for index, name in enumerate(inputs)}
    columns |= {name: _column(tape, value) for name, value in constants.items()}
    try:
        found = formula(columns)
        registers = [_column(tape, found[name]).register for name in outputs]
    except (UnrecordableError, TypeError, ValueError, AttributeError):
        return None
    return _compacted(tape, registers)


def _compacted(tape: Tape, registers: Sequence[int]) -> Program | None:
    """The program of the steps that the outputs need."""
    steps = list(tape.steps)
    needed, pending = set(), list(registers)
    while pending:
        register = pending.pop()
        if register >= tape.inputs and register not in needed:
            needed.add(register)
            pending += steps[register - tape.inputs][1]
    place = {register: tape.inputs + index for index, register in enumerate(sorted(needed))}
    place |= {index: index for index in range(tape.inputs)}
    if len(place) > MOST_REGISTERS:
        return None
    made = np.zeros(len(needed), dtype=_STEP)
    for index, register in enumerate(sorted(needed)):
        name, sources, constant = steps[register - tape.inputs]
        places = [place[source] for source in sources]
        made[index] = (_CODES[name], *places, *[0] * (3 - len(places)), constant)
    return Program(tape.inputs, made, np.array([place[each] for each in registers], dtype=np.int32))
