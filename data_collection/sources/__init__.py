"""Build the corpus from published data sets, and the catalogue's tables of chips and of operator support.

`python -m data_collection.sources build` writes the corpus; `check` compares a table with a prepared one.
"""
