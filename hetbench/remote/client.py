"""`HetBench.connect(address)`: the questions of `HetBench`, asked of a `hetbench serve` over HTTP.

The methods take the same arguments, return the same objects and raise the same errors as those of `HetBench`. A path of
a configuration file is read here, since it is a path of this machine. One connection is kept for each thread.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import local
from typing import Any, Unpack
from urllib.parse import SplitResult, urlsplit

from hetbench.answers import Answer
from hetbench.artifacts.pace import Pace, paced
from hetbench.errors import InvalidInputError, RefusedError, shown
from hetbench.migration import Fleet, Migration
from hetbench.query import Options, spelled_out
from hetbench.query.columns import Table, plain_columns, unread, warn_of_unread
from hetbench.query.tables import MODEL_COLUMNS, OPERATOR_COLUMNS
from hetbench.remote.wire import decoded, decoded_error

__all__ = ["ONLY_IN_PROCESS", "RemoteHetBench"]

ONLY_IN_PROCESS = (
    "add_chip", "advise", "artifacts", "chip", "coverage", "explain", "forget", "load_observations", "observe",
    "observed_rows", "query_batch", "sample_arch", "save_observations", "search_space", "serve_plan", "set_arch",
    "set_model", "trace",
)  # fmt: skip
"""What `HetBench` has and a server does not offer: state of one caller, and analyses that return large objects."""
_JSON = "application/json"
_MOST_BYTES = 256 << 20
_MOST_SECONDS = 86_400


class RemoteHetBench:
    """`HetBench` on a server; in a `with` block, its connections are closed at the end.

    Args:
        address: such as `http://127.0.0.1:8000`; https is verified.
        timeout_s: most seconds without a byte of the answer; one that takes longer in all must come in at 1,000
            bytes/s or more.

    Raises:
        InvalidInputError: the address is not of this form.
        RefusedError: nobody answers there, or something that is no hetbench server.
    """

    def __init__(self, address: str, timeout_s: float = 60.0) -> None:
        parts = _parsed(address)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInputError(f"a server is named as http://HOST:PORT or https://HOST; given: {shown(address)}.")
        if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0 < timeout_s <= _MOST_SECONDS:
            raise InvalidInputError(f"timeout_s is a number of seconds from 0 to 86,400; given: {shown(timeout_s)}.")
        self.address, self.timeout_s = address.rstrip("/"), timeout_s
        self._parts, self._own = parts, local()
        self._open: list[http.client.HTTPConnection] = []
        told = self._ask("GET", "/healthz")
        if not isinstance(told, dict) or "hetbench" not in told:
            self.close()
            raise RefusedError(f"{self.address} is no hetbench server.")

    def __repr__(self) -> str:
        return f"RemoteHetBench({self.address!r})"

    def __enter__(self) -> RemoteHetBench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of all threads; a later question opens one again."""
        for each in self._open:
            each.close()

    @spelled_out(Options)
    def query(
        self, model: Any, source: str | None = None, target: str | None = None, metric: Any = None, *,
        device: Any = None, source_value: float | None = None, **options: Unpack[Options],
    ) -> Any:  # fmt: skip
        """One metric, or all of them, of a model on a chip: see `HetBench.query`."""
        asked = {"model": sent_model(model), "source": source, "target": target, "metric": _listed(metric),
                 "device": _listed(device), "source_value": source_value, **options}  # fmt: skip
        return decoded(self._ask("POST", "/v1/query", asked))

    def query_models(self, table: Table) -> dict[str, Any]:
        """Answers to many questions about models, one a row: see `HetBench.query_models`."""
        return self._table("/v1/models", table, MODEL_COLUMNS, {})

    def query_operators(self, table: Table, predictor: str | None = None) -> dict[str, Any]:
        """Forward latency of many operators, in ms: see `HetBench.query_operators`."""
        return self._table("/v1/operators", table, OPERATOR_COLUMNS, {"predictor": predictor})

    def query_operator(
        self, op: str, dims: Mapping[str, int], *, device: str, precision: str | None = None, **options: Any
    ) -> Answer:
        """Forward latency of one operator on one chip, in ms: see `HetBench.query_operator`."""
        asked = {"op": op, "dims": dict(dims), "device": device, "precision": precision, **options}
        found: Answer = decoded(self._ask("POST", "/v1/operator", asked))
        return found

    @spelled_out(Options)
    def migrate(
        self, model: Any, source: str | None = None, targets: str | Sequence[str] = "all", *,
        source_value: float | None = None, slo_ms: float | None = None, objective: str = "latency",
        **options: Unpack[Options],
    ) -> Migration | Fleet:  # fmt: skip
        """Rank chips for a model, or for a list of models: see `HetBench.migrate`."""
        models = [sent_model(one) for one in model] if isinstance(model, list | tuple) else sent_model(model)
        asked = {"model": models, "source": source, "targets": _listed(targets), "source_value": source_value,
                 "slo_ms": slo_ms, "objective": objective, **options}  # fmt: skip
        found: Migration | Fleet = decoded(self._ask("POST", "/v1/migrate", asked))
        return found

    def __getattr__(self, name: str) -> Any:
        if name in ONLY_IN_PROCESS:
            raise RefusedError(f"{name} is not asked of a server: HetBench().{name}(...) answers in this process.")
        raise AttributeError(f"'RemoteHetBench' object has no attribute {name!r}")

    def _table(self, path: str, table: Table, known: Sequence[str], more: Mapping[str, Any]) -> dict[str, Any]:
        import numpy as np

        cells = plain_columns(table)
        warn_of_unread(left := unread(cells, known), known)
        found = self._ask("POST", path, {"table": {n: each for n, each in cells.items() if n not in left}, **more})
        try:
            given = dict(found["columns"])
            columns: dict[str, Any] = {
                name: np.array([np.nan if cell is None else cell for cell in given.pop(name)], dtype=np.float64)
                for name in ("value", "lower", "upper")
            }
            for name, told in given.items():
                columns[name] = np.array(told, dtype="U1" if name == "level" else object)
        except (KeyError, TypeError, ValueError) as why:
            raise RefusedError(f"{self.address} sent no table of answers: {type(why).__name__}: {why}.") from None
        return columns

    def _ask(self, method: str, path: str, asked: Mapping[str, Any] | None = None) -> Any:
        """The JSON of an answer; raises the error that the server sent. A dropped connection is opened once more."""
        body = None if asked is None else _text(asked)
        for last in (False, True):
            connection = self._connection()
            connection.response_class = paced(Pace(self.timeout_s, _MOST_SECONDS, self.timeout_s))
            try:
                if connection.sock is not None:
                    connection.sock.settimeout(self.timeout_s)
                connection.request(method, f"{self._parts.path.rstrip('/')}{path}", body, {"Content-Type": _JSON})
                response = connection.getresponse()
                text, status = response.read(_MOST_BYTES), response.status
                break
            except (OSError, http.client.HTTPException, ValueError) as why:
                connection.close()
                if last or isinstance(why, TimeoutError | ConnectionRefusedError):
                    told = f"{self.address} does not answer: {why}. Start it by `hetbench serve`."
                    raise RefusedError(told) from None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise RefusedError(f"{self.address} answers {status} and no JSON; is it a hetbench server?") from None
        if status >= 400:
            raise decoded_error(found)
        return found

    def _connection(self) -> http.client.HTTPConnection:
        """The connection of this thread."""
        if not hasattr(self._own, "connection"):
            kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            self._own.connection = kind(self._parts.hostname or "", self._parts.port, timeout=self.timeout_s)
            self._open.append(self._own.connection)
        found: http.client.HTTPConnection = self._own.connection
        return found


