"""The base of results with rows: in a notebook a table, on request a data frame or a chart."""

from __future__ import annotations

from typing import Any

from hetbench.display.view import View

__all__ = ["Tabular"]


class Tabular:
    """A result with rows. A subclass defines `records` and `view`.

    >>> from hetbench.answers import Answer
    >>> Answer(1.9, "ms", 1.7, 2.2, chip="nvidia-l4").records()[0]["upper"]
    2.2
    """

    __slots__ = ()

    def records(self) -> list[dict[str, Any]]:
        """The rows as flat dictionaries of plain values, which `to_frame` makes a data frame of."""
        raise NotImplementedError

    def view(self) -> View:
        """The rows for people: caption, columns, cells, notes and references."""
        raise NotImplementedError

    def to_frame(self, library: str | None = None) -> Any:
        """The rows as a data frame.

        Args:
            library: pandas, pyarrow or polars; left out, the first of them that is installed.

        Returns:
            A `pandas.DataFrame`, a `pyarrow.Table` or a `polars.DataFrame` [rows of `records`].

        Raises:
            UnknownNameError: another library.
            RefusedError: it is not installed.
        """
        from hetbench.display.frames import to_frame

        return to_frame(self.records(), library)

    def plot(self, axes: Any = None) -> Any:
        """Draw the values with their intervals as a bar chart.

        Args:
            axes: matplotlib axes to draw on; left out, those of a new figure (`plot().figure`).

        Returns:
            The matplotlib axes.

        Raises:
            RefusedError: matplotlib is not installed, or there is no number to draw.
        """
        from hetbench.display.charts import draw

        return draw(self.view(), axes)

    def _repr_html_(self) -> str:
        from hetbench.display.markup import html_of

        return html_of(self.view())
