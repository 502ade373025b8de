"""A suite file: which models and operators at which settings on which chips, checked before anything runs.

    chips = ["cuda", "amd-mi210"]      # families or chips that the suite is for; every chip if the line is left out

    [budget]                           # how hard each row is tried; each key has a default
    seconds = 1.0

    [[models]]                         # whole models at every combination of the lists
    models = ["bert-tiny", "resnet-50"]
    batch = [1, 8]

    [[operators]]                      # distinct operators of the models
    models = ["all"]
    limit = 200
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_collection.backends import Backend
from data_collection.profile.environment import Environment
from data_collection.profile.session import Policy
from data_collection.profile.stacks import STACKS
from data_collection.profile.tasks import Grid, Task, model_tasks, operator_tasks
from data_collection.profile.timing import Budget
from data_collection.store.rows import CACHES, LAYOUTS
from hetbench.catalog.chips import Chip, chips
from hetbench.catalog.models import model, models
from hetbench.catalog.own_chips import any_chip
from hetbench.errors import HetBenchError, InvalidInputError, UnknownNameError
from hetbench.operators import operator_type
from hetbench.schema import FAMILIES, PHASES, precision

__all__ = ["Block", "Device", "Plan", "load"]

_BUDGET = {"seconds": 1.0, "min_seconds": 0.05, "timeout": 300.0, "retries": 4, "patience": 60.0}
_MOST = 10**9
_SETTINGS = ("precision", "batch", "seq_len", "image_size", "phase", "stack", "layout", "cache", "threads")
_COMMON = ("models", "chips", "limit", *_SETTINGS)
_KEYS = {"models": _COMMON, "operators": (*_COMMON, "types")}
_NAMES = {"phase": PHASES, "stack": STACKS, "layout": LAYOUTS, "cache": CACHES}


@dataclass(frozen=True, slots=True)
class Device:
    """Properties of a device that its tasks depend on."""

    environment: Environment
    protocol: str
    threads: int | None
    """CPU threads for blocks that name none; None on an accelerator."""

    @classmethod
    def of(cls, backend: Backend, environment: Environment) -> Device:
        """The device of a backend on this machine."""
        return cls(environment, backend.protocols[0], os.cpu_count() if backend.device == "cpu" else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One table of `[[models]]` or `[[operators]]`."""

    kind: str
    models: tuple[str, ...]
    chips: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    limit: int | None = None
    settings: Mapping[str, Sequence[Any]]

    def concerns(self, device: Chip) -> bool:
        """Whether it is for this chip."""
        return not self.chips or device.family in self.chips or device.name in self.chips

    def tasks(self, device: Device) -> tuple[list[Task], list[str]]:
        """Its tasks on a device, and the settings that models do not support."""
        threads = self.settings.get("threads") if device.threads else None
        grid = Grid(**{**self.settings, "protocol": device.protocol, "threads": threads or [device.threads]})
        if self.kind == "models":
            return model_tasks(self.models, grid, limit=self.limit)
        return operator_tasks(self.models, grid, types=self.types, limit=self.limit)


@dataclass(frozen=True, slots=True)
class Plan:
    """A suite file."""

    blocks: tuple[Block, ...]
    policy: Policy

    def tasks(self, device: Device) -> tuple[list[Task], list[str]]:
        """Tasks of all blocks for a device in the file's order, without duplicates, and what is left out."""
        found: dict[Task, None] = {}
        left_out = []
        for place, block in enumerate(self.blocks, 1):
            if not block.concerns(device.environment.chip):
                meant = ", ".join(block.chips)
                left_out.append(f"block {place} is for {meant}, not for {device.environment.chip.name}")
                continue
            tasks, refused = block.tasks(device)
            found |= dict.fromkeys(tasks)
            left_out += refused
        return list(found), left_out


