"""The application: one address for each kind of question, beside health, counts and the catalogue.

Errors are JSON, `{"error": {"type", "message", "exit_code"}}`, with status 400 (an unknown name or invalid value), 413
(too large), 422 (no evidence answers the question) or 500 (damaged artefacts).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from hetbench.api import HetBench
from hetbench.catalog.chips import chips
from hetbench.catalog.models import models
from hetbench.errors import (
    ArtifactError,
    HetBenchError,
    InvalidInputError,
    RefusedError,
    UnknownOptionError,
    shown,
)  # fmt: skip
from hetbench.query.columns import unread
from hetbench.query.tables import MODEL_COLUMNS, OPERATOR_COLUMNS
from hetbench.remote.wire import encoded, encoded_error
from hetbench.service.guard import Guard
from hetbench.service.questions import Migrate, ModelTable, OperatorQuestion, OperatorTable, Question, check_model
from hetbench.version import __version__

__all__ = ["Limits", "build"]

_STATUS = {RefusedError: 422, ArtifactError: 500}
_ROWS_AT_ONCE = 500
_ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost."""

    most_bytes: int = 16 << 20
    """Size of the body."""
    most_rows: int = 100_000
    """Rows of a table."""
    most_seconds: float = 30.0
    """Time that the rows of a table may take; checked between parts of a table."""


def build(api: HetBench, limits: Limits | None = None, site: Path | None = None) -> Guard:
    """The service as an ASGI application.

    Args:
        api: what answers.
        limits: on each request; left out, those of `Limits`.
        site: a folder written by `hetbench dashboard`, served at `/`.

    Returns:
        An ASGI application; its `registry` holds the counts.
    """
    limits = limits or Limits()
    app = FastAPI(title="hetbench", version=__version__, docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.router.route_class = _Strict
    app.exception_handler(HetBenchError)(_told)
    app.exception_handler(RequestValidationError)(_malformed)
    app.exception_handler(HTTPException)(_unread)
    _add_questions(app, api)
    _add_tables(app, api, limits)
    paths = frozenset(getattr(route, "path", "") for route in app.routes)
    guard = Guard(app, limits.most_bytes, paths | {"/metrics", "/healthz"})
    _add_listings(app, api, guard)
    if site is not None:
        from fastapi.staticfiles import StaticFiles

        app.mount("/", StaticFiles(directory=site, html=True))
    return guard


async def _told(_: Request, error: Exception) -> Response:
    """An error of hetbench as JSON with its status."""
    assert isinstance(error, HetBenchError)
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 400)
    return _json(encoded_error(error), status)


async def _malformed(_: Request, error: Exception) -> Response:
    """A body that does not have the form of the question."""
    assert isinstance(error, RequestValidationError)
    where = "; ".join(f"{'.'.join(map(str, each['loc'][1:])) or 'body'}: {each['msg']}" for each in error.errors())
    return _json(encoded_error(InvalidInputError(f"{where}. /openapi.json states the form of every question.")), 400)


async def _unread(_: Request, error: Exception) -> Response:
    """An unknown address, another method than POST, or a body that is no JSON."""
    assert isinstance(error, HTTPException)
    told = InvalidInputError(f"{error.detail}. /openapi.json states every question.")
    return _json(encoded_error(told), error.status_code)


class _Body(Request):
    """A request whose JSON states no key twice."""

    async def json(self) -> Any:
        return json.loads(await self.body(), object_pairs_hook=_unique)


