"""The knowledge graph (MOH-KG), built from the catalogue and the corpus without any random draw.

`python -m surrogates.knowledge` writes `hetbench/catalog/knowledge.npz`.
"""
