"""Values that nobody should give, and names with a slip of the finger; all drawn from a seeded generator."""

from __future__ import annotations

import datetime
import decimal
import fractions
import math
import random
from collections import OrderedDict, UserDict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["DRAWN", "hostile", "number", "slip", "text"]

Draw = random.Random


class Unfriendly:
    """An object that can be neither shown, compared, hashed, counted nor measured."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise ValueError("it has no text")

    def __eq__(self, other: object) -> bool:
        raise ValueError("it compares with nothing")

    def __len__(self) -> int:
        return -1  # noqa: PLE0303 - hostile on purpose

    def __index__(self) -> int:
        raise OverflowError("no")

    def __bool__(self) -> bool:
        raise TypeError("neither")


class Shouting(str):
    """A text of a class of its own."""

    def __repr__(self) -> str:
        return "\x1b[31m" + str.__repr__(self)


class Countless:
    """A sequence that claims a length and has no end."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[int]:
        return iter([1, 2])

    def __getitem__(self, at: Any) -> int:
        raise KeyError(at)


def deep(levels: int, kind: str = "list") -> Any:
    """A value nested so many times."""
    made: Any = 1
    for _ in range(levels):
        made = [made] if kind == "list" else {"a": made}
    return made


def _looped() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def number(draw: Draw) -> Any:
    """A number of any size and kind."""
    return draw.choice(
        (
            lambda: draw.randint(-3, 70),
            lambda: draw.choice((0, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**30, 10**400)),
            lambda: 10 ** draw.randint(0, 320) * draw.choice((1, -1)),
            lambda: draw.uniform(-2, 300),
            lambda: draw.choice((math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308, 0.1 + 0.2)),
            lambda: draw.choice((True, False)),
            lambda: np.float32(draw.uniform(-1, 9)),
            lambda: np.int8(draw.randint(-9, 99)),
            lambda: np.bool_(draw.random() < 0.5),
            lambda: np.array(draw.randint(0, 5)),
            lambda: np.uint64(2**64 - 1),
            lambda: decimal.Decimal(draw.choice(("NaN", "sNaN", "1e999", "8", "0.5"))),
            lambda: np.longdouble(3.0),
            lambda: fractions.Fraction(draw.randint(-3, 9), 2),
            lambda: complex(draw.random(), 1),
            lambda: np.float16("nan"),
        )
    )()


_TEXTS = (
    "",
    " ",
    "\t",
    "\n",
    "\0",
    "x",
    "nan",
    "NaN",
    "None",
    "null",
    "inf",
    "-1",
    "0",
    "8",
    "8.0",
    "1e3",
    "0x10",
    "８",
    "٣",
    "1_000",
    "1,000",
    "TRUE",
    "all",
    "*",
    "?",
    "[12]",
    "{0}",
    "{model}",
    "%s%n",
    "${HOME}",
    "$(id)",
    "; rm -rf .",
    "../..",
    "/dev/null",
    "/dev/zero",
    "/etc/passwd",
    "file:///etc/passwd",
    "C:\\x",
    "~",
    "~root",
    "-",
    "--",
    "--help",
    "\x1b[31m",
    "\x1b]0;t\x07",
    "\u202egpj",
    "\u200b",
    "\ufeff",
    "\udcff",
    "é",
    "e\u0301",
    "日本",
    "🦄",
    "'",
    '"',
    "\\",
    "`",
    "<script>",
    "' OR 1=1 --",
    "a" * 300,
    "a" * 100_000,
    "a,b",
    "a;b",
    "a\rb",
    "con",
    "NUL",
    ".",
    "=cmd",
    "@x",
    "#",
    "1" * 5000,
    "()",
)


def text(draw: Draw) -> str:
    """A text that is no name."""
    roll = draw.random()
    if roll < 0.7:
        return draw.choice(_TEXTS)
    if roll < 0.9:
        return "".join(
            chr(draw.choice((draw.randrange(32), draw.randrange(32, 127), draw.randrange(0x250))))
            for _ in range(draw.randrange(12))
        )
    return draw.choice(_TEXTS) + draw.choice(_TEXTS)


