"""Tables with bad cells, columns and shapes: a good row is answered as it is alone, a bad one says why."""

from __future__ import annotations

import copy
import json
import random
import warnings
from typing import Any

import numpy as np

from hetbench import HetBench, InvalidInputError, chips, metrics, models, operator_types
from hetbench.schema import FAMILIES, PRECISIONS, PROTOCOLS
from tests.fuzz.questions import ANSWERED, REFUSED, refusal
from tests.fuzz.values import hostile, number, slip, text

__all__ = ["model_table", "observed_table", "operator_table"]

_LONGEST = 4000


def _operator_row(draw: random.Random) -> dict[str, Any]:
    kind = draw.choice(list(operator_types().values()))
    dims = {name: draw.choice((1, 8, 64, 500)) for name in kind.dims}
    return {
        "op": kind.name,
        "dims": json.dumps(dims) if draw.random() < 0.5 else dims,
        "dtype": draw.choice(PRECISIONS),
        "phase": "fwd",
        "chip": draw.choice([*FAMILIES, *list(chips())[::9]]),
        "protocol": draw.choice(PROTOCOLS),
        "library": None,
        "layout": draw.choice((None, "NCHW", "NHWC")),
    }


def _model_row(draw: random.Random) -> dict[str, Any]:
    return {
        "model": draw.choice(list(models())[::3]),
        "chip": draw.choice([*FAMILIES, *list(chips())[::9]]),
        "metric": draw.choice(list(metrics())),
        "batch": draw.choice((None, 1, 8)),
        "seq_len": draw.choice((None, 64)),
        "precision": draw.choice((None, *PRECISIONS)),
        "stack": draw.choice((None, "eager", "compiled")),
    }


def _bad_dims(draw: random.Random, dims: Any) -> Any:
    whole = json.loads(dims) if isinstance(dims, str) else dict(dims)
    roll = draw.random()
    if roll < 0.4:
        whole[draw.choice((*whole, text(draw)))] = (number if draw.random() < 0.7 else hostile)(draw)
        return whole
    packed = json.dumps(whole)
    at = draw.randrange(len(packed) + 1)
    return draw.choice(
        (
            packed[:at],
            packed[:at] + draw.choice('{}[]",:0e.-\\ \0n') + packed[at:],
            packed.replace(": ", ": -"),
            packed.replace(": ", ": 1e"),
            "[" * draw.choice((10, 3000)),
            packed.replace("{", '{"m": 1, "m": 2, '),
            f" {packed} ",
            packed.replace(": ", ": " + "9" * draw.choice((18, 19, 400))),
            packed.encode(),
            hostile(draw),
        )
    )


def _cells(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row.get(name) for row in rows] for name in rows[0]}


def _spoilt(draw: random.Random, row: dict[str, Any]) -> dict[str, Any]:
    made, name = dict(row), draw.choice(list(row))
    if name == "dims":
        made[name] = _bad_dims(draw, made[name])
    else:
        made[name] = slip(draw, made[name]) if isinstance(made[name], str) and draw.random() < 0.4 else hostile(draw)
    return made


def _form(draw: random.Random, cells: list[Any]) -> Any:
    """The cells as a list, or in another form that libraries give columns in."""
    roll = draw.random()
    if roll < 0.7:
        return cells
    made = np.empty(len(cells), dtype=object)
    made[:] = cells
    return tuple(cells) if roll < 0.85 else made


def _check(found: dict[str, Any], rows: int) -> None:
    for value, reason in zip(found["value"], found["reason"], strict=True):
        assert np.isfinite(value) != bool(reason), f"value {value}, reason {reason!r:.60}"
        assert np.isnan(value) or value >= 0
        assert len(reason) < _LONGEST
    assert {len(column) for column in found.values()} == {rows}


def _ask(draw: random.Random, ask: Any, rows: list[dict[str, Any]]) -> str:
    """A table of good and bad rows together, then each alone."""
    table = {name: _form(draw, cells) for name, cells in _cells(rows).items()}
    if draw.random() < 0.15:
        return _misshapen(draw, ask, table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = ask(table)
    _check(found, len(rows))
    at = draw.randrange(len(rows))
    alone = ask(_cells([rows[at]]))
    assert (alone["reason"][0] == "") == (found["reason"][at] == ""), "alone it is answered otherwise"
    assert np.isclose(alone["value"][0], found["value"][at], rtol=1e-6, equal_nan=True)
    return ANSWERED if (found["reason"] == "").any() else REFUSED


def _misshapen(draw: random.Random, ask: Any, table: dict[str, Any]) -> str:
    """A table with a column missing, misspelt, too short or of another kind."""
    name = draw.choice(list(table))
    changed: dict[Any, Any] = dict(table)
    way = draw.choice(("missing", "misspelt", "short", "other", "key"))
    cells = changed.pop(name)
    key = hostile(draw) if way == "key" and draw.random() < 0.5 else name
    if way == "misspelt":
        changed[slip(draw, name)] = cells
    elif way != "missing":
        try:
            changed[key] = cells[:-1] if way == "short" else hostile(draw)
        except Exception:  # noqa: BLE001 - a key that cannot be hashed never is in a mapping
            return REFUSED
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = ask(changed)
    except InvalidInputError as why:
        return refusal(why)
    if way == "misspelt" and not said and set(changed) != set(table):
        raise AssertionError(f"the column {set(changed) - set(table)} was ignored without a word")
    _check(found, len(found["reason"]))
    return ANSWERED


def operator_table(draw: random.Random, api: HetBench) -> str:
    """`query_operators`."""
    rows = [_operator_row(draw) for _ in range(draw.randint(1, 6))]
    return _ask(draw, api.query_operators, [_spoilt(draw, row) if draw.random() < 0.5 else row for row in rows])


def model_table(draw: random.Random, api: HetBench) -> str:
    """`query_models`."""
    rows = [_model_row(draw) for _ in range(draw.randint(1, 4))]
    return _ask(draw, api.query_models, [_spoilt(draw, row) if draw.random() < 0.5 else row for row in rows])


def observed_table(draw: random.Random, api: HetBench) -> str:
    """`observe` on an object of its own: a refused row moves nothing, another object answers as before."""
    own, rows = copy.deepcopy(api), [_operator_row(draw) for _ in range(draw.randint(1, 4))]
    place = {"op": "Linear", "dims": {"m": 64, "n": 64, "k": 64}, "device": "cann", "precision": "fp16"}
    before = api.query_operator(**place).value
    for row in rows:
        del row["library"], row["layout"]
        row["latency_ms"] = draw.choice((0.05, 1.0, number(draw), hostile(draw)))
    rows = [_spoilt(draw, row) if draw.random() < 0.4 else row for row in rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = own.observe(_cells(rows))
        except InvalidInputError as why:
            return refusal(why)
    used = [not reason for reason in found["reason"]]
    for row, taken in zip(rows, used, strict=True):
        if taken:
            latency = row["latency_ms"]
            assert not isinstance(latency, bool | np.bool_ | str), f"observed latency_ms={latency!r:.40}"
            assert 0 < float(latency) < np.inf, f"observed latency_ms={latency!r:.40}"
    after = own.query_operator(**place)
    assert np.isfinite(after.value)
    if not any(used):
        assert after.value == before, "rows that were refused moved an answer"
    assert api.query_operator(**place).value == before, "another object answers otherwise"
    return ANSWERED if any(used) else REFUSED
