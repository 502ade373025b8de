"""Calls as steps that can be merged, who writes and who reads each buffer, and the nodes that come out.

Steps keep execution order; a merged step stands where its last member stood. A buffer that only members touch
disappears with the merge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hetbench.tracing.aten import aten_name
from hetbench.tracing.lowered import Lowered, lowered_type
from hetbench.tracing.recording import Call, Frame, Recording, buffer_of

__all__ = ["Flow", "Node", "Step", "Trace", "as_trace"]


@dataclass(slots=True)
class Node:
    """One operator instance at one setting."""

    op: str
    dims: dict[str, int]
    dtype: str
    path: str
    """Qualified name of the module that calls it."""
    aten: tuple[str, ...]
    sources: tuple[int, ...]
    """Nodes whose results it reads, ascending."""
    allocates: tuple[tuple[int, str, int], ...]
    """Buffers it makes that others read: (elements, dtype, index of the last node that touches it)."""
    cached: str = ""
    """For attention: `full` where K and V live in the KV cache, `window` where the cache keeps the window only."""


@dataclass(slots=True)
class Trace:
    """A network at one setting: nodes in execution order."""

    nodes: list[Node]
    bookkeeping: dict[str, int]
    """ATen operators on positions, masks and indices, which no weight or activation reaches: name -> calls."""
    parameter_count: int
    input_buffers: list[tuple[int, str]]
    """(elements, dtype) of each input tensor."""


@dataclass(eq=False, slots=True)
class Step:
    """One call, or several that became one operator."""

    calls: list[Call]
    lowered: Lowered
    frame: Frame
    reads: set[int]
    """Buffers."""
    writes: set[int]
    fresh: set[int]
    cached: str = ""


@dataclass(slots=True)
class Flow:
    """Who writes and who reads each buffer; kept true while steps are merged."""

    steps: list[Step | None]
    recording: Recording
    writer: dict[int, int] = field(default_factory=dict)
    """Buffer -> step that allocated it."""
    readers: dict[int, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index, step in self.live():
            for buffer in step.fresh:
                self.writer[buffer] = index
            for buffer in step.reads:
                self.readers.setdefault(buffer, []).append(index)

    def live(self) -> Iterator[tuple[int, Step]]:
        return ((index, step) for index, step in enumerate(self.steps) if step is not None)

    def made_by(self, tensor: Any) -> tuple[int, Step] | None:
        """The step that allocated the tensor's buffer."""
        index = self.writer.get(buffer_of(tensor))
        step = None if index is None else self.steps[index]
        return None if index is None or step is None else (index, step)

    def only_reader(self, index: int) -> tuple[int, Step] | None:
        """The one step that reads what `index` makes, if there is exactly one."""
        step = self.steps[index]
        assert step is not None
        found = {r for buffer in step.fresh for r in self.readers.get(buffer, ()) if not self.is_idle(r)} - {index}
        if len(found) != 1 or step.fresh & self.recording.outputs:
            return None
        (reader,) = found
        target = self.steps[reader]
        return None if target is None else (reader, target)

    def is_idle(self, index: int) -> bool:
        """Whether a step hands its input on: dropout at inference."""
        step = self.steps[index]
        return step is not None and step.lowered.op == "Dropout" and not step.fresh

    def merge_each(self, op: str, find: Callable[[Flow, int, Step], tuple[list[int], Lowered] | None]) -> None:
        """Merge what `find` says belongs to each step of an operator type: members and what they are, or None."""
        for index, step in list(self.live()):
            if step.lowered.op == op and self.steps[index] is step:
                found = find(self, index, step)
                if found is not None:
                    self.merge(*found)

    def merge(self, members: list[int], lowered: Lowered, *, cached: str = "") -> None:
        """Make `members` one step, at the place of the last."""
        own = set().union(*(step.fresh for index in members if (step := self.steps[index]) is not None))
        last = max(members)  # what comes out of the last member and passes a dropout is not inside
        idle = {r for b in own for r in self.readers.get(b, ()) if self.is_idle(r) and r < last}
        members = sorted({*members, *idle})
        parts = [step for index in members if (step := self.steps[index]) is not None]
        fresh = set().union(*(part.fresh for part in parts))
        inside = set(members)
        seen = {b for b in fresh if b in self.recording.outputs or set(self.readers.get(b, ())) - inside}
        seen = seen or set(parts[-1].fresh)
        merged = Step(
            [call for part in parts for call in part.calls], lowered, parts[-1].frame,
            set().union(*(part.reads for part in parts)) - fresh,
            (set().union(*(part.writes for part in parts)) - fresh) | seen, seen, cached,
        )  # fmt: skip
        for index in members:
            self.steps[index] = None
        self.steps[last] = merged
        for buffer in seen:
            self.writer[buffer] = last
        for buffer, readers in self.readers.items():
            if buffer in merged.reads or buffer in fresh:
                kept = [r for r in readers if r not in inside]
                self.readers[buffer] = [*kept, last] if buffer in merged.reads else kept


def as_trace(flow: Flow, bookkeeping: dict[str, int]) -> Trace:
    """Nodes, data-flow edges and buffer lifetimes of what is left after merging."""
    recording, steps = flow.recording, [step for _, step in flow.live()]
    touched: dict[int, int] = {}
    for index, step in enumerate(steps):
        for buffer in (*step.reads, *step.writes):
            touched[buffer] = index
    touched.update(dict.fromkeys(recording.outputs, len(steps)))
    latest: dict[int, int] = {}
    nodes = []
    for index, step in enumerate(steps):
        sources = sorted({latest[buffer] for buffer in step.reads if buffer in latest})
        made = tuple(
            (*_stored(recording, b), touched[b]) for b in sorted(step.fresh, key=_order(step))
        )
        latest.update(dict.fromkeys(step.writes, index))
        lowered = step.lowered
        aten = tuple(aten_name(call) for call in step.calls)
        dims = {name: int(size) for name, size in lowered.dims.items()}
        nodes.append(Node(lowered.op, dims, lowered.dtype, step.frame.path, aten, tuple(sources), made, step.cached))
    inputs = [
        _stored(recording, b)
        for b in sorted(recording.inputs - recording.cache, key=lambda b: recording.buffer_bytes[b])
    ]
    return Trace(nodes, bookkeeping, recording.parameter_count, inputs)


def _stored(recording: Recording, buffer: int) -> tuple[int, str]:
    """Elements and dtype of a buffer; a complex number is two elements."""
    dtype = recording.buffer_dtype[buffer]
    return recording.buffer_bytes[buffer] * (2 if dtype.is_complex else 1) // dtype.itemsize, lowered_type(dtype)


def _order(step: Step) -> Callable[[int], int]:
    """Buffers in the order in which the calls of a step make them: identities differ from run to run."""
    made = [buffer for call in step.calls for buffer in call.fresh]
    return made.index
