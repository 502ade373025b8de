"""The bodies of questions, made of the signature of `HetBench`, so that the OpenAPI schema says what a query takes.

An unknown key is passed on: `HetBench` names the nearest option. Values are of their type: true is no batch of 1.
"""

from __future__ import annotations

from os.path import exists
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from hetbench.errors import InvalidInputError
from hetbench.query import Options

__all__ = ["Migrate", "ModelTable", "OperatorQuestion", "OperatorTable", "Question", "check_model"]

_ANY_KEY = ConfigDict(extra="allow", strict=True)
_NO_OTHER = ConfigDict(extra="forbid", strict=True)
_OPTIONS: dict[str, Any] = {name: (hint, None) for name, hint in get_type_hints(Options).items()}
_MODEL = (Any, Field(description="name of a network, or a Hugging Face configuration as an object"))
_PATHS = (".json", ".onnx", ".gguf", ".safetensors", ".pt")

Question = create_model(
    "Question", __config__=_ANY_KEY, model=_MODEL, source=(str | None, None), target=(str | None, None),
    metric=(str | list[str] | None, None), device=(str | list[str] | None, None), source_value=(float | None, None),
    **_OPTIONS,
)  # fmt: skip
"""The arguments of `HetBench.query`."""
Migrate = create_model(
    "Migrate", __config__=_ANY_KEY, model=_MODEL, source=(str | None, None), targets=(str | list[str], "all"),
    source_value=(float | None, None), slo_ms=(float | None, None), objective=(str, "latency"), **_OPTIONS,
)  # fmt: skip
"""The arguments of `HetBench.migrate`."""


class OperatorQuestion(BaseModel):
    """The arguments of `HetBench.query_operator`."""

    model_config = _ANY_KEY
    op: str
    dims: dict[str, Any]
    device: str
    precision: str | None = None
    protocol: str | None = "event"
    library: str | None = None
    layout: str | None = None
    predictor: str | None = None


class ModelTable(BaseModel):
    """The argument of `HetBench.query_models`: columns of equal length."""

    model_config = _NO_OTHER
    table: dict[str, list[Any]]


class OperatorTable(BaseModel):
    """The arguments of `HetBench.query_operators`."""

    model_config = _NO_OTHER
    table: dict[str, list[Any]]
    predictor: str | None = None


def check_model(model: Any) -> None:
    """`InvalidInputError` for a path: the files of the server are nobody's question.

    >>> check_model("meta-llama/Llama-3.1-8B")
    """
    for one in model if isinstance(model, list) else [model]:
        if isinstance(one, str) and (
            one.startswith((".", "/", "~")) or one.lower().endswith(_PATHS) or ("/" in one and exists(one))
        ):
            raise InvalidInputError(
                "a path is of the machine that asks: send the content of the configuration as an object instead."
            )
