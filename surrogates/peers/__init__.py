"""Compare with other predictors on the same rows: NeuSight's protocol, for single operators and end to end.

`python -m surrogates.peers.neusight` trains on NeuSight's training rows and scores both on its test rows.
"""
