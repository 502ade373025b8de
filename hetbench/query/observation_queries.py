"""The methods of `HetBench` that are about the caller's own timings: observe them, forget them, keep them in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hetbench.loading import LOCK
from hetbench.query.observed_tables import save_table, saved_observations
from hetbench.query.session import Session

__all__ = ["ObservationQueries"]


class ObservationQueries:
    """Part of `HetBench`: the caller's own timings."""

    _session: Session
    _kept: dict[Any, Any]
    _compiled: dict[Any, Any]

    def observe(self, table: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Correct later predictions for a chip by operator timings of your own, without retraining.

        Predictions for the chips of the table are conditioned on its rows (a Gaussian process on the residuals, see
        `hetbench.predict.gaussian_process`). With twenty rows of an operator class the error fell on every held-out
        family, with five rows on most. Sums over operators use the corrected predictions; the surrogate of whole
        models does not.

        Args:
            table: columns of equal length [rows]: `op`, `dims`, `dtype`, `chip`, `latency_ms`, and optionally `phase`
                (`fwd`) and `protocol` (default `event`).

        Returns:
            Columns [rows]: `value`, what was predicted in ms before; `reason`, why a row was not used; and `flag`,
            what is doubtful about a row that was used. `forget` undoes it.

        Raises:
            InvalidInputError: malformed table, or more than 2,000 rows of one chip in total; then no row is used.

        >>> from hetbench import HetBench
        >>> api = HetBench()
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

    def save_observations(self, path: str | Path) -> None:
        """Write the observed rows to a JSON file that `load_observations` reads."""
        save_table(self._session.observed_table(), path)

    def load_observations(self, path: str | Path) -> dict[str, Any]:
        """Observe the rows of a file of `save_observations`; returns what `observe` returns."""
        return self.observe(saved_observations(path))

    def _forget_answers(self) -> None:
        """Start new stores of answers; a query in flight keeps its answer in the old ones, which nobody reads."""
        self._kept, self._compiled = {}, {}
