"""Cells of a table as published results write them: software with versions, precisions, image sizes.

`software` states what ran a network (`vLLM 0.9.2`, `ACL/OM offline`); the stack that it means is read here. A stack
that no measured row supports is answered for eager execution, and the reason column says so, since the column states
circumstances; `stack` is a demand, and refused where nothing supports it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from hetbench.errors import InvalidInputError, RefusedError, shown
from hetbench.query.columns import text_of
from hetbench.query.software import stack_of
from hetbench.serving.engines import engine_of, is_serving

__all__ = ["answer_as_written", "plain_cells", "precision_of", "side_of", "stack_of"]

_PRECISIONS = {
    "amp_fp16": "fp16", "fp16-amp": "fp16", "amp-fp16": "fp16", "amp": "fp16", "w:fp16": "fp16", "uint8": "int8",
    "amp_bf16": "bf16", "bf16-amp": "bf16", "w:fp8": "fp8", "w8a8": "int8", "w:f16": "fp16", "w:int8": "int8",
    "int8_fp16": "int8", "int8_fp32": "int8", "bnb+fp16": "nf4",
}  # fmt: skip
_UNSTATED = ("unstated", "unspecified", "unknown", "bf16/fp16 (upstream default)", "n/a", "")


def precision_of(text: str) -> tuple[str | None, bool]:
    """The precision that a published cell means, None where it states none, and whether it says mixed precision.

    >>> precision_of("amp_fp16"), precision_of("uint8"), precision_of("unstated")
    (('fp16', True), ('int8', False), (None, False))
    """
    key = text.strip().lower()
    if key in _UNSTATED:
        return None, False
    bare = re.sub(r",? *level=.*$", "", key)
    return _PRECISIONS.get(bare, bare), "amp" in bare


def side_of(size: Any) -> Any:
    """The side of a square image written as `224x224` or `3x224x224`; anything else is returned as it is.

    Raises `InvalidInputError` for an image that is no square.

    >>> side_of("224x224"), side_of(224)
    (224, 224)
    """
    if not isinstance(size, str):
        return size
    found = re.fullmatch(r"(?:\d+\s*[x×*]\s*)?(\d{1,9})\s*[x×*]\s*(\d{1,9})", size.strip())
    if found is None:
        return int(size) if re.fullmatch(r"\d{1,9}", size.strip()) else size
    height, width = int(found[1]), int(found[2])
    if height != width:
        raise InvalidInputError(
            f"image_size {shown(size)} is no square, and networks are described for square images; the square with as "
            f"many pixels has side {round((height * width) ** 0.5)}."
        )
    return height


def plain_cells(row: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The cells of a row in the terms of a query, and the stack that its software means (None without software)."""
    cells = dict(row)
    if _says_its_own(cells.get("model"), cells.get("precision")):
        del cells["precision"]
    if isinstance(cells.get("precision"), str):
        precision, mixed = precision_of(cells.pop("precision"))
        cells |= {"precision": precision} if precision else {}
    else:
        mixed = False
    if "image_size" in cells:
        cells["image_size"] = side_of(cells["image_size"])
    software = cells.pop("software", None)
    if is_serving(cells.get("phase")):  # an engine, whose version counts
        return ({"stack": software} if engine_of(str(software)) else {}) | cells, None
    if software is None or cells.get("stack") is not None:
        return cells, None
    meant = stack_of(text_of(software))
    return cells, f"{meant}-amp" if meant and mixed and meant in ("eager", "compiled", "tensorflow", "mxnet") else meant


def _says_its_own(model: Any, precision: Any) -> bool:
    """Whether a cell repeats the format of the weights that the name of a GGUF file states.

    The name knows more: experts of gpt-oss stay in mxfp4 in a file that is called F16.
    """
    named = isinstance(model, str) and model.strip().lower().endswith(".gguf")
    return named and isinstance(precision, str) and precision.strip().lower().startswith("w:")


def answer_as_written(query: Callable[..., Any], row: Mapping[str, Any]) -> tuple[Any, str]:
    """The answer to a row, and what it is an answer to instead where its software is not supported."""
    cells, meant = plain_cells(row)
    model, chip = cells.pop("model", None), cells.pop("chip", None)
    metric = cells.pop("metric", "latency")
    if not meant or meant == "eager":
        said = "" if meant or "software" not in row else "the software names no stack that is known: the usual one"
        return query(model, None, chip, metric, **cells), said
    try:
        return query(model, None, chip, metric, **cells, stack=meant), ""
    except RefusedError as why:
        try:
            answer = query(model, None, chip, metric, **cells)
        except RefusedError:
            raise why from None
        return answer, f"answered for stack {answer.stack}: no measured row supports {meant} there"
