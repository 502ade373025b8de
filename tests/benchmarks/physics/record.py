"""What was checked of each property, what violated it, and the report of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Property:
    """One property: how often it was checked, and each violation with how bad it is and where."""

    checked: int = 0
    violations: list[tuple[float, tuple[Any, ...]]] = field(default_factory=list)


class Record:
    """All properties by name."""

    def __init__(self) -> None:
        self.properties: dict[str, Property] = {}

    def check(self, name: str, holds: bool, badness: float = 1.0, *where: Any) -> bool:
        """Note one check; `badness` orders the violations of a property, worst first."""
        found = self.properties.setdefault(name, Property())
        found.checked += 1
        if not holds:
            found.violations.append((float(badness), where))
        return bool(holds)

    @property
    def broken(self) -> dict[str, Property]:
        """The properties with violations."""
        return {name: each for name, each in self.properties.items() if each.violations}

    def lines(self, names: set[str], examples: int = 0) -> list[str]:
        """The report of some properties, with the worst examples of each."""
        lines = []
        for name in (each for each in self.properties if each in names):
            found = self.properties[name]
            worst = sorted(found.violations, key=lambda each: -each[0])
            mark, tail = ("FAIL", f"  | worst {worst[0][0]:.2f}") if worst else ("ok  ", "")
            lines.append(f"{mark} {found.checked:>7,} checked {len(worst):>6,} violated  {name}{tail}")
            lines += [" ".join(map(str, (f"           {bad:.3f} ", *where))) for bad, where in worst[:examples]]
        return lines
