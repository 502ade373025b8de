"""Result of a search as JSON and Markdown, and its configuration space."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_collection.tune.space import Setting, Space, Subject
from data_collection.tune.trials import Figure, Saturation, Trial, best_of
from hetbench.artifacts import write_whole

__all__ = ["Report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One search."""

    subject: Subject
    chip: str
    software: str
    method: str
    seed: int
    space: Space
    trials: Sequence[Trial]
    before: Figure | None
    """The default setting, measured again; None if every round was disturbed."""
    after: Figure | None
    """The best setting, measured in alternation with the default."""
    saturation: Saturation | None
    run: str

    @property
    def best(self) -> Setting | None:
        """The fastest setting; None if no trial gave a latency."""
        found = best_of(self.trials)
        return found.setting if found else None

    @property
    def speedup(self) -> tuple[float, float, float] | None:
        """Default over best time, with the bounds given by the two intervals."""
        if self.before is None or self.after is None:
            return None
        return (self.before.median / self.after.median, self.before.lower / self.after.upper,
                self.before.upper / self.after.lower)  # fmt: skip

    def values(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        return {
            "subject": asdict(self.subject), "chip": self.chip, "software": self.software, "run": self.run,
            "method": self.method, "seed": self.seed, "unit": "ms of one sample", "default": self.space.default,
            "best": self.best, "before": _figure(self.before), "after": _figure(self.after),
            "speedup": dict(zip(("ratio", "lower", "upper"), self.speedup, strict=True)) if self.speedup else None,
            "saturation": asdict(self.saturation) if self.saturation else None,
            "trials": [asdict(each) | {"value": each.value} for each in self.trials],
        }  # fmt: skip

    def write(self, folder: Path) -> None:
        """Write report.json, report.md and space.json."""
        files = {"report.json": json.dumps(self.values(), indent=1), "report.md": self.markdown(),
                 "space.json": json.dumps(dict(self.space.axes), indent=1)}  # fmt: skip
        for name, text in files.items():
            write_whole(folder / name, text + "\n", "--out DIR")

    def markdown(self) -> str:
        """The report as Markdown."""
        sizes = [f"{name}={value}" for name, value in (self.subject.dims or {}).items()]
        lines = [
            f"# {' '.join([self.subject.name, *sizes])} on {self.chip}", "",
            f"{len(self.trials)} of {self.space.size} settings tried ({self.method}, seed {self.seed}), "
            f"{self.software}, run {self.run}. Times are milliseconds of one sample.", "",
            "| | setting | median | 95 % interval | repeats |", "|---|---|---|---|---|",
            _line("before", self.space.default, self.before), _line("after", self.best, self.after), "", self._said(),
        ]  # fmt: skip
        if self.saturation:
            found = self.saturation
            lines += ["", f"Throughput saturates at batch {found.batch}: {found.reason}.", "",
                      "| batch | samples a second |", "|---|---|"]  # fmt: skip
            lines += [f"| {each.setting['batch']} | {_rate(each)} |" for each in found.steps]
        ranked = sorted(self.trials, key=lambda each: (each.value is None, each.value or 0))
        titles = [*self.space.axes, "ms of one sample"]
        lines += ["", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
        return "\n".join(lines + [
            f"| {' | '.join(str(value) for value in each.setting.values())} |"
            f" {f'{each.value:.4g}' if each.value else f'{each.status}: {each.reason}'} |" for each in ranked
        ])  # fmt: skip

    def _said(self) -> str:
        if self.best is None:
            return "No trial gave a figure."
        if self.best == self.space.default:
            return "The default is the fastest setting tried."
        if self.speedup is None:
            return "The gain is not confirmed: the machine was not quiet when both were measured again."
        ratio, lower, upper = self.speedup
        sure = "" if lower > 1 or upper < 1 else ", which may be none at all"
        numerics = self.best["precision"] != self.space.default["precision"]
        return f"{ratio:.2f} times as fast [{lower:.2f}, {upper:.2f}]{sure}." + (
            f" It computes in {self.best['precision']}: check what that does to the results." if numerics else ""
        )


def _figure(figure: Figure | None) -> Mapping[str, Any] | None:
    return asdict(figure) if figure else None


def _line(name: str, setting: Setting | None, figure: Figure | None) -> str:
    words = " ".join(f"{axis}={value}" for axis, value in (setting or {}).items() if value is not None)
    shown = f"{figure.median:.4g} | {figure.lower:.4g} .. {figure.upper:.4g} | {figure.repeats}" if figure else "| |"
    return f"| {name} | {words} | {shown} |"


def _rate(trial: Trial) -> str:
    return f"{1e3 / trial.value:.4g}" if trial.value else f"{trial.status}: {trial.reason}"
