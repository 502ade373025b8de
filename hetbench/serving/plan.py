"""Parallel plans: how a model is divided over the chips of a deployment.

`tp8` divides every matrix over 8 chips; `tp4dp2` runs two copies of a model on 4 chips each, which share the requests;
`ep8` spreads whole experts over 8 chips that also divide the attention (`tp8ep8`); `dp8ep8` copies the attention and
spreads the experts; `pp2` makes two stages of the layers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hetbench.errors import InvalidInputError, shown

__all__ = ["Plan", "plans_for"]

_PART = re.compile(r"(tp|dp|ep|pp)([0-9]{1,6})")
_MOST = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """tensor x data x pipeline parallel, and over how many chips the experts are spread whole.

    >>> Plan.parse("tp4dp2").chips, Plan.parse("ep8"), str(Plan(tp=8))
    (8, Plan(tp=8, dp=1, pp=1, ep=8), 'tp8')
    """

    tp: int = 1
    dp: int = 1
    pp: int = 1
    ep: int = 1

    @classmethod
    def parse(cls, text: str | None, chips: int | None = None) -> Plan:
        """The plan that a text names; left out, tensor parallel over all `chips`."""
        if text is None or text == "":
            return cls(tp=chips or 1)
        parts = _PART.findall(str(text).lower().replace("-", "").replace("_", ""))
        if not parts or "".join(name + size for name, size in parts) != re.sub(r"[-_]", "", str(text).lower()):
            raise InvalidInputError(
                f"{shown(text)} is no parallel plan. Plans are made of tp, dp, ep and pp with a size, such as tp8, "
                "tp4dp2, ep8, dp8ep8, tp4pp2."
            )
        sizes = {name: int(size) for name, size in parts}
        if len(sizes) != len(parts) or not all(1 <= size <= _MOST for size in sizes.values()):
            raise InvalidInputError(f"{shown(text)} states a part twice, or a size outside 1 to {_MOST}.")
        if "ep" in sizes and not {"tp", "dp"} & set(sizes):
            sizes["tp"] = sizes["ep"]
        plan = cls(**sizes)
        if plan.ep not in (1, plan.tp * plan.dp):
            raise InvalidInputError(
                f"{shown(text)}: experts are spread over all tp x dp = {plan.tp * plan.dp} chips of a stage, or not at "
                f"all; given ep{plan.ep}."
            )
        if chips is not None and chips != plan.chips:
            raise InvalidInputError(f"{shown(text)} takes {plan.chips} chips, and chips={chips} was given.")
        return plan

    @property
    def chips(self) -> int:
        """Chips of the whole deployment."""
        return self.tp * self.dp * self.pp

    @property
    def joined(self) -> int:
        """Chips that exchange activations: those of one copy, and of all copies where these share experts."""
        return self.tp * self.pp * (self.dp if self.ep > 1 else 1)

    def __str__(self) -> str:
        parts = [f"{name}{getattr(self, name)}" for name in ("tp", "dp", "pp", "ep") if getattr(self, name) > 1]
        return "".join(parts) or "tp1"


def plans_for(most: int, experts: bool) -> tuple[Plan, ...]:
    """Every plan of powers of two on at most `most` chips of one node, experts spread or not where there are any.

    >>> [str(plan) for plan in plans_for(2, experts=False)]
    ['tp1', 'tp2', 'dp2', 'pp2']
    """
    sizes = [2**n for n in range(most.bit_length()) if 2**n <= most]
    found = [Plan(tp, dp, pp) for pp in sizes for dp in sizes for tp in sizes if tp * dp * pp <= most]
    if experts:
        found += [Plan(tp, dp, 1, tp * dp) for dp in sizes for tp in sizes if 1 < tp * dp <= most]
    return tuple(found)
