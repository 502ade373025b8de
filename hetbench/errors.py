"""The errors that hetbench raises, as one tree.

HetBenchError
├── UnknownNameError     a model, chip, metric, operator ... that is not in the catalogue   (exit 2)
│   └── UnknownOptionError   a keyword that a method does not take; a TypeError too         (exit 2)
├── InvalidInputError    an invalid size, table, file or other value                        (exit 2)
├── RefusedError         a valid question that no evidence can answer                       (exit 3)
└── ArtifactError        a surrogate file is missing, damaged or of another version         (exit 4)

Every message states what was given, what would be accepted, the nearest name and, where useful, the command to run.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from typing import Any, ParamSpec

__all__ = [
    "PIPE_CLOSED", "ArtifactError", "HetBenchError", "InvalidInputError", "RefusedError", "UnknownNameError",
    "UnknownOptionError", "command", "escaped", "exit_code", "nearest", "open_streams", "shown",
]  # fmt: skip

_Words = ParamSpec("_Words")
_STOPPED = 130
PIPE_CLOSED = 141
_SHOWN = 120  # characters of a value in a message
_COMPARED = 100  # characters of a name that are compared with known ones


class HetBenchError(Exception):
    """Base of every error that hetbench raises on purpose."""

    exit_code = 2


class InvalidInputError(HetBenchError):
    """An invalid value, table or file; the message says what would be accepted."""


class RefusedError(HetBenchError):
    """A valid question without evidence to answer it; the message says what is missing and what is covered."""

    exit_code = 3


class ArtifactError(HetBenchError):
    """A surrogate file that is missing, damaged or of a format that this version does not read."""

    exit_code = 4


class UnknownNameError(HetBenchError):
    """A name that is not in the catalogue; the message suggests the nearest known names.

    `kind` is what the name stands for, `given` the name or whatever was given for one, `known` all valid names, `then`
    a sentence to append.

    >>> print(UnknownNameError("metric", "latncy", ["latency", "memory"]))
    unknown metric 'latncy'. Did you mean 'latency'? `hetbench metrics` lists all 2.
    """

    def __init__(self, kind: str, given: object, known: Iterable[str], then: str = "") -> None:
        self.kind, self.known = kind, tuple(known)
        self.given = given if isinstance(given, str) else shown(given)
        self.nearest = nearest(self.given, self.known)
        if self.nearest:
            hint = " or ".join(repr(name) for name in self.nearest)
            text = f"unknown {kind} {shown(given)}. Did you mean {hint}?"
        elif len(self.known) <= 12:
            text = f"unknown {kind} {shown(given)}. Known: {', '.join(sorted(self.known))}."
        else:
            text = f"unknown {kind} {shown(given)}."
        if kind in _LISTED:
            text += f" `hetbench {kind}s` lists all {len(self.known)}."
        super().__init__(f"{text} {then}".rstrip())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, vars(self))


def _restored(cls: type[HetBenchError], args: tuple[Any, ...], state: dict[str, Any]) -> HetBenchError:
    """An error as it was pickled, without making its message again."""
    error = cls.__new__(cls, *args)
    vars(error).update(state)
    return error


class UnknownOptionError(UnknownNameError, TypeError):
    """A keyword that a method does not take, named with the nearest that it takes.

    >>> print(UnknownOptionError("option", "bacth", ["batch", "phase"]))
    unknown option 'bacth'. Did you mean 'batch'?
    """


_LISTED = ("model", "chip", "metric", "operator")  # kinds with a listing command of their own


def nearest(given: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names most similar to `given`, best first, at most `limit`; case, spaces and underscores do not count.

    >>> nearest("H100", ["nvidia-h100-pcie", "amd-mi210"])
    ['nvidia-h100-pcie']
    """
    key = str(given)[:_COMPARED].lower().replace("_", "-").replace(" ", "-")
    folded = {name.lower(): name for name in known}
    inside = sorted((name for name in folded if key and key in name), key=len)
    close = get_close_matches(key, folded, n=limit, cutoff=0.6)
    return [folded[name] for name in dict.fromkeys(inside + close)][:limit]


