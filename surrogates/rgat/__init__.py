"""The relational graph attention network (RGAT) over the knowledge graph, and conditioning on observed operators.

`python -m surrogates.rgat` trains, exports and scores it.
"""
