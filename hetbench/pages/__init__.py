"""Answers as self-contained HTML: a report on migrating models, and a dashboard of the whole catalogue.

The data of a page is plain JSON (`report_data`, `dashboard_data`); the other modules only draw it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.pages.dashboard import write_site
    from hetbench.pages.report import report_page
    from hetbench.pages.report_data import ReportRequest

__all__ = ["ReportRequest", "report_page", "write_site"]

__getattr__ = lazy_exports(
    __name__, {"dashboard": "write_site", "report": "report_page", "report_data": "ReportRequest"}
)