def sent_model(model: Any) -> Any:
    """A model as it travels: a name, or the content of a configuration.

    >>> sent_model("gpt2")
    'gpt2'
    """
    if isinstance(model, Path) or (isinstance(model, str) and model.endswith(".json")):
        try:
            return json.loads(Path(model).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as why:
            raise InvalidInputError(f"{model} cannot be read as a configuration: {why}.") from None
    if not isinstance(model, str | Mapping):
        raise RefusedError(
            f"a {type(model).__name__} is not sent to a server; a name or a configuration is. "
            "HetBench().query(...) answers in this process."
        )
    return model


def _parsed(address: object) -> SplitResult | None:
    """The parts of an address; None for what is none."""
    try:
        parts = urlsplit(address) if isinstance(address, str) and address.isprintable() else None
        return parts if parts is not None and (parts.port is None or parts.port) else None
    except ValueError:  # a port that is no number, an unfinished IPv6 address
        return None


def _listed(given: Any) -> Any:
    """A set or tuple of names as a list, in a fixed order."""
    return sorted(given) if isinstance(given, set | frozenset) else list(given) if isinstance(given, tuple) else given


def _text(asked: Mapping[str, Any]) -> str:
    try:
        return json.dumps({name: each for name, each in asked.items() if each is not None}, allow_nan=False)
    except (TypeError, ValueError) as why:
        raise InvalidInputError(f"this question does not go into JSON: {why}.") from None
