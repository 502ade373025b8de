"""`hetbench observe` and `hetbench forget`: the caller's own timings, kept between runs.

Rows are kept in `observations.json` beside the downloaded sets of surrogates ($HETBENCH_HOME, else the user's cache);
every command answers with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hetbench.cli.options import Json
from hetbench.cli.output import print_table
from hetbench.cli.session import open_api
from hetbench.errors import HetBenchError, InvalidInputError

if TYPE_CHECKING:
    from hetbench.api import HetBench

__all__ = ["app"]

app = typer.Typer()
PANEL = "Questions"
_COLUMNS = ("row", "predicted", "used", "remark")


@app.command(rich_help_panel=PANEL)
def observe(
    rows: Annotated[
        Path | None,
        typer.Argument(help="CSV file: op, dims, dtype, chip, latency_ms of operators; model, chip, metric, value and "
                            "the options of a query of models and deployments. Left out: show the rows that are kept."),
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Correct later answers for a chip by timings of your own; `hetbench forget` undoes it."""
    from hetbench.query.observed_tables import csv_table

    api = open_api()
    if rows is None:
        kept = api.observed_rows()
        if not kept and not as_json:
            print("no timings are kept: hetbench observe FILE.csv")
            return
        print_table(tuple(kept), zip(*kept.values(), strict=True), as_json)
        return
    table = csv_table(rows)
    found = api.observe(table)
    used = [not reason for reason in found["reason"]]
    if not any(used):
        raise InvalidInputError(f"no row of {rows} can be used: {found['reason'][0]}")
    told = _rows(table)
    _keep([*_kept(), *(row for row, good in zip(told, used, strict=True) if good)])
    lines: list[list[Any]] = [
        [at + 1, float(found["value"][at]) if used[at] else None, used[at], found["reason"][at] or found["flag"][at]]
        for at in range(len(used))
    ]
    print_table(_COLUMNS, lines, as_json)


@app.command(rich_help_panel=PANEL)
def forget(
    chip: Annotated[str | None, typer.Argument(help="Chip, alias or family. Default: every chip.")] = None,
) -> None:
    """Drop the timings that `hetbench observe` keeps, of one chip or of all."""
    api, rows = open_api(), _kept()
    name = None if chip is None else api.chip(chip)[0].name
    left = [row for row in rows if name is not None and _chip_of(api, row) != name]
    _keep(left)
    print(f"{len(rows) - len(left)} rows dropped")


def _chip_of(api: HetBench, row: Mapping[str, Any]) -> str | None:
    try:
        return api.chip(row["chip"])[0].name
    except HetBenchError:  # a chip that is not known at present: its rows stay
        return None


def _rows(table: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(table, cells, strict=True)) for cells in zip(*table.values(), strict=True)]


def _kept() -> list[dict[str, Any]]:
    """The rows that are kept, those too that cannot be used at present."""
    from hetbench.query.observed_tables import kept_file, saved_observations

    return _rows(saved_observations(kept_file())) if kept_file().is_file() else []


def _keep(rows: list[dict[str, Any]]) -> None:
    from hetbench.query.columns import plain_columns
    from hetbench.query.observed_tables import kept_file, save_table

    if not rows:
        kept_file().unlink(missing_ok=True)
        return
    kept_file().parent.mkdir(parents=True, exist_ok=True)
    save_table(plain_columns(rows), kept_file())