def load(path: Path) -> Plan:
    """Read and check a suite file; every error names the table and key."""
    try:
        text = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(
            f"{path}: {error.strerror}. Make one: python -m data_collection.suite run --create-config {path}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path}: not TOML: {error}") from None
    try:
        _known("key of a suite", text, ("chips", "budget", *_KEYS))
        everywhere = _chips(_list("chips", text.get("chips", []), str))
        blocks = [
            _block(kind, f"[[{kind}]] number {place}", table, everywhere)
            for kind in text if kind in _KEYS for place, table in enumerate(_list(kind, text[kind], dict), 1)
        ]  # fmt: skip
        policy = _policy(text.get("budget", {}))
    except HetBenchError as error:
        raise InvalidInputError(f"{path}: {error}") from None
    if not blocks:
        raise InvalidInputError(f"{path}: nothing to measure: it has no [[models]] and no [[operators]] table.")
    return Plan(tuple(blocks), policy)


def _block(kind: str, where: str, table: Mapping[str, Any], everywhere: tuple[str, ...]) -> Block:
    try:
        _known("key", table, _KEYS[kind])
        names = _list("models", table.get("models", []), str)
        if not names:
            raise InvalidInputError('it names no models. Example: models = ["bert-tiny"]; ["all"] means all.')
        limit = table.get("limit")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise InvalidInputError(f"limit = {limit!r} must be a whole number from 1.")
        return Block(
            kind=kind, models=tuple(models()) if names == ["all"] else tuple(model(name).name for name in names),
            chips=_chips(_list("chips", table.get("chips", []), str)) or everywhere, limit=limit,
            types=tuple(operator_type(name).name for name in _list("types", table.get("types", []), str)),
            settings={name: _setting(name, table[name]) for name in _SETTINGS if name in table},
        )  # fmt: skip
    except HetBenchError as error:
        raise InvalidInputError(f"{where}: {error}") from None


def _setting(name: str, given: Any) -> list[Any]:
    """The checked list of one setting."""
    if name not in _NAMES and name != "precision":
        values = _list(name, given, int)
        if any(not 1 <= value <= _MOST for value in values):
            raise InvalidInputError(f"{name} = {given!r:.60} must hold whole numbers from 1 to {_MOST:,}.")
    else:
        values = _list(name, given, str)
        for value in values:
            if value not in _NAMES.get(name, (value,)):
                raise UnknownNameError(name, value, _NAMES[name])
        values = [precision(value) for value in values] if name == "precision" else values
    if not values:
        raise InvalidInputError(f"{name} is empty; leave the line out for the default.")
    return values


def _policy(table: Any) -> Policy:
    if not isinstance(table, dict):
        raise InvalidInputError(f"budget = {table!r} must be a table: [budget].")
    _known("key of [budget]", table, _BUDGET)
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
            raise InvalidInputError(f"[budget] {name} = {value!r:.40} must be a number from 0 to {_MOST:,}.")
        if name == "retries" and value != int(value):
            raise InvalidInputError(f"[budget] {name} = {value!r} must be a whole number.")
    chosen = {**_BUDGET, **table}
    least = min(chosen["min_seconds"], chosen["seconds"])
    budget = Budget(min_seconds=least, max_seconds=chosen["seconds"])
    return Policy(budget=budget, timeout_s=chosen["timeout"], retries=int(chosen["retries"]),
                  patience_s=chosen["patience"])  # fmt: skip


def _known(kind: str, table: Mapping[str, Any], known: Sequence[str] | Mapping[str, Any]) -> None:
    for name in table:
        if name not in known:
            raise UnknownNameError(kind, name, known)


def _list(name: str, given: Any, of: type) -> list[Any]:
    if not isinstance(given, list) or any(type(value) is not of for value in given):
        words = {str: '["..."]', int: "[1, 8]", dict: f"[[{name}]]"}[of]
        raise InvalidInputError(f"{name} = {given!r} must be a list: {words}.")
    return given


def _chips(names: Sequence[str]) -> tuple[str, ...]:
    """Families unchanged, chips as their catalogue names."""
    for name in names:
        if name not in FAMILIES and name not in chips():
            try:
                any_chip(name)
            except UnknownNameError:
                raise UnknownNameError("chip", name, (*FAMILIES, *chips())) from None
    return tuple(name if name in FAMILIES else any_chip(name).name for name in names)
