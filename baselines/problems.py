"""A search problem: a space, objectives, constraints, and the scale of the scores that methods see."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.quantities import QUALITY, Constraint, Quantity, api, constraint, quality_function, quantity
from hetbench.errors import InvalidInputError, RefusedError
from hetbench.spaces import Space, space

__all__ = ["MOST_REPEATS", "REPEATS", "WARM_UP", "Evaluation", "Problem", "Scale", "problem", "scale_of"]

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
WARM_UP, REPEATS, MOST_REPEATS = 5, 10, 10_000
"""Calls of a simulated measurement: thrown away, and timed."""
_SAMPLE, _SEED, _MARGIN = 2000, 0, 0.1
_MOST_EXTREMES = 4096


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Architectures with their objectives and constrained quantities."""

    codes: Ints  # [n, parameters]
    values: dict[str, Array]
    """Objectives and constrained quantities by name, in their units, [n]."""
    minimised: Array  # [n, objectives], lower is better
    violation: Array  # [n], 0 where every constraint holds
    call_s: Array
    """Seconds of one call on every chip of the problem in sequence, [n]."""

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Mask of architectures with known objectives and satisfied constraints, [n]."""
        out: NDArray[np.bool_] = (self.violation == 0) & ~np.isnan(self.minimised).any(axis=1)
        return out


@dataclass(frozen=True, slots=True)
class Scale:
    """Ideal and reference point of a problem, minimised, in original units."""

    ideal: tuple[float, ...]
    reference: tuple[float, ...]

    def scores(self, found: Evaluation) -> Array:
        """What methods see, [n, objectives], lower is better: 0 at the ideal and 1 at the reference point. Where a
        constraint is broken, 1 or the value if that is worse, plus the violation; where a value is unknown, 2."""
        ideal, reference = np.array(self.ideal), np.array(self.reference)
        scaled: Array = (found.minimised - ideal) / (reference - ideal)
        broken = np.maximum(scaled, 1.0) + found.violation[:, None]
        scaled = np.where(found.violation[:, None] > 0, broken, scaled)
        unknown = np.asarray(np.isnan(found.minimised).any(axis=1))
        return np.where(unknown[:, None], 2.0, scaled)


@dataclass(frozen=True)
class Problem:
    """A search problem; it can be pickled."""

    space: Space
    objectives: tuple[Quantity, ...]
    constraints: tuple[Constraint, ...] = ()
    quality: str | None = None
    """`module:function` of the caller's own quality."""
    setting: tuple[tuple[str, Any], ...] = ()
    """Options of every query, such as ("batch", 8)."""

    @property
    def slug(self) -> str:
        """Names of the objectives joined by `+`, and after `~` what else makes the problem, if anything."""
        others = [each.slug for each in self.constraints] + [f"{name}_{value}" for name, value in self.setting]
        others += [self.quality.replace(":", ".")] if self.quality else []
        return "+".join(each.name for each in self.objectives) + (f"~{'+'.join(others)}" if others else "")

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Every chip of the objectives and constraints."""
        asked = (*self.objectives, *(each.quantity for each in self.constraints))
        return tuple(dict.fromkeys(each.device for each in asked if each.device))

    def evaluate(self, codes: Any) -> Evaluation:
        """Objectives and constrained quantities of architectures, [n] each."""
        codes = self.space.codes(codes)
        asked = {each.name: each for each in (*self.objectives, *(each.quantity for each in self.constraints))}
        values = {name: self._values(each, codes) for name, each in asked.items()}
        minimised = np.stack([each.sign * values[each.name] for each in self.objectives], axis=1)
        violation = sum((each.excess(values[each.quantity.name]) for each in self.constraints), np.zeros(len(codes)))
        return Evaluation(codes, values, minimised, violation, self._call_s(codes, values))

    def _values(self, asked: Quantity, codes: Ints) -> Array:
        if asked.metric == QUALITY:
            assert self.quality is not None
            found = np.asarray(quality_function(self.quality)(self.space.archs(codes)), dtype=np.float64)
            if found.shape != (len(codes),):
                raise InvalidInputError(f"{self.quality} gave {list(found.shape)} values; wanted [{len(codes)}].")
            return found
        return self.query(codes, asked)

    def query(self, codes: Ints, asked: Quantity, **options: Any) -> Array:
        """Answers of hetbench, [n], or [n, draws] with `sample`."""
        options = {**dict(self.setting), **options}
        found = api(self.space.name).query_batch(codes, device=asked.device, metric=asked.metric, **options)
        return np.asarray(found, dtype=np.float64)

    def _call_s(self, codes: Ints, values: Mapping[str, Array]) -> Array:
        total = np.zeros(len(codes))
        if "chip" in self.space.column:
            return total + np.nan_to_num(self._latency(None, codes, values)) / 1e3
        for device in self.devices:
            total += self._latency(device, codes, values) / 1e3
        return total

    def _latency(self, device: str | None, codes: Ints, values: Mapping[str, Array]) -> Array:
        name = f"latency@{device}" if device else "latency"
        return values[name] if name in values else self.query(codes, quantity(name, self.space))

    def describe(self) -> dict[str, Any]:
        """The problem as the metadata of a result file."""
        objectives = [{"name": o.name, "unit": o.unit, "better": o.better} for o in self.objectives]
        limits = [{"name": c.quantity.name, "unit": c.quantity.unit, "relation": c.relation, "limit": c.limit}
                  for c in self.constraints]  # fmt: skip
        return {"space": self.space.name, "objectives": objectives, "constraints": limits, "quality": self.quality,
                "setting": dict(self.setting)}  # fmt: skip

    @cached_property
    def scale(self) -> Scale:
        """Ideal and reference point: best value, and worst plus a tenth of the range, of a fixed sample of 2,000
        architectures and of those whose parameters are all at one of their ends."""
        found = self.evaluate(np.concatenate((self.space.sample_codes(_SAMPLE, _SEED), _extremes(self.space))))
        known = found.minimised[~np.isnan(found.minimised).any(axis=1)]
        if not len(known):
            raise RefusedError(f"{self.slug}: hetbench answers none of {len(found.codes)} architectures.")
        ideal, worst = known.min(axis=0), known.max(axis=0)
        flat = [each.name for each, low, high in zip(self.objectives, ideal, worst, strict=True) if low == high]
        if flat:
            raise InvalidInputError(f"nothing to search: {', '.join(flat)} is the same for every architecture.")
        reference = worst + _MARGIN * (worst - ideal)
        return Scale(tuple(map(float, ideal)), tuple(map(float, reference)))


def _extremes(space: Space) -> Ints:
    """Codes of architectures with identical layers whose parameters are at their first or last choice."""
    groups = [name.partition(".")[0] for name in (each.name for each in space.parameters)]
    names = list(dict.fromkeys(groups))
    last = np.array([len(each.choices) - 1 for each in space.parameters])
    rows = [last * [dict(zip(names, ends, strict=True))[group] for group in groups]
            for ends in product((0, 1), repeat=len(names))][:_MOST_EXTREMES]  # fmt: skip
    return space.canonical(np.array(rows, dtype=np.int64))


def problem(
    space_name: str, objectives: Sequence[str], constraints: Sequence[str] = (), quality: str | None = None,
    setting: Mapping[str, Any] | None = None,
) -> Problem:  # fmt: skip
    """A problem from words such as `latency@cann`. An error names the invalid word.

    >>> problem("gpt-s", ["loss_proxy", "latency@cann"], ["latency@mlu<20ms"]).devices
    ('cann', 'mlu')
    """
    found = space(space_name)
    names = [name.strip() for name in objectives if name.strip()]
    if not names or len(set(names)) != len(names):
        given = ", ".join(names) or "none"
        raise InvalidInputError(f"objectives must be one or more distinct quantities; given: {given}.")
    return Problem(
        found, tuple(quantity(name, found, quality) for name in names),
        tuple(constraint(text, found, quality) for text in constraints if text.strip()), quality,
        tuple(sorted((setting or {}).items())),
    )  # fmt: skip


def scale_of(asked: Problem, output: Path) -> Scale:
    """The scale stored in `output`; computed and stored there if it is missing."""
    path = output / "reference" / asked.space.name / f"{asked.slug}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        stated = {"reference_point": asked.scale.reference, "ideal": asked.scale.ideal, **asked.describe(),
                  "how": Problem.scale.__doc__}  # fmt: skip
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    stated = json.loads(path.read_text(encoding="utf-8"))
    return Scale(tuple(stated["ideal"]), tuple(stated["reference_point"]))
