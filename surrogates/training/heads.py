"""BERT as it is pre-trained: with a layer that scores every token over the vocabulary."""

from __future__ import annotations

import numpy as np

from hetbench.graphs import ModelGraph, OperatorGroup, OperatorTable, load
from hetbench.graphs.operator_table import resolve_dtype

__all__ = ["MASKED", "MaskedBert"]

MASKED = "bert-base-masked"
_HIDDEN, _WORDS = 768, 30522


class MaskedBert(ModelGraph):
    """BERT-Base with the masked-language-model head of its paper; the output layer shares the embedding's weights."""

    def __init__(self) -> None:
        table = load("bert-base")._table
        super().__init__({**table, "name": MASKED, "compact": True})
        self.params += _HIDDEN * _HIDDEN + 3 * _HIDDEN + _WORDS

    def operators(
        self, batch: int | None = None, seq_len: int | None = None, image_size: int | None = None,
        precision: str = "fp32", phase: str = "inference",
    ) -> OperatorTable:  # fmt: skip
        """The operators of the encoder, and of the head on every token."""
        found = super().operators(batch, seq_len, image_size, precision, phase)
        setting = self.setting(batch, seq_len, image_size, precision, phase)
        tokens, dtype = (setting.batch or 1) * (setting.seq_len or 1), resolve_dtype("Linear", "data", precision)
        head = (
            ("Linear", {"m": tokens, "n": _HIDDEN, "k": _HIDDEN, "bias": 1}), ("GELU", {"numel": tokens * _HIDDEN}),
            ("LayerNorm", {"rows": tokens, "cols": _HIDDEN}),
            ("Linear", {"m": tokens, "n": _WORDS, "k": _HIDDEN, "bias": 1}),
        )  # fmt: skip
        one = np.ones(1, dtype=np.int64)
        return OperatorTable((*found.groups, *(
            OperatorGroup(op, dtype, {name: size * one for name, size in dims.items()}, one) for op, dims in head
        )))  # fmt: skip
