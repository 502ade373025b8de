"""Sizes at which latency is evaluated so that a larger batch, sequence or image is never faster."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["around", "lengths", "neighbours", "on_grid", "padded"]

_USUAL = 128  # tokens: shorter sequences than any measured are no slower than this one
Sizes = tuple[int | None, int | None, int | None]
"""Batch, sequence length and image size."""
_IMAGE_STEP = 32  # pixels
_ALIGNED = 8  # sizes that kernels of half precision take without a remainder are multiples of this


def lengths(length: int | None, longest: int | None) -> tuple[int | None, ...]:
    """Sequence lengths at which whole models are evaluated: powers of two, and the longest that the model takes.

    The first is at or next below `length`; the others rise from it, to 128 or to the next above.

    >>> lengths(512, 2048), lengths(700, 2048), lengths(20, 2048), lengths(70, 77), lengths(None, None)
    ((512,), (512, 1024), (16, 32, 64, 128), (64, 77), (None,))
    """
    if length is None:
        return (None,)
    below = 1 << (length.bit_length() - 1)
    last = length if below == length else 2 * below
    grid = [below]
    while grid[-1] < max(last, _USUAL):
        grid.append(2 * grid[-1])
    if longest is not None:
        grid = sorted({min(each, longest) for each in grid})
    return tuple(each for each in grid if each >= below) or (length,)


def around(size: int | None, step: int | None = None) -> tuple[int | None, int | None]:
    """The sizes of a coarse grid at or next below and at or next above a size: powers of two, or multiples of `step`.

    >>> around(64), around(65), around(225, 32), around(20, 32), around(None)
    ((64, 64), (64, 128), (224, 256), (20, 32), (None, None))
    """
    if size is None:
        return None, None
    above = 1 << (size - 1).bit_length() if step is None else -(-size // step) * step
    if above == size:
        return size, size
    return (above // 2 if step is None else max(above - step, 0) or size), above


@lru_cache(maxsize=8192)
def neighbours(
    batch: int | None, length: int | None, image: int | None, longest: int | None
) -> tuple[tuple[Sizes, bool], ...]:
    """Other sizes that bound a pass, and whether they are larger: what its own can be padded to, and the coarse grid.

    >>> neighbours(9, 64, None, None)
    (((16, 64, None), True), ((8, 64, None), False))
    """
    least, most = zip(around(batch), around(length), around(image, _IMAGE_STEP), strict=True)
    fine = padded(batch), padded(length, longest), padded(image)
    most = most[0], most[1] if longest is None else min(most[1] or 0, longest) or None, most[2]
    found = dict.fromkeys(((fine, True), (most, True), (least, False)))
    return tuple((sizes, larger) for sizes, larger in found if sizes != (batch, length, image))


def on_grid(size: int | None) -> bool:
    """Whether many questions look at a size: a power of two, or a multiple of 8 up to 64.

    >>> [size for size in range(1, 70) if on_grid(size)]
    [1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64]
    """
    return size is None or size & (size - 1) == 0 or (size % _ALIGNED == 0 and size <= _ALIGNED**2)


def padded(size: int | None, longest: int | None = None) -> int | None:
    """The size that a batch, sequence or image can be padded to: the next multiple of 8, below it the next power of 2.

    Kernels are slower at sizes that leave a remainder, and padding is always possible; `longest` is the most that the
    model takes.

    >>> [padded(size) for size in (1, 3, 5, 8, 127, 128)], padded(76, longest=77), padded(None)
    ([1, 4, 8, 8, 128, 128], 77, None)
    """
    if size is None:
        return None
    wanted = -(-size // _ALIGNED) * _ALIGNED if size > _ALIGNED else 1 << (size - 1).bit_length()
    return wanted if longest is None else max(size, min(wanted, longest))
