"""Board power as a share of the TDP, fitted on published watts.

`python -m surrogates.power` fits, scores and exports it.
"""
