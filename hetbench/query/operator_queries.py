"""The methods of `HetBench` that are about single operators: one, or a table of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hetbench import schema
from hetbench.answers import Answer
from hetbench.errors import UnknownNameError
from hetbench.operators import operator_type
from hetbench.query import tables
from hetbench.query.columns import Table
from hetbench.query.operator_dims import check_dims
from hetbench.query.question import check_precision, check_predictor, default_precision
from hetbench.query.session import Session
from hetbench.serving.collectives import COLLECTIVES, collective

__all__ = ["OperatorQueries"]


class OperatorQueries:
    """Part of `HetBench`: queries about operators."""

    _session: Session

    def query_operator(
        self, op: str, dims: Mapping[str, int], *, device: str, precision: str | None = None,
        protocol: str | None = "event", library: str | None = None, layout: str | None = None,
        predictor: str | None = None,
    ) -> Answer:  # fmt: skip
        """Forward latency of one operator on one chip, in ms.

        Args:
            op: operator type, such as `Linear`, `Conv2d`, `Attention` (`hetbench operators` lists them).
            dims: size of each dim that the type names, such as `{"m": 128, "n": 3072, "k": 768}`.
            device: chip, alias or family.
            precision: of the arithmetic; left out, fp16 where the chip has it, else fp32.
            protocol: what the time includes. `kernel`: the kernels alone; `graph`: one replayed device graph;
                `event` (default): device events around an eager launch; `wall`: host clock with synchronisation.
            library: implementation, by its name in the published rows; left out, chosen by the evidence. Of a
                collective (`AllReduce`, `AllGather`, `ReduceScatter`, `AllToAll` of `bytes` over `chips`): `library`
                (NCCL, oneCCL; the default), or `engine`, the kernels of serving engines in a device graph.
            layout: memory layout, by its name in the published rows; left out, chosen by the evidence.
            predictor: `auto` (default), `autogluon`, `rgat` or `roofline`.

        Returns:
            An `Answer` with the interval, the evidence level and the surrogate that predicted.

        Raises:
            UnknownNameError: unknown operator type, chip, precision, protocol or predictor.
            InvalidInputError: dims that do not fit the type or any tensor.
            RefusedError: the chip has no units of this precision, or its datasheet does not state what is needed.

        >>> from hetbench import HetBench
        >>> answer = HetBench().query_operator("Linear", {"m": 128, "n": 3072, "k": 768}, device="cuda")
        >>> answer.unit, answer.precision, answer.lower < answer.value < answer.upper
        ('ms', 'fp16', True)
        """
        if isinstance(op, str) and op in COLLECTIVES:
            return self._collective(op, dims, device, precision, library)
        kind = operator_type(op)
        sizes = kind.check(dims)
        chip, notes = self._session.chip(device)
        name = schema.precision(precision) if precision is not None else default_precision(chip)
        notes += check_precision(name, chip)
        protocol = "event" if protocol is None else protocol
        if not isinstance(protocol, str) or protocol not in schema.PROTOCOLS:
            raise UnknownNameError("protocol", protocol, schema.PROTOCOLS)
        chosen = check_predictor(predictor)
        fields: dict[str, Any] = {
            "metric": "latency", "operator": op, "chip": chip.name, "family": chip.family, "precision": name,
            "protocol": protocol,
        }  # fmt: skip
        if kind.cost_class == "free":
            return Answer(0.0, "ms", kind="derived", notes=(*notes, f"{op} does nothing at inference"), **fields)
        surrogate = self._session.surrogate
        found = surrogate.predict(
            op, name, check_dims(kind, sizes), chip, protocol=protocol, library=library, layout=layout,
            predictor=chosen,
        )  # fmt: skip
        if (library is not None or layout is not None) and found.head != "full":
            notes += ("no measured rows of this library and layout here: answered without them",)
        return Answer(
            float(found.value[0]), "ms", float(found.lower[0]), float(found.upper[0]), surrogate.interval_level,
            "predicted", found.level, found.support,
            surrogate=f"{surrogate.id}/{chosen}" + (f"/{found.head}" if chosen == "auto" else ""),
            notes=(*notes, found.source), **fields,
        )  # fmt: skip

    def _collective(
        self, op: str, dims: Mapping[str, int], device: str, precision: str | None, kernel: str | None
    ) -> Answer:
        chip, notes = self._session.chip(device)
        name = None if precision is None else schema.precision(precision)
        found = collective(op, dims, chip, kernel)
        return replace(found, precision=name, notes=(*notes, *found.notes))

    def query_operators(self, table: Table, predictor: str | None = None) -> dict[str, Any]:
        """Forward latency of many operators, in ms.

        Rows that differ in their dims only are predicted in one call, so a table is much faster than single queries.

        Args:
            table: a data frame of any library, an Arrow table, a list of dictionaries, or columns of equal length
                [rows]: `op`, `dims` (a mapping or its JSON), `dtype`, `phase` (`fwd`), `chip`, and optionally
                `protocol` (default `event`), `library` and `layout`.
            predictor: `auto` (default), `autogluon`, `rgat` or `roofline`.

        Returns:
            Columns [rows]: `value`, `lower`, `upper` in ms, `level`, and `reason`. A row that cannot be answered has
            NaN and a reason; the others have an empty reason.

        Raises:
            InvalidInputError: the table lacks a column or its columns differ in length.

        >>> from hetbench import HetBench
        >>> table = {"op": ["Linear"] * 2, "dims": [{"m": 64, "n": 64, "k": 64}, {"m": 0, "n": 64, "k": 64}],
        ...          "dtype": ["fp16"] * 2, "phase": ["fwd"] * 2, "chip": ["cuda"] * 2}
        >>> found = HetBench().query_operators(table)
        >>> bool(found["value"][0] > 0), str(found["reason"][1])[:12]
        (True, 'Linear: dim ')
        """
        return tables.answer_operators(
            table, lambda name: self._session.chip(name)[0], check_predictor(predictor), self._session.surrogate
        )
