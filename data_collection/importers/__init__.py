"""Importers of published data sets: one file a data set, found by its name, that turns upstream files into rows.

`rows(tree)` yields the rows; `KNOWN` and `once`, where a file has them, explain differences and drop repeats. Files
that begin with `_` hold what several importers share.
"""
