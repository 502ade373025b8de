"""What stands for the quality of an architecture that nobody trained: published laws and plain capacity.

Nothing here was measured on the architectures themselves. `loss_proxy` is what a scaling law says of a language model
of that many parameters, trained long enough; it knows nothing of depth against width, heads or biases but their
parameters. `capacity_proxy` says how large a vision network is, not how accurate. A search can take any function of
the caller's own instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["QUALITIES", "Quality", "capacity_proxy", "loss_proxy"]

_CRITICAL, _EXPONENT = 8.8e13, 0.076


@dataclass(frozen=True, slots=True)
class Quality:
    """A stand-in for quality."""

    name: str
    unit: str
    better: str
    """`lower` or `higher`."""
    meaning: str
    ref: str


def loss_proxy(non_embedding_params: Any) -> NDArray[np.float64]:
    """Test loss in nats a token by the law of Kaplan et al. (2020), L(N) = (8.8e13 / N)^0.076, for data without end.

    >>> float(loss_proxy(8.8e13))
    1.0
    """
    return np.asarray((_CRITICAL / np.asarray(non_embedding_params, dtype=np.float64)) ** _EXPONENT)


def capacity_proxy(params: Any, flops: Any) -> NDArray[np.float64]:
    """Mean of log10 of the parameters and of log10 of the operations of one image.

    >>> float(capacity_proxy(1e6, 1e8))
    7.0
    """
    return np.asarray((np.log10(np.asarray(params, dtype=np.float64)) + np.log10(flops)) / 2)


QUALITIES = MappingProxyType({each.name: each for each in (
    Quality("loss_proxy", "nats/token", "lower", "test loss that a scaling law expects of so many parameters outside "
            "the embeddings", "Kaplan et al. 2020, Scaling Laws for Neural Language Models, arXiv:2001.08361, eq. 1.1"),
    Quality("capacity_proxy", "log10", "higher", "mean of log10 of parameters and of operations an image: size, not "
            "accuracy", "this project"),
)})  # fmt: skip
