"""Measuring on the machine at hand and importing published measurements; run from the checkout.

Its packages write tables and catalogue files; `hetbench` and `surrogates` read them.
"""
