"""What measured training steps take over the physics of their operators, and the memory that frameworks add.

`python -m surrogates.training` fits, scores and exports both.
"""
