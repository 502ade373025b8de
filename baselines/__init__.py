"""Architecture search on hetbench instead of the hardware: problems, methods, results. Run from the checkout."""
