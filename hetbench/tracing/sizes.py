"""Batch, sequence length and image size of example inputs, and the same inputs at other ones.

The batch is the first axis of all tensors. The sequence length is the second axis of the integer tensors of two axes
(tokens, masks), else of the floating-point ones of three; the image size is the last two axes of those of four or more,
where they are equal. Every later axis of an input that is as long as the sequence goes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hetbench.errors import InvalidInputError

__all__ = ["InputSizes", "resized"]


@dataclass(frozen=True, slots=True)
class InputSizes:
    """Sizes of example inputs; None where they have none that is certain."""

    batch: int | None = None
    seq_len: int | None = None
    image_size: int | None = None

    @classmethod
    def of(cls, tensors: Sequence[Any]) -> InputSizes:
        """The sizes of the tensors among the inputs."""
        shaped = [tensor for tensor in tensors if tensor.dim()]
        for tensor in shaped:
            if not tensor.numel():
                raise InvalidInputError(f"an example input of shape {tuple(tensor.shape)} holds nothing to trace with.")
        tokens = [each for each in shaped if each.dim() == 2 and not each.is_floating_point()]
        rows = tokens or [each for each in shaped if each.dim() == 3 and each.is_floating_point()]
        images = [each for each in shaped if each.dim() > 3 and each.is_floating_point() and _is_square(each)]
        return cls(
            _only(int(each.shape[0]) for each in shaped), _only(int(each.shape[1]) for each in rows),
            _only(int(each.shape[-1]) for each in images),
        )  # fmt: skip

    def axes(self, tensor: Any, wanted: InputSizes) -> dict[int, int]:
        """Axis -> new size of one tensor at other sizes."""
        found: dict[int, int] = {}
        if wanted.batch != self.batch and tensor.dim():
            found[0] = wanted.batch or 1
        if wanted.seq_len != self.seq_len and self.seq_len is not None:
            found |= dict.fromkeys(self._sequence(tensor), wanted.seq_len or 1)
        if wanted.image_size != self.image_size and tensor.dim() > 3 and tensor.is_floating_point():
            found |= dict.fromkeys((tensor.dim() - 2, tensor.dim() - 1), wanted.image_size or 1)
        return found

    def _sequence(self, tensor: Any) -> list[int]:
        """Axes of a tensor that are as long as the sequence; a floating-point one's width is none."""
        axes = [axis for axis in range(1, tensor.dim()) if tensor.shape[axis] == self.seq_len]
        rows = tensor.dim() == 3 and tensor.is_floating_point()
        if rows and axes == [1, 2]:
            raise InvalidInputError(
                f"an input of shape {tuple(tensor.shape)} is as wide as it is long, so that its sequence cannot be "
                "told from its width. Trace the module again with inputs of the length that you need."
            )
        return axes


def _only(sizes: Any) -> int | None:
    found = set(sizes)
    return found.pop() if len(found) == 1 else None


def _is_square(tensor: Any) -> bool:
    return bool(tensor.shape[-1] == tensor.shape[-2])


def resized(tree: Any, own: InputSizes, wanted: InputSizes) -> Any:
    """Nested inputs at other sizes: values are repeated, positions continued."""
    import torch
    from torch.utils._pytree import tree_map_only

    def resize(tensor: Any) -> Any:
        for axis, size in own.axes(tensor, wanted).items():
            tensor = _at(tensor, axis, size)
        return tensor

    return tree if wanted == own else tree_map_only(torch.Tensor, resize, tree)


def _at(tensor: Any, axis: int, size: int) -> Any:
    """A tensor with another size of one axis."""
    import torch

    many = tensor.shape[axis]
    index = torch.arange(size, device=tensor.device)
    counts = axis and not tensor.is_floating_point() and tensor.device.type != "meta" and many > 1
    if counts and tensor.dtype != torch.bool and bool((tensor.diff(dim=axis) == 1).all()):
        start = tensor.narrow(axis, 0, 1)
        return start + index.to(tensor.dtype).reshape(*[1] * axis, -1, *[1] * (tensor.dim() - axis - 1))
    return tensor.index_select(axis, index % many)
