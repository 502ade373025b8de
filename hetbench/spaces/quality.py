"""Quality of architectures: a published scaling law, capacity, and the perplexity that HW-GPT-Bench predicts.

Neither proxy was measured on the architectures of the spaces. `loss_proxy` is the loss that a scaling law predicts for
a language model of this size, trained to convergence; depth, width, heads and biases count only by their number of
parameters. `capacity_proxy` is the size of a vision network, not its accuracy. `perplexity` is of architectures with
the weights of a trained supernet, see `hetbench.spaces.perplexity`; its surrogates are fetched once. A search can use
any other function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetbench.mappings import ReadOnly

__all__ = ["QUALITIES", "Quality", "capacity_proxy", "loss_proxy"]

_CRITICAL, _EXPONENT = 8.8e13, 0.076


@dataclass(frozen=True, slots=True)
class Quality:
    """A quality measure and its source."""

    name: str
    unit: str
    better: str
    """`lower` or `higher`."""
    meaning: str
    ref: str


def loss_proxy(non_embedding_params: Any) -> NDArray[np.float64]:
    """Test loss in nats per token, L(N) = (8.8e13 / N)^0.076 (Kaplan et al. 2020, eq. 1.1: unlimited data).

    N is the number of parameters without embeddings, a number or an array.

    >>> float(loss_proxy(8.8e13))
    1.0
    """
    return np.asarray((_CRITICAL / np.asarray(non_embedding_params, dtype=np.float64)) ** _EXPONENT)


def capacity_proxy(params: Any, flops: Any) -> NDArray[np.float64]:
    """Mean of log10 of the parameters and log10 of the FLOP per image, numbers or arrays.

    >>> float(capacity_proxy(1e6, 1e8))
    7.0
    """
    return np.asarray((np.log10(np.asarray(params, dtype=np.float64)) + np.log10(flops)) / 2)


QUALITIES = ReadOnly({each.name: each for each in (
    Quality("loss_proxy", "nats/token", "lower", "test loss that a scaling law predicts for the parameters without "
            "embeddings", "Kaplan et al. 2020, Scaling Laws for Neural Language Models, arXiv:2001.08361, eq. 1.1"),
    Quality("perplexity", "1", "lower", "perplexity on OpenWebText with the weights of a trained supernet, as the "
            "surrogate that HW-GPT-Bench publishes predicts it",
            "Sukthanker et al. 2024, HW-GPT-Bench, arXiv:2405.10299 (Apache-2.0)"),
    Quality("capacity_proxy", "log10", "higher", "mean of log10 of parameters and of FLOP per image: size, not "
            "accuracy", "this project"),
)})  # fmt: skip
