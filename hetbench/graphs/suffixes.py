"""What the end of a network's name says: the format of its weights, how it was tuned, the part of a file it is.

`Qwen2.5-7B-Instruct-GPTQ-Int8` is Qwen2.5-7B, tuned, with 8-bit weights; `llama-2-7b.Q4_K_M.gguf` is Llama-2-7B in
blocks of llama.cpp. Suffixes are taken off one at a time, from the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hetbench.formats import named_format

__all__ = ["Reading", "readings"]

_GGUF = r"(?:ud[-_]|i1[-_])?(?:iq[1-4]_(?:xxs|xs|s|m|nl)|q[2-8]_(?:k(?:_(?:xxl|xl|l|m|s))?|[01])|q[48])|[bf]?f16|f32"
_QUANTISED = re.compile(
    rf"[-_.]({_GGUF}|fp8(?:[-_](?:dynamic|kv|block|static[-_]pertensor|e4m3))?|nvfp4(?:a16)?|mxfp4|awq|gptq|autoround|"
    r"bnb|int8|int4|fp16|bf16|[348][-_]?bits?|w[48]a(?:8|16)|quantized|g(?:32|64|128))$"
)
_FILE = re.compile(r"(?:\.gguf|-\d{5}-of-\d{5}|\.safetensors|[-_.]gguf|[-_]mlx|[-_]onnx)$")
_TUNED = re.compile(r"[-_](instruct|chat|hf|it|base|sft|dpo|inst|latest|thinking|reasoning|unsloth|qat|\d{4})$|\.inst$")
_MEANINGS = {_FILE: "", _QUANTISED: "names the format of the weights", _TUNED: "changes no operator"}
_METHODS = {"awq": "w4a16", "gptq": "w4a16", "autoround": "w4a16", "bnb": "nf4"}
_WIDTHS = {"4": "w4a16", "8": "w8a16"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A name after some of its suffixes were taken off."""

    name: str
    words: tuple[str, ...] = ()
    """What was said of the format of the weights, the last word of the name first."""
    notes: tuple[str, ...] = ()
    """What each suffix means."""

    @property
    def precision(self) -> str | None:
        """The precision or format that the words mean; None where they name none.

        >>> [each.precision for each in readings("Qwen2.5-7B-Instruct-GPTQ-Int8")]
        [None, 'int8', 'w8a16', 'w8a16']
        """
        return _stated(self.words)


def readings(name: str) -> Iterator[Reading]:
    """The name as it is, then with one suffix less each time.

    >>> [each.name for each in readings("llama-2-7b-chat.Q4_K_M.gguf")]
    ['llama-2-7b-chat.Q4_K_M.gguf', 'llama-2-7b-chat.Q4_K_M', 'llama-2-7b-chat', 'llama-2-7b']
    """
    found = Reading(name)
    while True:
        yield found
        lower = found.name.lower()
        words, notes = found.words, found.notes
        match = next((match for pattern in _MEANINGS if (match := pattern.search(lower))), None)
        if match is None:
            return
        if _MEANINGS[match.re]:
            notes = (*notes, f"{found.name[match.start() :]} {_MEANINGS[match.re]}")
        if match.re is _QUANTISED:
            words = (*words, match[1])
        found = Reading(found.name[: match.start()], words, notes)


def _stated(words: Sequence[str]) -> str | None:
    methods = [word for word in words if word in _METHODS]
    for word in words:
        width = re.fullmatch(r"(?:int)?([348])(?:[-_]?bits?)?", word)
        if width is not None:
            if methods == ["bnb"] and width[1] == "4":
                return "nf4"
            if word == "int8" and not methods:
                return "int8"
            return _WIDTHS.get(width[1])
        short = re.split(r"[-_](?:dynamic|kv|block|static|e4m3)", word)[0]
        short = "nvfp4" if short == "nvfp4a16" else short
        plain = {"w8a8": "int8", "f16": "fp16", "f32": "fp32"}.get(short, short)
        if plain in ("fp8", "int8", "fp16", "bf16", "fp32"):
            return plain
        if word not in _METHODS and named_format(plain):
            return named_format(plain)
    return _METHODS[methods[0]] if methods else None
