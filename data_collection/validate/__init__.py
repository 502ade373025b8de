"""Predictions checked against this CPU, and FLOPs against public counters.

`python -m data_collection.validate.plan` and `python -m data_collection.validate.attribution` apply optimization plans
and attributions to real modules and write result files; `python -m data_collection.validate.flops` prints a table.
"""
