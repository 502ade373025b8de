"""Clean tables from the corpus: the evidence of the catalogue's models, and whole-model rows for training.

Every rule that drops or corrects a row is counted and named.
"""
