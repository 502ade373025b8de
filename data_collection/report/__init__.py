"""Report of a store: measured rows, and hetbench's answers for the same models on other chips.

tables          rows of the store as tables
charts          the same numbers as charts
compatibility   models x chips: operators, memory, evidence, rating
"""
