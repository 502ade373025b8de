"""Surrogates of single operators: training matrices, AutoGluon members, ratio heads, hold-outs and their card.

`python -m surrogates.train` runs them; `surrogates.add` extends them by one chip.
"""
