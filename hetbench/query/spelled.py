"""Signatures that state every keyword, for `help` and for completion in a notebook.

Methods take their options as `**options: Unpack[Options]`, which type checkers and editors read; what looks at the
function at run time sees only `**options`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["spelled_out"]

Method = TypeVar("Method", bound=Callable[..., Any])


def spelled_out(options: type) -> Callable[[Method], Method]:
    """Decorate a method so that its signature states the keys of a `TypedDict` in place of `**options`.

    >>> from hetbench.query.question import Options
    >>> @spelled_out(Options)
    ... def ask(model, **options): ...
    >>> str(inspect.signature(ask))[:47]
    "(model, *, batch: 'int | None' = None, seq_len:"
    """
    hints = options.__annotations__
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_text(hint))
        for name, hint in hints.items()
    ]

    def decorated(method: Method) -> Method:
        signature = inspect.signature(method)
        own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        method.__signature__ = signature.replace(parameters=[*own, *keywords])  # type: ignore[attr-defined]
        return method

    return decorated


def _text(hint: Any) -> Any:
    return getattr(hint, "__forward_arg__", hint)
