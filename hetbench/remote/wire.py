"""Results and errors as JSON and back, so that a client gets the objects that the server had.

A result is `{"type": ..., "value": ...}`; the types are those of `_DECODERS`. An error is
`{"error": {"type": class, "message": text}}`. An infinite or missing number travels as null, which in a table is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hetbench.answers import Answer, Answers
from hetbench.errors import (
    ArtifactError,
    HetBenchError,
    InvalidInputError,
    RefusedError,
    UnknownNameError,
    UnknownOptionError,
    shown,
)  # fmt: skip
from hetbench.mappings import ReadOnly
from hetbench.migration import Candidate, Dropped, Fleet, FleetChip, Migration

__all__ = ["decoded", "decoded_error", "encoded", "encoded_error"]

_ERRORS = {
    each.__name__: each
    for each in (ArtifactError, InvalidInputError, RefusedError, UnknownNameError, UnknownOptionError)
}


def encoded(result: Any) -> dict[str, Any]:
    """A result as plain values.

    >>> encoded(Answer(2.0, "ms"))["type"]
    'Answer'
    """
    name = type(result).__name__
    if name in _DECODERS:
        return {"type": name, "value": result.to_dict()}
    if isinstance(result, Mapping):
        return {"type": "mapping", "value": {key: encoded(each) for key, each in result.items()}}
    raise InvalidInputError(f"a {name} has no form as JSON.")


def decoded(found: Any) -> Any:
    """The result of `encoded`; raises `InvalidInputError` for anything else.

    >>> answer = Answer(2.0, "ms", 1.0, 4.0, notes=("a note",), source=Answer(3.0, "ms"))
    >>> decoded(encoded(answer)) == answer
    True
    """
    if not isinstance(found, Mapping):
        raise InvalidInputError(f"this is no result of a hetbench server: {shown(found)}.")
    try:
        if found["type"] == "mapping":
            return ReadOnly({name: decoded(each) for name, each in found["value"].items()})
        return _DECODERS[found["type"]](found["value"])
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as why:
        raise InvalidInputError(f"this is no result of a hetbench server: {type(why).__name__}: {why}.") from None


def encoded_error(error: HetBenchError) -> dict[str, Any]:
    """An error as plain values, with the exit code that the command line gives it.

    >>> encoded_error(RefusedError("no rows"))
    {'error': {'type': 'RefusedError', 'message': 'no rows', 'exit_code': 3}}
    """
    told = {"type": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
    if isinstance(error, UnknownNameError):
        told |= {"kind": error.kind, "given": error.given, "nearest": error.nearest}
    return {"error": told}


def decoded_error(found: Any) -> HetBenchError:
    """The error of `encoded_error`, as the class that it was; any other answer is an `InvalidInputError`.

    >>> decoded_error(encoded_error(RefusedError("no rows")))
    RefusedError('no rows')
    """
    told = found.get("error") if isinstance(found, Mapping) else None
    if not isinstance(told, Mapping) or not all(isinstance(told.get(name), str) for name in ("type", "message")):
        return InvalidInputError(f"this is no error of a hetbench server: {shown(found)}.")
    name, message = told["type"], told["message"]
    kind = _ERRORS.get(name, InvalidInputError)
    error = kind.__new__(kind)
    error.args = (message,)
    if isinstance(error, UnknownNameError):
        error.kind, error.given, error.known = str(told.get("kind")), str(told.get("given")), ()
        near = told.get("nearest")
        error.nearest = [str(each) for each in near] if isinstance(near, list) else []
    return error


def _answer(found: Mapping[str, Any]) -> Answer:
    source = found.get("source")
    known = {each.name: found[each.name] for each in fields(Answer) if each.name in found}
    known |= {name: tuple(found[name]) for name in ("refs", "notes")}
    return Answer(**{**known, "source": None if source is None else _answer(source)})


def _answers(found: Mapping[str, Any]) -> Answers:
    return Answers({name: _answer(each) for name, each in found["answers"].items()}, found["refused"])


def _candidate(found: Mapping[str, Any]) -> Candidate:
    known = {each.name: found[each.name] for each in fields(Candidate)}
    energy = found["energy"]
    changed = {"latency": _answer(found["latency"]), "energy": None if energy is None else _answer(energy)}
    return Candidate(**{**known, **changed, "beside": tuple(found["beside"]), "notes": tuple(found["notes"])})


def _migration(found: Mapping[str, Any]) -> Migration:
    names = ("model", "objective", "slo_ms", "source", "stack")
    candidates = tuple(_candidate(each) for each in found["candidates"])
    dropped = tuple(Dropped(**each) for each in found["dropped"])
    return Migration(candidates=candidates, dropped=dropped, **{name: found[name] for name in names})


def _fleet(found: Mapping[str, Any]) -> Fleet:
    return Fleet(
        tuple(found["models"]), found["objective"], found["slo_ms"],
        tuple(FleetChip(**each) for each in found["chips"]), tuple(Dropped(**each) for each in found["dropped"]),
        tuple(_migration(each) for each in found["migrations"]),
    )  # fmt: skip


_DECODERS = {"Answer": _answer, "Answers": _answers, "Migration": _migration, "Fleet": _fleet}