def shown(value: object) -> str:
    """A value as a message shows it: its repr on one line, cut in the middle where it is long.

    >>> shown("gpt\\n2"), shown(10**300)[:8], len(shown("x" * 9999))
    ("'gpt\\\\n2'", '10000000', 120)
    """
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - the repr of a caller's object may raise anything
        text = f"a {type(value).__name__}"
    half = (_SHOWN - 5) // 2
    return text if len(text) <= _SHOWN else f"{text[:half]} ... {text[-(_SHOWN - 5 - half):]}"


def escaped(text: str, keep: str = "") -> str:
    """The text with control characters as backslash escapes, except those in `keep`, so that a terminal is safe.

    >>> print(escaped("a\\x1b[31mb\\tc"))
    a\\x1b[31mb\\tc
    """
    if text.isprintable():
        return text
    return "".join(
        each if each in keep or unicodedata.category(each) not in _UNPRINTED else each.encode("unicode_escape").decode()
        for each in text
    )


_UNPRINTED = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format (direction marks), surrogate, line and paragraph ends


def exit_code(work: Callable[[], int], stopped: str) -> int:
    """Run a command and return its exit code; an error is printed to stderr as one message.

    A `HetBenchError` gives its own exit code. So do faults of the machine and of files: 2 for a file that cannot be
    read or written or is nested too deeply, 3 for a missing package or too little memory. `work` returns the exit code
    of success. After Ctrl-C, `stopped` is printed and 130 returned; where the reader of stdout has closed it, 141.

    >>> exit_code(lambda: 0, stopped="")
    0
    """
    open_streams()
    try:
        if any(not word.strip() for word in sys.argv[1:]):  # "$NAME" of a variable that is not set
            raise InvalidInputError("an argument of the command is empty: leave it out, or name what is meant.")
        code = work()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        sys.stderr.write(f"{stopped}\n")
        return _STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere
        return PIPE_CLOSED
    except _reported() as error:
        taught = error if isinstance(error, HetBenchError) else _taught(error)
        sys.stderr.write(f"error: {escaped(str(taught), keep=_LINE_END)}\n")
        return taught.exit_code


def open_streams() -> None:
    """Make stdout and stderr ones that can be written to: closed ones go nowhere, letters unknown there are escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller, as by `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - until the process ends
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


_LINE_END = "\n"
_FILE_ERRORS = (("duckdb", "Error"), ("pyarrow", "ArrowException"), ("zipfile", "BadZipFile"))


def _reported() -> tuple[type[Exception], ...]:
    """The errors that a command reports as one message: its own, the machine's, and those of the loaded libraries."""
    loaded = ((sys.modules.get(module), name) for module, name in _FILE_ERRORS)
    libraries = (getattr(module, name) for module, name in loaded if hasattr(module, name))
    return HetBenchError, OSError, ImportError, RecursionError, MemoryError, *libraries


def command(stopped: str) -> Callable[[Callable[_Words, int | None]], Callable[_Words, None]]:
    """Decorate a `main` so that it ends as `exit_code` says: by `SystemExit` where the code is not 0."""

    def decorated(main: Callable[_Words, int | None]) -> Callable[_Words, None]:
        @wraps(main)
        def run(*args: _Words.args, **options: _Words.kwargs) -> None:
            code = exit_code(lambda: main(*args, **options) or 0, stopped)
            if code:
                raise SystemExit(code)

        return run

    return decorated


def _taught(error: Exception) -> HetBenchError:
    """What a fault of the machine, of a file or of the installation means to the caller of a command."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        return InvalidInputError(
            f"{where}{error.strerror or error}. Name a file or directory that is there, usable and has room."
        )
    if isinstance(error, ImportError):
        package = (error.name or str(error)).partition(".")[0]
        return RefusedError(
            f"this command needs {package}, which is not installed or does not load: {error}. The extras of "
            "pyproject.toml list what each folder needs; from a checkout: pip install --editable '.[all]'"
        )
    if isinstance(error, MemoryError):
        return RefusedError("the machine has too little free memory for this.")
    if isinstance(error, RecursionError):
        return InvalidInputError("an input file is nested too deeply to be read.")
    return InvalidInputError(f"an input file cannot be read: {error}")