class _Strict(APIRoute):
    """A route that reads bodies so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def read(request: Request) -> Response:
            return await handler(_Body(request.scope, request.receive))

        return read


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise HTTPException(400, f"the body states {shown(twice)} twice")
    return found


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value, allow_nan=False), status, media_type="application/json")


def _given(question: Any) -> dict[str, Any]:
    """What a body states, without the keys that it leaves out."""
    given: dict[str, Any] = question.model_dump(exclude_unset=True)
    if "self" in given:
        raise UnknownOptionError("option", "self", type(question).model_fields)
    check_model(given.get("model"))
    return given


def _add_questions(app: FastAPI, api: HetBench) -> None:
    @app.post("/v1/query")
    def query(question: Question) -> Response:
        """One metric, or all of them, of a model on a chip: `HetBench.query`."""
        return _json(encoded(api.query(**_given(question))))

    @app.post("/v1/operator")
    def operator(question: OperatorQuestion) -> Response:
        """Forward latency of one operator on one chip: `HetBench.query_operator`."""
        given = question.model_dump(exclude_unset=True)
        unknown = set(given) - set(OperatorQuestion.model_fields)
        if unknown:
            known = ", ".join(OperatorQuestion.model_fields)
            raise InvalidInputError(f"an operator is asked with {known}; given too: {', '.join(sorted(unknown))}.")
        return _json(encoded(api.query_operator(**given)))

    @app.post("/v1/migrate")
    def migrate(question: Migrate) -> Response:
        """Chips ranked for a model or a list of models: `HetBench.migrate`."""
        return _json(encoded(api.migrate(**_given(question))))


def _add_tables(app: FastAPI, api: HetBench, limits: Limits) -> None:
    @app.post("/v1/models")
    def many_models(question: ModelTable, request: Request) -> Response:
        """Many questions about models, one a row: `HetBench.query_models`. JSON, or Arrow where accepted."""
        _check_columns(question.table, MODEL_COLUMNS)
        check_model(question.table.get("model"))
        return _columns(_in_parts(question.table, api.query_models, limits), request)

    @app.post("/v1/operators")
    def many_operators(question: OperatorTable, request: Request) -> Response:
        """Latency of many operators, one a row: `HetBench.query_operators`. JSON, or Arrow where accepted."""
        _check_columns(question.table, OPERATOR_COLUMNS)
        ask = lambda part: api.query_operators(part, question.predictor)  # noqa: E731
        return _columns(_in_parts(question.table, ask, limits), request)


def _check_columns(table: Mapping[str, list[Any]], known: Sequence[str]) -> None:
    """`InvalidInputError` for columns that are not read: nobody would hear a warning."""
    left = unread(table, known)
    if left:
        raise InvalidInputError(f"unknown columns: {', '.join(map(shown, left))}. Known: {', '.join(known)}.")


def _in_parts(
    table: Mapping[str, list[Any]], ask: Callable[[Mapping[str, list[Any]]], dict[str, Any]], limits: Limits
) -> dict[str, list[Any]]:
    """The answer to a table, asked a part at a time; raises where it is too long or takes too long."""
    rows = max(map(len, table.values()), default=0)
    if rows > limits.most_rows:
        raise InvalidInputError(f"a table has at most {limits.most_rows:,} rows here; given: {rows:,}.")
    began, columns = time.monotonic(), dict[str, list[Any]]()
    if not rows or len(set(map(len, table.values()))) > 1:
        return {name: list(cells) for name, cells in ask(table).items()}
    for start in range(0, rows, _ROWS_AT_ONCE):
        spent = time.monotonic() - began
        if spent > limits.most_seconds:
            raise RefusedError(f"{start:,} of {rows:,} rows were answered in {spent:.0f} s; send fewer at a time.")
        part = {name: cells[start : start + _ROWS_AT_ONCE] for name, cells in table.items()}
        for name, cells in ask(part).items():
            columns.setdefault(name, []).extend(cells.tolist())
    return columns


def _columns(columns: Mapping[str, list[Any]], request: Request) -> Response:
    """Columns as JSON, NaN as null; as an Arrow stream where the request accepts one."""
    if _ARROW in request.headers.get("accept", ""):
        return Response(_arrow_stream(columns), media_type=_ARROW)
    plain = {
        name: [None if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells]
        for name, cells in columns.items()
    }
    return _json({"columns": plain})


def _arrow_stream(columns: Mapping[str, list[Any]]) -> bytes:
    try:
        import pyarrow as pa
    except ImportError:
        raise RefusedError("this server has no pyarrow; ask for JSON, or install pyarrow beside it.") from None
    table, sink = pa.table(dict(columns)), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _add_listings(app: FastAPI, api: HetBench, guard: Guard) -> None:
    @app.get("/healthz")
    def health() -> Response:
        """Version and surrogates of the server."""
        return _json({"hetbench": __version__, "artifacts": str(api.artifacts.name) if api.artifacts else "embedded"})

    @app.get("/metrics")
    def counts() -> Response:
        """Requests by path and status, and their times, for Prometheus."""
        return Response(generate_latest(guard.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/catalogue")
    def catalogue() -> Response:
        """Names of the models and of the chips, chips by family."""
        families: dict[str, list[str]] = {}
        for each in chips().values():
            families.setdefault(each.family, []).append(each.name)
        return _json({"models": list(models()), "chips": families})
