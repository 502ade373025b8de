"""Any device becomes a chip: what it reports about itself, its measured peaks, and the record of both.

`facts` reads what a processor or an accelerator reports, `probes` measure peaks, bandwidth and launch times, `record`
makes a chip of both and keeps it beside the catalogue. `python -m data_collection.chip` is the command.
"""

from __future__ import annotations

from data_collection.chip.record import chip_of, chosen_chip, measure_chip

__all__ = ["chip_of", "chosen_chip", "measure_chip"]
