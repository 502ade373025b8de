"""Surrogates of whole models: measured passes joined to operator graphs, fitted on the sums over the operators.

`python -m surrogates.whole` trains them; `sums`, `transfer`, `memory` and `end_to_end` are steps of their own.
"""
