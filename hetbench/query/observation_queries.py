"""The methods of `HetBench` that are about the caller's own timings: observe them, forget them, keep them in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hetbench.loading import LOCK
from hetbench.query.columns import Table
from hetbench.query.observed_tables import save_table, saved_observations
from hetbench.query.session import Session

__all__ = ["ObservationQueries"]


class ObservationQueries:
    """Part of `HetBench`: the caller's own timings."""

    _session: Session
    _kept: dict[Any, Any]
    _compiled: dict[Any, Any]

    def observe(self, table: Table) -> dict[str, Any]:
        """Correct later predictions for a chip by timings of your own, without retraining.

        Operators: predictions are conditioned on the rows (a Gaussian process on the residuals, see
        `hetbench.predict.gaussian_process`); sums over operators use them. Whole models and deployments: a row moves
        the answers of its model, of other models under its stack, and less those of other stacks on the chip, by how
        much of the error these share on chips left out of training (`hetbench.predict.offsets`); intervals narrow
        accordingly. What was observed on a chip says nothing of other chips. A row that the others contradict counts
        for less.

        Args:
            table: columns of equal length [rows], a data frame or a list of dictionaries. Of operators: `op`, `dims`,
                `dtype`, `chip`, `latency_ms`, and optionally `phase` (`fwd`) and `protocol` (default `event`). Of
                models: `model`, `chip`, `metric` (latency, throughput, ttft, tpot; default latency), `value`, and
                optionally `unit` (ms, s, us, 1/s ...), `stack` or `software`, `precision`, `batch`, and the other
                options of `query`, those of deployments among them. A row that names an operator is one of an operator.

        Returns:
            Columns [rows]: `value`, what was predicted before, in the metric's unit (ms of operators); `reason`, why a
            row was not used; and `flag`, what is doubtful about a row that was used. `forget` undoes it.

        Raises:
            InvalidInputError: malformed table, or more than 2,000 operators or 500 models of one chip in total; then no
                row is used.

        >>> from hetbench import HetBench
        >>> api = HetBench()
        >>> asked = {"stack": "tensorrt", "precision": "fp16", "batch": 8}
        >>> before = api.query("resnet-50", target="nvidia-t4", metric="latency", **asked)
        >>> found = api.observe([{"model": "resnet-50", "chip": "nvidia-t4", **asked, "value": 2 * before.value}])
        >>> after = api.query("resnet-50", target="nvidia-t4", metric="latency", **asked)
        >>> before.value < after.value < 2 * before.value, after.upper / after.lower < before.upper / before.lower
        (True, True)
        >>> api.forget()
        1
        >>> row = {"op": ["Linear"], "dims": [{"m": 512, "n": 512, "k": 512}], "dtype": ["fp16"], "chip": ["mlu"]}
        >>> before = api.observe({**row, "latency_ms": [0.05]})["value"][0]
        >>> after = api.query_operator("Linear", row["dims"][0], device="mlu", precision="fp16").value
        >>> min(before, 0.05) < after < max(before, 0.05)
        True
        """
        with LOCK:
            found = self._session.observe(table)
            self._forget_answers()
        return found

    def forget(self, chip: str | None = None) -> int:
        """Undo `observe` for one chip, by name, alias or family, or for all chips; returns how many rows were dropped.

        >>> from hetbench import HetBench
        >>> api = HetBench()
        >>> row = {"op": ["ReLU"], "dims": [{"numel": 4096}], "dtype": ["fp16"], "chip": ["cuda"], "latency_ms": [0.02]}
        >>> found = api.observe(row)
        >>> api.forget("cuda"), api.forget()
        (1, 0)
        """
        with LOCK:
            dropped = self._session.forget(chip)
            self._forget_answers()
        return dropped

    def observed_rows(self) -> dict[str, list[Any]]:
        """Every observed row that is in use, as columns that `observe` takes."""
        return self._session.observed_table()

    def save_observations(self, path: str | Path) -> None:
        """Write the observed rows to a JSON file that `load_observations` reads."""
        save_table(self.observed_rows(), path)

    def load_observations(self, path: str | Path) -> dict[str, Any]:
        """Observe the rows of a file of `save_observations`; returns what `observe` returns."""
        return self.observe(saved_observations(path))

    def _forget_answers(self) -> None:
        """Start new stores of answers; a query in flight keeps its answer in the old ones, which nobody reads."""
        self._kept, self._compiled = {}, {}
