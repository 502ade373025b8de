"""How fits use the machine."""

from __future__ import annotations

__all__ = ["one_thread"]


def one_thread() -> None:
    """Let torch sum with one thread: the same bytes from a machine with any number of cores."""
    import torch

    torch.set_num_threads(1)
