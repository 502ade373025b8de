"""Chips ranked for serving a language model: on each chip the deployment of most tokens per second and chip that meets
an objective on TTFT, TPOT or the latency of a request.

A chip is left out where no plan fits or meets the objective, where its engine does not run or its datasheet is silent.
`chance` is the least probability over the metrics of the objective, as `deadline_probability` has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hetbench.answers import Answer, digits
from hetbench.catalog.chips import Chip, chips
from hetbench.errors import HetBenchError, InvalidInputError, RefusedError
from hetbench.migration.ranking import deadline_probability, select_chips
from hetbench.migration.results import Dropped, dropped_lines
from hetbench.query.serving_queries import check_phase
from hetbench.query.session import Session
from hetbench.serving import Effects, LanguageModel, language_of, load, parse_slo, serve_plan
from hetbench.serving.planner import Point, ServePlan

__all__ = ["Deployed", "ServingMigration", "migrate_serving", "rank_deployments"]

_LEVELS = {"beside": "C", "model": "C", "known": "C", "engine": "D", "none": "D", "alone": "D"}


@dataclass(frozen=True, slots=True)
class Deployed:
    """The best deployment of a model on one chip."""

    chip: str
    family: str
    engine: str
    precision: str
    point: Point
    chance: float
    """Probability of meeting the objective, 0 to 1."""
    level: str


@dataclass(frozen=True, slots=True)
class ServingMigration:
    """The ranking of chips, most tokens per second and chip first."""

    model: str
    slo: Mapping[str, float]
    """Objective in ms by metric."""
    input_len: int
    output_len: int
    candidates: tuple[Deployed, ...]
    dropped: tuple[Dropped, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self, limit: int | None = None) -> list[str]:
        """The ranking as text, one line a chip, at most `limit` of them."""
        asked = ", ".join(f"{name} <= {digits(value)} ms" for name, value in self.slo.items())
        lines = [f"{self.model}, {self.input_len} tokens in, {self.output_len} out, within {asked}: "
                 f"{len(self.candidates)} chips, {len(self.dropped)} left out, by tokens/s and chip"]  # fmt: skip
        for place, each in enumerate(self.candidates[:limit], start=1):
            p = each.point
            lines.append(
                f"{place:>4} {each.chip}: {p.throughput_per_chip:,.0f} tokens/s/chip, {p.plan} on {p.chips}, "
                f"{p.concurrency} in flight, TTFT {digits(p.ttft_ms)} ms, TPOT {digits(p.tpot_ms)} ms, meets "
                f"{100 * each.chance:.0f} %, {each.precision}, {each.engine}, level {each.level}"
            )
        if limit is not None and len(self.candidates) > limit:
            lines.append(f"     and {len(self.candidates) - limit} more")
        return lines + dropped_lines(self.dropped)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"slo": dict(self.slo)}


def migrate_serving(
    session: Session, model: Any, targets: str | Sequence[str], slo: str | Mapping[str, float],
    options: Mapping[str, Any],
) -> ServingMigration:  # fmt: skip
    """What `HetBench.migrate` answers where an objective of deployments is given."""
    if isinstance(model, list | tuple):
        raise InvalidInputError("chips for serving are ranked for one model at a time; give a single model.")
    check_phase({**options, "phase": "serving"}, None)
    known = [*chips().values(), *session.added_chips.values()]
    meant = select_chips(targets, known, lambda name: session.chip(name)[0])
    asked = {name: value for name, value in options.items() if name not in ("phase", "confidence", "predictor")}
    facts = language_of(session.graph(model))
    return rank_deployments(facts, meant, asked, load(session.artifacts), parse_slo(slo))


def rank_deployments(
    model: LanguageModel, among: Sequence[Chip], options: Mapping[str, Any], known: Effects, slo: Mapping[str, float]
) -> ServingMigration:
    """Rank chips for serving a model.

    Args:
        model: what is served.
        among: chips to choose from.
        options: as of a query in the serving phase; `chips` bounds the chips of a deployment.
        known: the fitted effects.
        slo: objective in ms by metric.

    Raises:
        InvalidInputError: no objective; RefusedError: no chip meets it.
    """
    if not slo:
        raise InvalidInputError("chips for serving are compared within an objective: give slo=, such as 'tpot=30ms'.")
    found, dropped = [], []
    for chip in among:
        try:
            plan = serve_plan(model, chip, options, known, slo)
        except HetBenchError as why:
            if not isinstance(why, RefusedError):
                raise
            dropped.append(Dropped(chip.name, "evidence", str(why)))
            continue
        if plan.cheapest is None:
            asked = ", ".join(f"{name} <= {digits(value)} ms" for name, value in slo.items())
            dropped.append(Dropped(chip.name, "objective", f"none of its deployments is predicted to meet {asked}"))
        else:
            found.append(_deployed(plan, plan.cheapest, chip, slo))
    given, made = (int(options.get(name) or 1024) for name in ("input_len", "output_len"))
    if not found:
        reasons = "\n".join(dropped_lines(dropped))
        raise RefusedError(f"none of the {len(among)} chips serves {model.name} within the objective.\n{reasons}")
    found.sort(key=lambda each: (-each.point.throughput_per_chip, each.chip))
    return ServingMigration(model.name, dict(slo), given, made, tuple(found), tuple(dropped))


def _deployed(plan: ServePlan, point: Point, chip: Chip, slo: Mapping[str, float]) -> Deployed:
    chances = []
    for metric, bound in slo.items():
        value = getattr(point, f"{metric}_ms")
        low, high = plan.bands[metric]
        chances.append(deadline_probability(Answer(value, "ms", value * low, value * high), bound))
    return Deployed(
        chip.name, chip.family, plan.engine, plan.precision, point, round(min(chances), 3), _LEVELS[plan.evidence]
    )  # fmt: skip
