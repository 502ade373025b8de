"""The deployment space: catalogue model, chip family, precision, batch, sequence length and software stack.

Its entries are queries, not networks. Queries that are refused (a precision that the chip lacks, a stack without
measurements) belong to the space and evaluate to NaN.
"""

from __future__ import annotations

from typing import Any

from hetbench.catalog.models import models
from hetbench.schema import FAMILIES
from hetbench.spaces._space import Parameter, Space

__all__ = ["SPACES", "Deployment"]


class Deployment(Space):
    """A space whose entries are the arguments of a query."""

    def query(self, arch: dict[str, Any]) -> dict[str, Any]:
        """Arguments of `HetBench.query` for one entry, without sizes that its model does not take."""
        known = models()[arch["model"]]
        given = {name: arch[name] for name in ("model", "batch", "precision")} | {"target": arch["chip"]}
        if known.seq_len is not None:
            given["seq_len"] = min(arch["seq_len"], known.max_seq_len or arch["seq_len"])
        return given | ({} if arch["stack"] == "usual" else {"stack": arch["stack"]})


SPACES = (
    Deployment("deploy", "catalogue model x chip x precision x batch x sequence length x stack", (
        Parameter("model", tuple(models())), Parameter("chip", FAMILIES),
        Parameter("precision", ("fp32", "fp16", "bf16", "int8")), Parameter("batch", (1, 2, 4, 8, 16, 32)),
        Parameter("seq_len", (32, 128, 512, 1024)), Parameter("stack", ("usual", "eager", "compiled")),
    )),
)  # fmt: skip
