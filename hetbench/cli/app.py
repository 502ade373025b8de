"""The command line application: all subcommands in one Typer app, and the entry point with its exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from hetbench.cli import (
    analysis,
    artifacts,
    comparison,
    doctor,
    graph,
    listings,
    observing,
    pages,
    queries,
    service,
    serving,
)  # fmt: skip
from hetbench.cli.pipes import quiet_where_closed
from hetbench.errors import HetBenchError, InvalidInputError, escaped, open_streams, shown
from hetbench.kernel.library import describe
from hetbench.version import __version__

__all__ = ["app", "main"]

_LINE_END = "\n"

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False,
    help="Latency, throughput, energy and memory of AI models and operators on chips: measured, predicted with an "
         "interval, or derived exactly from the operator graph.",
)  # fmt: skip
for part in (queries, comparison, observing, serving, service, analysis, pages, listings, artifacts, doctor):
    app.add_typer(part.app)
app.add_typer(graph.app, name="graph", rich_help_panel=graph.PANEL)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"hetbench {__version__}, predictions by {describe()}")
        raise typer.Exit


@app.callback()
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
            app(args=words, prog_name="hetbench")
    except HetBenchError as error:
        print(f"hetbench: {escaped(str(error), keep=_LINE_END)}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except OSError as error:  # a full disk behind stdout, a file that the system does not let it read
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"hetbench: {escaped(where)}{error.strerror or error}.", file=sys.stderr)
        raise SystemExit(InvalidInputError.exit_code) from None
