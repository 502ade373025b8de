"""Choosing a chip: chips ranked for one model, for a fleet of models or for serving, and operator coverage of a model.

`ranking` ranks for one model (`results` holds the records), `fleet` for several, `deployments` for serving;
`coverage` reports which operators a chip's PyTorch back end runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hetbench.plugins import lazy_exports

if TYPE_CHECKING:
    from hetbench.migration.coverage import CoverageReport, CoveredOperator, coverage_report
    from hetbench.migration.deployments import Deployed, ServingMigration, migrate_serving, rank_deployments
    from hetbench.migration.fleet import Fleet, FleetChip, rank_fleet
    from hetbench.migration.ranking import rank_chips, select_chips, stack_options
    from hetbench.migration.results import OBJECTIVES, Candidate, Dropped, Migration

__all__ = ["OBJECTIVES", "Candidate", "CoverageReport", "CoveredOperator", "Deployed", "Dropped", "Fleet", "FleetChip",
           "Migration", "ServingMigration", "coverage_report", "migrate_serving", "rank_chips", "rank_deployments",
           "rank_fleet", "select_chips", "stack_options"]  # fmt: skip

__getattr__ = lazy_exports(
    __name__,
    {
        "coverage": "CoverageReport CoveredOperator coverage_report",
        "deployments": "Deployed ServingMigration migrate_serving rank_deployments",
        "fleet": "Fleet FleetChip rank_fleet",
        "ranking": "rank_chips select_chips stack_options",
        "results": "OBJECTIVES Candidate Dropped Migration",
    },
)
