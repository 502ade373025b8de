"""Build the knowledge graph (MOH-KG) of models, operators and hardware from the catalogue and the corpus.

`python -m surrogates.knowledge` writes `hetbench/catalog/knowledge.npz`; nothing in it is drawn at random.
"""
