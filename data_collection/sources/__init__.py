"""Published sources: pins, downloads, the corpus built from them, and the catalogue's chip and support tables.

`python -m data_collection.sources build` makes the corpus; `check` compares it with a prepared one.
"""
