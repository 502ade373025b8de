"""Write the operators of one block in order: what each step reads, and the parameters that it owns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetbench.graphs.blocks import Block, Step

__all__ = ["Piece", "Sizes", "Tape", "activation"]

_ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "silu": ("SiLU",), "swish": ("SiLU",), "relu": ("ReLU",), "relu2": ("ReLU", "PowScalar"), "tanh": ("Tanh",),
    "sigmoid": ("Sigmoid",),
}  # fmt: skip


def activation(name: str) -> tuple[str, ...]:
    """Operators of an activation, as Hugging Face configurations name it; all forms of GELU are one operator.

    >>> activation("gelu_pytorch_tanh"), activation("silu")
    (('GELU',), ('SiLU',))
    """
    return _ACTIVATIONS.get(name, ("GELU",))


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the operators of one pass depend on."""

    batch: int
    tokens: int
    """Processed by this pass, of each sample."""
    cached: int
    """Tokens of each sample whose keys and values lie in the cache before the pass."""
    scored: int
    """Positions of each sample that the output layer sees."""
    image: int = 0
    """Side of the square image in pixels."""
    context: int = 0
    """Tokens of each sample that the encoder of an encoder-decoder has read."""

    @property
    def rows(self) -> int:
        """Tokens of the whole batch."""
        return self.batch * self.tokens


@dataclass(frozen=True, slots=True)
class Piece:
    """A block, how often the network has it, and how many of its parameters one token uses."""

    block: Block
    times: int = 1
    active: int = 0
    """Parameters that one token uses: all, but of a layer of experts."""
    cached: int = 0
    """Elements of keys and values that one run of the block keeps, for all samples, after the pass."""


class Tape:
    """Steps of one block. Every method returns the index of the step it wrote; `reads` left out means the last one.

    >>> tape = Tape()
    >>> tape.linear(2, 3, 4, bias=1)
    0
    >>> tape.params
    15
    """

    def __init__(self, input_elements: int = 0) -> None:
        self.steps: list[Step] = []
        self.params = self.active = self.cached = 0
        self.input_elements = input_elements

    @property
    def last(self) -> int:
        """Index of the last step; -1 before the first, which is what the block is given."""
        return len(self.steps) - 1

    def add(
        self, op: str, dims: dict[str, int], out: int, reads: Sequence[int] = (), *, params: int = 0,
        active: int | None = None, dtype: str = "data", stored: bool = False,
    ) -> int:  # fmt: skip
        """Any operator, with the elements of its result and the parameters it owns."""
        self.steps.append(Step(op, dims, out, tuple(reads) or (self.last,), dtype, params, stored))
        self.params += params
        self.active += params if active is None else active
        return self.last

    def each(self, op: str, numel: int, *reads: int, dtype: str = "data") -> int:
        """An elementwise operator."""
        return self.add(op, {"numel": numel}, numel, reads, dtype=dtype)

    def linear(
        self, rows: int, n: int, k: int, *reads: int, bias: int = 0, tied: bool = False, dtype: str = "data"
    ) -> int:
        """Rows [rows, k] times weights [n, k]; `tied` weights belong to another step."""
        own = 0 if tied else n * k
        return self.add("Linear", {"m": rows, "n": n, "k": k, "bias": bias}, rows * n, reads,
                        params=own + bias * n, dtype=dtype)  # fmt: skip

    def lookup(self, tokens: int, dim: int, vocab: int, *, tied: bool = False) -> int:
        """Rows of a table [vocab, dim]."""
        dims = {"tokens": tokens, "dim": dim, "vocab": vocab}
        return self.add("Embedding", dims, tokens * dim, (-1,), params=0 if tied else vocab * dim)

    def activate(self, name: str, numel: int, *reads: int) -> int:
        """The operators of an activation."""
        for op in activation(name):
            self.each(op, numel, *reads)
            reads = ()
        return self.last

    def norm(self, kind: str, rows: int, cols: int, *reads: int, bias: bool = True) -> int:
        """A normalisation of rows: `rms`, `layer`, or one of the forms of `NORMS`."""
        if kind == "rms":
            return self.add("RMSNorm", {"rows": rows, "cols": cols}, rows * cols, reads, params=cols)
        if kind == "layer":
            own = 2 * cols if bias else cols
            return self.add("LayerNorm", {"rows": rows, "cols": cols}, rows * cols, reads, params=own)
        return _NORMS[kind](self, rows, cols, reads)

    def piece(self, times: int = 1) -> Piece:
        """What was written, as a block that the network has `times` times."""
        return Piece(Block(tuple(self.steps), self.params, self.input_elements), times, self.active, self.cached)


def _upcast(tape: Tape, rows: int, cols: int, reads: Sequence[int]) -> int:
    """OLMo: a layer norm without parameters, in fp32."""
    tape.each("Cast", rows * cols, *reads, dtype="fp32")
    tape.add("LayerNorm", {"rows": rows, "cols": cols}, rows * cols, dtype="fp32")
    return tape.each("Cast", rows * cols, dtype="fp32")


def _shifted(tape: Tape, rows: int, cols: int, reads: Sequence[int]) -> int:
    """Nemotron: the scale is stored less one."""
    shift = tape.each("AddScalar", cols, -1)
    given = tuple(reads) or (shift - 1,)
    return tape.add("LayerNorm", {"rows": rows, "cols": cols}, rows * cols, (*given, shift), params=2 * cols)


def _written_out(tape: Tape, rows: int, cols: int, reads: Sequence[int]) -> int:
    """Cohere: a layer norm without shift, in fp32, one operator at a time."""
    numel, row = rows * cols, {"rows": rows, "cols": cols}
    cast = tape.each("Cast", numel, *reads, dtype="fp32")
    mean = tape.add("Mean", row, rows, (cast,), dtype="fp32")
    centred = tape.each("Sub", numel, cast, mean, dtype="fp32")
    tape.each("PowScalar", numel, centred, dtype="fp32")
    tape.add("Mean", row, rows, dtype="fp32")
    again = tape.each("Sub", numel, cast, mean, dtype="fp32")
    tape.each("AddScalar", rows, again - 1, dtype="fp32")
    scale = tape.each("Rsqrt", rows, dtype="fp32")
    tape.each("Mul", numel, again, scale, dtype="fp32")
    tape.add("Cast", {"numel": cols}, cols, (-1,), params=cols, dtype="fp32")
    tape.each("Mul", numel, tape.last, tape.last - 1, dtype="fp32")
    return tape.each("Cast", numel, dtype="fp32")


_NORMS = {"upcast": _upcast, "shifted": _shifted, "written-out": _written_out}
