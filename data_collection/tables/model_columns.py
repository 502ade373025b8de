"""Columns of the whole-model table: their types, and which of them make up one setting."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
COLUMNS: dict[str, str] = {
    "file": "string", "ref": "string", "family": "string", "chip": "string", "upstream": "string",
    "canonical_key": "string", "precision": "string", "batch": "int64", "seq_len": "int64", "image_size": "int64",
    "image_text": "string", "shapes": "string", "phase": "string", "stack": "string", "software": "string",
    "layout": "string", "compiled": "bool", "instances": "int64", "cores": "int64", "new_tokens": "int64",
    "n_chips": "int64", "stat": "string", "metric": "string", "value": "double", "unit": "string",
    "printed": "string", "variant": "string", "scenario": "string", "division": "string", "gmacs": "double",
    "macts": "double", "mparams": "double", "repeats": "int64", "spread": "double", "match_use": "string",
    "note": "string",
}  # fmt: skip
FIGURES = ("ref", "value", "gmacs", "macts", "mparams", "repeats", "spread", "match_use", "note", "date", "shapes")
"""Columns that do not make up the setting."""
SETTING = tuple(name for name in (*COLUMNS, "own") if name not in FIGURES)
"""Columns that make up one setting; rows that agree in them are repeats."""
SERIES = tuple(name for name in SETTING if name not in ("batch", "variant"))
"""Columns in which the rows of one curve over batch sizes agree."""