def _containers(draw: Draw) -> Any:
    inner = draw.choice((1, None, "x", math.nan))
    return draw.choice(
        (
            list,
            dict,
            set,
            tuple,
            lambda: [inner],
            lambda: (inner, inner),
            lambda: {inner},
            lambda: {"a": inner},
            lambda: {1: inner},
            lambda: {(1, 2): inner},
            lambda: [[inner]],
            lambda: deep(50),
            lambda: deep(100_000),
            lambda: deep(3000, "dict"),
            _looped,
            lambda: range(4),
            lambda: iter([1, 2]),
            lambda: deque([1]),
            lambda: OrderedDict(a=1),
            lambda: UserDict(a=1),
            lambda: (each for each in (1, 2)),
            lambda: np.array([inner]),
            lambda: np.zeros((2, 2)),
            lambda: np.zeros(0),
            lambda: np.array(["x", None], dtype=object),
            lambda: np.ma.masked_array([1, 2], [True, False]),
            lambda: np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
            lambda: np.array("2020-01-01", dtype="datetime64[D]"),
            lambda: memoryview(b"abc"),
            Countless,
        )
    )()


def _objects(draw: Draw) -> Any:
    return draw.choice(
        (
            lambda: None,
            object,
            Unfriendly,
            lambda: Unfriendly,
            lambda: print,
            lambda: math,
            lambda: b"x",
            bytearray,
            lambda: Path("x"),
            lambda: Path("/dev/null"),
            lambda: datetime.datetime(2020, 1, 1),
            lambda: datetime.timedelta(1),
            lambda: Ellipsis,
            lambda: NotImplemented,
            lambda: slice(1),
            lambda: Exception("x"),
            lambda: Shouting("gpt2"),
            lambda: Shouting(text(draw)),
            lambda: np.str_("gpt2"),
            lambda: np.datetime64("NaT"),
            lambda: type,
            lambda: str,
        )
    )()


def _of_libraries(draw: Draw) -> Any:
    try:
        import pandas as pd
        import pyarrow as pa
    except ImportError:
        return None
    return draw.choice(
        (
            lambda: pd.NA,
            lambda: pd.NaT,
            lambda: pd.Series([1, None]),
            lambda: pd.Series(["x"]),
            lambda: pd.DataFrame(),
            lambda: pd.Timestamp("2020-01-01"),
            lambda: pd.Categorical(["a"]),
            lambda: pa.scalar(3),
            lambda: pa.scalar("x"),
            lambda: pa.scalar(None),
            lambda: pa.array([1, None]),
            lambda: pa.chunked_array([[1]]),
            lambda: pa.scalar(1.5),
            lambda: pa.scalar({"m": 1}),
            lambda: pa.table({"a": [1]}),
            lambda: pd.Interval(0, 1),
        )
    )()


def slip(draw: Draw, name: str) -> str:
    """The name with a slip of the finger: a letter more, less or another, case, blanks, a separator."""
    at = draw.randrange(len(name) + 1)
    return draw.choice(
        (
            lambda: name[:at] + name[at + 1 :],
            lambda: name[:at] + draw.choice("aex0-_ \0é") + name[at:],
            lambda: name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
            name.upper,
            name.title,
            lambda: f" {name} ",
            lambda: name.replace("-", "_"),
            lambda: name.replace("-", ""),
            lambda: name * 2,
            lambda: f"{name}\n",
            lambda: f"\u200b{name}",
            lambda: name[: at or 1],
            lambda: f"{name}-{draw.randrange(99)}",
        )
    )()


DRAWN: tuple[Callable[[Draw], Any], ...] = (number, number, text, text, _containers, _objects, _of_libraries)


def hostile(draw: Draw) -> Any:
    """Any value."""
    return draw.choice(DRAWN)(draw)
