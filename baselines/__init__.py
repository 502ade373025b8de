"""Searches over hetbench's spaces without the hardware: problems, methods, results; run from the checkout."""
