"""A language model as a network: full passes, the filling of a cache, and single steps with one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hetbench.graphs.huggingface.config import Config
from hetbench.graphs.huggingface.graph import Network
from hetbench.graphs.huggingface.tape import Piece, Sizes
from hetbench.graphs.setting import Setting

if TYPE_CHECKING:
    from hetbench.graphs.huggingface.decoder import Decoder

__all__ = ["generating"]

_LONGEST = 2**21
_USUAL = 512


def generating(plan: Callable[[Config], Decoder], c: Config) -> Network:
    """A language model: scores of all positions, of the last after a prefill, or of one new token."""
    decoder = plan(c)
    longest = decoder.positions - (2 if decoder.position_rows else 0) or _LONGEST

    def sizes(s: Setting) -> Sizes:
        batch, length = s.batch or 0, s.seq_len or 0
        if s.phase == "decode":
            return Sizes(batch, 1, length, 1)
        return Sizes(batch, length, 0, 1 if s.phase == "prefill" else length)

    def pieces(s: Setting) -> list[Piece]:
        return list(decoder.pieces(sizes(s)))

    def inputs(s: Setting) -> list[tuple[int, str]]:
        return [(sizes(s).rows, "int64")]

    limits = {"batch": 1, "seq_len": [1, longest, 1, min(_USUAL, longest)]}
    return Network(("inference", "prefill", "decode"), limits, pieces, inputs)
