"""Importers of published data sets: one file per data set, found by its name, turns upstream files into rows.

`rows(tree)` yields the rows. Optional: `KNOWN` explains differences from a prepared table, `once` identifies repeats.
Files that begin with `_` are shared by several importers.
"""
