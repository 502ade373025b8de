"""`hetbench serve`: answer questions over HTTP."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from hetbench.cli.session import open_api
from hetbench.errors import InvalidInputError, RefusedError

__all__ = ["app"]

app = typer.Typer()
_LARGEST_PORT = 65_535


@app.command(rich_help_panel="Questions")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines ask.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    site: Annotated[
        Path | None, typer.Option(help="Folder written by `hetbench dashboard`, served at /. Default: none.")
    ] = None,
    most_rows: Annotated[int, typer.Option(help="Rows of a table in one request.")] = 100_000,
    most_seconds: Annotated[float, typer.Option(help="Time in s that a table may take.")] = 30.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log no requests.")] = False,
) -> None:
    """Answer questions over HTTP until stopped; read-only, without authentication.

    `HetBench.connect("http://HOST:PORT")` asks; /openapi.json states the questions, /metrics counts them.
    """
    if not 1 <= port <= _LARGEST_PORT or most_rows < 1 or not 0 < most_seconds < float("inf"):
        raise InvalidInputError(
            f"--port is from 1 to {_LARGEST_PORT}, --most-rows from 1, --most-seconds above 0; given: {port}, "
            f"{most_rows}, {most_seconds:g}."
        )
    if site is not None and not (site / "index.html").is_file():
        raise InvalidInputError(f"{site} holds no index.html; `hetbench dashboard -o {site}` writes it.")
    try:
        import uvicorn

        from hetbench.service import Limits, build
    except ImportError as why:
        raise RefusedError(f"serving needs {why.name}: pip install 'hetbench[serve]'.") from None
    if not quiet:
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    application = build(open_api(), Limits(most_rows=most_rows, most_seconds=most_seconds), site)
    typer.echo(f"hetbench answers at http://{host}:{port}; Ctrl-C stops it", err=True)
    uvicorn.run(application, host=host, port=port, log_level="warning", access_log=False)
