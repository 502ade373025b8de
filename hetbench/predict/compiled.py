"""Operator predictions by the kernel: the same figures as `OperatorSurrogate`'s arrays give, to 1e-6.

What depends on names only (head, cell, chip facts, bands) is put into records once; a prediction is then one call on
the canonical dims. Surrogates with parts that the kernel does not know are left to numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hetbench.catalog.chips import Chip
from hetbench.kernel.library import library
from hetbench.kernel.records import PEER, Record, address, class_record, forest_record, group_records, network_record
from hetbench.loading import LOCK
from hetbench.predict.cells import Choice
from hetbench.predict.class_surrogate import ClassSurrogate
from hetbench.predict.doubling import GROWN, LEAST, Halves
from hetbench.predict.features import CLASSES, chip_facts
from hetbench.predict.perceptron import Perceptron
from hetbench.predict.protocols import launch_floor
from hetbench.predict.rgat import CLIP as RGAT_CLIP
from hetbench.predict.rgat import Rgat
from hetbench.predict.selection import said_by
from hetbench.predict.trees import Forest
from hetbench.schema import PROTOCOLS

if TYPE_CHECKING:
    from hetbench.predict.operators import OperatorSurrogate

__all__ = ["COLUMNS", "Block", "Kernel", "forest_of"]

COLUMNS = {
    "gemm": ("b", "m", "n", "k", "flops", "bytes"),
    "prefill": (
        "batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "window", "causal", "pairs", "flops", "bytes",
    ),
    "conv": ("n", "c", "h", "w", "oc", "groups", "kh", "kw", "stride", "pad", "out_h", "out_w", "flops", "bytes"),
    "vector": ("rows", "cols", "idle", "touched", "work", "flops", "bytes"),
}  # fmt: skip
"""Canonical dims of each class in the order of the kernel."""
COLUMNS["decode"] = COLUMNS["prefill"]
RATIO_COLUMNS = {"gemm": 25, "prefill": 27, "decode": 27, "conv": 45, "vector": 17}
"""Columns of `Features.ratio` of each class."""
_HEADS = {"roofline": 0, "full": 1, "ratio": 2, "chip": 3}
_KNOWN_SPEC = {"members", "cells", "ratio", "constant", "protocol", "measured", "intervals", "blend", "chips",
               "slowness"}  # fmt: skip
_KNOWN_CHOICE = {
    "head", "effects", "cell", "protocol", "level", "support", "source", "bias", "dtype", "constant", "op", "alone",
    "rgat", "peers",
}  # fmt: skip
"""What the kernel was written for: a surrogate that says more is answered by numpy."""
_MOST_BLOCKS = 4096


class Block(NamedTuple):
    """The choices of one class on one chip, as the kernel takes them."""

    cls: Record
    facts: NDArray[np.float64]
    """Of the chip, and of the one that speaks for it, [2, facts]."""
    groups: Record
    kept: tuple[Any, ...]
    """Choices and chip, whose identity is the key of the block."""


def forest_of(forest: Forest) -> Record | None:
    """A tree ensemble as the kernel takes it."""
    return forest_record(
        forest.columns, forest.borders, forest.split_column, forest.split_rank, forest.leaves, forest.bias
    )


def _perceptron_of(member: Perceptron) -> Record | None:
    hidden = list(zip(member.weights[1:-1], member.biases[:-1], strict=True))
    out = member.weights[-1], float(member.biases[-1][0])
    return network_record((member.mean, member.scale), member.weights[0], hidden, out, clip=6.0, offset=member.offset)


def _rgat_of(network: Rgat, cls: str) -> Record | None:
    index, arrays = CLASSES.index(cls), network.arrays
    used = RATIO_COLUMNS[cls]  # the others are padding
    scale = arrays["mean"][index, :used], arrays["deviation"][index, :used]
    out = arrays["out"][:, 0], float(arrays["out_bias"][0])
    return network_record(
        scale, arrays["into"][index, :used], network.hidden, out, clip=RGAT_CLIP, unknown_is_zero=True
    )  # fmt: skip


def _bands(head: ClassSurrogate, choice: Choice, chip: Chip) -> Any:
    """Bounds inside and outside of what rows cover, by size, [12]; see `ClassSurrogate.interval`."""
    inside = head._band((choice.head,), "D" if choice.head == "roofline" else choice.level, chip)
    outside = head._band((), "X" if f"X/{chip.family}" in head.spec["intervals"] else "D", chip)
    return np.ravel((inside, outside))


class Kernel:
    """What the kernel knows of one set of operator surrogates."""

    def __init__(self, surrogate: OperatorSurrogate) -> None:
        self._surrogate = surrogate
        self._library = library()
        self._classes: dict[str, Record | None] = {}
        self._forests: dict[tuple[str, str], Record | None] = {}
        self._blocks: dict[tuple[Any, ...], Block | None] = {}

    @property
    def ready(self) -> bool:
        """Whether this platform has a kernel."""
        return self._library is not None

    def evaluate(
        self, cls: str, shared: Mapping[str, NDArray[Any]], chips: tuple[Chip, Chip], protocol: str,
        choices: Sequence[Choice], which: NDArray[np.int64], halves: Halves | None,
    ) -> NDArray[np.float64] | None:  # fmt: skip
        """Value and bounds in ms, [3, rows], None where numpy has to; arguments as of `OperatorSurrogate.evaluate`."""
        if self._library is None or "saved" in shared:  # weights of a stored format
            return None
        block = self.block(cls, *chips, protocol, choices)
        if block is None:
            return None
        names, rows = COLUMNS[cls], len(which)
        columns = np.empty((len(names), rows))
        for index, name in enumerate(names):
            columns[index] = shared[name]
        row = np.arange(rows, dtype=np.int32) if halves is None else halves.row.astype(np.int32)
        times = np.zeros(rows, dtype=np.int32) if halves is None else halves.times.astype(np.int32)
        asked = rows if halves is None else int(np.count_nonzero(times == 0))
        if halves is not None:
            row = (np.cumsum(times == 0, dtype=np.int32) - 1)[row]  # the place among those asked for
        out, work, group = np.empty((3, asked)), np.empty((2, asked)), which.astype(np.int32)
        self._library.hetbench_operators(
            CLASSES.index(cls), block.cls.address, address(block.facts), block.groups.address, address(group),
            address(row), address(times), address(columns), rows, asked, address(out), address(work),
        )  # fmt: skip
        return out

    def block(self, cls: str, chip: Chip, on: Chip, protocol: str, choices: Sequence[Choice]) -> Block | None:
        """The records of a class on a chip; None where the kernel cannot take them."""
        key = (cls, protocol, id(chip), id(on), *map(id, choices))
        try:
            return self._blocks[key]
        except KeyError:
            with LOCK:
                made = self._made(cls, chip, on, protocol, tuple(choices))
                if len(self._blocks) >= _MOST_BLOCKS:
                    self._blocks.clear()
                self._blocks[key] = made
            return made

    def _made(self, cls: str, chip: Chip, on: Chip, protocol: str, choices: tuple[Choice, ...]) -> Block | None:
        head = self._surrogate.class_surrogate(cls)
        known = self._class(cls, head)
        if known is None:
            return None
        groups = [self._group(cls, head, (chip, on), protocol, choice) for choice in choices]
        if any(each is None for each in groups):
            return None
        values = []
        for each in (chip, on):
            facts = chip_facts(each, "fp32", 0.0)
            values.append((
                facts.vector_peak, facts.bandwidth, facts.compute_units, facts.l2_bytes, facts.cache_bandwidth,
                facts.fractal, facts.turbo, on is not chip, self._surrogate.doublings, LEAST, GROWN,
            ))  # fmt: skip
        made = group_records([each for each in groups if each is not None])
        made.values["widened"] = bool(made.values["of_clock"].any() or made.values["of_peak"].any())
        return Block(known, np.array(values, dtype=np.float64), made, (choices, chip, on))

    def _class(self, cls: str, head: ClassSurrogate) -> Record | None:
        """Full head and RGAT of a class."""
        if cls not in self._classes:
            members, cells = [], None
            for weight, member in head.members:
                network = isinstance(member, Perceptron)
                made = _perceptron_of(member) if isinstance(member, Perceptron) else forest_of(member)
                cells = member.cells if isinstance(member, Perceptron) else cells
                members.append((weight, made, not network))
            rgat = _rgat_of(self._surrogate.network, cls)
            whole = [(weight, made, trees) for weight, made, trees in members if made is not None]
            known = set(head.spec) <= _KNOWN_SPEC and {each.name for each in fields(Choice)} <= _KNOWN_CHOICE
            complete = known and rgat is not None and len(whole) == len(members) and sum(not m[2] for m in members) <= 1
            low, high = head._range
            slow = head.spec.get("slowness") or {"at": (), "times": ()}
            curve = slow["at"], slow["times"]
            self._classes[cls] = class_record(whole, cells, rgat, (low, high), curve) if complete and rgat else None
        return self._classes[cls]

    def _group(
        self, cls: str, head: ClassSurrogate, chips: tuple[Chip, Chip], protocol: str, choice: Choice
    ) -> dict[str, Any] | None:
        (chip, on), said = chips, said_by(chips[1], chips[0], choice)
        kind, _, name = choice.head.partition("/")
        floors = self._surrogate.floors
        facts = chip_facts(on, choice.dtype, launch_floor(floors, on, cls, choice.protocol))
        made: dict[str, Any] = {
            "own_peak": chip_facts(chip, choice.dtype, 0.0).peak, "peak": facts.peak,
            "floor": facts.floor_ms, "itemsize": facts.itemsize, "effects": choice.effects,
            "protocol": PROTOCOLS.index(choice.protocol), "bias": choice.bias, "constant": choice.constant,
            "rgat": choice.rgat, "shares": [*head._shares(choice, on), *head._shares(choice, on, "X")],
            "head": _HEADS[kind], "cell": choice.cell,
            "same_protocol": choice.protocol == protocol,
            "asked_floor": self._surrogate.asked_floor(cls, on, protocol),
            "bands": _bands(head, said, chip),
            "rgat_own": self._surrogate.network.of_kind(choice.op, choice.dtype, choice.protocol),
        }  # fmt: skip
        if choice.peers:
            peers = [(each.effects, each.index) for each in choice.peers]
            made["peers"], made["peer"] = len(peers), np.array(peers, dtype=PEER)
        made["of_clock"], made["of_peak"] = head._of_estimates(said, chip)
        if made["shares"][0] != 1 or made["shares"][3] != 1:
            made["usual"] = head._usual(choice, on)
        if kind in ("ratio", "chip"):
            key = cls, choice.head
            if key not in self._forests:
                self._forests[key] = forest_of(head.ratio[name] if kind == "ratio" else head.chip_heads[name][1])
            if self._forests[key] is None:
                return None
            made["forest"] = self._forests[key]
        return made
