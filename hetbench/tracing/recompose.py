"""From a recording to a trace: lower every call, then put together what eager code writes in pieces.

Nothing disappears: a call that no operator type covers stops the trace, with all such calls named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from hetbench.errors import InvalidInputError
from hetbench.tracing.activations import merge_gelus
from hetbench.tracing.aten import aten_name
from hetbench.tracing.attention import attention_call, is_attention, merge_attention
from hetbench.tracing.flow import Flow, Step, Trace, as_trace
from hetbench.tracing.lower import UnknownFunctionError, lower
from hetbench.tracing.lowered import Lowered
from hetbench.tracing.patterns import merge_rms_norms, merge_rotations
from hetbench.tracing.recording import Call, Recording

__all__ = ["PASSES", "recompose"]

PASSES: tuple[Callable[[Flow], None], ...] = (merge_rms_norms, merge_gelus, merge_rotations, merge_attention)
"""What puts operators together that eager PyTorch code writes in pieces, in order."""


def recompose(recording: Recording, passes: Sequence[Callable[[Flow], None]] = PASSES) -> Trace:
    """Nodes, edges and buffers of a recording, after each of `passes` has merged what it knows.

    Raises `InvalidInputError` that names every function without an operator type.
    """
    bookkeeping: Counter[str] = Counter()
    steps: list[Step | None] = []
    unknown: dict[str, list[Call]] = {}
    for call in recording.calls:
        if not call.is_data:
            if call.fresh:
                bookkeeping[aten_name(call)] += 1
            continue
        try:
            steps += _steps(call, _operators(call, recording))
        except UnknownFunctionError:
            unknown.setdefault(call.name, []).append(call)
    if unknown:
        raise InvalidInputError(_without_types(unknown))
    flow = Flow(steps, recording)
    for merge in passes:
        merge(flow)
    return as_trace(flow, dict(sorted(bookkeeping.items())))


def _operators(call: Call, recording: Recording) -> list[Lowered]:
    if call.operators is not None:
        return list(call.operators)
    return [attention_call(call, recording)] if is_attention(call) else lower(call, recording)


def _steps(call: Call, found: list[Lowered]) -> list[Step]:
    """One step for each operator of a call; the first allocates what it returns, the others work on that."""
    reads, writes, fresh = set(call.reads), set(call.writes), set(call.fresh)
    made = [Step([call], each, call.frame, reads, writes, fresh) for each in found[:1]]
    return made + [Step([], each, call.frame, reads | fresh, writes, set()) for each in found[1:]]


def _without_types(unknown: dict[str, list[Call]]) -> str:
    named = ", ".join(
        f"{name} ({len(calls)} x, first in {calls[0].frame.path or type(calls[0].frame.module).__name__})"
        for name, calls in unknown.items()
    )
    return (
        f"no operator type covers {len(unknown)} of the torch functions called: {named}. Replace them by functions "
        "that are covered (the tables of hetbench.tracing.functions), or trace the parts of the module around them."
    )
