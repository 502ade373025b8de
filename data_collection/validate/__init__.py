"""Predictions checked against this CPU: optimization plans and attributions applied to real modules.

`python -m data_collection.validate.plan` and `python -m data_collection.validate.attribution` write result files.
"""
