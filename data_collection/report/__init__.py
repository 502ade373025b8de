"""A report of the store: what was measured, and beside it what hetbench answers for the same models on other chips.

tables          rows of the store as tables
charts          the same numbers drawn
compatibility   models x chips: operators, memory, evidence, rating
"""
