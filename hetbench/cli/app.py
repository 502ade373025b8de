"""The command line application: the subcommands in one Typer app, and the entry point with its exit codes.

A call loads the module of its command alone; help and completion load all of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer

from hetbench.cli.pipes import quiet_where_closed
from hetbench.errors import HetBenchError, InvalidInputError, escaped, open_streams, shown
from hetbench.kernel.library import describe
from hetbench.version import __version__

__all__ = ["COMMANDS", "application", "main"]

_LINE_END = "\n"
COMMANDS = {
    "queries": ("query", "operator"), "comparison": ("compare",), "observing": ("observe", "forget"),
    "serving": ("serve-plan",), "service": ("serve",), "analysis": ("coverage", "explain", "advise", "migrate"),
    "pages": ("report", "dashboard"),
    "listings": ("models", "networks", "stacks", "chips", "operators", "metrics", "spaces", "sources"),
    "artifacts": ("download", "artifacts"), "doctor": ("doctor",), "graph": ("graph",),
}  # fmt: skip
"""Module of this package -> its commands, in the order of the help."""
_GROUPS = ("graph",)  # modules whose commands are below one of their name


@cache
def application(modules: Collection[str] = tuple(COMMANDS)) -> typer.Typer:
    """The application with the commands of some modules."""
    made = typer.Typer(
        no_args_is_help=True, pretty_exceptions_enable=False,
        help="Latency, throughput, energy and memory of AI models and operators on chips: measured, predicted with an "
             "interval, or derived exactly from the operator graph.",
    )  # fmt: skip
    made.callback()(_options)
    for name in modules:
        part = import_module(f"hetbench.cli.{name}")
        if name in _GROUPS:
            made.add_typer(part.app, name=name, rich_help_panel=part.PANEL)
        else:
            made.add_typer(part.app)
    return made


def __getattr__(name: str) -> Any:
    """`app`, the application with all commands."""
    if name == "app":
        return application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"hetbench {__version__}, predictions by {describe()}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of `hetbench` itself; the help text of the command is that of `app`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `hetbench` command: run it on `arguments` (default: `sys.argv`) and exit.

    Raises `SystemExit` with the exit code of the outcome: see `hetbench.cli`.
    """
    open_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        for word in words:
            if escaped(word) != word:
                raise InvalidInputError(f"an argument holds control characters: {shown(word)}.")
        with quiet_where_closed():
            application(_needed(words))(args=words, prog_name="hetbench")
    except HetBenchError as error:
        print(f"hetbench: {escaped(str(error), keep=_LINE_END)}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except OSError as error:  # a full disk behind stdout, a file that the system does not let it read
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"hetbench: {escaped(where)}{error.strerror or error}.", file=sys.stderr)
        raise SystemExit(InvalidInputError.exit_code) from None


def _needed(words: Sequence[str]) -> tuple[str, ...]:
    """The modules that a command line needs."""
    if not words or "_HETBENCH_COMPLETE" in os.environ:
        return tuple(COMMANDS)
    return tuple(name for name, commands in COMMANDS.items() if words[0] in commands) or tuple(COMMANDS)
