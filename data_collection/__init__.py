"""Measure operators and models on this machine, and import published measurements; run from the checkout.

Its packages write tables and catalogue files; `hetbench` and `surrogates` read them.
"""
