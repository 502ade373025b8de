"""Five minutes to good answers: measure what reduces the uncertainty of a portfolio of models most, and observe it.

`portfolio` lists the operators and passes of the models, `choice` puts the operators in the order of their worth,
`measure` times them until the time is over, `score` compares predictions with what was held out, before and after.
"""
