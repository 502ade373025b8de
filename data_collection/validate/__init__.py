"""Check optimisation plans and attributions of latency against real runs on this CPU.

`python -m data_collection.validate.plan` and `python -m data_collection.validate.attribution` write result files.
"""
