"""Definition of a task: defaults, task files, and workload files of ByteMLPerf.

The name of a task is MODEL-PRECISION; a TOML file of that name holds the keys that differ from default.toml. In a
workload file of ByteMLPerf (JSON) `model` is NAME-FRAMEWORK-PRECISION; the other fields are the same.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from data_collection.profile.stacks import EXPORTED, STACKS
from hetbench.catalog.models import model, models
from hetbench.errors import InvalidInputError, UnknownNameError, nearest
from hetbench.schema import precision

__all__ = ["FOLDER", "Workload", "named", "names", "read"]

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "tasks"
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8")
"""Precisions of a task. A network is cast to all but int8, to which a stack with a quantiser converts it."""
_QUANTISING = EXPORTED[0]
"""The stack of an int8 task that names none."""
_MOST = 10**9
_FRAMEWORKS = {"torch": "eager", "pytorch": "eager", "pt": "eager", "onnx": "onnxruntime"}
"""ByteMLPerf's name of a framework -> stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One task."""

    model: str
    precision: str
    framework: str
    """The stack: eager, compiled, onnxruntime or openvino."""
    batch_sizes: tuple[int, ...]
    iterations: int
    clients: int
    test_perf: bool
    test_numeric: bool
    test_accuracy: bool
    data_percent: float
    compile_only: bool
    thresholds: Mapping[str, Mapping[str, float]] = field(hash=False)
    """Precision -> limits of the numeric test: least `cosine`, largest `max_rel`."""

    @property
    def name(self) -> str:
        return f"{self.model}-{self.precision}"


def names() -> list[str]:
    """Every task: each model in each precision."""
    return [f"{each}-{kind}" for each in models() for kind in PRECISIONS]


def named(name: str) -> Workload:
    """The task called `name`, or the one in a TOML or JSON file."""
    if name.endswith((".toml", ".json")):
        return read(Path(name))
    head, _, tail = name.rpartition("-")
    try:
        identity = {"model": model(head).name, "precision": precision(tail)}
    except UnknownNameError:
        raise _unknown(name) from None
    path = FOLDER / f"{identity['model']}-{identity['precision']}.toml"
    return _made({**identity, **(_table(path) if path.exists() else {})}, name)


def read(path: Path) -> Workload:
    """The task in a file: TOML of this project, or JSON of ByteMLPerf."""
    table = _table(path)
    if path.suffix == ".json":
        table = _of_byte_mlperf(table, path)
    elif "model" not in table:
        try:
            head, _, tail = path.stem.rpartition("-")
            table = {"model": model(head).name, "precision": precision(tail), **table}
        except UnknownNameError:
            raise InvalidInputError(
                f"{path} names no model. Write model = \"bert-base\" and precision = \"fp32\" into it, or name the "
                "file model-precision.toml."
            ) from None  # fmt: skip
    return _made(table, str(path))


def _unknown(name: str) -> InvalidInputError:
    close = nearest(name, names())
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return InvalidInputError(
        f"unknown task {name!r}.{hint} A task is model-precision, such as bert-base-fp32, or a .toml or .json file; "
        "--show-tasks lists them."
    )


def _default() -> dict[str, Any]:
    return _table(FOLDER / "default.toml")


def _table(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InvalidInputError(f"cannot read the task file {path}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"the task file {path} is not {path.suffix[1:].upper()}: {error}.") from None
    if not isinstance(table, dict):
        raise InvalidInputError(f"the task file {path} must hold one table of fields.")
    return table


def _of_byte_mlperf(table: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """ByteMLPerf's fields under this project's names; fields without a counterpart are left out."""
    parts = str(table.get("model", "")).rsplit("-", 2)
    if len(parts) != 3:
        raise InvalidInputError(f"{path}: model={table.get('model')!r} must be name-framework-precision.")
    known = {each.name for each in fields(Workload)} - {"framework", "precision"}
    stack = _FRAMEWORKS.get(parts[1], parts[1])
    kept = {name: value for name, value in table.items() if name in known}
    return {**kept, "model": _their_model(parts[0]), "framework": stack, "precision": parts[2]}


def _their_model(name: str) -> str:
    """Catalogue name of ByteMLPerf's model, which omits the size: `bert` is bert-base."""
    for spelling in (name, f"{name}-base"):
        if spelling.lower() in models():
            return spelling.lower()
    return model(name).name


def _made(given: Mapping[str, Any], origin: str) -> Workload:
    """The task of a table, completed by the defaults; errors name the file."""
    table = {**_default(), **({"framework": _QUANTISING} if given.get("precision") == "int8" else {}), **given}
    known = [each.name for each in fields(Workload)]
    for name in table:
        if name not in known:
            raise InvalidInputError(f"{origin}: {UnknownNameError('field', name, known)}")
    made = dict(table)
    made["model"] = model(_text(table, "model", origin)).name
    made["precision"] = precision(_text(table, "precision", origin))
    for name, values in (("precision", PRECISIONS), ("framework", STACKS)):
        if made[name] not in values:
            raise InvalidInputError(f"{origin}: {UnknownNameError(name, made[name], values)}")
    if made["precision"] == "int8" and made["framework"] not in EXPORTED:
        raise InvalidInputError(
            f"{origin}: {made['framework']} does not quantise a network; an int8 task runs on {' or '.join(EXPORTED)}."
        )
    _check_values(made, origin)
    made["thresholds"] = {**_default()["thresholds"], **_limits(made["thresholds"], origin)}
    return Workload(**{**made, "batch_sizes": tuple(made["batch_sizes"])})


def _check_values(made: Mapping[str, Any], origin: str) -> None:
    """Raise `InvalidInputError` for sizes, counts and switches that cannot be meant."""
    sizes = made["batch_sizes"]
    if not isinstance(sizes, list) or not sizes or not all(_count(each) for each in sizes):
        raise InvalidInputError(f"{origin}: batch_sizes={sizes!r} must be a list of whole numbers above 0.")
    for name in ("iterations", "clients"):
        if not _count(made[name]):
            raise InvalidInputError(f"{origin}: {name}={made[name]!r} must be a whole number above 0.")
    for name in ("test_perf", "test_numeric", "test_accuracy", "compile_only"):
        if not isinstance(made[name], bool):
            raise InvalidInputError(f"{origin}: {name}={made[name]!r} must be true or false.")
    percent = made["data_percent"]
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent <= 100:
        raise InvalidInputError(f"{origin}: data_percent={percent!r} must be above 0 and at most 100.")


def _limits(given: Any, origin: str) -> dict[str, dict[str, float]]:
    """Thresholds, validated."""
    tables = given if isinstance(given, dict) and set(given) <= set(PRECISIONS) else {"": None}
    for each in tables.values():
        numbers = list(each.values()) if isinstance(each, dict) and set(each) == {"cosine", "max_rel"} else [None]
        if not all(isinstance(value, int | float) and -_MOST <= value <= _MOST for value in numbers):
            raise InvalidInputError(f"{origin}: thresholds must be fp32 = {{ cosine = 0.999, max_rel = 0.1 }}.")
    return dict(given)


def _text(table: Mapping[str, Any], name: str, origin: str) -> str:
    if not isinstance(table.get(name), str):
        raise InvalidInputError(f"{origin}: {name}={table.get(name)!r} must be a text.")
    return str(table[name])


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST
