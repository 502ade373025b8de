"""Search the execution settings of this machine for one model or operator.

space    what is tuned, the settings to choose from, and the task that a setting is
search   random, grid, genetic, Bayesian: which setting is tried next
trials   try, confirm the best against the default, double the batch until throughput saturates
report   JSON, Markdown, and the configuration space
"""
