"""Software stacks: which one a question means, which kind each is of, and which measured stack speaks for it.

Stacks of one kind do the same: *eager* frameworks launch operator by operator, *compiling* ones optimise the whole
network before it runs, *serving* engines batch requests. Answers are set against one another within a kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from hetbench.catalog.chips import Chip, chips
from hetbench.errors import UnknownNameError
from hetbench.predict.models import WholeModelSurrogate, group_of
from hetbench.schema import PHASES, element

__all__ = ["COMPILING", "DEFAULT_STACK", "KINDS", "default_stack", "evidence_phase", "kind_of", "of_kind", "source",
           "strong", "vendor"]

DEFAULT_STACK = "eager"
COMPILING = ("acl", "magicmind", "compiled-amp", "compiled", "openvino", "tensorrt", "triton-tensorrt", "torchaie")
"""Stacks that optimise a network before it runs; on a chip the first that was measured there speaks for the kind."""
_SERVING = ("vllm", "tensorrt-llm", "openvino-genai", "deepspeed-mii", "fastertransformer")
_ONE_PASS = ("prefill", PHASES[0])
KINDS = ("eager", "compiled", "serving")
_OF_KIND = {"eager": (DEFAULT_STACK,), "compiled": COMPILING, "serving": _SERVING}
_USUAL_STACKS = {"cann": "acl", "mlu": "magicmind", "cpu": "compiled"}
"""What runs a network that does not generate, by family or kind, where published rows are of compiled models."""
_STAND_INS = {("eager", "fp16"): ("eager", "eager-amp"), ("compiled", "fp16"): ("compiled", "compiled-amp")}
"""Autocast runs the same products in half precision."""
_NEAR = {
    "fp16": ("bf16", "fp32"), "bf16": ("fp16", "fp32"), "tf32": ("fp32", "fp16"), "fp32": ("fp16", "bf16"),
    "int8": ("fp16", "fp32"), "fp8": ("fp16", "bf16", "fp32"), "fp64": ("fp32",),
}  # fmt: skip
"""Precisions whose rows speak for another under the same stack, scaled by what the operators say of both."""

_VENDOR = {
    "tensorrt": "cuda", "fastertransformer": "cuda", "-cuda": "cuda", "acl": "cann", "torchaie": "cann",
    "magicmind": "mlu", "openvino": "oneapi", "neural-compressor": "oneapi",
}  # fmt: skip
"""Parts of the names of stacks that one vendor makes, and the family that they run on."""


def vendor(stack: str) -> str | None:
    """The only family that a stack runs on; None where it is no vendor's own.

    >>> vendor("triton-tensorrt"), vendor("onnxruntime")
    ('cuda', None)
    """
    return next((family for part, family in _VENDOR.items() if part in stack), None)


def default_stack(chip: Chip | None, phase: str, generates: bool = False) -> str:
    """The stack that a query means when it names none; one network that generates token by token is launched eagerly
    in all its phases.

    >>> from hetbench.catalog.chips import chip
    >>> default_stack(chip("cann"), "inference"), default_stack(chip("cuda"), "decode")
    ('acl', 'eager')
    """
    if chip is None or phase != PHASES[0] or generates:
        return DEFAULT_STACK
    return _USUAL_STACKS.get("cpu" if chip.kind == "cpu" else chip.family, DEFAULT_STACK)


def kind_of(stack: str) -> str:
    """The kind of a stack.

    >>> kind_of("magicmind"), kind_of("eager-amp-nhwc"), kind_of("vllm")
    ('compiled', 'eager', 'serving')
    """
    if stack in _SERVING:
        return "serving"
    return "eager" if stack.startswith(DEFAULT_STACK) else "compiled"


def of_kind(kind: str, whole: WholeModelSurrogate, chip: Chip, phase: str, precision: str) -> str | None:
    """The stack of a kind that measurements support best on a chip: measured there, else on its family; None without.

    Raises `UnknownNameError` for a kind that is none of `KINDS`.
    """
    if kind not in KINDS:
        raise UnknownNameError("stack kind", kind, KINDS)
    known = [stack for stack in _OF_KIND[kind] if source(whole, chip, phase, stack, precision)]
    own = [stack for stack in known if strong(whole, chip, phase, stack, precision)]
    if kind == "eager":
        return DEFAULT_STACK
    return next(iter((*own, *known)), None)


def source(whole: WholeModelSurrogate, chip: Chip, phase: str, stack: str, precision: str) -> tuple[str, str] | None:
    """The stack and precision whose measured rows speak for a stack in a precision on a chip; None where none do.

    Rows of the chip's die come first, then those of its family in the same precision, then other precisions.
    Evidence of eager launches counts within one family and kind of chip, that of a compiling stack within one kind.
    """
    precision = element(precision)  # of stored weights the rows of what their products are computed in
    key = "source", chip, phase, stack, precision
    return whole.remembered(key, lambda: _source(whole, chip, phase, stack, precision))  # type: ignore[no-any-return]


def _source(whole: WholeModelSurrogate, chip: Chip, phase: str, stack: str, precision: str) -> tuple[str, str] | None:
    found = list(_sources(whole, chip, phase, stack, precision))
    own = [each for each in found if whole.on_die(chip, phase, *each)]
    exact = [each for each in (*own, *found) if each[1] == precision]
    return next(iter((*exact, *own, *found)), None)


def evidence_phase(whole: WholeModelSurrogate, chip: Chip, phase: str, stack: str, precision: str) -> str:
    """The phase whose rows speak for a phase of a model that generates tokens.

    A pass over a prompt is measured as inference and as prefill. Both are answered as prefill, whose rows are of models
    that generate; as inference where only there are rows in the precision.
    """
    if phase not in _ONE_PASS:
        return phase
    for each in _ONE_PASS:
        found = source(whole, chip, each, stack, precision)
        if found is not None and found[1] == element(precision):
            return each
    return _ONE_PASS[0]


def strong(whole: WholeModelSurrogate, chip: Chip, phase: str, stack: str, precision: str) -> bool:
    """Whether rows of this very die and precision speak for a stack."""
    found = source(whole, chip, phase, stack, precision)
    return found is not None and found[1] == element(precision) and whole.on_die(chip, phase, *found)


def _sources(
    whole: WholeModelSurrogate, chip: Chip, phase: str, stack: str, precision: str
) -> Iterator[tuple[str, str]]:
    if vendor(stack) not in (None, chip.family):
        return
    for near in (precision, *_NEAR.get(precision, ())):
        for name in _STAND_INS.get((stack, near), (stack,)):
            if whole.level(chip, phase, name, near) is None:
                continue
            families, kinds = _measured_on(whole, group_of(chip.family, phase), f"{name}|{near}")
            if (chip.family in families or kind_of(stack) != "eager") and chip.kind in kinds:
                yield name, near


@lru_cache(maxsize=1024)
def _measured_on(whole: WholeModelSurrogate, group: str, label: str) -> tuple[frozenset[str], frozenset[str | None]]:
    """Families and kinds of the chips that a stack was measured on in a precision."""
    names = (cell.split("|", 1) for cell in whole.groups[group]["cells"])
    found = [chips()[name] for name, of in names if of == label and name in chips()]
    return frozenset(each.family for each in found), frozenset(each.kind for each in found)
