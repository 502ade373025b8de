"""Other predictors on the same rows: NeuSight's protocol, operator by operator and end to end.

`python -m surrogates.peers.neusight` trains on what NeuSight trained on and scores beside its own predictions.
"""
